"""A pool of sessions as people write it around onnxruntime: a session, a worker thread and a queue each, round robin.

Request n belongs to worker n modulo N, whatever the others do, and one thread takes the results from the workers in
that same turn and calls the callbacks: they come in order without any sorting. That is how EZ RKNN Async schedules its
cores. A slow worker holds up those behind it.
"""

from __future__ import annotations

from collections.abc import Callable
from itertools import cycle
from queue import SimpleQueue
from threading import Thread
from types import TracebackType
from typing import Any, Self

import onnxruntime

from .models import Feed

Callback = Callable[[Any], object]


class SessionPool:
    """`submit(feed, callback)` from one thread; callbacks come in the order of the calls."""

    def __init__(self, sessions: list[onnxruntime.InferenceSession]) -> None:
        self._asked: list[SimpleQueue[tuple[Feed, Callback] | None]] = [SimpleQueue() for _ in sessions]
        self._ended: list[SimpleQueue[tuple[Any, Callback] | None]] = [SimpleQueue() for _ in sessions]
        self._turn = cycle(self._asked)
        self._threads = [
            Thread(target=self._work, args=(session.run, asked, ended))
            for session, asked, ended in zip(sessions, self._asked, self._ended, strict=True)
        ]
        self._threads.append(Thread(target=self._call))
        for thread in self._threads:
            thread.start()

    def submit(self, feed: Feed, callback: Callback) -> None:
        """Whose turn it is."""
        next(self._turn).put((feed, callback))

    @staticmethod
    def _work(
        run: Callable[..., Any],
        asked: SimpleQueue[tuple[Feed, Callback] | None],
        ended: SimpleQueue[tuple[Any, Callback] | None],
    ) -> None:
        while (one := asked.get()) is not None:
            ended.put((run(None, one[0]), one[1]))
        ended.put(None)

    def _call(self) -> None:
        for ended in cycle(self._ended):
            if (one := ended.get()) is None:
                return
            one[1](one[0])

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for asked in self._asked:
            asked.put(None)
        for thread in self._threads:
            thread.join()
