"""`run_pipeline` and `drain_pipeline`: a frame in, the result of `depth` frames ago out."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import headway

from ..conftest import Make
from ..support import X, assert_conserved, until

pytestmark = pytest.mark.timeout(30)


@pytest.mark.parametrize("depth", [1, 3, 12])
@pytest.mark.parametrize("overflow", ["block", "raise", "drop_oldest", "drop_newest"])
def test_none_while_filling_then_in_order(depth: int, overflow: str, fake: Make) -> None:
    # A depth beyond queue and lanes waits for its own oldest: nothing is dropped or refused under any policy.
    session, _ = fake(held=False, queue_depth=4, overflow=overflow)
    given = [session.run_pipeline(X + number, depth=depth) for number in range(40)]
    assert given[:depth] == [None] * depth
    results = [result for result in given if result is not None] + list(session.drain_pipeline())
    assert [float(result[0][0, 0]) for result in results] == list(range(40))
    assert list(session.drain_pipeline()) == []
    stats = assert_conserved(session)
    assert (stats.done, stats.rejected, stats.dropped) == (40, 0, {})


def test_draining_before_the_first_frame_gives_nothing(fake: Make) -> None:
    session, _ = fake()
    assert list(session.drain_pipeline()) == []


def test_errors_are_raised_by_the_call_that_would_have_returned_the_frame(fake: Make) -> None:
    session, engine = fake(held=False)
    engine.fail_nth(1, "told to fail")
    assert session.run_pipeline(X, depth=2) is None
    assert session.run_pipeline(X + 1, depth=2) is None
    assert session.run_pipeline(X + 2, depth=2) == [pytest.approx(X)]
    with pytest.raises(headway.EngineError, match="told to fail"):
        session.run_pipeline(X + 3, depth=2)
    # Its own frame was queued before it raised.
    assert session.run_pipeline(X + 4, depth=2) == [pytest.approx(X + 2)]
    assert [float(result[0][0, 0]) for result in session.drain_pipeline()] == [3, 4]
    assert assert_conserved(session).submitted == 5


def test_a_drain_goes_on_after_an_error(fake: Make) -> None:
    session, engine = fake(held=False)
    engine.fail_nth(1, "told to fail")
    for number in range(3):
        session.run_pipeline(X + number)
    drain = session.drain_pipeline()
    assert next(drain) == [pytest.approx(X)]
    with pytest.raises(headway.EngineError):
        next(drain)
    assert list(session.drain_pipeline()) == [[pytest.approx(X + 2)]]


def test_a_wrong_frame_is_refused_and_moves_nothing(fake: Make) -> None:
    session, _ = fake(held=False)
    assert session.run_pipeline(X, depth=1) is None
    with pytest.raises(headway.InputError):
        session.run_pipeline({"x": np.zeros((1, 3), np.int64)}, depth=1)
    assert session.run_pipeline(X + 1, depth=1) == [pytest.approx(X)]
    assert assert_conserved(session).rejected == 1


@pytest.mark.parametrize("how", ["reset", "new depth", "new outputs"])
def test_a_reset_ends_what_was_pending_as_dropped(how: str, fake: Make) -> None:
    session, engine = fake()
    for number in range(3):
        session.run_pipeline(X + number, depth=3)
    engine.wait_running(1)
    if how == "reset":
        assert session.run_pipeline(X + 9, depth=3, reset=True) is None
    elif how == "new depth":
        assert session.run_pipeline(X + 9, depth=2) is None
    else:
        assert session.run_pipeline(X + 9, depth=3, output_names=["y"]) is None
    assert session.stats().dropped == {"pipeline_reset": 3}
    engine.open()
    assert list(session.drain_pipeline()) == [[pytest.approx(X + 9)]]
    stats = assert_conserved(session)
    assert (stats.submitted, stats.done) == (4, 1)


#: What a frame that replaces the others may be refused for, and what is changed with it.
REFUSED: dict[str, tuple[Any, dict[str, Any], type[Exception]]] = {
    "dtype": (X.astype(np.int64), {}, headway.InputError),
    "name": ({"z": X}, {}, headway.InputError),
    "timeout": (X, {"timeout": "1"}, TypeError),
    "stream": (X, {"stream": 1.5}, TypeError),
    "output name": (X, {"output_names": ["z"]}, headway.InputError),
    "depth": (X, {"depth": 0}, ValueError),
}


@pytest.mark.parametrize("how", [{"reset": True}, {"depth": 2}, {"output_names": ["y"]}])
@pytest.mark.parametrize("why", REFUSED)
def test_a_refused_frame_resets_nothing(why: str, how: dict[str, Any], fake: Make) -> None:
    session, engine = fake()
    for number in range(3):
        session.run_pipeline(X + number, depth=3)
    feed, given, kind = REFUSED[why]
    with pytest.raises(kind):
        session.run_pipeline(feed, **{"depth": 3, **how, **given})
    # Python itself refuses what is no number, before the session knows of the call.
    assert (session.stats().dropped, session.stats().rejected) == ({}, int(why not in ("depth", "timeout")))
    engine.open()
    assert session.run_pipeline(X + 3, depth=3) == [pytest.approx(X)]
    assert [float(result[0][0, 0]) for result in session.drain_pipeline()] == [1, 2, 3]
    assert_conserved(session)


def test_a_frame_without_room_resets_nothing(fake: Make) -> None:
    session, engine = fake(queue_depth=2, overflow="raise")
    session.run_pipeline(X, depth=2)
    engine.wait_running(1)
    others = [session.submit(X + 10), session.submit(X + 11)]
    with pytest.raises(headway.QueueFull, match="2 waiting"):
        session.run_pipeline(X + 1, depth=2, reset=True)
    assert (session.stats().dropped, session.stats().rejected) == ({}, 1)
    engine.open()
    assert [float(future.result()[0][0, 0]) for future in others] == [10, 11]
    assert [float(result[0][0, 0]) for result in session.drain_pipeline()] == [0]


def test_the_room_of_those_that_end_is_the_new_frames(fake: Make) -> None:
    session, engine = fake(queue_depth=2, overflow="raise")
    session.run_pipeline(X, depth=2)
    engine.wait_running(1)
    session.run_pipeline(X + 1, depth=2)
    other = session.submit(X + 10)
    with pytest.raises(headway.QueueFull):
        session.submit(X)
    assert session.run_pipeline(X + 9, depth=2, reset=True) is None
    assert (session.stats().dropped, session.stats().rejected) == ({"pipeline_reset": 2}, 1)
    engine.open()
    assert float(other.result()[0][0, 0]) == 10
    assert [float(result[0][0, 0]) for result in session.drain_pipeline()] == [9]
    assert_conserved(session)


def test_a_first_frame_that_is_refused_begins_nothing(fake: Make) -> None:
    session, _ = fake(held=False)
    with pytest.raises(headway.InputError):
        session.run_pipeline({"z": X}, depth=1)
    assert session.run_pipeline(X, depth=1) is None
    assert session.run_pipeline(X, depth=1) is not None


def test_a_closed_session_keeps_what_came_of_its_frames(fake: Make) -> None:
    session, _ = fake(held=False)
    session.run_pipeline(X, depth=1)
    session.close()
    with pytest.raises(headway.SessionClosed):
        session.run_pipeline(X, depth=1, reset=True)
    assert list(session.drain_pipeline()) == [[pytest.approx(X)]]


def test_on_drop_is_told_of_a_reset(fake: Make) -> None:
    told: list[tuple[int, str]] = []
    session, engine = fake(on_drop=lambda ticket, reason: told.append((ticket, reason)))
    session.run_pipeline(X)
    session.run_pipeline(X, reset=True)
    until(lambda: told, "the drop was told")
    assert told == [(1, "pipeline_reset")]
    engine.open()


@pytest.mark.parametrize("depth", [0, -1, 1.5, True, None])
def test_a_depth_that_makes_no_sense_loses_nothing(depth: int, fake: Make) -> None:
    session, engine = fake()
    session.run_pipeline(X)
    with pytest.raises(ValueError, match="depth"):
        session.run_pipeline(X, depth=depth)
    engine.open()
    assert list(session.drain_pipeline()) == [[pytest.approx(X)]]


def test_an_expired_frame(fake: Make) -> None:
    session, engine = fake()
    session.run_pipeline(X, depth=1)
    engine.wait_running(1)
    engine.release()
    session.run_pipeline(X + 1, depth=1, timeout=0)
    engine.open()
    with pytest.raises(headway.DeadlineExceeded):
        session.run_pipeline(X + 2, depth=1)
    assert list(session.drain_pipeline()) == [[pytest.approx(X + 2)]]


def test_frames_may_be_refilled_at_once(fake: Make) -> None:
    session, _ = fake(held=False)
    frame = X.copy()
    results = []
    for number in range(10):
        frame[:] = X + number
        results.append(session.run_pipeline(frame))
    results += list(session.drain_pipeline())
    assert [float(result[0][0, 0]) for result in results if result is not None] == list(range(10))


def test_closing_the_session_ends_the_pending_frames(fake: Make) -> None:
    session, engine = fake()
    session.run_pipeline(X)
    session.run_pipeline(X + 1)
    engine.wait_running(1)
    session.close(drain=False)
    with pytest.raises(BaseException, match="cancelled"):
        next(session.drain_pipeline())
    with pytest.raises(headway.SessionClosed):
        session.run_pipeline(X)
