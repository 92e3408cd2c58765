"""What a call costs beside the model: a tiny model through every convention and through what people use today."""

from __future__ import annotations

import asyncio
import gc
import threading
from collections import deque
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from functools import partial
from time import perf_counter, sleep
from typing import Any

import onnxruntime

import headway

from . import models, ov
from .figures import Figure, Result
from .rounds import Effort, collect, interleave, note, round_trip
from .session_pool import SessionPool

WINDOW = 32
BURST = 1_000

OPENVINO = "OpenVINO AsyncInferQueue, callback"

REST = 0.1
"""Seconds before each measurement: onnxruntime's own pool spins on for 40 ms after its last request, on a core that the
next contender needs."""

CROSSING = ("submit, window", "arun", "run_async")
"""Whose requests go from one core to another and back."""

Contender = Callable[[], float]
"""Measures once: microseconds a request."""


def _timed(count: int, work: Callable[[], object]) -> float:
    """Microseconds a request."""
    gc.collect()
    sleep(REST)
    start = perf_counter()
    work()
    return (perf_counter() - start) / count * 1e6


def _calls(count: int, call: Callable[[], object]) -> Contender:
    def work() -> None:
        for _ in range(count):
            call()

    return lambda: _timed(count, work)


def _windowed(count: int, submit: Callable[[], Any]) -> Contender:
    """Always 32 on their way: take the oldest answer, then submit the next."""

    def work() -> None:
        window: deque[Any] = deque(submit() for _ in range(WINDOW))
        for _ in range(count - WINDOW):
            window.popleft().result()
            window.append(submit())
        while window:
            window.popleft().result()

    return lambda: _timed(count, work)


def _queued(count: int, queue: Any, feed: models.Feed) -> Contender:
    """Always as many on their way as the queue has requests: `start_async` waits for one that is free."""

    def work() -> None:
        for _ in range(count):
            queue.start_async(feed, share_inputs=True)
        queue.wait_all()

    return lambda: _timed(count, work)


def _callbacks(bursts: int, start: Callable[[Callable[..., None]], object]) -> Contender:
    """Bursts of a thousand, waiting for the last callback of each."""

    def work() -> None:
        for _ in range(bursts):
            arrived, ended = 0, threading.Event()

            def callback(*_: object) -> None:
                nonlocal arrived
                arrived += 1
                if arrived == BURST:
                    ended.set()  # noqa: B023 - the burst ends before the next is made

            for _ in range(BURST):
                start(callback)
            ended.wait()

    return lambda: _timed(bursts * BURST, work)


def _concurrent(bursts: int, call: Callable[[], Any]) -> Contender:
    """A thousand awaiting tasks at once."""

    async def one() -> Any:
        return await call()

    async def main() -> float:
        gc.collect()
        start = perf_counter()
        for _ in range(bursts):
            await asyncio.gather(*(one() for _ in range(BURST)))
        return (perf_counter() - start) / (bursts * BURST) * 1e6

    return lambda: asyncio.run(main())


def _in_executor(pool: ThreadPoolExecutor, call: Callable[[], Any]) -> Callable[[], Any]:
    return lambda: asyncio.get_running_loop().run_in_executor(pool, call)


def _prebound(session: Any, package: Any, feed: models.Feed) -> Any:
    """Inputs and outputs in memory that stays."""
    binding, value = session.io_binding(), package.OrtValue
    for name, array in feed.items():
        binding.bind_ortvalue_input(name, value.ortvalue_from_numpy(array))
    for node, result in zip(session.get_outputs(), session.run(None, feed), strict=True):
        binding.bind_ortvalue_output(
            node.name, value.ortvalue_from_shape_and_type(result.shape, result.dtype.type)
        )
    return binding


def _contenders(
    effort: Effort,
    session: headway.InferenceSession,
    rival: onnxruntime.InferenceSession,
    rival_async: onnxruntime.InferenceSession,
    pool: ThreadPoolExecutor,
    sessions: SessionPool,
    feed: models.Feed,
) -> dict[str, Contender]:
    count, bursts = effort.pick(1_000, 10_000), effort.pick(1, 5)
    run = partial(rival.run, None, feed)
    submit: Callable[[], Future[Any]] = partial(pool.submit, run)
    bound, bound_there = _prebound(session, headway, feed), _prebound(rival, onnxruntime, feed)
    return {
        "ort run": _calls(count, run),
        "run": _calls(count, partial(session.run, None, feed)),
        "prepared": _calls(count, session.prepare(feed).run),
        "binding": _calls(count, partial(session.run_with_iobinding, bound)),
        "ort binding": _calls(count, partial(rival.run_with_iobinding, bound_there)),
        "submit, window": _windowed(count, partial(session.submit, feed)),
        "pool, window": _windowed(count, submit),
        "round trip": _calls(count, lambda: session.submit(feed).result()),
        "pool round trip": _calls(effort.pick(500, 3_000), lambda: submit().result()),
        "arun": _concurrent(bursts, partial(session.arun, None, feed)),
        "run_in_executor": _concurrent(bursts, _in_executor(pool, run)),
        "run_async": _callbacks(bursts, lambda callback: session.run_async(None, feed, callback)),
        "ort run_async": _callbacks(
            bursts, lambda callback: rival_async.run_async(None, feed, callback, None)
        ),
        "pool of sessions": _callbacks(bursts, partial(sessions.submit, feed)),
    }


def _measure_round(contenders: dict[str, Contender], number: int) -> dict[str, tuple[float, float]]:
    """Of each contender its figure, and how far apart the cores were around it, in nanoseconds."""

    def beside(contender: Contender) -> tuple[float, float]:
        before = round_trip()
        value = contender()
        return value, max(before, round_trip()) * 1e9

    return interleave({name: partial(beside, one) for name, one in contenders.items()}, number)


def _figures(found: dict[str, list[tuple[float, float]]]) -> list[Figure]:
    def figure(name: str, ours: str, base: str, against: str, target: float | None = None) -> Figure:
        values, apart = zip(*found[ours], strict=True)
        theirs = [value for value, _ in found[base]]
        return Figure(
            name,
            list(values),
            theirs,
            against,
            target=target,
            apart=[round(one) for one in apart] if ours in CROSSING else None,
        )

    window, burst = f"submit(), window {WINDOW}", f"run_async(), bursts of {BURST:,}"
    binding = "onnxruntime run_with_iobinding()"
    return [
        figure("run()", "run", "ort run", "onnxruntime run()", 0.55),
        figure("prepare(): call.run()", "prepared", "ort binding", binding, 0.75),
        figure("run_with_iobinding()", "binding", "ort binding", binding),
        figure(window, "submit, window", "ort run", "onnxruntime run()", 0.6),
        figure(window, "submit, window", "pool, window", "ThreadPoolExecutor", 0.12),
        *([figure(window, "submit, window", OPENVINO, OPENVINO, 0.08)] if OPENVINO in found else []),
        figure("submit().result()", "round trip", "pool round trip", "ThreadPoolExecutor", 0.12),
        figure(f"arun(), {BURST:,} at once", "arun", "run_in_executor", "run_in_executor", 0.17),
        figure(burst, "run_async", "ort run_async", "onnxruntime run_async()", 0.3),
        figure(burst, "run_async", "pool of sessions", "pool of sessions"),
    ]


def measure(effort: Effort) -> Result:
    """Every convention on the tiny model, against its rival."""
    model = models.tiny()
    result = Result(
        "percall",
        settings={"model": "y = x + x, float32[1, 3]", "operator threads": 1, "lanes": 1, "pool workers": 1},
    )
    # onnxruntime's run_async wants two operator threads; its own queue has no bound, so ours has room for a burst.
    rival, rival_async = models.theirs(model), models.theirs(model, intra_op=2)
    with (
        models.ours(model, queue_depth=BURST + WINDOW) as session,
        ThreadPoolExecutor(1) as pool,
        SessionPool([models.theirs(model)]) as sessions,
    ):
        contenders = _contenders(effort, session, rival, rival_async, pool, sessions, model.feed)
        if ov.INSTALLED:
            queue = ov.callback_queue(model, WINDOW)
            contenders[OPENVINO] = _queued(effort.pick(1_000, 5_000), queue, model.feed)
        else:
            result.settings["OpenVINO"] = "not installed"
        rounds = collect(effort, partial(_measure_round, contenders))
    result.figures = _figures({name: [values[name] for values in rounds.values] for name in contenders})
    note(rounds, result.settings)
    return result
