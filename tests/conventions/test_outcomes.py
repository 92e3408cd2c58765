"""Every convention ends every kind of request in the same way, and every request is counted once."""

from __future__ import annotations

import concurrent.futures
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pytest

import headway
from headway.testing import FakeEngine, ManualClock

from ..conftest import Make
from ..support import X, assert_conserved, until
from .ways import NEVER_WAIT, WAYS, Pending, Refusal, Told

pytestmark = pytest.mark.timeout(60)

Start = Callable[..., Pending]
COUNTED = ("submitted", "done", "failed", "expired", "cancelled", "rejected")


@dataclass
class Stage:
    """One session with its engine and its clock, and the convention under test."""

    session: headway.InferenceSession
    engine: FakeEngine
    clock: ManualClock
    start: Start
    futures: list[Any] = field(default_factory=list)

    def block(self) -> None:
        """Occupies the one lane."""
        self.futures.append(self.session.submit(X))
        self.engine.wait_running(1)

    def fill(self) -> None:
        """Occupies the one place in the queue too."""
        self.block()
        self.futures.append(self.session.submit(X))

    def begin(self, feed: Any = X, **options: Any) -> Pending:
        """Starts the request under test, and waits until it has its ticket."""
        before = self.session.stats().submitted
        pending = self.start(self.session, feed, **options)
        until(lambda: self.session.stats().submitted > before or pending.ended, "a ticket")
        return pending

    def run(self, **options: Any) -> Pending:
        """Starts the request under test, and waits until the engine has it."""
        pending = self.start(self.session, X, **options)
        self.engine.wait_running(1)
        return pending


def done(stage: Stage) -> Pending:
    stage.engine.open()
    return stage.start(stage.session, X)


def engine_error(stage: Stage) -> Pending:
    stage.engine.open()
    stage.engine.fail_nth(0, "told to fail")
    return stage.start(stage.session, X)


def bad_input(stage: Stage) -> Pending:
    return stage.start(stage.session, {"x": np.zeros((1, 3), np.int64)})


def bad_output(stage: Stage) -> Pending:
    return stage.start(stage.session, {"nothing": X})


def dropped_oldest(stage: Stage) -> Pending:
    stage.block()
    pending = stage.begin()
    stage.futures.append(stage.session.submit(X))
    return pending


def dropped_newest(stage: Stage) -> Pending:
    stage.fill()
    return stage.begin()


def queue_full(stage: Stage) -> Pending:
    stage.fill()
    return stage.start(stage.session, X)


def expired_waiting(stage: Stage) -> Pending:
    stage.block()
    pending = stage.begin(timeout=1.0)
    stage.clock.advance(1.5)
    return pending


def expired_at_once(stage: Stage) -> Pending:
    stage.block()
    return stage.begin(timeout=0)


def expired_running(stage: Stage) -> Pending:
    pending = stage.run(timeout=1.0)
    stage.clock.advance(1.5)
    return pending


def cancelled_waiting(stage: Stage) -> Pending:
    stage.block()
    pending = stage.begin()
    stage.session.cancel_all()
    return pending


def cancelled_running(stage: Stage) -> Pending:
    pending = stage.run()
    stage.session.cancel_all()
    return pending


def cancelled_stubborn(stage: Stage) -> Pending:
    pending = cancelled_running(stage)
    # A thread that runs the request itself comes back no sooner than the engine lets it.
    stage.engine.open()
    return pending


def closed(stage: Stage) -> Pending:
    stage.session.close()
    return stage.start(stage.session, X)


def closed_waiting(stage: Stage) -> Pending:
    stage.block()
    pending = stage.begin()
    stage.session.close(drain=False)
    return pending


def closed_running(stage: Stage) -> Pending:
    pending = stage.run()
    stage.session.close(drain=False)
    return pending


@dataclass(frozen=True)
class Case:
    """What is done to a request, how that ends it, and what is counted (the blockers too)."""

    act: Callable[[Stage], Pending]
    ends: type[BaseException] | None
    counts: dict[str, int]
    options: dict[str, Any] = field(default_factory=dict)
    says: dict[str, Any] = field(default_factory=dict)
    can_cancel: bool = True


E, D, C = headway.EngineError, headway.DeadlineExceeded, concurrent.futures.CancelledError
OLDEST, NEWEST, RAISE = ({"overflow": name} for name in ("drop_oldest", "drop_newest", "raise"))
STUBBORN = {"can_cancel": False}
WAITED, RAN = {"running": False}, {"running": True}
OVERFLOW = {"reason": "overflow"}

CASES = {
    "done": Case(done, None, {"submitted": 1, "done": 1}),
    "engine error": Case(engine_error, E, {"submitted": 1, "failed": 1}, says={"engine": "fake"}),
    "bad input": Case(bad_input, headway.InputError, {"rejected": 1}),
    "bad name": Case(bad_output, headway.InputError, {"rejected": 1}),
    "dropped oldest": Case(dropped_oldest, headway.Dropped, {"submitted": 3, "done": 2}, OLDEST, OVERFLOW),
    "dropped newest": Case(dropped_newest, headway.Dropped, {"submitted": 3, "done": 2}, NEWEST, OVERFLOW),
    "queue full": Case(queue_full, headway.QueueFull, {"submitted": 2, "done": 2, "rejected": 1}, RAISE),
    "expired waiting": Case(expired_waiting, D, {"submitted": 2, "done": 1, "expired": 1}, says=WAITED),
    "expired at once": Case(expired_at_once, D, {"submitted": 2, "done": 1, "expired": 1}, says=WAITED),
    "expired running": Case(expired_running, D, {"submitted": 1, "expired": 1}, says=RAN),
    "expired running, stubborn": Case(expired_running, D, {"submitted": 1, "expired": 1}, {}, RAN, False),
    "cancelled waiting": Case(cancelled_waiting, C, {"submitted": 2, "cancelled": 2}),
    "cancelled running": Case(cancelled_running, C, {"submitted": 1, "cancelled": 1}),
    "cancelled running, stubborn": Case(
        cancelled_stubborn, C, {"submitted": 1, "cancelled": 1}, can_cancel=False
    ),
    "closed": Case(closed, headway.SessionClosed, {"rejected": 1}),
    "closed waiting": Case(closed_waiting, C, {"submitted": 2, "cancelled": 2}),
    "closed running": Case(closed_running, C, {"submitted": 1, "cancelled": 1}),
}


def play(case: Case, way: str, fake: Make) -> tuple[Any, headway.Stats]:
    """Plays a case with one convention: how the request ended, and what was counted once all is quiet."""
    clock = ManualClock()
    options: dict[str, Any] = {"queue_depth": 1, **case.options}
    session, engine = fake(clock=clock, can_cancel=case.can_cancel, **options)
    stage = Stage(session, engine, clock, WAYS[way])
    pending = case.act(stage)
    outcome = pending.outcome()
    assert_conserved(session)
    engine.open()
    for future in stage.futures:
        concurrent_exception(future)
    session.close()
    stats = assert_conserved(session)
    assert (stats.waiting, stats.running, stats.undelivered) == (0, 0, 0)
    return outcome, stats


def concurrent_exception(future: Any) -> BaseException | None:
    """How a blocker ended."""
    try:
        found: BaseException | None = future.exception()
    except concurrent.futures.CancelledError as error:
        return error
    return found


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("name", CASES)
def test_outcome(name: str, way: str, fake: Make) -> None:
    case = CASES[name]
    outcome, stats = play(case, way, fake)
    if case.ends is None:
        [output] = outcome
        assert output.tolist() == X.tolist()
    elif way == "try_submit" and case.ends is headway.QueueFull:
        assert type(outcome) is Refusal
    elif way == "run_async" and not issubclass(
        case.ends, headway.InputError | headway.QueueFull | headway.SessionClosed
    ):
        # A callback is told in words: in the same words.
        assert type(outcome) is Told
        by_future, _ = play(case, "submit", fake)
        assert str(outcome) == (str(by_future) or type(by_future).__name__)
    else:
        assert type(outcome) is case.ends
        assert {name: getattr(outcome, name) for name in case.says} == case.says
        assert str(outcome)
    assert {name: getattr(stats, name) for name in COUNTED} == {
        name: case.counts.get(name, 0) for name in COUNTED
    }
    assert stats.dropped == ({"overflow": 1} if case.ends is headway.Dropped else {})
    assert stats.callback_errors == 0


@pytest.mark.parametrize("way", [way for way in WAYS if way not in NEVER_WAIT])
def test_closed_while_waiting_for_room(way: str, fake: Make) -> None:
    session, engine = fake(queue_depth=1, submit_timeout=None)
    stage = Stage(session, engine, ManualClock(), WAYS[way])
    stage.fill()
    pending = stage.start(session, X)
    # It has no ticket, so nothing shows that it waits: it is refused in the line or at the door.
    session.close(drain=False)
    assert type(pending.outcome()) is headway.SessionClosed
    stats = assert_conserved(session)
    assert (stats.submitted, stats.cancelled, stats.rejected) == (2, 2, 1)


@pytest.mark.parametrize("way", [way for way in WAYS if way not in NEVER_WAIT])
def test_waits_for_room(way: str, fake: Make) -> None:
    session, engine = fake(queue_depth=1, submit_timeout=None)
    stage = Stage(session, engine, ManualClock(), WAYS[way])
    stage.fill()
    pending = stage.start(session, X)
    engine.open()
    [output] = pending.outcome()
    assert output.tolist() == X.tolist()
    session.close()
    assert assert_conserved(session).done == 3


@pytest.mark.parametrize("way", ["submit", "run_async", "asubmit"])
def test_no_room_within_submit_timeout(way: str, fake: Make) -> None:
    session, engine = fake(queue_depth=1, submit_timeout=0.01)
    stage = Stage(session, engine, ManualClock(), WAYS[way])
    stage.fill()
    assert type(stage.start(session, X).outcome()) is headway.QueueFull
    assert assert_conserved(session).rejected == 1


@pytest.mark.parametrize("way", sorted(NEVER_WAIT))
def test_never_waits_for_room(way: str, fake: Make) -> None:
    session, engine = fake(queue_depth=1, submit_timeout=None)
    stage = Stage(session, engine, ManualClock(), WAYS[way])
    stage.fill()
    outcome = stage.start(session, X).outcome()
    assert type(outcome) is (Refusal if way == "try_submit" else headway.QueueFull)


@pytest.mark.parametrize("way", WAYS)
def test_deadline_of_the_session(way: str, fake: Make) -> None:
    clock = ManualClock()
    session, engine = fake(clock=clock, timeout=1.0)
    stage = Stage(session, engine, clock, WAYS[way])
    pending = stage.run()
    clock.advance(2.0)
    assert isinstance(pending.outcome(), Told if way == "run_async" else headway.DeadlineExceeded)


@pytest.mark.parametrize("way", WAYS)
def test_own_timeout_beats_the_session(way: str, fake: Make) -> None:
    clock = ManualClock()
    session, engine = fake(clock=clock, timeout=1.0)
    stage = Stage(session, engine, clock, WAYS[way])
    pending = stage.run(timeout=None)
    clock.advance(1e6)
    engine.open()
    [output] = pending.outcome()
    assert output.tolist() == X.tolist()


@pytest.mark.parametrize("way", WAYS)
def test_counted_under_its_stream(way: str, fake: Make) -> None:
    session, _ = fake(held=False)
    WAYS[way](session, X, stream="camera").outcome()
    WAYS[way](session, X, stream=7).outcome()
    session.close()
    stats = assert_conserved(session)
    assert {key: counters.done for key, counters in stats.streams.items() if key in ("camera", 7)} == {
        "camera": 1,
        7: 1,
    }
