"""Requests that come when they come, as a Poisson process, whether or not the last one has been answered.

The times of arrival are fixed before the run and a latency counts from there: a request that was handed in late, since
something held the submitting thread up, has waited all that while. (A driver that counts from the call leaves out the
very requests that had to wait: coordinated omission.) A latency ends when Python code is told.
"""

from __future__ import annotations

import gc
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from functools import partial
from threading import Event
from time import perf_counter
from typing import Any

import numpy as np

from . import closed, models, real
from .figures import Figure, Point, Result, Sample
from .rounds import Effort, collect, note, usable_cores

SHARES = (0.5, 0.7, 0.9)
"""Of what plain onnxruntime does at most in the same round: `run` from a thread for each core."""

OURS, RIVAL = "Headway submit", "ThreadPoolExecutor"

DEPTH = 100_000
"""Room for everything that comes while a run lasts: nobody is sent away."""


def arrivals(rate: float, seconds: float, seed: int) -> list[float]:
    """Seconds from the start, of so many a second on average. The same seed gives the same ones."""
    numbers = np.random.default_rng(seed)
    gaps = numbers.exponential(1 / rate, max(2, round(rate * seconds)))
    times: list[float] = np.cumsum(gaps).tolist()
    return times


def drive(submit: Callable[[], Any], schedule: list[float]) -> Sample:
    """Hands each request in at its time, as well as the system's clock allows. `submit` gives a future."""
    ended = [0.0] * len(schedule)
    left, last = len(schedule), Event()

    def done(number: int, _future: object) -> None:
        nonlocal left
        ended[number] = perf_counter()
        # Callbacks of one session or pool may come from several threads, one at a time under the GIL: the count is
        # right as long as nothing comes between reading and writing, so the list is looked at in the end as well.
        left -= 1
        if left <= 0:
            last.set()

    gc.collect()
    start = perf_counter()
    for number, due in enumerate(schedule):
        if (ahead := start + due - perf_counter()) > 0:
            time.sleep(ahead)
        submit().add_done_callback(partial(done, number))
    while not all(ended):
        last.wait(0.01)
    latencies = [end - start - due for end, due in zip(ended, schedule, strict=True)]
    return closed.sample(latencies, max(ended) - start)


def _round(
    contenders: dict[str, Callable[[], Any]], most: Callable[[], float], seconds: float, number: int
) -> tuple[float, dict[tuple[str, float], Sample]]:
    """The saturation, and a sample for each contender and share of it."""
    saturation, found = most(), {}
    for share in SHARES:
        schedule = arrivals(share * saturation, seconds, seed=number)
        for name in contenders if number % 2 else reversed(contenders):
            found[name, share] = drive(contenders[name], schedule)
    return saturation, found


def _of_model(model: models.Model, effort: Effort, result: Result) -> None:
    cores, seconds = usable_cores(), effort.pick(1, 20) / 10
    with ExitStack() as stack:
        session = stack.enter_context(models.ours(model, workers=cores, queue_depth=DEPTH))
        pool = stack.enter_context(ThreadPoolExecutor(cores))
        run = partial(models.theirs(model).run, None, model.feed)
        contenders: dict[str, Callable[[], Any]] = {
            OURS: partial(session.submit, model.feed),
            RIVAL: lambda: pool.submit(run),
        }

        def most() -> float:
            return closed.threads([run] * cores, seconds / 3).rate

        rounds = collect(effort, partial(_round, contenders, most, seconds), model.name)
    note(rounds, result.settings)
    result.settings[f"saturation of {model.name}, /s"] = round(
        float(np.median([saturation for saturation, _ in rounds.values]))
    )
    samples = [found for _, found in rounds.values]
    for name in contenders:
        result.points += [
            Point(model.name, name, share, [one[name, share] for one in samples]) for share in SHARES
        ]
    for share in SHARES:
        for field in ("p50", "p99"):
            ours, theirs = ([getattr(one[name, share], field) for one in samples] for name in (OURS, RIVAL))
            title = f"{model.name}: {field} at {share:.0%} of saturation"
            result.figures.append(Figure(title, ours, theirs, RIVAL, "ms"))


def measure(effort: Effort) -> Result:
    """A language model and one of pictures, or a small one."""
    result = Result("openloop", load="share of the saturation that comes in")
    result.settings = {"operator threads": 1, "lanes, pool workers": usable_cores()}
    for model in [models.small()] if effort.quick else [real.minilm(), models.lite0()]:
        _of_model(model, effort, result)
    return result
