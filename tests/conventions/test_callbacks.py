"""Callbacks come in order, one at a time, from one thread; whatever they do, nothing is lost and nothing hangs."""

from __future__ import annotations

import sys
import threading
import weakref
from typing import Any

import numpy as np
import pytest

import headway

from ..conftest import Make
from ..support import PATIENCE, X, assert_conserved, until

pytestmark = pytest.mark.timeout(60)


class Recorder:
    """A callback that remembers what it was told."""

    def __init__(self, expected: int) -> None:
        self.answers: list[tuple[Any, Any, str]] = []
        self.threads: set[int] = set()
        self._expected = expected
        self._all = threading.Event()

    def __call__(self, results: Any, user_data: Any, err: str) -> None:
        self.answers.append((results, user_data, err))
        self.threads.add(threading.get_ident())
        if len(self.answers) == self._expected:
            self._all.set()

    def wait(self) -> list[tuple[Any, Any, str]]:
        assert self._all.wait(PATIENCE), f"{len(self.answers)} of {self._expected} callbacks"
        return self.answers


def test_in_order_with_errors_between(fake: Make) -> None:
    session, engine = fake(workers=2, queue_depth=64)
    seen = Recorder(40)
    for number in range(0, 40, 3):
        engine.fail_nth(number, "told to fail")
    for number in range(40):
        session.run_async(None, X + number, seen, number)
    engine.open()
    answers = seen.wait()
    assert [number for _, number, _ in answers] == list(range(40))
    assert sum(bool(err) for _, _, err in answers) == 14
    for results, number, err in answers:
        assert (results == []) if err else (results[0].tolist() == (X + number).tolist())
    assert len(seen.threads) == 1
    session.close()
    assert assert_conserved(session).failed == 14


def test_an_expired_request_keeps_its_place(fake: Make) -> None:
    session, engine = fake(queue_depth=8)
    seen = Recorder(4)
    session.run_async(None, X, seen, 0)
    engine.wait_running(1)
    session.run_async(None, X, seen, 1, timeout=0)
    session.run_async(None, X, seen, 2)
    session.run_async(None, X, seen, 3, timeout=0)
    assert assert_conserved(session).undelivered == 2
    assert seen.answers == []
    engine.open()
    assert [(number, bool(err)) for _, number, err in seen.wait()] == [
        (0, False),
        (1, True),
        (2, False),
        (3, True),
    ]


def test_order_is_kept_per_stream(fake: Make) -> None:
    session, engine = fake(queue_depth=8)
    seen = Recorder(3)
    session.run_async(None, X, seen, "slow", stream="a")
    engine.wait_running(1)
    session.run_async(None, X, seen, "quick", stream="b", timeout=0)
    until(lambda: len(seen.answers) == 1, "the other stream's callback")
    session.run_async(None, X, seen, "slow too", stream="a")
    engine.open()
    assert [name for _, name, _ in seen.wait()] == ["quick", "slow", "slow too"]


def test_unordered(fake: Make) -> None:
    session, engine = fake(ordered=False, queue_depth=8)
    seen = Recorder(2)
    session.run_async(None, X, seen, "first")
    engine.wait_running(1)
    session.run_async(None, X, seen, "second", timeout=0)
    until(lambda: len(seen.answers) == 1, "the second's callback")
    engine.open()
    assert [name for _, name, _ in seen.wait()] == ["second", "first"]


def test_message_is_the_exceptions(gather: bytes, leaks: None) -> None:
    with headway.InferenceSession(gather) as session:
        bad = {"i": np.array([9])}
        with pytest.raises(headway.InputError) as caught:
            session.run(None, bad)
        seen = Recorder(1)
        session.run_async(None, bad, seen)
        [(results, _, err)] = seen.wait()
    assert (results, err) == ([], str(caught.value))


def test_raising_callback(fake: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    caught: list[Any] = []

    def hook(args: Any) -> None:
        caught.append(
            (
                args.exc_type,
                str(args.exc_value),
                args.exc_traceback.tb_next.tb_frame.f_code.co_name,
                args.object,
            )
        )

    monkeypatch.setattr(sys, "unraisablehook", hook)
    session, _ = fake(held=False, queue_depth=8)
    seen = Recorder(2)

    def wrong(results: Any, user_data: Any, err: str) -> None:
        raise user_data

    session.run_async(None, X, seen)
    session.run_async(None, X, wrong, ValueError("mine"))
    session.run_async(None, X, wrong, SystemExit(4))
    session.run_async(None, X, wrong, KeyboardInterrupt("odd"))
    session.run_async(None, X, seen)
    seen.wait()
    session.close()
    assert caught == [
        (ValueError, "mine", "wrong", wrong),
        (SystemExit, "4", "wrong", wrong),
        (KeyboardInterrupt, "odd", "wrong", wrong),
    ]
    stats = assert_conserved(session)
    assert (stats.done, stats.callback_errors) == (5, 3)


def test_raising_hook_does_not_end_delivery(fake: Make, monkeypatch: pytest.MonkeyPatch, capfd: Any) -> None:
    def hook(args: Any) -> None:
        raise RuntimeError("the hook is broken")

    monkeypatch.setattr(sys, "unraisablehook", hook)
    session, _ = fake(held=False)
    seen = Recorder(1)
    session.run_async(None, X, lambda *_: 1 / 0)
    session.run_async(None, X, seen)
    seen.wait()
    session.close()
    assert "the hook is broken" in capfd.readouterr().err
    assert session.stats().callback_errors == 1


def test_raising_callback_with_pythons_own_hook(
    fake: Make, monkeypatch: pytest.MonkeyPatch, capfd: Any
) -> None:
    monkeypatch.setattr(sys, "unraisablehook", sys.__unraisablehook__)
    session, _ = fake(held=False)
    seen = Recorder(1)
    session.run_async(None, X, lambda *_: 1 / 0)
    session.run_async(None, X, seen)
    seen.wait()
    session.close()
    err = capfd.readouterr().err
    assert "Exception ignored in: <function" in err
    assert "in <lambda>" in err
    assert "ZeroDivisionError: division by zero" in err


def test_slow_callback_gates_the_lanes(fake: Make) -> None:
    session, engine = fake(held=False, queue_depth=2, delivery_depth=2, submit_timeout=0.01)
    inside, go_on = threading.Event(), threading.Event()
    called: list[int] = []

    def slow(results: Any, user_data: int, err: str) -> None:
        called.append(user_data)
        inside.set()
        assert go_on.wait(PATIENCE)

    session.run_async(None, X, slow, 0)
    assert inside.wait(PATIENCE)
    admitted = 1
    with pytest.raises(headway.QueueFull):
        for admitted in range(1, 100):
            session.run_async(None, X, slow, admitted)
    # One in the callback, up to delivery_depth done, up to queue_depth waiting; one more may have been on the lane.
    assert admitted <= 1 + 2 + 2 + 1
    stats = assert_conserved(session)
    assert stats.undelivered <= 3
    assert engine.counts.started <= 3
    go_on.set()
    session.close()
    assert called == list(range(admitted))


def test_memory_is_bounded_by_drop_notices(fake: Make) -> None:
    session, _ = fake(held=False, queue_depth=2, overflow="drop_oldest", submit_timeout=0.01)
    inside, go_on = threading.Event(), threading.Event()

    def slow(*_: Any) -> None:
        inside.set()
        assert go_on.wait(PATIENCE)

    session.run_async(None, X, slow)
    assert inside.wait(PATIENCE)
    with pytest.raises(headway.QueueFull):
        for _ in range(1000):
            session.run_async(None, X, slow)
    assert assert_conserved(session).undelivered <= 16 * 2 + 4
    go_on.set()
    session.close()
    stats = assert_conserved(session)
    assert stats.submitted == stats.done + stats.dropped["overflow"]


# ---- arguments and references -----------------------------------------------------------------------------------------


def test_not_callable(fake: Make) -> None:
    session, _ = fake()
    with pytest.raises(TypeError, match="callback: expected a callable, got int"):
        session.run_async(None, X, 3)  # type: ignore[arg-type]
    assert session.stats().submitted == 0


def test_no_thread_for_the_first_callback(fake: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    session, _ = fake(held=False)

    def refused(_: object) -> None:
        raise RuntimeError("can't start new thread")

    with monkeypatch.context() as none_left:
        none_left.setattr(threading.Thread, "start", refused)
        with pytest.raises(RuntimeError, match="new thread"):
            session.run_async(None, X, lambda *answer: None)
    told = threading.Event()
    session.run_async(None, X, lambda *answer: told.set())
    assert told.wait(PATIENCE)


def test_nothing_is_kept(fake: Make) -> None:
    session, _ = fake(held=False)

    class Thing:
        pass

    thing = Thing()
    reference = weakref.ref(thing)
    seen = threading.Event()
    session.run_async(None, X, lambda results, user_data, err: seen.set(), thing)
    del thing
    assert seen.wait(PATIENCE)
    session.stats()
    until(lambda: (session.stats(), reference() is None)[1], "the user data's end")
