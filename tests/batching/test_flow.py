"""Batches on the fake engine: windows on a clock that stands still, deadlines, and when batching turns itself off."""

from __future__ import annotations

import numpy as np
import pytest

import headway
from headway import Batching
from headway.testing import ManualClock

from ..conftest import Make
from ..support import X, assert_conserved, until


def _released(session: headway.InferenceSession) -> dict[str, int]:
    batching = session.stats().batching
    assert batching is not None
    return batching.released


def test_a_window_on_a_manual_clock(fake: Make) -> None:
    clock = ManualClock()
    session, engine = fake(held=False, clock=clock, batching=Batching(4, 5.0))
    futures = [session.submit(X), session.submit(X)]
    clock.advance(4.5)
    assert engine.counts.started == 0 and session.stats().waiting == 2
    clock.advance(0.5)
    engine.wait_finished(2)
    assert all(future.result()[0].tolist() == X.tolist() for future in futures)
    assert _released(session) == {"delay": 1}


def test_a_deadline_passes_while_nobody_joins(fake: Make) -> None:
    clock = ManualClock()
    session, engine = fake(held=True, clock=clock, batching=Batching(4, 50.0))
    first = session.submit(X, timeout=1.0)
    # Nobody knows how long the model takes: a deadline is not gambled with.
    engine.wait_running(1)
    second = session.submit(X, timeout=0.5)
    clock.advance(0.5)
    with pytest.raises(headway.DeadlineExceeded):
        second.result()
    assert engine.counts.started == 1
    engine.open()
    assert first.result()[0].tolist() == X.tolist()
    assert _released(session) == {"deadline": 1}


def test_a_request_that_ends_in_a_running_batch_does_not_stop_its_neighbours(fake: Make) -> None:
    session, engine = fake(batching=Batching(2, 60.0))
    one, other = session.submit(X), session.submit(X)
    engine.wait_running(1)
    assert one.cancel() and one.cancelled()
    engine.open()
    assert other.result()[0].tolist() == X.tolist()
    assert engine.counts.terminated == 0
    assert_conserved(session)


def test_a_batch_whose_requests_have_all_ended_is_stopped(fake: Make) -> None:
    session, engine = fake(batching=Batching(2, 60.0))
    futures = [session.submit(X), session.submit(X)]
    engine.wait_running(1)
    assert [future.cancel() for future in futures] == [True, True]
    until(lambda: engine.counts.terminated == 2, "the end of the batch")


def test_it_turns_itself_off_where_a_row_costs_the_same(fake: Make) -> None:
    # Each request of a batch takes as long as one alone. The clock is the test's: on a busy machine a run takes any time.
    clock = ManualClock()
    session, engine = fake(clock=clock, queue_depth=160, batching=Batching(4, 0.0))
    futures = [session.submit(X) for _ in range(160)]
    for finished in range(160):
        engine.wait_finished(finished)
        engine.wait_running(1)
        clock.advance(0.002)
        engine.release()
    for future in futures:
        future.result()
    batching = session.stats().batching
    assert batching is not None and not batching.enabled
    assert batching.off_reason is not None and "ms in a batch and" in batching.off_reason
    assert batching.released["off"] > 10
    assert batching.cost[1] == pytest.approx(0.002) and batching.cost[4] == pytest.approx(0.008)


def test_shapes_and_wanted_outputs_make_groups(fake: Make) -> None:
    session, _ = fake(held=False, batching=Batching(2, 60.0))
    narrow, wide = np.ones((1, 2), np.float32), np.ones((1, 5), np.float32)
    futures = [session.submit(feed) for feed in (narrow, wide, narrow, wide)]
    shapes = [future.result()[0].shape for future in futures]
    assert shapes == [(1, 2), (1, 5), (1, 2), (1, 5)]
    assert _released(session) == {"full": 2}
