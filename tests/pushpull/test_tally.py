"""The tally of a Run adds up under every policy, every way to push and every way to end."""

from __future__ import annotations

import threading
from typing import Any

import pytest

import headway
from headway.testing import FakeEngine

from ..support import PATIENCE, X, assert_conserved

pytestmark = pytest.mark.timeout(30)

FRAMES = 60


def produce(run: headway.Run, how: str) -> int:
    """How many were taken."""
    taken = 0
    for place in range(FRAMES):
        try:
            if how == "push":
                run.push(X + place, timeout=0.002, stream_id=place % 3)
                taken += 1
            else:
                taken += run.try_push(X + place, stream_id=place % 3)
        except headway.QueueFull:
            continue
        except headway.SessionClosed:
            break
    return taken


def drive(run: headway.Run, how: str, end: str) -> tuple[int, list[headway.Sample]]:
    """Pushes and pulls from two threads, then ends the run somewhere in between."""
    taken: list[int] = []
    samples: list[headway.Sample] = []
    producer = threading.Thread(target=lambda: taken.append(produce(run, how)))
    try:
        with run:
            producer.start()
            for sample in iter(lambda: run.try_pull(0.05), None):
                samples.append(sample)
                if len(samples) == 7 and end != "drained":
                    break
            if end == "stop":
                run.stop()
            elif end == "exception":
                raise KeyError(end)
            elif end == "drained":
                producer.join(PATIENCE)
                run.close_input()
                samples.extend(run)
    except KeyError:
        pass
    except headway.EndOfStream:
        pass
    producer.join(PATIENCE)
    return taken[0], samples


@pytest.mark.parametrize("end", ["drained", "close", "stop", "exception"])
@pytest.mark.parametrize("how", ["push", "try_push"])
@pytest.mark.parametrize("overflow", ["block", "raise", "drop_oldest", "drop_newest"])
def test_it_adds_up(overflow: Any, how: str, end: str, leaks: None) -> None:
    engine = FakeEngine()
    for place in range(3, FRAMES, 7):
        engine.fail_nth(place)
    with headway.InferenceSession(engine, workers=2) as session:
        run = session.open(queue_depth=3, overflow=overflow)
        taken, samples = drive(run, how, end)
        tally = run.tally
        stats = assert_conserved(session)
    ended = tally.pulled + tally.failed + tally.dropped + tally.expired + tally.cancelled
    assert tally.pushed == ended, tally
    data = [sample for sample in samples if sample.error is None]
    assert tally.pulled == len(data) or end != "drained"
    assert tally.pulled >= len(data)
    if overflow == "drop_newest" and how == "try_push":
        # A frame that was dropped at once has a ticket, and was not taken.
        assert tally.pushed >= taken
    else:
        assert tally.pushed == taken
    if overflow in ("block", "raise") and end == "drained":
        assert tally.dropped == 0
    if end == "drained":
        assert sum(sample.dropped for sample in samples) == tally.dropped
        assert len(data) + sum(isinstance(sample.error, headway.EngineError) for sample in samples) == (
            tally.pulled + tally.failed
        )
    for key in range(3):
        got = [
            sample.frame_id for sample in samples if sample.stream_id == key and sample.frame_id is not None
        ]
        assert got == sorted(got)
    assert stats.submitted == tally.pushed
    assert stats.undelivered == 0


def test_unpulled_outputs_are_dropped_and_said_so(leaks: None) -> None:
    with headway.InferenceSession(FakeEngine(), workers=1) as session:
        with session.open() as run:
            for _ in range(3):
                run.push(X)
            run.pull()
        assert str(run.tally) == "pushed=3 pulled=1 dropped=2 failed=0"
        assert session.stats().dropped == {"unpulled": 2}


def test_stop_cancels_and_counts(leaks: None) -> None:
    engine = FakeEngine(held=True)
    with headway.InferenceSession(engine, workers=1) as session:
        run = session.open()
        for _ in range(3):
            run.push(X)
        engine.wait_running(1)
        tally = run.stop()
        assert str(tally) == "pushed=3 pulled=0 dropped=0 failed=0 cancelled=3"
        with pytest.raises(headway.EndOfStream):
            run.pull()
        engine.open()
        assert session.run(None, X)[0].tolist() == X.tolist()


def test_stop_on_an_engine_that_cannot_stop(leaks: None) -> None:
    engine = FakeEngine(held=True, can_cancel=False)
    with headway.InferenceSession(engine, workers=1) as session:
        run = session.open()
        run.push(X)
        engine.wait_running(1)
        assert run.stop().cancelled == 1
        with pytest.raises(headway.EndOfStream):
            run.pull()
        engine.open()
        assert_conserved(session)


def test_close_gives_up_after_its_time(leaks: None) -> None:
    engine = FakeEngine(held=True)
    with headway.InferenceSession(engine, workers=1) as session:
        run = session.open()
        run.push(X)
        engine.wait_running(1)
        run.push(X)
        assert str(run.close(timeout=0.01)) == "pushed=2 pulled=0 dropped=0 failed=0 cancelled=2"
        engine.open()
