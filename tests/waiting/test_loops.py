"""Awaiting from every kind of event loop."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable
from functools import partial
from typing import Any

import pytest
import uvloop

import headway

from ..conftest import Make
from ..support import PATIENCE, X, assert_conserved, until

pytestmark = pytest.mark.timeout(30)


class NoReaders(asyncio.SelectorEventLoop):
    """Like Windows' proactor loop: it cannot watch a descriptor that it does not own."""

    def add_reader(self, fd: Any, callback: Any, *args: Any) -> None:  # type: ignore[override]
        if fd is not self._ssock and fd != self._ssock.fileno():  # type: ignore[attr-defined]
            raise NotImplementedError
        super().add_reader(fd, callback, *args)


LOOPS: dict[str, Callable[[], asyncio.AbstractEventLoop]] = {
    "asyncio": asyncio.SelectorEventLoop,
    "uvloop": uvloop.new_event_loop,
    "no add_reader": NoReaders,
}


class Bare(asyncio.Future[Any]):
    """A future that keeps its callbacks to itself, as one of another implementation may."""

    @property
    def _callbacks(self) -> Any:
        raise AttributeError("_callbacks")


class Functions(asyncio.Future[Any]):
    """One whose callbacks are kept without their contexts."""

    @property
    def _callbacks(self) -> Any:
        return [call for call, _ in super()._callbacks or ()]  # type: ignore[attr-defined]


class Swapped(asyncio.Future[Any]):
    """One whose pairs are the other way round."""

    @property
    def _callbacks(self) -> Any:
        return [(context, call) for call, context in super()._callbacks or ()]  # type: ignore[attr-defined]


class Wrapped(asyncio.Future[Any]):
    """One that shows its callbacks in a form in which they cannot be removed."""

    @property
    def _callbacks(self) -> Any:
        return [(partial(call), context) for call, context in super()._callbacks or ()]  # type: ignore[attr-defined]


def with_futures(kind: type[asyncio.Future[Any]]) -> Callable[[], asyncio.AbstractEventLoop]:
    class Loop(asyncio.SelectorEventLoop):
        def create_future(self) -> asyncio.Future[Any]:
            return kind(loop=self)

    return Loop


@pytest.fixture(autouse=True, scope="module")
def warm() -> None:
    """What uvloop keeps for the process is no leak of ours."""
    uvloop.new_event_loop().close()
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(asyncio.sleep(0))


async def everything(session: headway.InferenceSession) -> None:
    results = await asyncio.gather(*(session.arun(None, X + place) for place in range(20)))
    assert [int(result[0][0, 0]) for result in results] == list(range(20))
    future = await session.asubmit(X + 5)
    assert int((await future)[0][0, 0]) == 5
    assert [int(item[0][0, 0]) async for item in session.astream(X + place for place in range(20))] == list(
        range(20)
    )
    assert len(await session.arun_parallel([X] * 7)) == 7
    run = session.open()
    for place in range(4):
        run.push(X + place)
    run.close_input()
    assert [int(sample.data["y"][0, 0]) async for sample in run] == [0, 1, 2, 3]


@pytest.mark.parametrize("name", LOOPS)
def test_every_convention(name: str, fake: Make) -> None:
    session, _ = fake(held=False, queue_depth=32)
    with asyncio.Runner(loop_factory=LOOPS[name]) as runner:
        runner.run(everything(session))
    session.close()
    stats = assert_conserved(session)
    assert (stats.done, stats.cancelled) == (52, 0)


@pytest.mark.parametrize("kind", [Bare, Functions, Swapped, Wrapped])
def test_futures_that_are_not_as_asyncios_own(kind: type[asyncio.Future[Any]], fake: Make) -> None:
    session, _ = fake(held=False, queue_depth=32)
    with asyncio.Runner(loop_factory=with_futures(kind)) as runner:
        runner.run(asyncio.wait_for(everything(session), PATIENCE))


def test_several_kinds_of_loops_at_once(fake: Make) -> None:
    session, _ = fake(held=False, workers=2, queue_depth=128)
    wrong: list[BaseException] = []

    def drive(factory: Callable[[], asyncio.AbstractEventLoop]) -> None:
        try:
            with asyncio.Runner(loop_factory=factory) as runner:
                runner.run(everything(session))
        except BaseException as error:
            wrong.append(error)

    threads = [
        threading.Thread(target=drive, args=(factory,)) for factory in LOOPS.values() for _ in range(2)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(PATIENCE)
    assert not wrong
    # A loop that cannot watch a descriptor is woken by a callback, which may still be on its way out.
    session.close()
    assert assert_conserved(session).done == 6 * 52


@pytest.mark.parametrize("name", LOOPS)
def test_cancelling_the_task_cancels_the_request(name: str, fake: Make) -> None:
    session, engine = fake()

    async def main() -> None:
        task = asyncio.ensure_future(session.arun(None, X))
        await asyncio.to_thread(engine.wait_running, 1)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task

    with asyncio.Runner(loop_factory=LOOPS[name]) as runner:
        runner.run(main())
    # Without add_reader the delivery thread tells, and the task does not wait for it.
    until(lambda: assert_conserved(session).cancelled == 1, "the request's end")
