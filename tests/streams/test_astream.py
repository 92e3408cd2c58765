"""`astream`: the same for `async for`, with feeds from any source."""

from __future__ import annotations

import asyncio
import contextvars
import gc
from collections.abc import AsyncIterator, Iterator
from contextlib import aclosing
from typing import Any

import numpy as np
import pytest

import headway

from ..conftest import Make
from ..support import X, assert_conserved, until

pytestmark = pytest.mark.timeout(30)

WRONG = {"x": np.zeros((1, 3), np.int64)}


async def source(count: int) -> AsyncIterator[Any]:
    for number in range(count):
        yield X + number


def numbers(results: Any) -> list[float]:
    return [float(result[0][0, 0]) for result in results]


@pytest.mark.parametrize("overflow", ["block", "raise", "drop_oldest", "drop_newest"])
@pytest.mark.parametrize("kind", ["async generator", "generator", "list"])
@pytest.mark.parametrize("depth", [None, 1, 50])
def test_in_order_and_never_in_its_own_way(depth: int | None, kind: str, overflow: str, fake: Make) -> None:
    session, _ = fake(held=False, workers=2, overflow=overflow)
    made = {
        "async generator": lambda: source(200),
        "generator": lambda: (X + number for number in range(200)),
        "list": lambda: [X + number for number in range(200)],
    }

    async def main() -> list[Any]:
        return [item async for item in session.astream(made[kind](), depth=depth)]

    assert numbers(asyncio.run(main())) == list(range(200))
    stats = assert_conserved(session)
    assert (stats.done, stats.dropped, stats.rejected) == (200, {}, 0)


def test_a_live_source_gets_its_answer_before_it_gives_the_next_feed(fake: Make) -> None:
    session, _ = fake(held=False)

    async def main() -> list[Any]:
        answered = asyncio.Event()
        answered.set()

        async def client() -> AsyncIterator[Any]:
            for number in range(20):
                await answered.wait()
                answered.clear()
                yield X + number

        got = []
        async for result in session.astream(client()):
            got.append(result)
            answered.set()
        return got

    assert numbers(asyncio.run(main())) == list(range(20))


@pytest.mark.parametrize("asynchronous", [True, False])
def test_look_ahead_is_bounded(asynchronous: bool, fake: Make) -> None:
    session, engine = fake(queue_depth=16)
    read = 0

    def feeds() -> Iterator[Any]:
        nonlocal read
        while True:
            read += 1
            yield X

    async def afeeds() -> AsyncIterator[Any]:
        for feed in feeds():
            yield feed

    async def main() -> None:
        async with aclosing(session.astream(afeeds() if asynchronous else feeds(), depth=5)) as stream:
            first = asyncio.ensure_future(anext(stream))
            await asyncio.to_thread(engine.wait_running, 1)
            await asyncio.to_thread(until, lambda: read == 5, "the look-ahead is full")
            assert not first.done()
            engine.release()
            await first
            assert read <= 6

    asyncio.run(main())
    stats = assert_conserved(session)
    assert (stats.done, stats.cancelled) == (1, stats.submitted - 1)


def test_unordered_gives_what_has_ended(fake: Make) -> None:
    import threading

    rest = threading.Event()

    def model(feed: dict[str, Any]) -> list[Any]:
        if feed["x"][0, 0] == 0:
            rest.wait()
        return [feed["x"]]

    async def main(session: headway.InferenceSession) -> list[Any]:
        got = []
        async for item in session.astream(source(3), ordered=False):
            got.append(item)
            if len(got) == 2:
                rest.set()
        return got

    with headway.InferenceSession(model, inputs=["x"], outputs=["y"], workers=2) as session:
        got = numbers(asyncio.run(main(session)))
    assert sorted(got[:2]) == [1, 2] and got[2] == 0


def test_errors_in_their_place(fake: Make) -> None:
    session, engine = fake(held=False)
    engine.fail_nth(2, "told to fail")

    async def main() -> list[Any]:
        return [item async for item in session.astream([X, WRONG, X, X, X], on_error="yield")]

    items = asyncio.run(main())
    assert [isinstance(item, list) for item in items] == [True, False, True, False, True]
    assert isinstance(items[1], headway.InputError) and isinstance(items[3], headway.EngineError)


def test_the_first_error_ends_it_and_cancels_the_rest(fake: Make) -> None:
    session, engine = fake(queue_depth=16)
    engine.fail_nth(1, "told to fail")
    engine.release(2)

    async def main() -> int:
        got = 0
        with pytest.raises(headway.EngineError, match="told to fail"):
            async for _ in session.astream(source(100), depth=6):
                got += 1
        return got

    assert asyncio.run(main()) == 1
    stats = assert_conserved(session)
    assert stats.cancelled == stats.submitted - 2


@pytest.mark.parametrize("way", ["aclosing", "left to the collector", "task cancelled"])
def test_leaving_it_cancels_what_it_had_submitted(way: str, fake: Make) -> None:
    session, engine = fake(queue_depth=16)
    engine.release()

    async def leave() -> None:
        stream = session.astream(source(100), depth=4)
        if way == "aclosing":
            async with aclosing(stream):
                async for _ in stream:
                    break
        else:
            async for _ in stream:
                break

    async def main() -> None:
        if way == "task cancelled":

            async def work() -> None:
                async for _ in session.astream(source(100), depth=4):
                    pass

            task = asyncio.ensure_future(work())
            await asyncio.to_thread(engine.wait_finished, 1)
            await asyncio.to_thread(engine.wait_running, 1)
            task.cancel()
            with pytest.raises(asyncio.CancelledError):
                await task
        else:
            await leave()
            gc.collect()
        # The loop closes what the collector found.
        while len(asyncio.all_tasks()) > 1:
            await asyncio.sleep(0)

    asyncio.run(main())
    until(lambda: session.stats().running == 0, "the lane is free")
    stats = assert_conserved(session)
    assert stats.cancelled == stats.submitted - 1 > 0


def test_a_source_that_raises_ends_it_after_the_results_before(fake: Make) -> None:
    session, _ = fake(held=False)

    async def feeds() -> AsyncIterator[Any]:
        yield X
        yield X + 1
        raise KeyError("mine")

    async def main() -> list[Any]:
        got = []
        with pytest.raises(KeyError, match="mine"):
            async for item in session.astream(feeds()):
                got.append(item)
        return got

    assert numbers(asyncio.run(main())) == [0, 1]


def test_a_source_that_was_cancelled(fake: Make) -> None:
    session, _ = fake(held=False)

    async def feeds() -> AsyncIterator[Any]:
        yield X
        raise asyncio.CancelledError

    async def main() -> list[Any]:
        got = []
        with pytest.raises(asyncio.CancelledError):
            async for item in session.astream(feeds()):
                got.append(item)
        return got

    assert numbers(asyncio.run(main())) == [0]


def test_a_reader_that_never_comes_back_is_ended_with_the_stream(fake: Make) -> None:
    session, _ = fake(held=False)
    ended = []

    async def feeds() -> AsyncIterator[Any]:
        yield X
        try:
            await asyncio.Event().wait()
        finally:
            ended.append(True)

    async def main() -> None:
        async with aclosing(session.astream(feeds())) as stream:
            async for _ in stream:
                break

    asyncio.run(main())
    assert ended == [True]


def test_not_iterable(fake: Make) -> None:
    session, _ = fake()

    async def main() -> None:
        with pytest.raises(TypeError, match="expected an iterable of feeds, got int"):
            await anext(session.astream(7))

    asyncio.run(main())


def test_context_variables_reach_the_source(fake: Make) -> None:
    session, _ = fake(held=False)
    user: contextvars.ContextVar[str] = contextvars.ContextVar("user")

    async def feeds() -> AsyncIterator[Any]:
        for _ in range(3):
            yield X + len(user.get())

    async def main() -> list[Any]:
        user.set("me")
        return [item async for item in session.astream(feeds())]

    assert numbers(asyncio.run(main())) == [2, 2, 2]


def test_several_in_one_loop(fake: Make) -> None:
    session, _ = fake(held=False, workers=2)

    async def drive(base: int) -> list[float]:
        return numbers([item async for item in session.astream(X + base + number for number in range(50))])

    async def main() -> list[Any]:
        return await asyncio.gather(*(drive(100 * place) for place in range(5)))

    for place, got in enumerate(asyncio.run(main())):
        assert got == [100 * place + number for number in range(50)]
