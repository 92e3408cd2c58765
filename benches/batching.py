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


def _steps(session: headway.InferenceSession, model: models.Model, steps: int) -> float:
    """Microseconds a chunk: each step submits the next chunk of every stream and waits for all of them."""
    feeds = [dict(model.feed) for _ in range(STREAMS)]
    gc.collect()
    start = perf_counter()
    for _ in range(steps):
        futures = [session.submit(feed, stream=stream) for stream, feed in enumerate(feeds)]
        for feed, future in zip(feeds, futures, strict=True):
            feed["state"] = future.result()[1]
    return (perf_counter() - start) / (steps * STREAMS) * 1e6


def _loop(session: headway.InferenceSession, model: models.Model, steps: int) -> float:
    """Microseconds a chunk: one stream after the other, no hand-off at all."""
    feeds = [dict(model.feed) for _ in range(STREAMS)]
    gc.collect()
    start = perf_counter()
    for _ in range(steps):
        for feed in feeds:
            feed["state"] = session.run(None, feed)[1]
    return (perf_counter() - start) / (steps * STREAMS) * 1e6


def _threads(session: headway.InferenceSession, model: models.Model, steps: int, count: int) -> float:
    """Microseconds a chunk: so many threads in `run()`, which share the streams."""

    def work(streams: int) -> None:
        feeds = [dict(model.feed) for _ in range(streams)]
        for _ in range(steps):
            for feed in feeds:
                feed["state"] = session.run(None, feed)[1]

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


def measure(effort: Effort) -> Result:
    """Batched against the quickest unbatched way of each round."""
    speech, picture = real.silero(), models.lite0()
    steps, cores = effort.pick(40, 400), usable_cores()
    with ExitStack() as stack:

        def session(model: models.Model, **options: Any) -> headway.InferenceSession:
            return stack.enter_context(models.ours(model, **options))

        batching = headway.Batching(STREAMS, axes=AXES)
        batched = session(speech, serial=True, batching=batching)
        spread = session(
            speech, serial=True, workers=cores, batching=headway.Batching(STREAMS // cores or 1, axes=AXES)
        )
        plain, wide = (
            session(speech, serial=True, queue_depth=16),
            session(speech, serial=True, workers=cores, queue_depth=16),
        )
        conv, conv_batched = (
            session(picture, queue_depth=WINDOW),
            session(picture, queue_depth=WINDOW, batching=headway.Batching()),
        )
        count = effort.pick(24, 96)
        contenders: dict[str, Callable[[], float]] = {
            "batched": partial(_steps, batched, speech, steps),
            f"batched, {cores} lanes": partial(_steps, spread, speech, steps),
            "submit": partial(_steps, plain, speech, steps),
            f"submit, {cores} lanes": partial(_steps, wide, speech, steps),
            "run": partial(_loop, plain, speech, steps),
            f"run, {cores} threads": partial(_threads, wide, speech, steps, cores),
            "lite0": partial(_windowed, conv, picture, count),
            "lite0 batched": partial(_windowed, conv_batched, picture, count),
        }
        rounds = collect(effort, partial(interleave, contenders))
        difference = _same_answers(batched, speech)
        stats, off = batched.stats().batching, conv_batched.stats().batching
    found = {name: [values[name] for values in rounds.values] for name in contenders}
    ways = [name for name in contenders if name.startswith(("submit", "run"))]
    best = [min(values[name] for name in ways) for values in rounds.values]
    one_lane = [min(values["submit"], values["run"]) for values in rounds.values]
    ours = [min(values["batched"], values[f"batched, {cores} lanes"]) for values in rounds.values]
    assert stats is not None
    assert off is not None
    result = Result(
        "batching",
        [
            Figure(
                f"silero-vad, {STREAMS} streams, batched",
                ours,
                best,
                "the best unbatched way",
                target=1 / 1.6,
            ),
            Figure(
                f"silero-vad, {STREAMS} streams, batched on one lane",
                found["batched"],
                one_lane,
                "the best on one lane",
            ),
            Figure(
                "EfficientNet-Lite0, batching asked for",
                found["lite0 batched"],
                found["lite0"],
                "not asked for",
                target=1.02,
            ),
        ],
        [
            Check("silero-vad answers as alone", f"{difference:.1e}", "1e-6 at most", difference <= 1e-6),
            Check("silero-vad stays batched", f"{stats.mean_size:.1f} a run", "on", stats.enabled),
            Check("EfficientNet-Lite0 is not batched", off.off_reason or "on", "off", not off.enabled),
        ],
        {
            "streams": STREAMS,
            "operator threads": 1,
            "window": WINDOW,
            "microseconds a chunk": {
                name: sorted(values)[len(values) // 2] for name, values in found.items()
            },
            "seconds a run by size": {str(size): cost for size, cost in stats.cost.items()},
        },
    )
    note(rounds, result.settings)
    return result
