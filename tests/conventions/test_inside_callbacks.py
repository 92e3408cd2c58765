"""Every public call works inside a callback: it goes ahead, it never waits for room, and it never hangs."""

from __future__ import annotations

import gc
import threading
import weakref
from typing import Any

import pytest

import headway
from headway.testing import FakeEngine

from ..conftest import Make
from ..support import PATIENCE, X, accounted, assert_conserved
from .test_callbacks import Recorder

pytestmark = pytest.mark.timeout(60)


def inside_callback(session: headway.InferenceSession, act: Any) -> Any:
    """Does something inside a callback, and gives what it gave."""
    answers: list[Any] = []
    called = threading.Event()

    def callback(*_: Any) -> None:
        try:
            answers.append(act())
        except BaseException as error:
            answers.append(error)
        called.set()

    session.run_async(None, X, callback)
    assert called.wait(PATIENCE), "the callback hangs"
    [answer] = answers
    return answer


def test_run_inside(fake: Make) -> None:
    session, _ = fake(held=False, queue_depth=1, delivery_depth=1)
    assert inside_callback(session, lambda: session.run(None, X + 1))[0].tolist() == (X + 1).tolist()


def test_result_inside(fake: Make) -> None:
    session, _ = fake(held=False, queue_depth=1, delivery_depth=1)
    assert inside_callback(session, lambda: session.submit(X + 1).result())[0].tolist() == (X + 1).tolist()


def test_run_inside_goes_ahead_of_the_queue(fake: Make) -> None:
    session, engine = fake(queue_depth=4, delivery_depth=1)
    order: list[str] = []
    done = threading.Event()

    def first(*_: Any) -> None:
        session.run(None, X)
        order.append("inside")

    session.run_async(None, X, first)
    for _ in range(3):
        session.run_async(None, X, lambda *_: order.append("queued"))
    session.run_async(None, X, lambda *_: done.set())
    engine.open()
    assert done.wait(PATIENCE)
    assert order == ["inside", "queued", "queued", "queued"]


@pytest.mark.parametrize("method", ["stats", "cancel_all", "get_inputs", "get_outputs", "__repr__"])
def test_call_inside(method: str, fake: Make) -> None:
    session, _ = fake(held=False)
    assert not isinstance(inside_callback(session, getattr(session, method)), BaseException)


def test_stats_inside_count_the_callback(fake: Make) -> None:
    session, _ = fake(held=False)
    stats = inside_callback(session, session.stats)
    assert stats.undelivered == 1
    assert stats.submitted == accounted(stats)


def test_cancel_all_inside(fake: Make) -> None:
    session, engine = fake(queue_depth=8)
    seen = Recorder(3)
    session.run_async(None, X, lambda *_: session.cancel_all())
    for number in range(3):
        session.run_async(None, X, seen, number)
    engine.release()
    assert [(number, bool(err)) for _, number, err in seen.wait()] == [(0, True), (1, True), (2, True)]
    session.close()
    assert assert_conserved(session).cancelled == 3


@pytest.mark.parametrize("drain", [True, False])
def test_close_inside_delivers_the_rest_afterwards(drain: bool, fake: Make) -> None:
    session, engine = fake(queue_depth=8, delivery_depth=8)
    seen = Recorder(3)
    reports: list[Any] = []

    def closing(*_: Any) -> None:
        engine.open()
        reports.append(session.close(drain=drain))
        reports.append(len(seen.answers))

    session.run_async(None, X, closing)
    for number in range(3):
        session.run_async(None, X, seen, number)
    engine.release()
    answers = seen.wait()
    assert reports[1] == 0, "the rest came before the callback had returned"
    assert isinstance(reports[0], headway.CloseReport)
    assert [number for _, number, _ in answers] == [0, 1, 2]
    assert not drain or all(err == "" for _, _, err in answers)
    with pytest.raises(headway.SessionClosed):
        session.submit(X)
    assert session.close().delivered
    assert assert_conserved(session).undelivered == 0


def test_close_inside_while_closed_outside(fake: Make) -> None:
    session, engine = fake(queue_depth=8)
    inside = threading.Event()
    closing = threading.Event()

    def callback(*_: Any) -> None:
        inside.set()
        assert closing.wait(PATIENCE)
        session.close()

    session.run_async(None, X, callback)
    engine.open()
    assert inside.wait(PATIENCE)
    closer = threading.Thread(target=lambda: (closing.set(), session.close()))
    closer.start()
    closer.join(PATIENCE)
    assert not closer.is_alive()


def test_last_reference_dropped_inside(leaks: None) -> None:
    engine = FakeEngine(held=True)
    box = [headway.InferenceSession(engine, workers=1, queue_depth=8)]
    gone, last = threading.Event(), threading.Event()
    warned: list[str] = []

    def callback(*_: Any) -> None:
        with pytest.warns(ResourceWarning, match="unclosed session") as record:
            box.clear()
            gc.collect()
        warned.extend(str(one.message) for one in record)
        gone.set()

    reference = weakref.ref(box[0])
    box[0].run_async(None, X, callback)
    box[0].run_async(None, X, lambda *_: last.set())
    engine.open()
    assert gone.wait(PATIENCE)
    assert last.wait(PATIENCE), "pending work is finished in the background"
    assert reference() is None
    assert len(warned) == 1


def test_resubmits_for_ever(fake: Make) -> None:
    session, _ = fake(held=False, queue_depth=2)
    count = 0
    enough = threading.Event()

    def again(*_: Any) -> None:
        nonlocal count
        count += 1
        if count == 500:
            enough.set()
            return
        session.run_async(None, X, again)

    session.run_async(None, X, again)
    assert enough.wait(PATIENCE)
    session.close()
    assert assert_conserved(session).done == 500


def test_resubmitting_more_than_there_is_room_for(fake: Make) -> None:
    session, engine = fake(queue_depth=3, delivery_depth=100, submit_timeout=None)

    def greedy() -> int:
        engine.hold()
        for admitted in range(100):
            try:
                session.run_async(None, X, lambda *_: None)
            except headway.QueueFull:
                return admitted
        return 100

    engine.release()
    admitted = inside_callback(session, greedy)
    # The delivery thread never waits: it may go queue_depth over the bound, then it is refused at once.
    assert 3 <= admitted <= 2 * 3 + 1
    engine.open()
    session.close()
    assert assert_conserved(session).done == admitted + 1
