"""The frozen records that `stats()` gives."""

from __future__ import annotations

import dataclasses

import pytest

import headway
from headway.testing import FakeEngine, ManualClock

from ..support import X, accounted


def test_stats() -> None:
    clock = ManualClock()
    engine = FakeEngine(held=True, clock=clock)
    with headway.InferenceSession(engine, workers=2, queue_depth=8) as session:
        futures = [session.submit(X, stream="a") for _ in range(4)]
        engine.wait_running(2)
        clock.advance(1.0)
        stats = session.stats()
        assert (stats.submitted, stats.running, stats.waiting, stats.done) == (4, 2, 2, 0)
        assert stats.streams["a"].submitted == 4
        assert [(lane.id, lane.state, lane.worker) for lane in stats.lanes] == [
            (0, "running", True),
            (1, "running", True),
        ]
        engine.open()
        for future in futures:
            future.result()
    stats = session.stats()
    assert (stats.done, accounted(stats)) == (4, 4)
    assert sum(lane.runs for lane in stats.lanes) == 4
    assert {lane.state for lane in stats.lanes} == {"closed"}
    for histogram in (stats.queue, stats.run, stats.total):
        assert histogram.count == 4
    assert stats.run.max == pytest.approx(1.0, rel=0.07)
    assert 0 <= stats.run.p50 <= stats.run.p90 <= stats.run.p99 <= stats.run.p999 <= stats.run.max * 1.07


def test_frozen() -> None:
    with headway.InferenceSession(FakeEngine()) as session:
        stats = session.stats()
    for record in (stats, stats.lanes[0], stats.run, stats.folded, headway.CloseReport(True, 0, (), True)):
        name = dataclasses.fields(record)[0].name
        with pytest.raises(dataclasses.FrozenInstanceError):
            setattr(record, name, 1)


def test_names_of_the_counters() -> None:
    names = [field.name for field in dataclasses.fields(headway.Counters)]
    expected = (
        "submitted done failed dropped expired cancelled waiting running undelivered rejected callback_errors"
    )
    assert names == expected.split()


def test_idle_keys_are_folded_into_one_total() -> None:
    with headway.InferenceSession(FakeEngine()) as session:
        for number in range(1500):
            session.submit(X, stream=number).result()
        stats = session.stats()
    assert len(stats.streams) <= 1030
    assert stats.folded.done + sum(one.done for one in stats.streams.values()) == 1500
