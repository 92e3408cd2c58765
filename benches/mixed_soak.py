"""Every convention at once for a while: memory stays flat, threads and handles constant, counters add up.

    python -m benches.mixed_soak [--seconds 1800] [--record FILE]

Exit status 1 when a bound is broken. `make soak` runs the half hour, CI a minute. The record has every look. Of memory
the slope is bound; in a run of less than twenty minutes also a steeper one is let pass where little has come in all.
"""

from __future__ import annotations

import argparse
import asyncio
import ctypes
import gc
import json
import os
import sys
import threading
from collections.abc import Callable
from concurrent.futures import CancelledError
from contextlib import suppress
from dataclasses import asdict, dataclass, field, fields
from pathlib import Path
from time import monotonic
from typing import Any, ClassVar

import numpy as np
import psutil

import headway

from . import models

#: The bound, in MB an hour.
SLOPE = 1.0
#: So much may come and go between two looks without being a slope, in MB: the heap of a process that has run for
#: minutes only has not settled.
NOISE, UNSETTLED = 1.0, 3.0
#: Seconds from which on it has.
SETTLED = 600.0
#: Seconds from which on nothing excuses a slope.
LONG = 1200.0
#: Requests of one convention in a row.
PORTION = 50

_thread = threading.local()

Session = headway.InferenceSession
Part = Callable[[Session, models.Feed], object]
EXPECTED = (headway.HeadwayError, CancelledError)


def _futures(session: Session, feed: models.Feed) -> None:
    futures = [session.submit(feed) for _ in range(PORTION)]
    for future in headway.as_completed(futures):
        future.result()


def _ended_early(session: Session, feed: models.Feed) -> None:
    futures = [session.submit(feed)]
    for _ in range(PORTION):
        # It may expire while it waits for room: then there is no ticket and no future.
        with suppress(headway.DeadlineExceeded):
            futures.append(session.submit(feed, timeout=1e-3))
    futures[0].cancel()
    headway.wait(futures)


def _callbacks(session: Session, feed: models.Feed) -> None:
    last = threading.Event()

    def callback(_results: object, place: int, _err: str) -> None:
        if place == PORTION - 1:
            last.set()

    for place in range(PORTION):
        session.run_async(None, feed, callback, place)
    last.wait()


def _pipeline(session: Session, feed: models.Feed) -> None:
    with session.pipeline(depth=4) as pipe:
        for _ in range(PORTION):
            pipe.push(feed)


def _stream(session: Session, feed: models.Feed) -> None:
    for place, _ in enumerate(session.stream((feed for _ in range(PORTION)), ordered=False)):
        if place == PORTION - 5:
            break


def _lists(session: Session, feed: models.Feed) -> None:
    session.run_parallel([feed] * PORTION)
    name, array = next(iter(feed.items()))
    session.run_batch(None, {name: np.repeat(array, 7, axis=0)})


def _push_pull(session: Session, feed: models.Feed) -> None:
    with session.open(preset="realtime") as run:
        for place in range(PORTION):
            run.push(feed, stream_id=place % 3)
            run.try_pull()


def _wrong(session: Session, feed: models.Feed) -> None:
    for _ in range(PORTION):
        # A refusal costs so little that nothing else would get its turn.
        session.run(None, feed)
        with suppress(headway.InputError):
            session.submit({name: array.astype(np.int64) for name, array in feed.items()})


async def _loop(session: Session, feed: models.Feed) -> None:
    await asyncio.gather(*(session.arun(None, feed) for _ in range(PORTION)))
    await session.arun_parallel([feed] * PORTION)
    async for _ in session.astream(feed for _ in range(PORTION)):
        pass
    with suppress(TimeoutError, *EXPECTED):
        await asyncio.wait_for(asyncio.gather(*(session.arun(None, feed) for _ in range(PORTION))), 1e-4)


def _asyncio(session: Session, feed: models.Feed) -> None:
    # One loop for a thread, as a service has it. Making one leaves dead names in the interpreter's table of names,
    # which then grows by a MB now and then, whoever makes it.
    if not hasattr(_thread, "runner"):
        _thread.runner = asyncio.Runner()
    _thread.runner.run(_loop(session, feed))


def _run(session: Session, feed: models.Feed) -> None:
    for _ in range(PORTION):
        session.run(None, feed)


PARTS: tuple[Part, ...] = (
    _run,
    _futures,
    _ended_early,
    _callbacks,
    _pipeline,
    _stream,
    _lists,
    _push_pull,
    _wrong,
    _asyncio,
)


@dataclass
class Driver:
    """One thread for each convention, all on one session, until the time is up. Between looks all of them pause."""

    session: Session
    feed: models.Feed
    stop: bool = False
    errors: list[BaseException] = field(default_factory=list)

    def _drive(self, part: Part, pause: threading.Barrier) -> None:
        while True:
            until = monotonic() + self.stretch
            while monotonic() < until and not self.errors:
                try:
                    part(self.session, self.feed)
                except BaseException as error:
                    self.errors.append(error)
            pause.wait()
            pause.wait()
            if self.stop:
                if hasattr(_thread, "runner"):
                    _thread.runner.close()
                return

    def run(self, seconds: float, look: Callable[[], bool]) -> None:
        """Looks about sixty times, when nothing is in flight."""
        self.stretch = max(0.5, min(10.0, seconds / 60))
        pause = threading.Barrier(len(PARTS) + 1)
        threads = [threading.Thread(target=self._drive, args=(part, pause), daemon=True) for part in PARTS]
        for thread in threads:
            thread.start()
        end = monotonic() + seconds
        while not self.stop:
            pause.wait()
            self.stop = not look() or bool(self.errors) or monotonic() >= end
            pause.wait()
        for thread in threads:
            thread.join()


@dataclass(frozen=True)
class Look:
    """What there is when nothing is in flight: seconds, MB, counts."""

    at: float
    megabytes: float
    #: What malloc has handed out, and what it holds free in its heaps; 0 where it cannot be asked. RSS that grows while
    #: the first stays is fragmentation, not a leak.
    handed_out: float
    held_free: float
    #: Blocks of the interpreter's own allocator in use; it takes memory by the MB.
    python_blocks: int
    requests: int
    threads: int
    handles: int
    lost: int


def heap_that_gives_back() -> Callable[[], object]:
    """Makes glibc's heap return what is freed, so that RSS shows what is held; the call that has it do so.

    By itself glibc raises its bound for blocks that it maps apart whenever one of them is freed. From then on a rare
    big block, such as the interpreter's growing table of names, may leave a hole in the heap, which shows as a step.
    """
    libc = ctypes.CDLL(None) if sys.platform == "linux" else None
    if not hasattr(libc, "malloc_trim") or not hasattr(libc, "mallopt"):
        return lambda: None
    assert libc is not None
    m_mmap_threshold = -3
    libc.mallopt(m_mmap_threshold, 128 * 1024)
    return lambda: libc.malloc_trim(0)


def _again(row: list[float]) -> Look:
    """A look from the row that it was kept as."""
    at, megabytes, handed_out, held_free, *counts = row
    return Look(at, megabytes, handed_out, held_free, *map(int, counts))


class _MallInfo(ctypes.Structure):
    """glibc's `struct mallinfo2`, in bytes, over all heaps."""

    _fields_: ClassVar = [
        (name, ctypes.c_size_t)
        for name in (
            *("arena", "ordblks", "smblks", "hblks", "hblkhd"),
            *("usmblks", "fsmblks", "uordblks", "fordblks", "keepcost"),
        )
    ]


def _malloc() -> tuple[float, float]:
    """What malloc has handed out and what it holds free, in MB."""
    libc = ctypes.CDLL(None) if sys.platform == "linux" else None
    if not hasattr(libc, "mallinfo2"):
        return 0.0, 0.0
    assert libc is not None
    libc.mallinfo2.restype = _MallInfo
    info = libc.mallinfo2()
    return (info.uordblks + info.hblkhd) / 2**20, info.fordblks / 2**20


def _look(session: Session, process: psutil.Process, start: float) -> Look:
    stats = session.stats()
    ended = stats.done + stats.failed + sum(stats.dropped.values()) + stats.expired + stats.cancelled
    lost = stats.submitted - ended - stats.waiting - stats.running - stats.undelivered
    handles = process.num_handles() if os.name == "nt" else process.num_fds()
    rss: int = process.memory_info().rss
    at = monotonic() - start
    return Look(
        at,
        rss / 2**20,
        *_malloc(),
        sys.getallocatedblocks(),
        stats.submitted,
        process.num_threads(),
        handles,
        lost,
    )


def slope(looks: list[Look]) -> float:
    """MB an hour, by least squares."""
    if len(looks) < 3:
        return 0.0
    times, sizes = np.array([[look.at, look.megabytes] for look in looks]).T
    return float(np.polyfit(times, sizes, 1)[0] * 3600)


def after_warm_up(looks: list[Look]) -> list[Look]:
    """A third is warm-up: pools, heaps and the interpreter's own caches fill."""
    return looks[len(looks) // 3 :]


@dataclass(frozen=True)
class Growth:
    """How memory grew after the warm-up."""

    #: MB an hour.
    slope: float
    #: MB in all.
    grown: float
    #: How many MB in all excuse a slope; None in a long run.
    excused: float | None

    @classmethod
    def of(cls, looks: list[Look]) -> Growth:
        warm, seconds = after_warm_up(looks), looks[-1].at
        grown = max(look.megabytes for look in warm[-3:]) - max(look.megabytes for look in warm[:3])
        excused = None if seconds >= LONG else NOISE if seconds >= SETTLED else UNSETTLED
        return cls(slope(warm), grown, excused)

    @property
    def broken(self) -> bool:
        """True when it is too much."""
        return self.slope > SLOPE and (self.excused is None or self.grown > self.excused)

    def __str__(self) -> str:
        figures = f"slope {self.slope:+.2f} MB an hour, growth {self.grown:+.2f} MB after the warm-up"
        if self.excused is None:
            what, bound = "the slope, alone in a run of 20 minutes or more", f"{SLOPE:.2f} MB an hour"
        elif self.slope <= SLOPE:
            what, bound = "the slope", f"{SLOPE:.2f} MB an hour"
        else:
            what = f"the growth, for the slope is over {SLOPE:.2f} MB an hour and the run shorter than 20 minutes"
            bound = f"{self.excused:.2f} MB"
        return f"{figures}; decided by {what}: {'over' if self.broken else 'within'} {bound}"


def broken(looks: list[Look], report: Any, errors: list[BaseException]) -> list[str]:
    """What is wrong, in words."""
    warm = after_warm_up(looks)
    wrong = [f"a thread ended with {error!r}" for error in errors]
    growth = Growth.of(looks)
    if growth.broken:
        wrong.append(f"RSS grows: {growth}")
    for name in ("threads", "handles"):
        seen = sorted({getattr(look, name) for look in warm})
        if seen[-1] - seen[0] > 0:
            wrong.append(f"{name} are not constant: {seen}")
    if any(look.lost for look in looks):
        wrong.append(f"requests that no counter accounts for: {max(look.lost for look in looks)}")
    if not (report.drained and report.delivered):
        wrong.append(f"not everything was delivered at close: {report}")
    return wrong


def main(arguments: list[str]) -> int:
    parser = argparse.ArgumentParser("python -m benches.mixed_soak", description=__doc__)
    parser.add_argument("--seconds", type=float, default=1800.0)
    parser.add_argument("--record", type=Path, help="a JSON file for every look")
    asked = parser.parse_args(arguments)
    seconds: float = asked.seconds
    steady = heap_that_gives_back()
    model, process = models.tiny(), psutil.Process()
    # Touched now: a list of records would be the only thing here that grows.
    kept, count = np.full((int(seconds) * 2 + 10, len(fields(Look))), -1.0), 0
    session = models.ours(model, queue_depth=16, workers=2)
    start = monotonic()
    driver = Driver(session, model.feed)

    def look() -> bool:
        nonlocal count
        gc.collect()
        steady()
        last = _look(session, process, start)
        kept[count] = [getattr(last, each.name) for each in fields(Look)]
        count += 1
        if sys.stderr.isatty():
            print(
                f"\r{last.at:6.0f} s  {last.megabytes:.1f} MB  {session.stats().submitted} requests",
                end="",
                file=sys.stderr,
            )
        return not last.lost

    driver.run(seconds, look)
    report = session.close()
    stats = session.stats()
    looks = [_again(row) for row in kept[:count].tolist()]
    warm = after_warm_up(looks)
    print(
        f"{monotonic() - start:.0f} s, {stats.submitted} requests: done={stats.done} failed={stats.failed} "
        f"dropped={sum(stats.dropped.values())} expired={stats.expired} cancelled={stats.cancelled} "
        f"rejected={stats.rejected}"
    )
    print(
        f"RSS {warm[0].megabytes:.1f} MB after the warm-up, {warm[-1].megabytes:.1f} MB at the end; "
        f"threads {warm[-1].threads}, handles {warm[-1].handles}"
    )
    print(Growth.of(looks))
    if asked.record:
        asked.record.write_text(json.dumps([asdict(look) for look in looks], indent=1))
    wrong = broken(looks, report, driver.errors)
    for line in wrong:
        print(f"[FAIL] {line}")
    print("[OK]" if not wrong else f"[FAIL] {len(wrong)} bounds are broken")
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
