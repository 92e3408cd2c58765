"""Delivery into Python: the thread that calls callbacks, and the bells of event loops."""

from __future__ import annotations

import _thread
import weakref
from contextlib import suppress
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import asyncio
    from collections.abc import Awaitable, Callable

    from headway._core import Bell, Deliveries, Flow, InferenceFuture
    from headway._sample import Pulled


class Watch:
    """Says once of each callback that it was slow: callbacks run one after the other, and lanes wait for them."""

    def __init__(self) -> None:
        self._said: set[str] = set()

    def look(self, callback: object, seconds: float) -> None:
        """``callback`` took that long."""
        name = getattr(callback, "__qualname__", None) or repr(callback)
        if name not in self._said:
            self._said.add(name)
            from headway._log import logger

            logger.warning("the callback %s took %.1f s; a session's callbacks run one by one", name, seconds)


# `threading.local`, without the module: a program that imports headway alone need not load it.
_local = _thread._local()


def delivers() -> bool:
    """True on a delivery thread."""
    return getattr(_local, "delivers", False)


def deliver(deliveries: Deliveries) -> None:
    """The delivery thread: calls one callback after the other, until there will be none any more."""
    _local.delivers = True
    callback: Any
    args: Any
    for callback, args in deliveries:
        try:
            callback(*args)
        except BaseException as raised:
            deliveries.report(callback, raised)
            raised.__traceback__ = None
        # Before the request counts as delivered, nothing of it is held here any more.
        callback = args = None


#: How often a Run is looked at by a loop that cannot watch a descriptor, in seconds.
POLL = 0.002


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
        rung = [self.waiting.pop(number, None) for number in self.bell.answer()]
        _resolve([waiter for waiter in rung if waiter is not None and not waiter.done()])

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


def _resolve(waiters: list[asyncio.Future[None]]) -> None:
    """Resolves them, and goes on with the tasks that wait for them: a turn of the loop for each would cost more."""
    waiters.reverse()
    try:
        while waiters:
            waiter = waiters.pop()
            if waiter.done():
                continue
            try:
                told: Any = waiter._callbacks
                [(wake, context)] = told
                run = context.run
            except (AttributeError, TypeError, ValueError):
                # It is private: None or longer where not one task waits, missing or of another shape elsewhere.
                waiter.set_result(None)
                continue
            mine = waiter.remove_done_callback(wake) == 1
            waiter.set_result(None)
            if mine:
                run(wake, waiter)
    finally:
        if waiters:
            waiters.reverse()
            waiters[0].get_loop().call_soon(_resolve, waiters)


_bells: weakref.WeakKeyDictionary[asyncio.AbstractEventLoop, LoopBell | None] = weakref.WeakKeyDictionary()


def _nothing() -> None:
    """What is remembered before there was a bell."""


#: The last loop and its bell: looking into the dictionary costs as much as all the rest of a submission.
_last: tuple[Callable[[], asyncio.AbstractEventLoop | None], Callable[[], LoopBell | None]] = (
    _nothing,
    _nothing,
)


def _running_loop() -> asyncio.AbstractEventLoop:
    """``asyncio.get_running_loop``, looked up once: importing headway must not import asyncio."""
    global _running_loop
    from asyncio import get_running_loop

    _running_loop = get_running_loop
    return get_running_loop()


def _bell_of(loop: asyncio.AbstractEventLoop) -> LoopBell | None:
    """The loop's bell; None when the loop cannot watch a descriptor (the Windows proactor loop)."""
    global _last
    try:
        bell = _bells[loop]
    except KeyError:
        from headway._core import Bell

        try:
            bell = LoopBell(loop, Bell())
        except (NotImplementedError, OSError):
            bell = None
        _bells[loop] = bell
    if bell is not None:
        _last = weakref.ref(loop), weakref.ref(bell)
    return bell


def waiter_of(future: InferenceFuture, admitted: bool = False) -> Awaitable[None] | None:
    """What is resolved once the request is admitted (when ``admitted``), or has ended; None when that is past.

    Every request ends, also one whose task was cancelled: its ring takes the number out of ``waiting`` again.
    """
    loop = _running_loop()
    last, bell_of_last = _last
    bell = bell_of_last() if last() is loop else None
    if bell is None and (bell := _bell_of(loop)) is None:
        return _told(future)
    bell.next = number = bell.next + 1
    if not future._subscribe(bell.bell, number, admitted):
        return None
    # A ring before this line is answered by this thread, later.
    bell.waiting[number] = waiter = loop.create_future()
    return waiter


async def _told(future: InferenceFuture) -> None:
    """Waits without a bell: the delivery thread tells the loop. Admission has no callback, so it means the end here."""
    loop = _running_loop()
    waiter = loop.create_future()

    def resolve() -> None:
        if not waiter.done():
            waiter.set_result(None)

    def tell(_: object) -> None:
        # A task that was cancelled does not wait for this: its loop may be closed by now.
        with suppress(RuntimeError):
            loop.call_soon_threadsafe(resolve)

    future.add_done_callback(tell)
    await waiter


async def await_future(future: InferenceFuture) -> list[Any]:
    """The outputs of a request. Cancelling the awaiting task cancels the request."""
    try:
        if (waiter := waiter_of(future)) is not None:
            await waiter
    except BaseException:
        future.cancel()
        raise
    return future.result()


async def await_admission(future: InferenceFuture) -> InferenceFuture:
    """The same future, once it has a ticket. Raises what refused it."""
    try:
        if (waiter := waiter_of(future, True)) is not None:
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
        try:
            return flow.pull(0)
        except TimeoutError:
            pass
        if bell is not None:
            await bell.wait_output(flow)
        else:
            from asyncio import sleep

            # Not `pull` on a thread: when the task is cancelled, what that takes is lost.
            await sleep(POLL)
