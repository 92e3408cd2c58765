"""Close is bounded and total: it drains or cancels, says what it did, and leaves nothing behind."""

from __future__ import annotations

import concurrent.futures
import gc
import threading
import warnings
import weakref
from typing import Any

import numpy as np
import pytest

import headway
from headway.testing import FakeEngine

from ..conftest import Make
from ..support import PATIENCE, X, assert_conserved, until

pytestmark = pytest.mark.timeout(60)


def blocked(session: headway.InferenceSession, engine: FakeEngine, waiting: int = 2) -> list[Any]:
    """One request that runs, and some that wait."""
    futures = [session.submit(X)]
    engine.wait_running(1)
    return futures + [session.submit(X) for _ in range(waiting)]


def test_drain(fake: Make) -> None:
    session, engine = fake()
    futures = blocked(session, engine)
    engine.open()
    assert session.close() == headway.CloseReport(drained=True, cancelled=0, abandoned=(), delivered=True)
    assert all(future.done() for future in futures)
    assert [future.result()[0].tolist() for future in futures] == [X.tolist()] * 3
    assert assert_conserved(session).done == 3


def test_cancel(fake: Make) -> None:
    session, engine = fake()
    futures = blocked(session, engine)
    assert session.close(drain=False) == headway.CloseReport(False, 3, (), True)
    assert all(future.cancelled() for future in futures)
    assert assert_conserved(session).cancelled == 3


def test_timeout_cancels_the_rest(fake: Make) -> None:
    session, engine = fake()
    futures = blocked(session, engine)
    assert session.close(timeout=0.01) == headway.CloseReport(False, 3, (), True)
    assert all(future.cancelled() for future in futures)


def test_engine_that_does_not_return_is_abandoned_and_named(fake: Make) -> None:
    session, engine = fake(can_cancel=False, workers=2)
    future = session.submit(X)
    engine.wait_running(1)
    [stuck] = [lane.id for lane in session.stats().lanes if lane.state == "running"]
    report = session.close(timeout=0.01)
    assert report == headway.CloseReport(False, 1, (stuck,), True)
    assert future.cancelled()
    assert_conserved(session)
    engine.open()


@pytest.mark.parametrize("drain", [True, False])
def test_callable_that_does_not_return_is_abandoned_and_named(drain: bool, leaks: None) -> None:
    inside, go_on = threading.Event(), threading.Event()

    def model(feed: dict[str, Any]) -> list[Any]:
        inside.set()
        assert go_on.wait(PATIENCE)
        return [feed["x"]]

    session = headway.InferenceSession(model, inputs=["x"], outputs=["y"])
    future = session.submit(X)
    assert inside.wait(PATIENCE)
    report = session.close(drain=drain, timeout=0.01)
    assert report == headway.CloseReport(False, 1, (0,), True)
    assert future.cancelled()
    go_on.set()


def test_idempotent(fake: Make) -> None:
    session, engine = fake()
    blocked(session, engine)
    first = session.close(drain=False)
    assert session.close() == first
    assert session.close(drain=False, timeout=0) == first


def test_from_several_threads(fake: Make) -> None:
    session, engine = fake(queue_depth=32)
    futures = blocked(session, engine, 20)
    with concurrent.futures.ThreadPoolExecutor(6) as pool:
        closers = [pool.submit(session.close) for _ in range(6)]
        until(lambda: repr(session).endswith("[closed]>"), "the session's closing")
        engine.open()
        reports = {closer.result(PATIENCE) for closer in closers}
    assert reports == {headway.CloseReport(True, 0, (), True)}
    assert all(future.exception() is None for future in futures)


def test_drain_that_turns_into_cancel(fake: Make) -> None:
    session, engine = fake()
    futures = blocked(session, engine)
    with concurrent.futures.ThreadPoolExecutor(1) as pool:
        draining = pool.submit(session.close, True, None)
        until(lambda: repr(session).endswith("[closed]>"), "the session's closing")
        futures[0].cancel()
        engine.open()
        assert draining.result(PATIENCE).abandoned == ()


def test_with_drains(fake: Make) -> None:
    session, engine = fake()
    with session:
        futures = blocked(session, engine)
        engine.open()
    assert [future.exception() for future in futures] == [None] * 3


def test_with_cancels_on_an_exception(fake: Make) -> None:
    session, engine = fake()
    with pytest.raises(ZeroDivisionError), session:
        futures = blocked(session, engine)
        raise ZeroDivisionError
    assert all(future.cancelled() for future in futures)


def test_callbacks_are_delivered_before_close_returns(fake: Make) -> None:
    session, engine = fake(queue_depth=8)
    seen: list[str] = []
    for _ in range(4):
        session.run_async(None, X, lambda results, user_data, err: seen.append(err))
    engine.wait_running(1)
    session.close(drain=False)
    assert len(seen) == 4
    assert all(seen)


def test_callback_that_does_not_return_is_reported(fake: Make) -> None:
    session, _ = fake(held=False)
    inside, go_on = threading.Event(), threading.Event()

    def slow(*_: Any) -> None:
        inside.set()
        assert go_on.wait(PATIENCE)

    session.run_async(None, X, slow)
    assert inside.wait(PATIENCE)
    assert not session.close(timeout=0.01).delivered
    go_on.set()


CALLS = {
    "run": lambda session: session.run(None, X),
    "submit": lambda session: session.submit(X),
    "try_submit": lambda session: session.try_submit(X),
    "run_async": lambda session: session.run_async(None, X, print),
    "stream": lambda session: next(session.stream([X])),
}


@pytest.mark.parametrize("name", CALLS)
def test_calls_after_close(name: str, fake: Make) -> None:
    session, _ = fake()
    session.close()
    with pytest.raises(headway.SessionClosed, match="the session is closed"):
        CALLS[name](session)
    session.cancel_all()
    assert "closed" in repr(session)
    assert [node.name for node in session.get_inputs()] == ["x"]


def test_outputs_outlive_everything(tiny: bytes, leaks: None) -> None:
    with headway.InferenceSession(tiny) as session:
        outputs = [future.result()[0] for future in [session.submit(X + number) for number in range(5)]]
        outputs += session.run(None, X)
    reference = weakref.ref(session)
    del session
    gc.collect()
    assert reference() is None
    churn = [np.ones(3, np.float32) for _ in range(1000)]
    for number, output in enumerate(outputs[:5]):
        assert output.tolist() == (2 * (X + number)).tolist()
        output += 1
        assert output.tolist() == (2 * (X + number) + 1).tolist()
    assert outputs[5].tolist() == (2 * X).tolist()
    assert len(churn) == 1000


# ---- dropped without close --------------------------------------------------------------------------------------------


def test_dropped_session_warns_and_finishes(leaks: None) -> None:
    engine = FakeEngine(held=True)
    session = headway.InferenceSession(engine, workers=1, queue_depth=8)
    futures = blocked(session, engine, 3)
    seen: list[str] = []
    called = threading.Event()
    session.run_async(None, X, lambda results, user_data, err: (seen.append(err), called.set()))
    with pytest.warns(ResourceWarning, match="unclosed session <InferenceSession fake"):
        del session
        gc.collect()
    engine.open()
    assert [future.result(PATIENCE)[0].tolist() for future in futures] == [X.tolist()] * 4
    assert called.wait(PATIENCE)
    assert seen == [""]


def test_dropped_callable_session_finishes(leaks: None) -> None:
    session = headway.InferenceSession(lambda feed: [feed["x"] + 1], inputs=["x"], outputs=["y"])
    future = session.submit(X)
    with pytest.warns(ResourceWarning):
        del session
        gc.collect()
    assert future.result(PATIENCE)[0].tolist() == (X + 1).tolist()


def test_dropped_idle_model_is_freed(tiny: bytes, leaks: None) -> None:
    session = headway.InferenceSession(tiny)
    session.run(None, X)
    with pytest.warns(ResourceWarning):
        del session
        gc.collect()


def test_closed_session_is_silent(fake: Make) -> None:
    session = headway.InferenceSession(FakeEngine())
    session.close()
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        del session
        gc.collect()


def test_session_that_could_not_be_made_is_silent(leaks: None) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        with pytest.raises(headway.LoadError):
            headway.InferenceSession(b"not a model")
        with pytest.raises(ValueError):
            headway.InferenceSession(FakeEngine(), workers=0)
        gc.collect()


def test_callable_that_holds_its_session(leaks: None) -> None:
    class Model:
        def __init__(self) -> None:
            self.session = headway.InferenceSession(self, inputs=["x"], outputs=["y"])

        def __call__(self, feed: dict[str, Any]) -> list[Any]:
            return [feed["x"]]

    model = Model()
    reference = weakref.ref(model.session)
    assert model.session.run(None, X)[0].tolist() == X.tolist()
    model.session.close()
    del model
    until(lambda: (gc.collect(), reference() is None)[1], "the end of the cycle")
