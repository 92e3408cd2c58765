"""Waiting for any of several futures: one bell for all, read by the thread that waits."""

from __future__ import annotations

import itertools
import select
import threading
import time
from collections.abc import Iterable
from types import TracebackType
from typing import TYPE_CHECKING, Self

if TYPE_CHECKING:
    from headway._core import InferenceFuture


#: How often a waiting main thread looks for signals, in seconds: as in the native waits.
SIGNAL_TICK = 0.05


def ended_with(future: InferenceFuture, error: BaseException) -> bool:
    """True when ``error``, which ``future.result()`` has just raised, is how the request ended.

    A signal's handler may raise anything at all while a main thread waits; the request then goes on.
    """
    if not future.done():
        return False
    if future.cancelled():
        from concurrent.futures import CancelledError

        return isinstance(error, CancelledError)
    return future.exception() is error


class Waiter:
    """Tells which of its futures have ended. For one thread at a time."""

    def __init__(self, futures: Iterable[InferenceFuture]) -> None:
        from headway._core import Bell

        self._bell = Bell()
        self._poll = select.poll()
        self._poll.register(self._bell, select.POLLIN)
        self._waiting: dict[int, InferenceFuture] = {}
        self._past: set[InferenceFuture] = set()
        self._numbers = itertools.count()
        self._main = threading.current_thread() is threading.main_thread()
        for future in futures:
            self.add(future)

    def add(self, future: InferenceFuture) -> None:
        """Waits for one more future."""
        number = next(self._numbers)
        if future._subscribe(self._bell, number, False):
            self._waiting[number] = future
        else:
            self._past.add(future)

    def next(self, until: float | None = None) -> set[InferenceFuture]:
        """The futures that ended since the last look; waits for one, until ``time.monotonic()`` shows ``until``."""
        while not self._past and self._waiting:
            left = None if until is None else until - time.monotonic()
            if left is not None and left <= 0 and not self._answer():
                return set()
            if not self._past:
                # Signals interrupt a poll, but one that comes just before it begins would be seen at its end only.
                if left is None or left > SIGNAL_TICK:
                    left = SIGNAL_TICK if self._main else left
                # poll, not select: descriptors of 1024 and above are nothing special.
                self._poll.poll(None if left is None else max(left, 0.0) * 1000)
                self._answer()
        past, self._past = self._past, set()
        return past

    def _answer(self) -> bool:
        for number in self._bell.answer():
            future = self._waiting.pop(number, None)
            if future is not None:
                self._past.add(future)
        return bool(self._past)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        # Or each wait that times out would leave a descriptor behind for as long as its futures run.
        for future in self._waiting.values():
            future._unsubscribe(self._bell)
        self._waiting.clear()
