"""Delivery into Python: the thread that calls callbacks, and the bells of event loops."""

from __future__ import annotations

import threading
import time
import weakref
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import asyncio

    from headway._core import Bell, Deliveries, Flow, InferenceFuture
    from headway._sample import Pulled


#: Seconds after which a callback is called slow, once for each of them.
SLOW_CALLBACK = 1.0


class _Watch:
    """Says once of each callback that it was slow: callbacks run one after the other, and lanes wait for them."""

    def __init__(self) -> None:
        self._said: set[str] = set()

    def look(self, callback: object, seconds: float) -> None:
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
    watch, clock = _Watch(), time.monotonic
    while True:
        batch = deliveries.next()
        if batch is None:
            return
        started = clock()
        while batch:
            calls: Any = batch.pop(0)
            failed = False
            callback: Any
            args: Any
            for callback, args in calls:
                try:
                    callback(*args)
                except BaseException as raised:
                    failed = True
                    deliveries.report(callback, raised)
                    raised.__traceback__ = None
                ended = clock()
                if ended - started >= SLOW_CALLBACK:
                    watch.look(callback, ended - started)
                started = ended
            # Before the request counts as delivered, nothing of it is held here any more.
            calls = callback = args = None
            deliveries.returned(failed)


class LoopBell:
    """One event loop's bell: a whole batch of endings wakes the loop once."""

    def __init__(self, loop: asyncio.AbstractEventLoop, bell: Bell) -> None:
        self.bell = bell
        self.loop = weakref.ref(loop)
        self.next = 0
        self.waiting: dict[int, asyncio.Future[None]] = {}
        loop.add_reader(bell.fileno(), self.answer)

    def answer(self) -> None:
        """Resolves what was rung for."""
        for number in self.bell.answer():
            waiter = self.waiting.pop(number, None)
            if waiter is not None and not waiter.done():
                waiter.set_result(None)

    def subscribe(self, future: InferenceFuture, admitted: bool) -> asyncio.Future[None] | None:
        """What is resolved once the request is admitted, or has ended; None when that is past.

        Every request ends, also one whose task was cancelled: its ring takes the number out of ``waiting`` again.
        """
        self.next = number = self.next + 1
        waiter = self.waiting[number] = _running_loop().create_future()
        if future._subscribe(self.bell, number, admitted):
            return waiter
        del self.waiting[number]
        return None

    async def wait_output(self, flow: Flow) -> None:
        """Waits until a Run's flow has an output or is over."""
        self.next = number = self.next + 1
        waiter = self.waiting[number] = _running_loop().create_future()
        try:
            if flow.subscribe(self.bell, number):
                await waiter
        finally:
            # A flow may have no output for ever; what nobody waits for any more is forgotten.
            self.waiting.pop(number, None)
            flow.unsubscribe(self.bell, number)


_bells: weakref.WeakKeyDictionary[asyncio.AbstractEventLoop, LoopBell | None] = weakref.WeakKeyDictionary()


def _nothing() -> None:
    """What a thread without a bell remembers."""


def _running_loop() -> asyncio.AbstractEventLoop:
    """``asyncio.get_running_loop``, looked up once: importing headway must not import asyncio."""
    global _running_loop
    from asyncio import get_running_loop

    _running_loop = get_running_loop
    return get_running_loop()


def _bell_of(loop: asyncio.AbstractEventLoop) -> LoopBell | None:
    """The loop's bell; None when the loop cannot watch a descriptor (the Windows proactor loop)."""
    # The thread's last one first: the dictionary's look costs as much as all the rest of a submission.
    last: LoopBell | None = getattr(_thread, "bell", _nothing)()
    if last is not None and last.loop() is loop:
        return last
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
    if bell is not None:
        _thread.bell = weakref.ref(bell)
    return bell


async def _told(future: InferenceFuture) -> None:
    """Waits without a bell: the delivery thread tells the loop. Admission has no callback, so it means the end here."""
    loop = _running_loop()
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
            # No coroutine of its own for what most requests go through.
            bell = _bell_of(_running_loop())
            if bell is None:
                await _told(future)
            elif (waiter := bell.subscribe(future, False)) is not None:
                await waiter
        except BaseException:
            future.cancel()
            raise
    return future.result()


async def await_admission(future: InferenceFuture) -> InferenceFuture:
    """The same future, once it has a ticket. Raises what refused it."""
    try:
        bell = _bell_of(_running_loop())
        if bell is None:
            await _told(future)
        elif (waiter := bell.subscribe(future, True)) is not None:
            await waiter
    except BaseException:
        future.cancel()
        raise
    future._raise_refusal()
    return future


async def await_output(flow: Flow) -> Pulled:
    """The next output of a Run's flow. Raises EndOfStream at the end."""
    bell = _bell_of(_running_loop())
    while True:
        if bell is None:
            import asyncio

            try:
                return await asyncio.to_thread(flow.pull, 0.05)
            except TimeoutError:
                continue
        try:
            return flow.pull(0)
        except TimeoutError:
            await bell.wait_output(flow)
