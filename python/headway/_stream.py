"""Streams: feeds in, results out, with bounded look-ahead."""

from __future__ import annotations

import operator
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import suppress
from typing import TYPE_CHECKING, Any, Literal, NoReturn

from headway._checks import one_of
from headway._errors import Dropped, SessionClosed
from headway._waiting import Waiter, ended_with

if TYPE_CHECKING:
    from headway._core import InferenceFuture

OnError = Literal["raise", "yield"]
#: Submits a feed and gives the future to the second argument, before any signal's handler can raise.
Submit = Callable[[Any, Callable[["InferenceFuture"], object]], "InferenceFuture"]


def check_on_error(on_error: str) -> None:
    """ValueError for an ``on_error`` that there is not."""
    one_of("on_error", on_error, ("raise", "yield"))


def check_feeds(feeds: Any, asynchronous: bool = False) -> None:
    """TypeError for what are no feeds. A dict is one feed, and iterating over it would give its names."""
    if isinstance(feeds, Mapping):
        raise TypeError("feeds: expected an iterable of feeds, got a dict, which is one feed; pass [feed]")
    if isinstance(feeds, str | bytes) or not (
        # Not `iter`: a source may begin to work when it is asked for its iterator.
        hasattr(feeds, "__iter__")
        or hasattr(feeds, "__getitem__")
        or (asynchronous and hasattr(feeds, "__aiter__"))
    ):
        kind = f"got {type(feeds).__name__}"
        if hasattr(feeds, "__aiter__"):
            kind += ", which is asynchronous; use astream"
        raise TypeError(f"feeds: expected an iterable of feeds, {kind}")


class Gaps:
    """Joins dropped neighbours into one gap marker: a ``Dropped`` whose ``count`` says how many."""

    def __init__(self) -> None:
        self._gap: Dropped | None = None

    def pass_on(self, item: Any) -> Iterator[Any]:
        """What to give for one more item: nothing while a gap grows, then the gap and the item."""
        if isinstance(item, Dropped):
            if self._gap is None:
                self._gap = item
            else:
                self._gap.count += item.count
            return
        yield from self.rest()
        yield item

    def rest(self) -> Iterator[Dropped]:
        """The gap that is still open, if there is one."""
        gap, self._gap = self._gap, None
        if gap is not None:
            yield gap


class Stream(Iterator[Any]):
    """The iterator that ``session.stream(...)`` gives.

    Closing it (or leaving it to the garbage collector) cancels what it had submitted. An exception in the source
    ends it after the results before it.
    """

    def __init__(
        self, feeds: Iterable[Any], submit: Submit, depth: int, ordered: bool, on_error: OnError
    ) -> None:
        self._hint = operator.length_hint(feeds, -1)
        self._feeds: Iterator[Any] | None = iter(feeds)
        self._submit = submit
        self._depth = depth
        self._on_error = on_error
        self._window: deque[InferenceFuture | BaseException] = deque()
        self._keep = self._window.append
        self._source_error: Exception | None = None
        self._gaps = Gaps()
        self._out: deque[Any] = deque()
        # Unordered: who tells which have ended, and those that it told of.
        self._waiter: Waiter | None = None if ordered else Waiter(())
        self._ended: deque[InferenceFuture] = deque()

    def __iter__(self) -> Stream:
        return self

    def __length_hint__(self) -> int:
        return self._hint + len(self._out) if self._hint >= 0 else NotImplemented

    def __next__(self) -> Any:
        oldest = None
        try:
            while not self._out:
                self._look_ahead()
                if self._window:
                    self._hint -= self._hint > 0
                    oldest = self._window[0]
                    self._out.extend(self._gaps.pass_on(self._ending(self._take())))
                    continue
                self._out.extend(self._gaps.rest())
                if not self._out:
                    self._end()
            given = self._out.popleft()
            if isinstance(given, BaseException) and self._on_error == "raise":
                raise given
            return given
        except BaseException:
            # The stream is over, or a signal's handler has raised: somebody wants this thread to stop, and what is in
            # flight may never end.
            self.close()
            # It may have left the window and come to nobody. One that has ended is not cancelled any more.
            if oldest is not None and not isinstance(oldest, BaseException):
                oldest.cancel()
            raise

    def _ending(self, item: InferenceFuture | BaseException) -> Any:
        """The outputs, or the error that took their place."""
        if isinstance(item, BaseException):
            return item
        try:
            return item.result()
        except BaseException as error:
            if ended_with(item, error):
                return error
            raise

    def _end(self) -> NoReturn:
        if self._source_error is not None:
            error, self._source_error = self._source_error, None
            raise error
        raise StopIteration

    def _look_ahead(self) -> None:
        """Reads feeds while there is nothing to give; at least one, so that lanes work while the caller does.

        A source that is slower than the model is not read ahead of results that are there already.
        """
        first = True
        while self._feeds is not None and len(self._window) < self._depth and (first or not self._ready()):
            first = False
            try:
                feed = next(self._feeds)
            except StopIteration:
                self._feeds = None
                return
            except Exception as error:
                self._feeds = None
                self._source_error = error
                return
            self._enter(feed)

    def _enter(self, feed: Any) -> None:
        before = len(self._window)
        try:
            future = self._submit(feed, self._keep)
        except Exception as error:
            if len(self._window) > before:
                # It was taken: the error is a signal handler's.
                raise
            # A wrong feed fails in its place; the others go on.
            self._window.append(error)
        else:
            if self._waiter is not None:
                self._waiter.add(future)

    def _ready(self) -> bool:
        if self._waiter is None:
            head = self._window[0]
            return isinstance(head, BaseException) or head.done()
        return any(isinstance(item, BaseException) or item.done() for item in self._window)

    def _take(self) -> InferenceFuture | BaseException:
        """What is given next, out of the window: the oldest, or, unordered, one that has ended."""
        if self._waiter is None:
            return self._window.popleft()
        for place, item in enumerate(self._window):
            if isinstance(item, BaseException):
                del self._window[place]
                return item
        if not self._ended:
            self._ended.extend(self._waiter.next())
        future = self._ended.popleft()
        self._window.remove(future)
        return future

    def close(self) -> None:
        """Cancels what was submitted and not yielded; the stream is over."""
        self._feeds = None
        self._waiter = None
        self._hint = 0
        self._gaps = Gaps()
        self._out.clear()
        while self._window:
            item = self._window[-1]
            if not isinstance(item, BaseException):
                item.cancel()
            # Afterwards: interrupted, closing it once more goes on here.
            with suppress(IndexError):
                self._window.pop()

    def __del__(self) -> None:
        if getattr(self, "_window", None):
            # A forked child inherits the stream and not the session.
            with suppress(SessionClosed):
                self.close()
