"""The conventions that are built on the native ones end every kind of request as those do, each counted once."""

from __future__ import annotations

from typing import Any

import pytest

import headway
from headway.testing import ManualClock

from ..conftest import Make
from ..conventions.test_outcomes import CASES, COUNTED, Case, Stage, concurrent_exception
from ..support import X, assert_conserved
from .ways import BUILT_WAYS

pytestmark = pytest.mark.timeout(60)


def play(case: Case, way: str, fake: Make) -> tuple[Any, headway.Stats]:
    clock = ManualClock()
    options: dict[str, Any] = {"queue_depth": 1, **case.options}
    session, engine = fake(clock=clock, can_cancel=case.can_cancel, **options)
    stage = Stage(session, engine, clock, BUILT_WAYS[way])
    outcome = case.act(stage).outcome()
    assert_conserved(session)
    engine.open()
    for future in stage.futures:
        concurrent_exception(future)
    session.close()
    return outcome, assert_conserved(session)


@pytest.mark.parametrize("way", BUILT_WAYS)
@pytest.mark.parametrize("name", CASES)
def test_ending(name: str, way: str, fake: Make) -> None:
    case = CASES[name]
    outcome, stats = play(case, way, fake)
    if case.ends is None:
        [output] = outcome
        assert output.tolist() == X.tolist()
    else:
        assert type(outcome) is case.ends, repr(outcome)
        assert {name: getattr(outcome, name) for name in case.says} == case.says
        assert str(outcome)
    assert {name: getattr(stats, name) for name in COUNTED} == {
        name: case.counts.get(name, 0) for name in COUNTED
    }
    assert stats.dropped == ({"overflow": 1} if case.ends is headway.Dropped else {})
    assert (stats.waiting, stats.running, stats.undelivered, stats.callback_errors) == (0, 0, 0, 0)


@pytest.mark.parametrize("way", BUILT_WAYS)
def test_waits_for_room(way: str, fake: Make) -> None:
    session, engine = fake(queue_depth=1, submit_timeout=None)
    stage = Stage(session, engine, ManualClock(), BUILT_WAYS[way])
    stage.fill()
    pending = stage.start(session, X)
    engine.open()
    [output] = pending.outcome()
    assert output.tolist() == X.tolist()
    session.close()
    assert assert_conserved(session).done == 3


@pytest.mark.parametrize("way", BUILT_WAYS)
def test_takes_what_every_submitting_call_takes(way: str, fake: Make) -> None:
    session, _ = fake(held=False)
    [output] = BUILT_WAYS[way](session, X, stream="camera", priority=3, timeout=60.0).outcome()
    assert output.tolist() == X.tolist()
    session.close()
    assert assert_conserved(session).streams["camera"].done == 1
