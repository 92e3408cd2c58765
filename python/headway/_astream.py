"""Streams for ``async for``: feeds from any iterable, also an asynchronous one."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import AsyncIterable, AsyncIterator, Callable, Iterable
from typing import TYPE_CHECKING, Any

from headway._delivery import await_future
from headway._stream import Gaps, OnError, check_options

if TYPE_CHECKING:
    from headway._core import InferenceFuture

Submit = Callable[[Any], "InferenceFuture"]


async def _asynchronous(feeds: Iterable[Any]) -> AsyncIterator[Any]:
    for feed in feeds:
        yield feed


class _Window:
    """Requests in flight, as tasks that wait for them."""

    def __init__(self, submit: Submit, ordered: bool) -> None:
        self._submit = submit
        self._ordered = ordered
        self._tasks: deque[asyncio.Future[Any]] = deque()

    def __len__(self) -> int:
        return len(self._tasks)

    def enter(self, feed: Any) -> None:
        """Submits a feed. A wrong one fails in its place."""
        try:
            task: asyncio.Future[Any] = asyncio.ensure_future(await_future(self._submit(feed)))
        except Exception as error:
            task = asyncio.get_running_loop().create_future()
            task.set_exception(error)
        self._tasks.append(task)

    def ready(self) -> bool:
        """True when one can be taken without waiting."""
        head = list(self._tasks)[:1] if self._ordered else self._tasks
        return any(task.done() for task in head)

    async def take(self) -> asyncio.Future[Any]:
        """The next one that has ended: the oldest, or any when order does not matter."""
        if self._ordered:
            await asyncio.wait([self._tasks[0]])
            return self._tasks.popleft()
        done, _ = await asyncio.wait(self._tasks, return_when=asyncio.FIRST_COMPLETED)
        first = next(task for task in self._tasks if task in done)
        self._tasks.remove(first)
        return first

    async def cancel(self) -> None:
        """Cancels what is left and waits until it is."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        self._tasks.clear()


async def astream(
    feeds: Iterable[Any] | AsyncIterable[Any], submit: Submit, depth: int, ordered: bool, on_error: OnError
) -> AsyncIterator[Any]:
    """The results, with ``depth`` requests ahead. Leaving it cancels what it had submitted."""
    check_options(depth, on_error)
    source = feeds if isinstance(feeds, AsyncIterable) else _asynchronous(feeds)
    feed_of = aiter(source)
    window = _Window(submit, ordered)
    gaps = Gaps()
    source_error: BaseException | None = None
    open_source = True
    try:
        while open_source or len(window):
            # As in Stream._look_ahead: at least one feed, then only while there is nothing to give.
            first = True
            while open_source and len(window) < depth and (first or not window.ready()):
                first = False
                try:
                    window.enter(await anext(feed_of))
                except StopAsyncIteration:
                    open_source = False
                except Exception as error:
                    open_source, source_error = False, error
            if not len(window):
                break
            item = await window.take()
            for given in gaps.pass_on(item.exception() or item.result()):
                if isinstance(given, BaseException) and on_error == "raise":
                    raise given
                yield given
        for given in gaps.rest():
            if on_error == "raise":
                raise given
            yield given
        if source_error is not None:
            raise source_error
    finally:
        await window.cancel()
