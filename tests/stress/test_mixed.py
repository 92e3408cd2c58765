"""Many threads, every convention at once: every request is accounted for, and nothing grows."""

from __future__ import annotations

import asyncio
import concurrent.futures
import gc
import os
import sys
import threading
from collections import Counter
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import pytest

import headway
from headway.testing import FakeEngine

from ..support import PATIENCE, X, assert_conserved, until

pytestmark = [pytest.mark.timeout(120), pytest.mark.usefixtures("leaks")]

Ended = Counter[str]
ENDED = (headway.HeadwayError, concurrent.futures.CancelledError)
Part = Callable[[headway.InferenceSession, int, int], Ended]


def kind(error: BaseException) -> str:
    return type(error).__name__


def feed(number: int) -> np.ndarray[Any, Any]:
    return np.full((1, 3), number % 1000, np.float32)


def check(outputs: list[Any], number: int) -> str:
    """A late answer goes to its own request or nowhere."""
    assert outputs[0][0, 0] in (number % 1000, 2 * (number % 1000)), "another request's answer"
    return "done"


def running(session: headway.InferenceSession, base: int, count: int) -> Ended:
    ended: Ended = Counter()
    for number in range(base, base + count):
        try:
            ended[check(session.run(None, feed(number)), number)] += 1
        except ENDED as error:
            ended[kind(error)] += 1
    return ended


def futures(session: headway.InferenceSession, base: int, count: int) -> Ended:
    ended: Ended = Counter()
    window: list[tuple[int, Any]] = []

    def settle() -> None:
        number, future = window.pop(0)
        try:
            ended[check(future.result(PATIENCE), number)] += 1
        except ENDED as error:
            ended[kind(error)] += 1

    for number in range(base, base + count):
        try:
            window.append(
                (
                    number,
                    session.submit(feed(number), stream=number % 5, timeout=0 if number % 50 == 7 else None),
                )
            )
        except ENDED as error:
            ended[kind(error)] += 1
            continue
        if number % 20 == 3:
            window[-1][1].cancel()
        if len(window) == 16:
            settle()
    while window:
        settle()
    return ended


def callbacks(session: headway.InferenceSession, base: int, count: int) -> Ended:
    ended: Ended = Counter()
    order: list[int] = []
    refused = 0
    everything = threading.Semaphore(0)

    def callback(results: Any, number: int, err: str) -> None:
        order.append(number)
        ended["told" if err else check(results, number)] += 1
        everything.release()

    for number in range(base, base + count):
        try:
            session.run_async(None, feed(number), callback, number, stream=f"callbacks {base}")
        except ENDED as error:
            refused += 1
            ended[kind(error)] += 1
    for _ in range(count - refused):
        assert everything.acquire(timeout=PATIENCE)
    assert order == sorted(order)
    return ended


def tasks(session: headway.InferenceSession, base: int, count: int) -> Ended:
    ended: Ended = Counter()

    async def one(number: int) -> None:
        try:
            ended[check(await session.arun(None, feed(number)), number)] += 1
        except ENDED as error:
            ended[kind(error)] += 1

    async def main() -> None:
        for start in range(base, base + count, 32):
            await asyncio.gather(*(one(number) for number in range(start, min(start + 32, base + count))))

    asyncio.run(main())
    return ended


def streaming(session: headway.InferenceSession, base: int, count: int) -> Ended:
    ended: Ended = Counter()
    expected = base
    for item in session.stream(map(feed, range(base, base + count)), on_error="yield"):
        if isinstance(item, headway.Dropped):
            ended["Dropped"] += item.count
            expected += item.count
            continue
        ended[kind(item) if isinstance(item, BaseException) else check(item, expected)] += 1
        expected += 1
    return ended


PARTS: list[Part] = [running, futures, callbacks, tasks, streaming]


def play(session: headway.InferenceSession, each: int, disturb: bool = False) -> Ended:
    """Every convention on a thread of its own, `each` requests from each."""
    over = threading.Event()

    def disturbing() -> None:
        # Without the wait the others starve: who waits for the GIL asks for it after a switch interval in which
        # nobody let go of it, and a thread that does so and has it back at once, again and again, is never asked.
        while not over.wait(1e-4):
            assert_conserved(session)
            session.cancel_all()

    with concurrent.futures.ThreadPoolExecutor(len(PARTS) + 1) as pool:
        parts = [pool.submit(part, session, place * each, each) for place, part in enumerate(PARTS)]
        disturber = pool.submit(disturbing) if disturb else None
        try:
            ended = sum((part.result(100) for part in parts), Counter[str]())
        finally:
            over.set()
        if disturber is not None:
            disturber.result(PATIENCE)
    assert sum(ended.values()) == each * len(PARTS)
    return ended


@pytest.fixture(params=[None, 1e-6], ids=["", "switching often"])
def switching(request: pytest.FixtureRequest) -> Iterator[bool]:
    usual = sys.getswitchinterval()
    if request.param is not None:
        sys.setswitchinterval(request.param)
    yield request.param is not None
    sys.setswitchinterval(usual)


def rss() -> int:
    with open("/proc/self/statm") as file:
        return int(file.read().split()[1]) * os.sysconf("SC_PAGE_SIZE")


@pytest.fixture(params=["fake", "model"])
def session(request: pytest.FixtureRequest, tiny: bytes) -> Iterator[headway.InferenceSession]:
    model: Any = tiny if request.param == "model" else FakeEngine()
    with headway.InferenceSession(model, workers=2, queue_depth=8) as made:
        yield made


def agree(session: headway.InferenceSession, ended: Ended) -> None:
    """What the callers saw is what was counted."""
    session.close()
    stats = assert_conserved(session)
    assert (stats.waiting, stats.running, stats.undelivered) == (0, 0, 0)
    assert stats.done == ended["done"]
    # What waits for room can be cancelled or expire too: without a ticket, so it counts as rejected.
    assert stats.submitted + stats.rejected == sum(ended.values())
    assert ended["QueueFull"] + ended["SessionClosed"] <= stats.rejected
    assert stats.callback_errors == 0


def test_every_convention_at_once(session: headway.InferenceSession, switching: bool) -> None:
    ended = play(session, 500)

    def growth() -> int:
        before = rss()
        ended.update(play(session, 12_000))
        gc.collect()
        return rss() - before

    # What else this process has done may make its heap grow once; a leak does so every time.
    assert any(growth() < 4 << 20 for _ in range(3))
    agree(session, ended)


def test_cancelled_all_the_time(session: headway.InferenceSession, switching: bool) -> None:
    ended = play(session, 10_000, disturb=True)
    agree(session, ended)


@pytest.mark.parametrize("overflow", ["drop_oldest", "drop_newest", "raise"])
def test_overflowing(overflow: Any, tiny: bytes) -> None:
    with headway.InferenceSession(tiny, workers=1, queue_depth=2, overflow=overflow) as session:
        ended = play(session, 1_000)
        agree(session, ended)
    assert (ended["QueueFull"] > 0) == (overflow == "raise")


def test_closed_in_the_middle(tiny: bytes, switching: bool) -> None:
    for drain in (True, False):
        session = headway.InferenceSession(tiny, workers=2, queue_depth=8)
        with concurrent.futures.ThreadPoolExecutor(len(PARTS)) as pool:
            parts = [pool.submit(part, session, place * 3_000, 3_000) for place, part in enumerate(PARTS)]
            until(lambda: session.stats().done > 500, "some work")  # noqa: B023
            session.close(drain=drain)
            ended = sum((part.result(60) for part in parts), Counter[str]())
        assert sum(ended.values()) == 3_000 * len(PARTS)
        assert ended["SessionClosed"] > 0
        agree(session, ended)


def test_sessions_come_and_go(tiny: bytes) -> None:
    def live(number: int) -> None:
        model: Any = (tiny, FakeEngine(), lambda feed: [feed["x"]])[number % 3]
        names = {"inputs": ["x"], "outputs": ["y"]} if number % 3 == 2 else {}
        with headway.InferenceSession(model, workers=2, **names) as session:
            called = threading.Event()
            session.run_async(None, X, lambda *_: called.set())
            session.submit(X).result()
            assert called.wait(PATIENCE)

    with concurrent.futures.ThreadPoolExecutor(4) as pool:
        list(pool.map(live, range(12)))
        gc.collect()
        before = rss()
        list(pool.map(live, range(90)))
    gc.collect()
    assert rss() - before < 16 << 20


def test_callable_under_load(switching: bool) -> None:
    def model(fed: dict[str, Any]) -> Any:
        return fed["x"] * 2

    with headway.InferenceSession(model, inputs=["x"], outputs=["y"], workers=3, queue_depth=8) as session:
        ended = play(session, 500)
        agree(session, ended)
