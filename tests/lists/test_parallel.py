"""`run_parallel` and `arun_parallel`: a list in, the answers in its order out."""

from __future__ import annotations

import asyncio
import signal
import threading
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest

import headway
from headway.testing import ManualClock

from ..conftest import Make
from ..support import PATIENCE, X, assert_conserved, until

pytestmark = pytest.mark.timeout(30)

ROOM = [("block", 4), ("block", 1), ("raise", 1), ("drop_oldest", 1), ("drop_newest", 1)]


def plain(session: headway.InferenceSession, feeds: Any, **options: Any) -> Any:
    return session.run_parallel(feeds, **options)


def looped(session: headway.InferenceSession, feeds: Any, **options: Any) -> Any:
    return asyncio.run(session.arun_parallel(feeds, **options))


both = pytest.mark.parametrize("call", [plain, looped])


@both
@pytest.mark.parametrize(("overflow", "depth"), ROOM)
def test_in_order_under_every_policy(call: Any, overflow: str, depth: int, fake: Make) -> None:
    session, _ = fake(held=False, workers=2, overflow=overflow, queue_depth=depth)
    results = call(session, (X + number for number in range(200)))
    assert [float(result[0][0, 0]) for result in results] == list(range(200))
    stats = assert_conserved(session)
    assert (stats.done, stats.dropped, stats.rejected) == (200, {}, 0)


@both
def test_nothing_gives_nothing(call: Any, fake: Make) -> None:
    session, _ = fake()
    assert call(session, []) == []
    assert session.stats().submitted == 0


@both
def test_output_names(call: Any, fake: Make) -> None:
    session, _ = fake(held=False)
    assert call(session, [X], output_names=["y"])[0][0].tolist() == X.tolist()
    with pytest.raises(headway.InputError):
        call(session, [X], output_names=["z"])


@both
@pytest.mark.parametrize("limit", [0, -1, 2.0, True])
def test_max_concurrency_that_makes_no_sense(call: Any, limit: Any, fake: Make) -> None:
    session, _ = fake()
    with pytest.raises(ValueError, match="max_concurrency"):
        call(session, [X], max_concurrency=limit)


class Counting:
    """A callable model that counts how many calls of it run at once, and holds each until `open` is set."""

    def __init__(self, expected: int) -> None:
        self.open = threading.Event()
        self.full = threading.Event()
        self.running = self.most = 0
        self._expected = expected
        self._lock = threading.Lock()

    def __call__(self, feed: dict[str, Any]) -> list[Any]:
        with self._lock:
            self.running += 1
            self.most = max(self.most, self.running)
            if self.running == self._expected:
                self.full.set()
        assert self.open.wait(PATIENCE)
        with self._lock:
            self.running -= 1
        return [feed["x"]]


@both
@pytest.mark.parametrize("limit", [1, 2, 3])
def test_at_most_so_many_at_once(call: Any, limit: int, leaks: None) -> None:
    model = Counting(limit)
    with headway.InferenceSession(model, inputs=["x"], outputs=["y"], workers=4) as session:
        answers: list[Any] = []
        thread = threading.Thread(
            target=lambda: answers.append(call(session, [X] * 20, max_concurrency=limit)), daemon=True
        )
        thread.start()
        assert model.full.wait(PATIENCE), "as many as allowed run at once"
        model.open.set()
        thread.join(PATIENCE)
        assert len(answers[0]) == 20
        assert model.most == limit


@both
def test_several_at_once_under_the_latency_hint(call: Any, fake: Make) -> None:
    session, engine = fake(workers=None, hint="latency")
    thread = threading.Thread(target=lambda: call(session, [X] * 8))
    thread.start()
    engine.wait_running(min(2, headway._core.usable_cores()))
    engine.open()
    thread.join(PATIENCE)
    assert assert_conserved(session).done == 8


@both
def test_the_first_error_cancels_the_rest(call: Any, fake: Make) -> None:
    session, engine = fake(workers=1, queue_depth=16)
    engine.fail_nth(1, "told to fail")
    thread = threading.Thread(target=engine.release, args=(2,))
    thread.start()
    with pytest.raises(headway.EngineError, match="told to fail"):
        call(session, [X] * 8, max_concurrency=8)
    thread.join()
    until(lambda: session.stats().running == 0, "the lane is free")
    stats = assert_conserved(session)
    assert (stats.done, stats.failed, stats.waiting) == (1, 1, 0)
    assert stats.cancelled == stats.submitted - 2
    engine.open()
    assert session.run(None, X)[0].tolist() == X.tolist()


@both
def test_a_wrong_feed_cancels_the_rest(call: Any, fake: Make) -> None:
    session, _ = fake()
    with pytest.raises(headway.InputError):
        call(session, [X, {"x": np.zeros(3, np.int64)}])
    assert assert_conserved(session).cancelled == 1


@both
def test_a_source_that_raises_cancels_the_rest(call: Any, fake: Make) -> None:
    session, _ = fake()

    def feeds() -> Iterator[Any]:
        yield X
        raise KeyError("mine")

    with pytest.raises(KeyError, match="mine"):
        call(session, feeds())
    assert assert_conserved(session).cancelled == 1


@both
def test_one_deadline_for_the_whole_list(call: Any, fake: Make) -> None:
    clock = ManualClock()
    session, engine = fake(clock=clock, queue_depth=16, workers=2)
    ended: list[BaseException] = []

    def work() -> None:
        try:
            call(session, [X] * 3, timeout=5.0)
        except headway.DeadlineExceeded as error:
            ended.append(error)

    thread = threading.Thread(target=work)
    thread.start()
    engine.wait_running(1)
    until(lambda: session.stats().submitted == 3, "all are submitted")
    clock.advance(6.0)
    thread.join(PATIENCE)
    assert len(ended) == 1
    stats = assert_conserved(session)
    assert (stats.expired, stats.waiting, stats.running) == (3, 0, 0)


@both
def test_a_deadline_that_has_passed(call: Any, fake: Make) -> None:
    session, _ = fake()
    with pytest.raises(headway.DeadlineExceeded):
        call(session, (X for _ in range(1000)), timeout=0)
    stats = assert_conserved(session)
    # What is read of the list before the first answer is bounded.
    assert 1 <= stats.expired + stats.cancelled == stats.submitted <= 16


def test_interrupted(fake: Make) -> None:
    session, engine = fake(workers=1, queue_depth=16)

    def interrupt() -> None:
        engine.wait_running(1)
        signal.pthread_kill(threading.main_thread().ident or 0, signal.SIGINT)

    thread = threading.Thread(target=interrupt)
    thread.start()
    with pytest.raises(KeyboardInterrupt):
        session.run_parallel([X] * 4)
    thread.join()
    until(lambda: session.stats().running == 0, "the lane is free")
    stats = assert_conserved(session)
    assert stats.cancelled == stats.submitted


def test_cancelling_the_task_cancels_the_list(fake: Make) -> None:
    session, engine = fake(workers=1, queue_depth=16)

    async def main() -> None:
        task = asyncio.ensure_future(session.arun_parallel([X] * 4))
        await asyncio.to_thread(engine.wait_running, 1)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task

    asyncio.run(main())
    stats = assert_conserved(session)
    assert stats.cancelled == stats.submitted
    assert (stats.waiting, stats.running) == (0, 0)


def test_the_loop_turns_meanwhile(fake: Make) -> None:
    session, engine = fake(workers=1)

    async def main() -> list[Any]:
        task = asyncio.ensure_future(session.arun_parallel([X] * 50))
        await asyncio.to_thread(engine.wait_running, 1)
        assert not task.done()
        engine.open()
        return await task

    assert len(asyncio.run(main())) == 50
