"""A million tiny requests through every convention: nothing is lost, memory stays flat, nothing is left at the end."""

from __future__ import annotations

import asyncio
import contextlib
import gc
import os
import threading
from collections.abc import Callable
from concurrent.futures import CancelledError
from itertools import cycle
from time import perf_counter

import psutil

import headway

from . import models
from .figures import Check, Result
from .rounds import Effort

PORTION = 1_000
"""Requests of one convention at a time."""

WARM_UP = 10
"""The share of the requests, one in so many, after which memory must not grow; every convention once at least."""

Part = Callable[[headway.InferenceSession, models.Feed], None]


def _run(session: headway.InferenceSession, feed: models.Feed) -> None:
    for _ in range(PORTION):
        session.run(None, feed)


def _submit(session: headway.InferenceSession, feed: models.Feed) -> None:
    for future in [session.submit(feed) for _ in range(PORTION)]:
        future.result()


def _callbacks(session: headway.InferenceSession, feed: models.Feed) -> None:
    ended = threading.Event()

    def last(*_: object) -> None:
        ended.set()

    for _ in range(PORTION - 1):
        session.run_async(None, feed, _ignore)
    session.run_async(None, feed, last)
    ended.wait()


def _ignore(*_: object) -> None:
    pass


def _arun(session: headway.InferenceSession, feed: models.Feed) -> None:
    async def main() -> None:
        await asyncio.gather(*(session.arun(None, feed) for _ in range(PORTION)))

    asyncio.run(main())


def _stream(session: headway.InferenceSession, feed: models.Feed) -> None:
    for _ in session.stream(feed for _ in range(PORTION)):
        pass


def _cancelled(session: headway.InferenceSession, feed: models.Feed) -> None:
    futures = [session.submit(feed) for _ in range(PORTION)]
    for future in futures[::2]:
        future.cancel()
    for future in futures:
        with contextlib.suppress(CancelledError):
            future.result()


def _expired(session: headway.InferenceSession, feed: models.Feed) -> None:
    for future in [session.submit(feed, timeout=1e-4) for _ in range(PORTION)]:
        with contextlib.suppress(headway.DeadlineExceeded):
            future.result()


PARTS: tuple[Part, ...] = (_run, _submit, _callbacks, _arun, _stream, _cancelled, _expired)


def _lost(stats: headway.Stats) -> int:
    """Requests that no counter accounts for."""
    ended = stats.done + stats.failed + sum(stats.dropped.values()) + stats.expired + stats.cancelled
    return stats.submitted - ended - stats.waiting - stats.running - stats.undelivered


def _in_use(process: psutil.Process) -> tuple[set[int], int]:
    """Native threads, and open descriptors or handles."""
    gc.collect()
    handles = process.num_handles() if os.name == "nt" else process.num_fds()
    return {thread.id for thread in process.threads()}, handles


def _memory(process: psutil.Process) -> float:
    gc.collect()
    rss: int = process.memory_info().rss
    return rss / 2**20


def _left(process: psutil.Process, before: tuple[set[int], int]) -> tuple[int, int]:
    """Threads and handles that are still there; a thread that was joined leaves the system's list a little later."""
    deadline = perf_counter() + 2
    while True:
        threads, handles = _in_use(process)
        left = len(threads - before[0]), handles - before[1]
        if not any(left) or perf_counter() > deadline:
            return left


def measure(effort: Effort) -> Result:
    """Until a million requests have been asked for, or twenty thousand."""
    model, process, total = models.tiny(), psutil.Process(), effort.pick(20_000, 1_000_000)
    with models.ours(model) as session:
        # What a process makes once, the timer's thread and the engine's own, is there before the count.
        for part in PARTS:
            part(session, model.feed)
    before = _in_use(process)

    session = models.ours(model, queue_depth=PORTION)
    asked, unaccounted, warm, start = 0, 0, 0.0, perf_counter()
    for part in cycle(PARTS):
        part(session, model.feed)
        asked += PORTION
        unaccounted += abs(_lost(session.stats()))
        if not warm and asked >= max(total // WARM_UP, len(PARTS) * PORTION):
            warm = _memory(process)
        if asked >= total:
            break
    seconds, grown = perf_counter() - start, _memory(process) - warm
    report = session.close()
    stats = session.stats()
    del session
    threads, handles = _left(process, before)
    ended = {"done": stats.done, "expired": stats.expired, "cancelled": stats.cancelled}
    return Result(
        "soak",
        checks=[
            Check(
                "requests that no counter accounts for",
                f"{unaccounted + abs(_lost(stats))}",
                "0",
                not unaccounted,
            ),
            Check(
                "requests asked for without a ticket",
                f"{asked - stats.submitted}",
                "0",
                asked == stats.submitted,
            ),
            Check("RSS growth after the warm-up", f"{grown:.2f} MB", "< 2 MB", grown < 2),
            Check(
                "everything delivered at close",
                f"{report.drained and report.delivered}",
                "True",
                report.delivered,
            ),
            Check("threads left after close", f"{threads}", "0", threads == 0),
            Check("handles left after close", f"{handles}", "0", handles == 0),
        ],
        settings={"requests": asked, **ended, "seconds": round(seconds, 1), "RSS, MB": round(warm, 1)},
    )
