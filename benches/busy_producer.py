"""A producer that computes in pure Python, and a model: does each frame take as long as the slower of the two?

The producer computes p ms a frame and hands the frame in; the model takes m ms of it on the other core. At best a
frame takes max(p, m), and an answer is there m after its frame was handed in. A thread that needs the GIL for its
part waits up to 5 ms for it beside such a producer.
"""

from __future__ import annotations

import gc
import statistics
from collections import deque
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import dataclass
from functools import partial
from time import perf_counter
from typing import Any

import headway

from . import models
from .figures import Figure, Result, Rival
from .rounds import Effort, collect, note

AHEAD = 2
"""Frames on their way: one running, one waiting."""

SHARES = (0.5, 1.0, 1.5)
"""p as a share of m."""


def _compute(steps: int) -> int:
    """Pure Python, a fixed amount of it."""
    total = 0
    for number in range(steps):
        total += number & 3
    return total


def _median_ms(call: Callable[[], object], count: int) -> float:
    times = []
    for _ in range(count):
        start = perf_counter()
        call()
        times.append(perf_counter() - start)
    return statistics.median(times) * 1e3


def _steps_for(milliseconds: float) -> int:
    """How many steps take so long."""
    sample = 50_000
    return max(1, round(sample * milliseconds / _median_ms(partial(_compute, sample), 5)))


@dataclass(frozen=True, slots=True)
class Round:
    """One round, in milliseconds."""

    #: max(p, m): each alone, before and after.
    bound: float
    #: m alone.
    model: float
    #: By contender: a frame, and the median from submission to done.
    frame: dict[str, float]
    latency: dict[str, float]


Submit = Callable[[], tuple[Any, Callable[[], float]]]
"""Hands one frame in; gives the future and, once it is done, what it took from submission to done in seconds."""


def _headway(session: headway.InferenceSession, feed: models.Feed) -> Submit:
    def submit() -> tuple[Any, Callable[[], float]]:
        future = session.submit(feed)

        def latency() -> float:
            timing = future.timing
            assert timing.ended is not None
            return timing.ended - timing.submitted

        return future, latency

    return submit


def _pool(pool: ThreadPoolExecutor, call: Callable[[], Any]) -> Submit:
    def submit() -> tuple[Any, Callable[[], float]]:
        ended: list[float] = []
        start = perf_counter()

        def work() -> None:
            call()
            ended.append(perf_counter())

        return pool.submit(work), lambda: ended[0] - start

    return submit


def _produce(frames: int, steps: int, submit: Submit) -> tuple[float, float]:
    """Milliseconds a frame, and the median from submission to done."""
    latencies: list[float] = []
    window: deque[tuple[Any, Callable[[], float]]] = deque()

    def take() -> None:
        future, latency = window.popleft()
        future.result()
        latencies.append(latency())

    gc.collect()
    start = perf_counter()
    for _ in range(frames):
        _compute(steps)
        if len(window) == AHEAD:
            take()
        window.append(submit())
    while window:
        take()
    # The first frame's computing and the last one's model overlap with nothing: a part in `frames` too much.
    return (perf_counter() - start) / frames * 1e3, statistics.median(latencies) * 1e3


def _round(
    frames: int, share: float, model: Callable[[], Any], contenders: dict[str, Submit], number: int
) -> Round:
    few = max(5, frames // 8)
    # p follows m anew in every round: the clock of a shared core wanders, and p must stay on its side of m.
    steps = _steps_for(share * _median_ms(model, few))

    def alone() -> tuple[float, float]:
        return _median_ms(model, few), _median_ms(partial(_compute, steps), few)

    before = alone()
    found = {}
    for name in contenders if number % 2 else reversed(contenders):
        found[name] = _produce(frames, steps, contenders[name])
    m, p = (statistics.mean(pair) for pair in zip(before, alone(), strict=True))
    frame = {name: one for name, (one, _) in found.items()}
    latency = {name: one for name, (_, one) in found.items()}
    return Round(max(m, p), m, frame, latency)


def _figures(model: models.Model, share: float, rounds: list[Round]) -> list[Figure]:
    case = f"{model.name}, p = {share:g} m"
    bound, m = [one.bound for one in rounds], [one.model for one in rounds]

    def figure(
        name: str, values: list[dict[str, float]], base: list[float], against: str, target: float
    ) -> Figure:
        rival = Rival("ThreadPoolExecutor", [one["pool"] for one in values])
        ours = [one["headway"] for one in values]
        return Figure(f"{case}: {name}", ours, base, against, "ms", target, rival)

    figures = [figure("frame", [one.frame for one in rounds], bound, "max(p, m)", 1.03)]
    if share > 1:
        figures.append(figure("p50 latency", [one.latency for one in rounds], m, "m", 1.3))
    return figures


def _of_model(model: models.Model, frames: int, effort: Effort, result: Result) -> None:
    with ExitStack() as stack:
        session = stack.enter_context(models.ours(model))
        pool = stack.enter_context(ThreadPoolExecutor(1))
        run = partial(models.theirs(model).run, None, model.feed)
        contenders = {"headway": _headway(session, model.feed), "pool": _pool(pool, run)}
        for share in SHARES:
            rounds = collect(
                effort, partial(_round, frames, share, run, contenders), f"{model.name}, p = {share:g} m"
            )
            result.figures += _figures(model, share, rounds.values)
            note(rounds, result.settings)


def measure(effort: Effort) -> Result:
    """Two models, and producers that are quicker, as quick, and slower."""
    result = Result(
        "busy_producer", settings={"operator threads": 1, "lanes": 1, "frames on their way": AHEAD}
    )
    _of_model(models.small(), effort.pick(20, 200), effort, result)
    _of_model(models.lite0(), effort.pick(8, 50), effort, result)
    return result
