"""Dynamic batching where it pays and where it does not: silero-vad in eight streams, EfficientNet-Lite0 in a window."""

from __future__ import annotations

import gc
from collections import deque
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from functools import partial
from time import perf_counter
from typing import Any

import numpy as np

import headway

from . import models, real
from .figures import Check, Figure, Result
from .rounds import Effort, collect, interleave, note, usable_cores

STREAMS = 8
WINDOW = 16
AXES = {"state": 1, "stateN": 1}


def _streams(session: headway.InferenceSession, model: models.Model, steps: int) -> float:
    """Microseconds a chunk: the streams in turn, each of which hands in its next chunk when it has its answer."""
    feeds = [dict(model.feed) for _ in range(STREAMS)]
    gc.collect()
    start = perf_counter()
    futures = [session.submit(feed, stream=stream) for stream, feed in enumerate(feeds)]
    for _ in range(steps - 1):
        for stream, feed in enumerate(feeds):
            feed["state"] = futures[stream].result()[1]
            futures[stream] = session.submit(feed, stream=stream)
    for future in futures:
        future.result()
    return (perf_counter() - start) / (steps * STREAMS) * 1e6


Run = Callable[..., Any]
"""A session's blocking call, Headway's or onnxruntime's."""


def _loop(run: Run, model: models.Model, steps: int) -> float:
    """Microseconds a chunk: one stream after the other, no hand-off at all."""
    feeds = [dict(model.feed) for _ in range(STREAMS)]
    gc.collect()
    start = perf_counter()
    for _ in range(steps):
        for feed in feeds:
            feed["state"] = run(None, feed)[1]
    return (perf_counter() - start) / (steps * STREAMS) * 1e6


def _threads(run: Run, model: models.Model, steps: int, count: int) -> float:
    """Microseconds a chunk: so many threads in `run()`, which share the streams."""

    def work(streams: int) -> None:
        feeds = [dict(model.feed) for _ in range(streams)]
        for _ in range(steps):
            for feed in feeds:
                feed["state"] = run(None, feed)[1]

    gc.collect()
    with ThreadPoolExecutor(count) as pool:
        start = perf_counter()
        list(pool.map(work, [STREAMS // count] * count))
        return (perf_counter() - start) / (steps * (STREAMS // count) * count) * 1e6


def _windowed(session: headway.InferenceSession, model: models.Model, count: int) -> float:
    """Microseconds a request, always so many on their way."""
    gc.collect()
    start = perf_counter()
    window: deque[Any] = deque(session.submit(model.feed) for _ in range(min(WINDOW, count)))
    for _ in range(count - len(window)):
        window.popleft().result()
        window.append(session.submit(model.feed))
    while window:
        window.popleft().result()
    return (perf_counter() - start) / count * 1e6


def _same_answers(batched: headway.InferenceSession, model: models.Model) -> float:
    """The largest difference from answers that were made alone, over eight streams."""
    numbers = np.random.default_rng(4)
    feeds = [
        {**model.feed, "input": numbers.standard_normal((1, 576), np.float32) / 10} for _ in range(STREAMS)
    ]
    futures = [batched.submit(feed, stream=stream) for stream, feed in enumerate(feeds)]
    found = [future.result() for future in futures]
    with models.ours(model) as alone:
        expected = [alone.run(None, feed) for feed in feeds]
    pairs = [
        (one, other)
        for mine, own in zip(found, expected, strict=True)
        for one, other in zip(mine, own, strict=True)
    ]
    return max(float(np.abs(one - other).max()) for one, other in pairs)


UNBATCHED = ("submit", "run", "onnxruntime")
"""How the names of those begin who run each chunk by itself."""


def _speech(
    stack: ExitStack, steps: int, cores: int
) -> tuple[dict[str, Callable[[], float]], headway.InferenceSession]:
    """Eight streams, batched and in every way that is not; and the session that batches on one lane."""
    model = real.silero()

    def session(**options: Any) -> headway.InferenceSession:
        return stack.enter_context(models.ours(model, serial=True, **options))

    batched = session(batching=headway.Batching(STREAMS, axes=AXES))
    spread = session(workers=cores, batching=headway.Batching(STREAMS, axes=AXES))
    plain, wide = session(queue_depth=16), session(workers=cores, queue_depth=16)
    rival = models.theirs(model)
    return {
        "batched": partial(_streams, batched, model, steps),
        f"batched, {cores} lanes": partial(_streams, spread, model, steps),
        "submit": partial(_streams, plain, model, steps),
        f"submit, {cores} lanes": partial(_streams, wide, model, steps),
        "run": partial(_loop, plain.run, model, steps),
        f"run, {cores} threads": partial(_threads, wide.run, model, steps, cores),
        "onnxruntime run": partial(_loop, rival.run, model, steps),
        f"onnxruntime run, {cores} threads": partial(_threads, rival.run, model, steps, cores),
    }, batched


def _pictures(
    stack: ExitStack, count: int
) -> tuple[dict[str, Callable[[], float]], headway.InferenceSession]:
    """A model that batching does not help; and the session that is asked to batch it."""
    model = models.lite0()
    plain = stack.enter_context(models.ours(model, queue_depth=WINDOW))
    batched = stack.enter_context(models.ours(model, queue_depth=WINDOW, batching=headway.Batching()))
    return {
        "lite0": partial(_windowed, plain, model, count),
        "lite0 batched": partial(_windowed, batched, model, count),
    }, batched


def _figures(rounds: list[dict[str, float]]) -> list[Figure]:
    def rates(*names: str) -> list[float]:
        """Of the quickest of these in each round, a second."""
        return [1e6 / min(values[name] for name in names) for values in rounds]

    batched = [name for name in rounds[0] if name.startswith("batched")]
    ways = [name for name in rounds[0] if name.startswith(UNBATCHED)]
    alone, together = rates("lite0"), rates("lite0 batched")
    return [
        Figure(
            f"silero-vad, {STREAMS} streams, batched",
            rates(*batched),
            rates(*ways),
            "the best unbatched way",
            "/s",
            1.6,
            at_least=True,
        ),
        Figure(
            f"silero-vad, {STREAMS} streams, batched on one lane",
            rates("batched"),
            rates("submit", "run", "onnxruntime run"),
            "the best on one lane",
            "/s",
            at_least=True,
        ),
        Figure(
            "EfficientNet-Lite0, batching asked for",
            together,
            alone,
            "not asked for",
            "/s",
            0.98,
            at_least=True,
        ),
    ]


def measure(effort: Effort) -> Result:
    """Batched against the quickest unbatched way of each round."""
    cores, count = usable_cores(), effort.pick(24, 96)
    with ExitStack() as stack:
        speech, batched = _speech(stack, effort.pick(40, 400), cores)
        pictures, asked = _pictures(stack, count)
        rounds = collect(effort, partial(interleave, {**speech, **pictures}))
        difference = _same_answers(batched, real.silero())
        stats, off = batched.stats().batching, asked.stats().batching
    assert stats is not None
    assert off is not None
    found = {name: [values[name] for values in rounds.values] for name in rounds.values[0]}
    result = Result(
        "batching",
        _figures(rounds.values),
        [
            Check("silero-vad answers as alone", f"{difference:.1e}", "1e-6 at most", difference <= 1e-6),
            Check("silero-vad stays batched", f"{stats.mean_size:.1f} a run", "on", stats.enabled),
            # It learns from how long runs take: a few on a disturbed machine teach it nothing.
            *(
                []
                if effort.quick
                else [
                    Check("EfficientNet-Lite0 is not batched", off.off_reason or "on", "off", not off.enabled)
                ]
            ),
        ],
        {
            "streams": STREAMS,
            "operator threads": 1,
            "window": WINDOW,
            "microseconds a chunk": {
                name: round(sorted(values)[len(values) // 2], 1) for name, values in found.items()
            },
            "microseconds a run by size": {
                str(size): round(cost * 1e6, 1) for size, cost in stats.cost.items()
            },
        },
    )
    note(rounds, result.settings)
    return result
