"""Streams for ``async for``: feeds from any iterable, also an asynchronous one."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import AsyncGenerator, AsyncIterable, AsyncIterator, Callable, Iterable
from contextlib import aclosing, suppress
from functools import partial
from typing import TYPE_CHECKING, Any

from headway._delivery import await_future
from headway._errors import SessionClosed
from headway._stream import Gaps, OnError

if TYPE_CHECKING:
    from headway._core import InferenceFuture

Submit = Callable[[Any, Callable[["InferenceFuture"], object]], "InferenceFuture"]


async def _asynchronous(feeds: Iterable[Any]) -> AsyncIterator[Any]:
    for feed in feeds:
        yield feed
        # A source that computes holds the loop up: between two feeds, results that are there may go out.
        await asyncio.sleep(0)


def _let_go(future: InferenceFuture, task: asyncio.Future[Any]) -> None:
    """A task that is cancelled before its first step never gets to cancel its request."""
    if task.cancelled():
        # At exit, and in a forked child, there is nothing to cancel any more, and a loop would print the error.
        with suppress(SessionClosed):
            future.cancel()


class _Window:
    """Requests in flight, as tasks that wait for them; a task of its own reads the feeds while there is room.

    Reading goes on while a result is waited for: a live source gets its answer before it gives the next feed.
    """

    def __init__(self, submit: Submit, depth: int, ordered: bool) -> None:
        self._submit = submit
        self._depth = depth
        self._ordered = ordered
        self._tasks: deque[asyncio.Future[Any]] = deque()
        #: What was submitted and has no task yet.
        self._entering: list[InferenceFuture] = []
        self._room = asyncio.Event()
        self._news = asyncio.Event()
        #: What the source raised.
        self.source_error: Exception | None = None

    def __len__(self) -> int:
        return len(self._tasks)

    async def read(self, feeds: Iterable[Any] | AsyncIterable[Any]) -> None:
        """Submits what the source gives, until it ends."""
        try:
            source = aiter(feeds) if isinstance(feeds, AsyncIterable) else _asynchronous(feeds)
            while True:
                while len(self) >= self._depth:
                    self._room.clear()
                    await self._room.wait()
                self._enter(await anext(source))
        except StopAsyncIteration:
            pass
        except Exception as error:
            self.source_error = error
        finally:
            self._news.set()

    def _enter(self, feed: Any) -> None:
        before = len(self._tasks)
        try:
            self._tasks.append(self._task(feed))
        except BaseException:
            # A signal's handler raised it: without a task nobody waits for this request.
            if len(self._tasks) == before:
                for future in self._entering:
                    future.cancel()
            raise
        finally:
            self._entering.clear()

    def _task(self, feed: Any) -> asyncio.Future[Any]:
        try:
            future = self._submit(feed, self._entering.append)
        except Exception as error:
            if self._entering:
                raise
            # A wrong feed fails in its place; the others go on.
            task = asyncio.get_running_loop().create_future()
            task.set_exception(error)
        else:
            task = asyncio.ensure_future(await_future(future))
            task.add_done_callback(partial(_let_go, future))
        task.add_done_callback(lambda _: self._news.set())
        return task

    def pop(self) -> asyncio.Future[Any] | None:
        """One that has ended: the oldest, or any when order does not matter. None when there is none yet."""
        for task in self._tasks:
            if task.done():
                self._tasks.remove(task)
                self._room.set()
                return task
            if self._ordered:
                break
        return None

    async def changed(self) -> None:
        """Waits until something has ended, or the source has."""
        await self._news.wait()
        self._news.clear()

    async def cancel(self, reader: asyncio.Task[None]) -> None:
        """Cancels what is left and waits until it is."""
        reader.cancel()
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(reader, *self._tasks, return_exceptions=True)
        self._tasks.clear()


async def _items(window: _Window, reader: asyncio.Task[None]) -> AsyncGenerator[Any, None]:
    """Outputs and errors as they end, dropped neighbours as one; then what the source raised."""
    gaps = Gaps()
    while True:
        # The reader submits before the consumer computes.
        await asyncio.sleep(0)
        item = window.pop()
        if item is not None:
            for given in gaps.pass_on(item.exception() or item.result()):
                yield given
        elif reader.done() and not len(window):
            break
        else:
            await window.changed()
    for given in gaps.rest():
        yield given
    # A source that was cancelled cancels whoever reads it.
    await reader
    if window.source_error is not None:
        raise window.source_error


async def astream(
    feeds: Iterable[Any] | AsyncIterable[Any], submit: Submit, depth: int, ordered: bool, on_error: OnError
) -> AsyncGenerator[Any, None]:
    """The results, with ``depth`` requests ahead. Leaving it cancels what it had submitted."""
    window = _Window(submit, depth, ordered)
    reader = asyncio.ensure_future(window.read(feeds))
    try:
        async with aclosing(_items(window, reader)) as items:
            async for given in items:
                if isinstance(given, BaseException) and on_error == "raise":
                    raise given
                yield given
    finally:
        await window.cancel(reader)
