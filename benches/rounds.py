"""Rounds of measurement on a machine that others use too: what they disturbed is thrown away and measured again."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from time import perf_counter, sleep
from typing import Any, Generic, TypeVar

import psutil

from headway import _core

T = TypeVar("T")

QUIET = 0.05
"""What others may use of one core during a round."""

PATIENCE = 35.0
"""Seconds to wait for quiet rounds, after which the least disturbed are taken as they are."""


ROUND_TRIPS = "core to core and back, ns"
"""The key under which a record says how far apart the cores were, from the nearest round to the farthest."""


@dataclass(frozen=True, slots=True)
class Effort:
    """How long to measure."""

    quick: bool
    rounds: int
    #: Told where a bench is.
    tell: Callable[[str], None] = lambda _: None

    def pick(self, quick: int, full: int) -> int:
        """A size for a smoke run, or for real figures."""
        return quick if self.quick else full


@dataclass(frozen=True, slots=True)
class Collected(Generic[T]):
    """The rounds that were kept, and how quiet the machine was."""

    values: list[T]
    #: What others used of one core in the worst round that was kept.
    others: float
    #: Rounds that were thrown away.
    disturbed: int
    #: Seconds that a line of memory took from core to core and back, the longest around each round that was kept.
    round_trips: list[float]


class _Others:
    """What every other process uses of one core, from one look to the next. It knows nothing of the figures."""

    def __init__(self) -> None:
        self._process = psutil.Process()
        self.look()

    def _busy(self) -> float:
        times = psutil.cpu_times()
        idle: float = times.idle + getattr(times, "iowait", 0.0)
        # Some systems count a guest's time in `user` already.
        total: float = sum(times) - getattr(times, "guest", 0.0) - getattr(times, "guest_nice", 0.0)
        own = self._process.cpu_times()
        # Processes that the benchmark itself started and waited for are not others.
        ours: float = own.user + own.system + own.children_user + own.children_system
        return total - idle - ours

    def look(self) -> float:
        before = getattr(self, "_last", (0.0, 0.0))
        self._last = perf_counter(), self._busy()
        return max(0.0, self._last[1] - before[1]) / max(self._last[0] - before[0], 1e-9)


def collect(effort: Effort, measure: Callable[[int], T], what: str = "") -> Collected[T]:
    """As many undisturbed rounds as wanted; the first is a warm-up. `measure` is told the round's number, and who
    waits for the bench `what` is measured."""
    case = what and f"{what}: "
    effort.tell(f"{case}warm-up")
    measure(0)
    others = _Others()
    found: list[tuple[float, int, T, float]] = []
    apart = round_trip()
    until = perf_counter() + (0 if effort.quick else PATIENCE)
    while sum(share <= QUIET for share, *_ in found) < effort.rounds:
        if len(found) >= effort.rounds and perf_counter() > until:
            break
        number = len(found) + 1
        quiet = sum(share <= QUIET for share, *_ in found)
        again = f", {len(found) - quiet} were disturbed" if len(found) > quiet else ""
        effort.tell(f"{case}round {min(quiet + 1, effort.rounds)} of {effort.rounds}{again}")
        others.look()
        value = measure(number)
        share, before = others.look(), apart
        apart = round_trip()
        found.append((share, number, value, max(before, apart)))
        if found[-1][0] > QUIET and not effort.quick:
            sleep(0.5)
    kept = sorted(found, key=lambda one: one[:2])[: effort.rounds]
    values, round_trips = [one[2] for one in kept], [one[3] for one in kept]
    return Collected(values, kept[-1][0], len(found) - len(kept), round_trips)


def round_trip() -> float:
    """A virtual machine's cores are moved nearer and farther apart while it runs, and requests cross between them."""
    return _core._core_round_trip() or 0.0


def interleave(contenders: dict[str, Callable[[], T]], number: int) -> dict[str, T]:
    """One measurement of each; in every other round the other way round."""
    order: Iterable[str] = contenders if number % 2 else reversed(contenders)
    return {name: contenders[name]() for name in order}


def usable_cores() -> int:
    """Cores that this process may use."""
    affinity = getattr(os, "sched_getaffinity", None)
    return len(affinity(0)) if affinity else os.cpu_count() or 1


def note(collected: Collected[Any], settings: dict[str, Any]) -> None:
    """Says in a result's settings how quiet the machine was: the worst of what was kept, the sum of what was not."""
    others, disturbed = "others' share of a core", "disturbed rounds thrown away"
    settings[others] = max(settings.get(others, 0.0), round(collected.others, 3))
    settings[disturbed] = settings.get(disturbed, 0) + collected.disturbed
    nanos = [round(one * 1e9) for one in collected.round_trips]
    least, most = settings.get(ROUND_TRIPS, (nanos[0], nanos[0]))
    settings[ROUND_TRIPS] = (min(least, *nanos), max(most, *nanos))
