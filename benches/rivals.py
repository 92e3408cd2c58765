"""Real models in a closed loop: throughput and latency over the requests in flight, beside what people use today.

One operator thread everywhere, and as many lanes, pool workers and streams as cores: what differs is how the requests
get there. onnxruntime's `run_async` is the exception: its requests run in the pool of the operator threads, which
gets as many as there are cores.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from functools import partial
from typing import Any

import onnxruntime

import headway

from . import closed, models, ov, real
from .figures import Figure, Point, Result, Sample, Split
from .ov import Drive
from .rounds import Effort, collect, note, usable_cores
from .session_pool import SessionPool

IN_FLIGHT = (1, 2, 4, 8)

AGAINST = (
    ("Headway submit", "onnxruntime run, threads"),
    ("Headway submit", "ThreadPoolExecutor"),
    ("Headway arun", "run_in_executor"),
    ("Headway run_async", "onnxruntime run_async"),
    ("Headway run_async", "pool of sessions"),
)
"""Which throughputs are also figures, at the most requests in flight."""


def _of_headway(session: headway.InferenceSession, feed: models.Feed) -> dict[str, Drive]:
    def start(done: closed.Call) -> None:
        session.run_async(None, feed, lambda *_: done())

    return {
        "Headway submit": partial(closed.window, partial(session.submit, feed)),
        "Headway run, threads": lambda n, seconds: closed.threads(
            [partial(session.run, None, feed)] * n, seconds
        ),
        "Headway arun": partial(closed.tasks, partial(session.arun, None, feed)),
        "Headway run_async": partial(closed.callbacks, start),
    }


def _bound(session: onnxruntime.InferenceSession, feed: models.Feed) -> Callable[[], object]:
    """A call with everything bound before: nothing is converted, outputs stay where they are."""
    binding = session.io_binding()
    for name, value in feed.items():
        binding.bind_ortvalue_input(name, onnxruntime.OrtValue.ortvalue_from_numpy(value))
    for output in session.get_outputs():
        binding.bind_output(output.name)
    return partial(session.run_with_iobinding, binding)


def _of_onnxruntime(model: models.Model, pool: ThreadPoolExecutor, cores: int) -> dict[str, Drive]:
    session, pooled = models.theirs(model), models.theirs(model, intra_op=cores + 1)
    run = partial(session.run, None, model.feed)

    def start(done: closed.Call) -> None:
        pooled.run_async(None, model.feed, lambda *_: done(), None)

    def bound(in_flight: int, seconds: float) -> Sample:
        return closed.threads([_bound(session, model.feed) for _ in range(in_flight)], seconds)

    return {
        "onnxruntime run, threads": lambda n, seconds: closed.threads([run] * n, seconds),
        "onnxruntime IO binding, threads": bound,
        "onnxruntime run_async": partial(closed.callbacks, start),
        "ThreadPoolExecutor": partial(closed.window, lambda: pool.submit(run)),
        "run_in_executor": partial(
            closed.tasks, lambda: asyncio.get_running_loop().run_in_executor(pool, run)
        ),
    }


def _of_pool(model: models.Model, cores: int, stack: ExitStack) -> dict[str, Drive]:
    pool = stack.enter_context(SessionPool([models.theirs(model) for _ in range(cores)]))

    def start(done: closed.Call) -> None:
        pool.submit(model.feed, lambda _: done())

    return {"pool of sessions": partial(closed.callbacks, start)}


def _of_openvino(model: models.Model, cores: int, effort: Effort, result: Result) -> dict[str, Drive]:
    """What OpenVINO can do with this model; what it cannot goes into the settings."""
    if not ov.INSTALLED:
        result.settings["OpenVINO"] = "not installed"
        return {}
    try:
        found = ov.drives(model, cores)
    except RuntimeError as error:
        reason = str(error).strip().splitlines()[-1][:80]
        result.settings[f"OpenVINO, {model.name}"] = f"left out: {reason}"
        return {}
    if not effort.quick and not isinstance(model.content, bytes):
        found["OpenVINO benchmark_app"] = partial(ov.benchmark_app, model, cores)
    return found


def _contenders(
    model: models.Model, cores: int, effort: Effort, result: Result, stack: ExitStack
) -> tuple[dict[str, Drive], headway.InferenceSession]:
    pool = stack.enter_context(ThreadPoolExecutor(cores))
    session = stack.enter_context(models.ours(model, workers=cores, queue_depth=max(IN_FLIGHT)))
    contenders = {
        **_of_headway(session, model.feed),
        **_of_onnxruntime(model, pool, cores),
        **_of_pool(model, cores, stack),
        **_of_openvino(model, cores, effort, result),
    }
    return contenders, session


def _round(contenders: dict[str, Drive], in_flight: int, seconds: float, number: int) -> dict[str, Sample]:
    order = contenders if number % 2 else reversed(contenders)
    # A program of its own starts in a second or two: once, where it has most to do.
    return {
        name: contenders[name](in_flight, seconds)
        for name in order
        if in_flight == max(IN_FLIGHT) or name != "OpenVINO benchmark_app"
    }


def _split(
    session: headway.InferenceSession, feed: models.Feed, seconds: float, load: int
) -> dict[str, float]:
    """Means of one more run with callbacks, from the session's own counters."""

    def totals() -> dict[str, tuple[int, float]]:
        stats = session.stats()
        parts = {"queue": stats.queue, "run": stats.run, "delivery": stats.delivery}
        return {name: (part.count, part.count * part.mean) for name, part in parts.items()}

    before = totals()
    _of_headway(session, feed)["Headway run_async"](load, seconds)
    after = totals()
    return {
        name: (after[name][1] - before[name][1]) / max(1, after[name][0] - before[name][0]) * 1e3
        for name in after
    }


def _of_model(model: models.Model, effort: Effort, result: Result) -> None:
    cores = usable_cores()
    loads = IN_FLIGHT[-2:] if effort.quick else IN_FLIGHT
    with ExitStack() as stack:
        contenders, session = _contenders(model, cores, effort, result, stack)
        alone = closed.threads([partial(session.run, None, model.feed)], effort.pick(1, 20) / 100).p50 or 0.0
        # A slow model gets more time: a few dozen requests at least.
        seconds = 0.05 if effort.quick else max(0.3, alone * 12 / 1e3)

        def measure(load: int, number: int) -> tuple[dict[str, Sample], dict[str, float]]:
            found = _round(contenders, load, seconds, number)
            return found, _split(session, model.feed, seconds, load)

        for load in loads:
            rounds = collect(effort, partial(measure, load), f"{model.name}, {load} in flight")
            note(rounds, result.settings)
            samples = [found for found, _ in rounds.values]
            result.points += [
                Point(model.name, name, load, [one[name] for one in samples])
                for name in contenders
                if name in samples[0]
            ]
            parts: dict[str, list[float]] = {
                name: [split[name] for _, split in rounds.values] for name in ("queue", "run", "delivery")
            }
            result.splits.append(Split(model.name, load, **parts))
    result.figures += _figures(model, samples, loads[-1])


def _figures(model: models.Model, samples: list[dict[str, Sample]], load: int) -> list[Figure]:
    def rates(name: str) -> list[float]:
        return [one[name].rate for one in samples]

    return [
        Figure(f"{model.name}: {ours}, {load} in flight", rates(ours), rates(base), base, "/s", at_least=True)
        for ours, base in AGAINST
    ]


def measure(effort: Effort) -> Result:
    """Every model under every load."""
    threads: dict[str, Any] = {"operator threads": 1, "lanes, pool workers, streams": usable_cores()}
    result = Result("rivals", settings=threads, load="requests in flight")
    for model in real.all_models(effort.quick):
        _of_model(model, effort, result)
    return result
