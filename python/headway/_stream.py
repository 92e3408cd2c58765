"""Streams: feeds in, results out, with bounded look-ahead."""

from __future__ import annotations

import operator
import queue
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from typing import TYPE_CHECKING, Any, Literal

if TYPE_CHECKING:
    from headway._core import InferenceFuture

OnError = Literal["raise", "yield"]
Submit = Callable[[Any], "InferenceFuture"]


class Stream(Iterator[Any]):
    """The iterator that ``session.stream(...)`` gives.

    Closing it (or leaving it to the garbage collector) cancels what it had submitted. An exception in the source
    ends it after the results before it.
    """

    def __init__(
        self, feeds: Iterable[Any], submit: Submit, depth: int, ordered: bool, on_error: OnError
    ) -> None:
        if on_error not in ("raise", "yield"):
            raise ValueError(f"on_error: expected 'raise' or 'yield', got {on_error!r}")
        if depth < 1:
            raise ValueError(f"depth: expected at least 1, got {depth}")
        self._hint = operator.length_hint(feeds, -1)
        self._feeds: Iterator[Any] | None = iter(feeds)
        self._submit = submit
        self._depth = depth
        self._on_error = on_error
        self._window: deque[InferenceFuture | BaseException] = deque()
        self._source_error: BaseException | None = None
        # Unordered: futures in the order of their ends.
        self._ended: queue.SimpleQueue[InferenceFuture] | None = None if ordered else queue.SimpleQueue()

    def __iter__(self) -> Stream:
        return self

    def __length_hint__(self) -> int:
        return max(self._hint, 0) if self._hint >= 0 else NotImplemented

    def __next__(self) -> Any:
        self._look_ahead()
        if not self._window:
            self.close()
            if self._source_error is not None:
                error, self._source_error = self._source_error, None
                raise error
            raise StopIteration
        self._hint -= self._hint > 0
        item = self._take()
        try:
            if isinstance(item, BaseException):
                raise item
            return item.result()
        except Exception as error:
            if self._on_error == "yield":
                return error
            self.close()
            raise
        except BaseException:
            self.close()
            raise

    def _look_ahead(self) -> None:
        while self._feeds is not None and len(self._window) < self._depth:
            try:
                feed = next(self._feeds)
            except StopIteration:
                self._feeds = None
                return
            except BaseException as error:
                self._feeds = None
                self._source_error = error
                return
            self._window.append(self._enter(feed))

    def _enter(self, feed: Any) -> InferenceFuture | BaseException:
        try:
            future = self._submit(feed)
        except Exception as error:
            # A wrong feed fails in its place; the others go on.
            return error
        if self._ended is not None:
            future.add_done_callback(self._ended.put)
        return future

    def _take(self) -> InferenceFuture | BaseException:
        if self._ended is None:
            return self._window.popleft()
        for place, item in enumerate(self._window):
            if isinstance(item, BaseException):
                del self._window[place]
                return item
        future = self._ended.get()
        self._window.remove(future)
        return future

    def close(self) -> None:
        """Cancels what was submitted and not yielded; the stream is over."""
        self._feeds = None
        while self._window:
            item = self._window.pop()
            if not isinstance(item, BaseException):
                item.cancel()

    def __del__(self) -> None:
        if getattr(self, "_window", None):
            self.close()
