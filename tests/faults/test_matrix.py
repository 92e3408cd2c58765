"""The fault matrix: whatever goes wrong, every convention comes back within a bound, and nothing is left."""

from __future__ import annotations

import os
import sys
import threading
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import pytest

import headway
from headway.testing import FakeEngine

from ..conftest import Make
from ..conventions.ways import WAYS, Pending, Refusal, Told
from ..support import PATIENCE, X, assert_conserved, until
from .ways import BUILT_WAYS

pytestmark = pytest.mark.timeout(60)


def push_pull(session: headway.InferenceSession, feed: Any, **options: Any) -> Any:
    with session.open(timeout=options.get("timeout")) as run:
        run.push(feed)
        return list(run.pull(PATIENCE).data.values())


def pushed(session: headway.InferenceSession, feed: Any, **options: Any) -> Pending:
    from ..conventions.ways import on_thread

    return on_thread(push_pull)(session, feed, **options)


EVERY: dict[str, Callable[..., Pending]] = {**WAYS, **BUILT_WAYS, "push pull": pushed}
every_way = pytest.mark.parametrize("way", EVERY)


@pytest.fixture(params=["usual", "1e-6"])
def switching(request: pytest.FixtureRequest) -> Iterator[None]:
    """The interpreter's usual way to share the GIL, and one that shows races."""
    before = sys.getswitchinterval()
    if request.param != "usual":
        sys.setswitchinterval(float(request.param))
    yield
    sys.setswitchinterval(before)


class Engine:
    """A model in Python that does something wrong whenever it is told to."""

    def __init__(self, fault: str) -> None:
        self.fault: str | None = fault
        self.open = threading.Event()
        self.inside = threading.Event()

    def __call__(self, feed: dict[str, Any]) -> Any:
        if self.fault == "raises":
            raise KeyError("mine")
        if self.fault == "exits":
            raise SystemExit(3)
        if self.fault == "interrupts":
            raise KeyboardInterrupt
        if self.fault == "wrong number":
            return [feed["x"], feed["x"]]
        if self.fault == "wrong name":
            return {"z": feed["x"]}
        if self.fault == "hangs":
            self.inside.set()
            self.open.wait()
        return [feed["x"]]

    def session(self, **options: Any) -> headway.InferenceSession:
        return headway.InferenceSession(self, inputs=["x"], outputs=["y"], workers=1, **options)


@every_way
@pytest.mark.parametrize("fault", ["raises", "exits", "interrupts", "wrong number", "wrong name"])
def test_engine_goes_wrong(fault: str, way: str, switching: None, leaks: None) -> None:
    engine = Engine(fault)
    with engine.session() as session:
        outcome = EVERY[way](session, X).outcome()
        assert isinstance(outcome, headway.EngineError | Told), repr(outcome)
        assert str(outcome)
        # The session goes on.
        engine.fault = None
        assert session.run(None, X)[0].tolist() == X.tolist()
        session.close()
        stats = assert_conserved(session)
        assert (stats.failed, stats.done) == (1, 1)


@every_way
def test_engine_hangs(way: str, switching: None, leaks: None) -> None:
    engine, asked = Engine("hangs"), 0
    with engine.session() as session:
        # On a busy machine the time may be up before the lane has taken the request: again, with more time.
        for timeout in (0.05, 0.5, 5.0):
            asked += 1
            outcome = EVERY[way](session, X, timeout=timeout).outcome()
            assert isinstance(outcome, headway.DeadlineExceeded | Told), repr(outcome)
            stats = assert_conserved(session)
            if stats.lanes[0].state == "overrun":
                break
        assert [lane.state for lane in stats.lanes] == ["overrun"]
        assert engine.inside.wait(PATIENCE)
        engine.open.set()
    stats = assert_conserved(session)
    assert stats.expired == asked


@pytest.mark.parametrize(
    "way", ["run_pipeline", "stream depth=1", "astream unordered", "run_parallel", "wait", "push pull"]
)
def test_engine_hangs_and_the_session_is_closed(way: str, leaks: None) -> None:
    engine = Engine("hangs")
    session = engine.session()
    pending = EVERY[way](session, X)
    assert engine.inside.wait(PATIENCE)
    report = session.close(drain=False, timeout=0.05)
    assert (report.drained, report.abandoned) == (False, (0,))
    assert isinstance(pending.outcome(), BaseException)
    engine.open.set()


@every_way
def test_engine_is_slow_and_the_queue_is_full(way: str, leaks: None) -> None:
    engine = FakeEngine()
    engine.set_busy(0.002)
    with headway.InferenceSession(engine, workers=1, queue_depth=1) as session:
        calls = [EVERY[way](session, X + place) for place in range(6)]
        for place, pending in enumerate(calls):
            outcome = pending.outcome()
            if isinstance(outcome, Refusal | headway.QueueFull):
                continue
            assert outcome[0].tolist() == (X + place).tolist()
    assert_conserved(session)


# ---- callbacks ------------------------------------------------------------------------------------------------------

FAULTS: dict[str, Callable[[headway.InferenceSession], Any]] = {
    "run": lambda session: session.run(None, X),
    "result": lambda session: session.submit(X).result(),
    "stream": lambda session: list(session.stream([X] * 3)),
    "stream unordered": lambda session: list(session.stream([X] * 3, ordered=False)),
    "run_parallel": lambda session: session.run_parallel([X] * 5),
    "run_batch": lambda session: session.run_batch(None, np.repeat(X, 4, axis=0)),
    "warmup": lambda session: session.warmup(feeds=[X]),
    "pipeline": lambda session: ([session.run_pipeline(X) for _ in range(5)], list(session.drain_pipeline())),
    "wait": lambda session: headway.wait([session.submit(X)]),
    "as_completed": lambda session: list(headway.as_completed([session.submit(X)])),
    "arun": lambda session: __import__("asyncio").run(session.arun(None, X)),
    "push pull": lambda session: push_pull(session, X),
    "cancel_all": lambda session: session.cancel_all(),
    "stats": lambda session: (
        session.stats(),
        session.health() if hasattr(session, "health") else repr(session),
    ),
    "close": lambda session: session.close(),
    "close at once": lambda session: session.close(drain=False),
    "raise": lambda session: (_ for _ in ()).throw(KeyError("mine")),
    "exit": lambda session: sys.exit(3),
}


def native() -> headway.InferenceSession:
    return headway.InferenceSession(FakeEngine(), workers=1, queue_depth=2)


def callable_() -> headway.InferenceSession:
    return headway.InferenceSession(
        lambda feed: [feed["x"]], inputs=["x"], outputs=["y"], workers=1, queue_depth=2
    )


@pytest.mark.parametrize("engine", [native, callable_])
@pytest.mark.parametrize("name", FAULTS)
def test_callback(
    name: str,
    engine: Callable[[], headway.InferenceSession],
    switching: None,
    leaks: None,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """A callback does this while so much is undelivered that lanes start nothing new."""
    told: list[Any] = []
    monkeypatch.setattr(sys, "unraisablehook", told.append)
    gate, ended = threading.Event(), threading.Event()
    wrong: list[BaseException] = []
    calls = 0

    def callback(*_: Any) -> None:
        nonlocal calls
        calls += 1
        if calls == 1:
            assert gate.wait(PATIENCE)
            try:
                FAULTS[name](session)
            except (KeyError, SystemExit):
                raise
            except BaseException as error:
                wrong.append(error)
            finally:
                ended.set()

    session = engine()
    for _ in range(4):
        session.run_async(None, X, callback)
    until(lambda: session.stats().undelivered >= 2, "the delivery bound")
    gate.set()
    assert ended.wait(PATIENCE), "the callback hangs"
    session.close()
    until(lambda: session.stats().undelivered == 0, "the callbacks")
    assert not wrong
    assert calls == 4
    stats = assert_conserved(session)
    assert stats.callback_errors == len(told) == (name in ("raise", "exit"))


def test_callback_blocks(leaks: None) -> None:
    gate = threading.Event()
    with headway.InferenceSession(FakeEngine(), workers=1, queue_depth=2, submit_timeout=0.02) as session:
        accepted = 0
        with pytest.raises(headway.QueueFull):
            for _ in range(100):
                session.run_async(None, X, lambda *_: gate.wait())
                accepted += 1
        # Two wait, one runs or has ended over the bound, two are undelivered.
        assert accepted <= 2 + 1 + 2
        assert session.stats().submitted == accepted
        gate.set()
    assert assert_conserved(session).done == accepted


# ---- producers and consumers ----------------------------------------------------------------------------------------


def test_producer_dies(fake: Make) -> None:
    session, _ = fake(held=False)

    def feeds() -> Iterator[Any]:
        yield X
        raise MemoryError("mine")

    for call in (
        lambda: list(session.stream(feeds())),
        lambda: session.run_parallel(feeds()),
    ):
        with pytest.raises(MemoryError, match="mine"):
            call()
    with pytest.raises(MemoryError), session.open() as run:
        for feed in feeds():
            run.push(feed)
    assert run.tally.pushed == 1
    with pytest.raises(MemoryError), session.pipeline() as pipe:
        for feed in feeds():
            pipe.push(feed)
    session.close()
    assert_conserved(session)


def test_consumer_stops(fake: Make) -> None:
    session, engine = fake(queue_depth=2)
    run = session.open(queue_depth=2)
    pushed: list[Any] = []

    def produce() -> None:
        try:
            for _ in range(100):
                pushed.append(run.push(X))
        except headway.SessionClosed:
            pushed.append("refused")

    thread = threading.Thread(target=produce)
    thread.start()
    engine.open()
    until(lambda: run.tally.pushed >= 4, "the run is full")
    del session
    run.stop()
    thread.join(PATIENCE)
    assert pushed[-1] == "refused"
    tally = run.tally
    assert tally.pushed == tally.dropped + tally.cancelled == len(pushed) - 1


@pytest.mark.filterwarnings("ignore:This process:DeprecationWarning")
def test_fork(fake: Make) -> None:
    session, engine = fake(queue_depth=8)
    run, pipe, stream = session.open(), session.pipeline(), session.stream([X] * 3)
    run.push(X)
    pipe.push(X)
    future = session.submit(X)
    pid = os.fork()
    if pid == 0:
        calls: list[Callable[[], Any]] = [
            lambda: run.push(X),
            lambda: run.try_pull(),
            lambda: run.close_input(),
            lambda: pipe.push(X),
            lambda: next(stream),
            lambda: session.run_pipeline(X),
            lambda: session.run_parallel([X]),
            lambda: session.run_batch(None, X),
            lambda: session.warmup(),
            lambda: session.open(),
            lambda: future.result(),
        ]
        status = 0
        for place, call in enumerate(calls):
            try:
                call()
                status = 100 + place
            except headway.SessionClosed:
                continue
            except BaseException:
                status = 1 + place
            break
        os._exit(status)
    assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 0
    engine.open()
    assert run.pull(PATIENCE).data["y"].tolist() == X.tolist()
    assert [frame.outputs[0].tolist() for frame in pipe] == [X.tolist()]
    assert len(list(stream)) == 3
    assert future.result()[0].tolist() == X.tolist()
