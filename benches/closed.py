"""Closed loops: so many requests are in flight at any time, and a new one starts when one has ended.

A latency is what the caller sees: from its call until the answer is in its hands. Everybody makes one call
at least, however busy the machine is.
"""

from __future__ import annotations

import asyncio
import gc
import threading
from collections import deque
from collections.abc import Awaitable, Callable, Sequence
from functools import partial
from time import perf_counter
from typing import Any

import numpy as np

from .figures import Sample

Call = Callable[[], object]


def sample(latencies: Sequence[float], seconds: float) -> Sample:
    """What these requests, in seconds each, came to."""
    p50, p90, p99 = (float(one) * 1e3 for one in np.percentile(latencies, (50, 90, 99)))
    return Sample(len(latencies) / seconds, p50, p90, p99)


def threads(calls: Sequence[Call], seconds: float) -> Sample:
    """One thread for each blocking call."""
    latencies: list[float] = []
    together = threading.Barrier(len(calls) + 1)
    until = 0.0

    def work(call: Call) -> None:
        own: list[float] = []
        together.wait()
        now = perf_counter()
        while not own or now < until:
            call()
            own.append(-now + (now := perf_counter()))
        latencies.extend(own)

    workers = [threading.Thread(target=work, args=(call,)) for call in calls]
    for worker in workers:
        worker.start()
    gc.collect()
    start = perf_counter()
    until = start + seconds
    together.wait()
    for worker in workers:
        worker.join()
    return sample(latencies, perf_counter() - start)


def window(submit: Callable[[], Any], in_flight: int, seconds: float) -> Sample:
    """Futures from one thread: take the oldest answer, then submit the next."""
    latencies: list[float] = []
    pending: deque[tuple[float, Any]] = deque()
    gc.collect()
    start = perf_counter()
    until = start + seconds
    for _ in range(in_flight):
        pending.append((perf_counter(), submit()))
    while pending:
        begun, future = pending.popleft()
        future.result()
        now = perf_counter()
        latencies.append(now - begun)
        if now < until:
            pending.append((now, submit()))
    return sample(latencies, perf_counter() - start)


def callbacks(start: Callable[[Call], object], in_flight: int, seconds: float) -> Sample:
    """Callbacks: one thread starts the next request as soon as one has called back."""
    latencies: list[float] = []
    room = threading.Semaphore(in_flight)

    def done(begun: float) -> None:
        latencies.append(perf_counter() - begun)
        room.release()

    gc.collect()
    first = perf_counter()
    now = first
    while now < first + seconds:
        room.acquire()
        now = perf_counter()
        start(partial(done, now))
    for _ in range(in_flight):
        room.acquire()
    return sample(latencies, perf_counter() - first)


def tasks(call: Callable[[], Awaitable[object]], in_flight: int, seconds: float) -> Sample:
    """asyncio tasks, each of which awaits one request after the other."""
    latencies: list[float] = []

    async def one(until: float) -> None:
        now = 0.0
        while now < until:
            begun = perf_counter()
            await call()
            now = perf_counter()
            latencies.append(now - begun)

    async def main() -> Sample:
        gc.collect()
        start = perf_counter()
        await asyncio.gather(*(one(start + seconds) for _ in range(in_flight)))
        return sample(latencies, perf_counter() - start)

    return asyncio.run(main())
