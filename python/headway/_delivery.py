"""Delivery into Python: the thread that calls callbacks, and the bells of event loops."""

from __future__ import annotations

import threading
import time
import weakref
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import asyncio
    from collections.abc import Callable

    from headway._core import Bell, Deliveries, Flow, InferenceFuture
    from headway._sample import Pulled


#: Seconds after which a callback is called slow, once for each of them.
SLOW_CALLBACK = 1.0


class _Watch:
    """Says once of each callback that it was slow: callbacks run one after the other, and lanes wait for them."""

    def __init__(self) -> None:
        self._said: set[str] = set()

    def look(self, callback: object, seconds: float) -> None:
        if seconds < SLOW_CALLBACK:
            return
        name = getattr(callback, "__qualname__", None) or repr(callback)
        if name not in self._said:
            self._said.add(name)
            from headway._log import logger

            logger.warning("the callback %s took %.1f s; a session's callbacks run one by one", name, seconds)


_thread = threading.local()


def delivers() -> bool:
    """True on a delivery thread."""
    return getattr(_thread, "delivers", False)


def deliver(deliveries: Deliveries) -> None:
    """The delivery thread: calls the callbacks of one request after the other, until there will be none any more."""
    _thread.delivers = True
    watch = _Watch()
    while True:
        batch = deliveries.next()
        if batch is None:
            return
        while batch:
            calls: Any = batch.pop(0)
            failed = False
            callback: Any
            args: Any
            for callback, args in calls:
                started = time.monotonic()
                try:
                    callback(*args)
                except BaseException as raised:
                    failed = True
                    deliveries.report(callback, raised)
                    raised.__traceback__ = None
                watch.look(callback, time.monotonic() - started)
            # Before the request counts as delivered, nothing of it is held here any more.
            calls = callback = args = None
            deliveries.returned(failed)


class LoopBell:
    """One event loop's bell: a whole batch of endings wakes the loop once."""

    def __init__(self, loop: asyncio.AbstractEventLoop, bell: Bell) -> None:
        self.bell = bell
        self.next = 0
        self.waiting: dict[int, asyncio.Future[None]] = {}
        loop.add_reader(bell.fileno(), self.answer)

    def answer(self) -> None:
        """Resolves what was rung for."""
        for number in self.bell.answer():
            waiter = self.waiting.pop(number, None)
            if waiter is not None and not waiter.done():
                waiter.set_result(None)

    async def wait(self, future: InferenceFuture, loop: asyncio.AbstractEventLoop, admitted: bool) -> None:
        """Waits until the request is admitted, or until it ends."""
        await self.wait_for(lambda number: future._subscribe(self.bell, number, admitted), loop)

    async def wait_output(self, flow: Flow, loop: asyncio.AbstractEventLoop) -> None:
        """Waits until a Run's flow has an output or is over."""
        number = self.next + 1
        try:
            await self.wait_for(lambda number: flow.subscribe(self.bell, number), loop)
        finally:
            # A flow may have no output for ever; what nobody waits for any more is forgotten.
            flow.unsubscribe(self.bell, number)

    async def wait_for(self, subscribe: Callable[[int], bool], loop: asyncio.AbstractEventLoop) -> None:
        """Waits until the bell rings for what ``subscribe(number)`` asked it to; it says whether it will."""
        self.next += 1
        number = self.next
        waiter = self.waiting[number] = loop.create_future()
        try:
            if subscribe(number):
                await waiter
        finally:
            self.waiting.pop(number, None)


_bells: weakref.WeakKeyDictionary[asyncio.AbstractEventLoop, LoopBell | None] = weakref.WeakKeyDictionary()


def _bell_of(loop: asyncio.AbstractEventLoop) -> LoopBell | None:
    """The loop's bell; None when the loop cannot watch a descriptor (the Windows proactor loop)."""
    try:
        return _bells[loop]
    except KeyError:
        pass
    from headway._core import Bell

    try:
        bell: LoopBell | None = LoopBell(loop, Bell())
    except (NotImplementedError, OSError):
        bell = None
    _bells[loop] = bell
    return bell


async def _wait(future: InferenceFuture, admitted: bool) -> None:
    import asyncio

    loop = asyncio.get_running_loop()
    bell = _bell_of(loop)
    if bell is not None:
        await bell.wait(future, loop, admitted)
        return
    # Without a bell the delivery thread tells the loop; admission has no callback, so it means the end here.
    waiter = loop.create_future()

    def resolve() -> None:
        if not waiter.done():
            waiter.set_result(None)

    def tell(_: object) -> None:
        loop.call_soon_threadsafe(resolve)

    future.add_done_callback(tell)
    await waiter


async def await_future(future: InferenceFuture) -> list[Any]:
    """The outputs of a request. Cancelling the awaiting task cancels the request."""
    if not future.done():
        try:
            await _wait(future, False)
        except BaseException:
            future.cancel()
            raise
    return future.result()


async def await_admission(future: InferenceFuture) -> InferenceFuture:
    """The same future, once it has a ticket. Raises what refused it."""
    try:
        await _wait(future, True)
    except BaseException:
        future.cancel()
        raise
    future._raise_refusal()
    return future


async def await_output(flow: Flow) -> Pulled:
    """The next output of a Run's flow. Raises EndOfStream at the end."""
    import asyncio

    loop = asyncio.get_running_loop()
    bell = _bell_of(loop)
    while True:
        if bell is None:
            try:
                return await asyncio.to_thread(flow.pull, 0.05)
            except TimeoutError:
                continue
        try:
            return flow.pull(0)
        except TimeoutError:
            await bell.wait_output(flow, loop)
