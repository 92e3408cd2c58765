"""`session.open()`: push feeds in, pull samples out."""

from __future__ import annotations

import concurrent.futures
import threading
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import headway
from headway.run import PRESETS
from headway.testing import ManualClock

from ..conftest import Make
from ..support import PATIENCE, X, assert_conserved, until

pytestmark = pytest.mark.timeout(30)

WRONG = {"x": np.zeros((1, 3), np.int64)}


def number(sample: headway.Sample) -> int:
    return int(sample.data["y"][0, 0])


def started(call: Callable[..., Any], *args: Any) -> tuple[threading.Thread, list[Any]]:
    ended: list[Any] = []

    def work() -> None:
        try:
            ended.append(call(*args))
        except BaseException as error:
            ended.append(error)

    thread = threading.Thread(target=work)
    thread.start()
    return thread, ended


def test_samples_come_in_order_with_their_identity(fake: Make) -> None:
    session, _ = fake(held=False, workers=2)
    with session.open() as run:
        tickets = [
            run.push(X + place, stream_id="camera", pts_ns=place * 40, attributes={"place": place})
            for place in range(4)
        ]
        samples = [run.pull(PATIENCE) for _ in range(4)]
    assert tickets == sorted(tickets)
    assert [number(sample) for sample in samples] == [0, 1, 2, 3]
    assert [sample.frame_id for sample in samples] == [0, 1, 2, 3]
    assert {sample.stream_id for sample in samples} == {"camera"}
    assert [sample.pts_ns for sample in samples] == [0, 40, 80, 120]
    assert [sample.attributes for sample in samples] == [{"place": place} for place in range(4)]
    for sample in samples:
        timing = sample.timing
        assert timing is not None and timing.started is not None and timing.ended is not None
        assert timing.submitted <= timing.started <= timing.ended
    assert str(run.tally) == "pushed=4 pulled=4 dropped=0 failed=0"


def test_a_timed_out_pull_never_shifts_answers(fake: Make) -> None:
    session, engine = fake()
    with session.open() as run:
        for place in range(3):
            run.push(X + place)
            with pytest.raises(TimeoutError):
                run.pull(timeout=0.005)
            assert run.try_pull() is None
            engine.release()
            assert number(run.pull(PATIENCE)) == place
    assert str(run.tally) == "pushed=3 pulled=3 dropped=0 failed=0"


def test_timeout_end_failure_and_cancellation_are_four_things(fake: Make) -> None:
    session, engine = fake()
    engine.fail_nth(0, "told to fail")
    run = session.open()
    with pytest.raises(TimeoutError) as nothing:
        run.pull(timeout=0)
    assert type(nothing.value) is TimeoutError
    run.push(X)
    engine.release()
    failed = run.pull(PATIENCE)
    assert isinstance(failed.error, headway.EngineError)
    with pytest.raises(headway.EngineError, match="told to fail"):
        _ = failed.data
    run.push(X)
    session.cancel_all()
    cancelled = run.pull(PATIENCE)
    assert isinstance(cancelled.error, concurrent.futures.CancelledError)
    run.close_input()
    for call in (run.pull, run.try_pull):
        with pytest.raises(headway.EndOfStream):
            call()
    assert str(run.tally) == "pushed=2 pulled=0 dropped=0 failed=1 cancelled=1"
    engine.open()


def test_an_expired_item_is_a_sample(fake: Make) -> None:
    clock = ManualClock()
    session, engine = fake(clock=clock)
    run = session.open(timeout=2.0)
    run.push(X)
    engine.wait_running(1)
    run.push(X)
    clock.advance(3.0)
    samples = [run.pull(PATIENCE), run.pull(PATIENCE)]
    errors = [sample.error for sample in samples]
    assert [isinstance(error, headway.DeadlineExceeded) and error.running for error in errors] == [
        True,
        False,
    ]
    assert str(run.tally) == "pushed=2 pulled=0 dropped=0 failed=0 expired=2"
    engine.open()
    run.close()


def test_the_end_wakes_those_who_wait(fake: Make) -> None:
    session, engine = fake()
    for end in (headway.Run.close_input, headway.Run.stop, headway.Run.close):
        run = session.open()
        waiting = [started(run.pull) for _ in range(3)]
        end(run)
        for thread, ended in waiting:
            thread.join(PATIENCE)
            assert isinstance(ended[0], headway.EndOfStream)
    run = session.open()
    thread, ended = started(run.pull)
    session.close()
    thread.join(PATIENCE)
    assert isinstance(ended[0], headway.EndOfStream | headway.SessionClosed)
    engine.open()


def test_closed_input_refuses_and_goes_on_giving(fake: Make) -> None:
    session, engine = fake()
    with session.open() as run:
        run.push(X)
        assert not run.input_closed
        run.close_input()
        run.close_input()
        assert run.input_closed
        for call in (run.push, run.try_push):
            with pytest.raises(headway.SessionClosed, match="input is closed"):
                call(X)
        engine.open()
        assert [number(sample) for sample in run] == [0]


def test_closing_the_input_refuses_those_who_wait_for_room(fake: Make) -> None:
    session, engine = fake(submit_timeout=None)
    run = session.open(queue_depth=1)
    run.push(X)
    engine.wait_running(1)
    run.push(X)
    waiting = [started(run.push, X) for _ in range(2)]
    run.close_input()
    for thread, ended in waiting:
        thread.join(PATIENCE)
        assert isinstance(ended[0], headway.SessionClosed)
    engine.open()
    run.close()
    assert run.tally.pushed == 2


def test_a_wrong_feed_is_refused_by_the_push(fake: Make) -> None:
    session, _ = fake(held=False)
    with session.open() as run:
        for call in (run.push, run.try_push):
            with pytest.raises(headway.InputError):
                call(WRONG)
    assert run.tally.pushed == 0
    assert assert_conserved(session).rejected == 2


def test_room_is_waited_for_and_the_time_for_it_is_its_own(fake: Make) -> None:
    session, engine = fake()
    with session.open(queue_depth=1) as run:
        run.push(X)
        engine.wait_running(1)
        run.push(X)
        with pytest.raises(headway.QueueFull):
            run.push(X, timeout=0.01)
        assert run.try_push(X) is False
        thread, ended = started(run.push, X + 2)
        engine.open()
        assert [number(run.pull(PATIENCE)) for _ in range(3)] == [0, 0, 2]
        thread.join(PATIENCE)
        assert isinstance(ended[0], int)
    assert run.tally.pushed == 3


def test_presets_fill_only_what_was_left_open(fake: Make) -> None:
    assert {name: tuple(bounds) for name, bounds in PRESETS.items()} == {
        "realtime": (1, "drop_oldest"),
        "balanced": (4, "block"),
        "reliable": (8, "block"),
    }
    session, engine = fake()
    run = session.open(preset="realtime")
    run.push(X)
    engine.wait_running(1)
    for place in range(5):
        run.push(X + place)
    assert run.tally.dropped == 4
    kept = session.open(preset="realtime", queue_depth=3, overflow="raise")
    for _ in range(3):
        kept.push(X)
    with pytest.raises(headway.QueueFull):
        kept.push(X)
    for wrong in ({"preset": "fast"}, {"queue_depth": 0}, {"queue_depth": True}, {"overflow": "ignore"}):
        with pytest.raises(ValueError):
            session.open(**wrong)  # type: ignore[arg-type]
    run.stop()
    kept.stop()
    engine.open()


def test_a_gap_tells_how_many_were_dropped(fake: Make) -> None:
    session, engine = fake()
    run = session.open(queue_depth=2, overflow="drop_oldest")
    run.push(X)
    engine.wait_running(1)
    for place in range(1, 8):
        run.push(X + place)
    engine.open()
    run.close_input()
    samples = list(run)
    assert [sample.dropped for sample in samples] == [0, 5, 0, 0]
    gap = samples[1]
    assert isinstance(gap.error, headway.Dropped) and gap.frame_id is None
    with pytest.raises(headway.Dropped, match="5 dropped"):
        _ = gap.data
    assert [number(sample) for sample in samples if not sample.dropped] == [0, 6, 7]
    assert [sample.frame_id for sample in samples if not sample.dropped] == [0, 6, 7]
    assert str(run.tally) == "pushed=8 pulled=3 dropped=5 failed=0"


def test_a_dropped_newest_is_not_taken(fake: Make) -> None:
    session, engine = fake()
    run = session.open(queue_depth=1, overflow="drop_newest")
    assert run.try_push(X)
    engine.wait_running(1)
    assert run.try_push(X + 1)
    assert run.try_push(X + 2) is False
    assert run.push(X + 3) > 0
    engine.open()
    run.close_input()
    assert [sample.dropped for sample in run] == [0, 0, 2]
    assert str(run.tally) == "pushed=4 pulled=2 dropped=2 failed=0"


def test_sample_is_tried_at_open_and_not_counted(fake: Make) -> None:
    session, engine = fake(held=False)
    with session.open(sample=X) as run:
        assert engine.counts.finished == 1
        assert run.tally == headway.Tally(0, 0, 0, 0, 0, 0)
        run.push(X + 1)
        sample = run.pull()
        assert (sample.frame_id, number(sample)) == (0, 1)
    with pytest.raises(headway.InputError):
        session.open(sample=WRONG)
    engine.fail_nth(2, "told to fail")
    with pytest.raises(headway.EngineError):
        session.open(sample=X)


def test_output_names(tiny: bytes, leaks: None) -> None:
    with headway.InferenceSession(tiny) as session, session.open(output_names=["y"]) as run:
        run.push(X)
        assert run.pull().data["y"].tolist() == (2 * X).tolist()


def test_its_own_answer_beside_the_flow(fake: Make) -> None:
    session, _ = fake(held=False)
    with session.open() as run:
        run.push(X)
        assert run.run(X + 5)["y"].tolist() == (X + 5).tolist()
        assert number(run.pull()) == 0
        with pytest.raises(headway.InputError):
            run.run(WRONG)
    assert run.tally.pushed == 1


def test_an_idle_run_stays_healthy(fake: Make) -> None:
    session, _ = fake(held=False)
    with session.open() as run:
        for _ in range(300):
            assert run.try_pull() is None
        run.push(X + 1)
        assert number(run.pull(PATIENCE)) == 1


def test_left_to_the_collector(fake: Make) -> None:
    session, engine = fake()
    run = session.open()
    run.push(X)
    del run
    engine.open()
    until(
        lambda: session.stats().running + session.stats().waiting + session.stats().undelivered == 0,
        "the end",
    )
    assert_conserved(session)


def test_a_flow_that_is_gone_gives_its_place_to_the_next(fake: Make) -> None:
    session, _ = fake(held=False)
    for place in range(50):
        with session.open() as run:
            run.push(X + place)
            assert number(run.pull(PATIENCE)) == place
        with pytest.raises(headway.EndOfStream):
            run.pull()
    assert assert_conserved(session).done == 50
