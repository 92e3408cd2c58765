"""Several producers, consumers, streams, flows and event loops on one session."""

from __future__ import annotations

import asyncio
import itertools
import threading
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import headway

from ..conftest import Make
from ..support import PATIENCE, X, assert_conserved, until

pytestmark = pytest.mark.timeout(30)

WRONG = {"x": np.zeros((1, 3), np.int64)}


def number(sample: headway.Sample) -> int:
    return int(sample.data["y"][0, 0])


def started(call: Callable[..., Any], *args: Any) -> tuple[threading.Thread, list[Any]]:
    ended: list[Any] = []

    def work() -> None:
        try:
            ended.append(call(*args))
        except BaseException as error:
            ended.append(error)

    thread = threading.Thread(target=work)
    thread.start()
    return thread, ended


def test_the_end_is_seen_by_every_consumer(fake: Make) -> None:
    session, engine = fake(workers=2)
    run = session.open()
    consumers = [started(lambda: [number(sample) for sample in run]) for _ in range(4)]
    engine.open()
    for place in range(50):
        run.push(X + place)
    run.close_input()
    for thread, _ in consumers:
        thread.join(PATIENCE)
    assert sorted(itertools.chain.from_iterable(ended[0] for _, ended in consumers)) == list(range(50))
    with pytest.raises(headway.EndOfStream):
        run.pull()


def test_a_consumer_that_stops_slows_the_producer(fake: Make) -> None:
    session, engine = fake(held=False)
    with session.open(queue_depth=2) as run:
        pushed = 0
        while run.try_push(X):
            pushed += 1
            until(lambda: session.stats().waiting == 0 or session.stats().undelivered >= 2, "its turn")
        # Two wait to be pulled, two wait to run; lanes start nothing more.
        assert pushed <= 2 + 2 + 1
        assert session.stats().undelivered <= 3
        assert engine.counts.started == session.stats().undelivered
        run.pull()
        until(lambda: run.try_push(X), "room")


def test_stream_order_and_fairness(fake: Make) -> None:
    session, engine = fake()
    with session.open(queue_depth=64) as run:
        for place in range(20):
            run.push(X + place, stream_id="busy")
        for place in range(3):
            run.push(X + 100 + place, stream_id="quiet")
        engine.open()
        seen = [(sample.stream_id, number(sample)) for sample in (run.pull(PATIENCE) for _ in range(23))]
    for key, first, count in (("busy", 0, 20), ("quiet", 100, 3)):
        assert [value for stream, value in seen if stream == key] == list(range(first, first + count))
    # The quiet one does not stand behind all of the busy one's frames.
    assert max(place for place, (key, _) in enumerate(seen) if key == "quiet") < 12


def test_numpys_numbers_are_keys_too(fake: Make) -> None:
    session, engine = fake()
    with session.open(queue_depth=8) as run:
        for place in range(4):
            run.push(X + place, stream_id=place % 2 if place < 2 else np.int64(place % 2))
        engine.open()
        run.close_input()
        assert [(sample.stream_id, number(sample)) for sample in run if sample.stream_id == 1] == [
            (1, 1),
            (1, 3),
        ]
    assert set(session.stats().streams) == {0, 1}
    for wrong in (1.0, True, np.float32(1), None.__class__):
        with pytest.raises(TypeError, match="stream: expected a str or an int"):
            session.submit(X, stream=wrong)  # type: ignore[arg-type]


def test_flows_are_served_fairly(fake: Make) -> None:
    session, engine = fake()
    busy, quiet = session.open(queue_depth=64), session.open(queue_depth=64)
    for place in range(30):
        busy.push(X + place)
    for place in range(3):
        quiet.push(X + place)
    for _ in range(8):
        engine.release()
    assert [number(quiet.pull(PATIENCE)) for _ in range(3)] == [0, 1, 2]
    engine.open()
    assert [busy.close().pushed, quiet.close().pushed] == [30, 3]


def test_runs_beside_each_other_do_not_mix(fake: Make) -> None:
    session, _ = fake(held=False, workers=2)

    def drive(base: int) -> list[int]:
        with session.open(queue_depth=2) as run:
            thread, _ = started(
                lambda: ([run.push(X + base + place) for place in range(200)], run.close_input())
            )
            pulled = [number(sample) for sample in run]
            thread.join(PATIENCE)
        return pulled

    threads = [started(drive, 1000 * place) for place in range(4)]
    for place, (thread, ended) in enumerate(threads):
        thread.join(PATIENCE)
        assert ended[0] == [1000 * place + step for step in range(200)]
    assert assert_conserved(session).done == 800


class Unwatching(asyncio.SelectorEventLoop):
    """A loop that cannot watch a descriptor, as the Windows proactor loop."""

    def add_reader(self, fd: Any, callback: Callable[..., Any], *args: Any) -> None:  # type: ignore[override]
        # Its own wake-up pipe is a socket.
        if isinstance(fd, int):
            raise NotImplementedError
        super().add_reader(fd, callback, *args)


def test_pulls_that_give_up_on_a_loop_that_cannot_watch(fake: Make) -> None:
    session, engine = fake()

    async def main() -> list[int]:
        run = session.open(queue_depth=8)
        for place in range(5):
            run.push(X + place)
        for _ in range(20):
            with pytest.raises(TimeoutError):
                await asyncio.wait_for(run.apull(), 0.0001)
        engine.open()
        run.close_input()
        return [number(sample) async for sample in run]

    with asyncio.Runner(loop_factory=Unwatching) as runner:
        assert runner.run(main()) == [0, 1, 2, 3, 4]


def test_async_iteration_and_pulls_that_give_up(fake: Make) -> None:
    session, engine = fake()

    async def main() -> list[int]:
        run = session.open(queue_depth=8)
        for _ in range(20):
            with pytest.raises(TimeoutError):
                await asyncio.wait_for(run.apull(), 0)
        for place in range(5):
            run.push(X + place)
        engine.open()
        seen = [number(await run.apull())]
        run.close_input()
        seen += [number(sample) async for sample in run]
        with pytest.raises(headway.EndOfStream):
            await run.apull()
        return seen

    assert asyncio.run(main()) == [0, 1, 2, 3, 4]


def test_several_tasks_and_threads_pull(fake: Make) -> None:
    session, engine = fake(workers=2)
    run = session.open(queue_depth=4)

    async def main() -> list[int]:
        async def consume() -> list[int]:
            return [number(sample) async for sample in run]

        return list(itertools.chain.from_iterable(await asyncio.gather(*(consume() for _ in range(3)))))

    loops = [started(asyncio.run, main()) for _ in range(2)]
    plain = started(lambda: [number(sample) for sample in run])
    engine.open()
    for place in range(300):
        run.push(X + place)
    run.close_input()
    got: list[int] = []
    for thread, ended in [*loops, plain]:
        thread.join(PATIENCE)
        got += ended[0]
    assert sorted(got) == list(range(300))


def test_push_never_blocks_a_loop(fake: Make) -> None:
    session, engine = fake(submit_timeout=None)
    run = session.open(queue_depth=1)

    async def main() -> None:
        run.push(X)
        await asyncio.to_thread(engine.wait_running, 1)
        run.push(X)
        with pytest.raises(headway.QueueFull):
            run.push(X)

    asyncio.run(main())
    run.stop()
    engine.open()


@pytest.mark.parametrize("workers", [1, 2])
def test_ten_thousand_frames_through_depth_4(workers: int, fake: Make) -> None:
    session, _ = fake(held=False, workers=workers)
    with session.open(queue_depth=4) as run:

        def produce() -> None:
            for place in range(10_000):
                run.push({"x": X + place})
            run.close_input()

        thread, ended = started(produce)
        pulled = [number(sample) for sample in run]
        thread.join(PATIENCE)
    assert ended == [None]
    assert pulled == list(range(10_000))
    assert str(run.tally) == "pushed=10000 pulled=10000 dropped=0 failed=0"
    assert assert_conserved(session).done == 10_000
