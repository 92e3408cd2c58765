"""Pipelines: a frame in, the result of an earlier frame out."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator
from contextlib import suppress
from types import TracebackType
from typing import TYPE_CHECKING, Any, NamedTuple, Self

from headway._checks import at_least, known
from headway._errors import SessionClosed
from headway._waiting import ended_with

if TYPE_CHECKING:
    from headway._core import InferenceFuture

Submit = Callable[..., "InferenceFuture"]


class Frame(NamedTuple):
    """What a pipeline gives back: the outputs of a frame, and the tag it was pushed with."""

    outputs: list[Any]
    tag: Any


class Pipeline:
    """Keeps ``depth`` frames in flight: a frame pushed gives the result of the frame pushed ``depth`` pushes earlier.

    A frame's error is raised by the call that would have returned it, after the new frame is queued; the pipeline
    goes on. Leaving the ``with`` block cancels what is left, and so does leaving the pipeline to the garbage collector;
    ``drain()`` first to have it. Iterating drains.

    One thread pushes. Several pipelines on one session are independent of each other.
    """

    def __init__(
        self,
        submit: Submit,
        depth: int,
        bound: Callable[[int], int],
        drop: Callable[[InferenceFuture], bool],
    ) -> None:
        self._submit = submit
        self._bound_of = bound
        self._drop = drop
        self._set_depth(depth)
        #: False: its frames go on without it.
        self._cancels = True
        self._frames: deque[tuple[InferenceFuture, Any]] = deque()
        #: Gets each frame from the native call itself: a signal's handler may raise as soon as that has returned.
        self._keep = self._frames.append

    def _set_depth(self, depth: int) -> None:
        self._depth = at_least(1, "depth", depth)
        #: Frames that may be in flight before the oldest is waited for.
        self._bound = max(1, self._bound_of(self._depth))

    def __len__(self) -> int:
        """Frames in flight."""
        return len(self._frames)

    @property
    def depth(self) -> int:
        """How many pushes later a frame's result comes out."""
        return self._depth

    def push(self, input_feed: Any, tag: Any = None, **call: Any) -> Frame | None:
        """Queue a frame; the result of ``depth`` pushes ago, or None while the pipeline fills.

        Args:
            input_feed: A dict by input name, a list in input order, or one array.
            tag: Comes back with the frame's outputs.
            **call: ``timeout``, ``priority``, ``stream``, ``run_options`` of this frame.

        Raises:
            InputError, QueueFull, SessionClosed: The new frame was refused; nothing in flight has moved.
            EngineError, DeadlineExceeded, ...: How the frame of ``depth`` pushes ago ended.
        """
        if call:
            known(Pipeline.push, call)
        self._make_room()
        self._submit(input_feed, (self._keep, tag), **call)
        return self._next() if len(self._frames) > self._depth else None

    def _follow(
        self, other: Pipeline | None, instead: Callable[[list[InferenceFuture], tuple[Any, Any]], None]
    ) -> None:
        """The first frame, in the place of another pipeline's, which stay where they are when it is refused."""
        pending = [] if other is None else [future for future, _ in other._frames]
        instead(pending, (self._keep, None))
        if other is not None:
            other._frames.clear()

    def _make_room(self) -> None:
        """Under a policy that would drop or refuse, a frame waits for its own oldest instead of for room."""
        if self._bound >= self._depth:
            return
        from concurrent.futures import CancelledError

        flying = [future for future, _ in self._frames if not future.done()]
        for future in flying[: max(0, len(flying) + 1 - self._bound)]:
            # How it ended, the push that returns it says.
            with suppress(CancelledError):
                future.exception()

    def _next(self) -> Frame:
        oldest = self._frames[0]
        taken = None
        try:
            # At once: other threads may be taking theirs.
            taken = self._frames.popleft()
            future, tag = taken
            return Frame(future.result(), tag)
        except BaseException as error:
            # What a signal's handler raises, Ctrl-C say, takes nothing away: a later call gives the frame.
            if taken is not None:
                if not ended_with(taken[0], error):
                    self._frames.appendleft(taken)
            elif not isinstance(error, IndexError) and oldest not in self._frames:
                # It had been taken, and came to nobody.
                self._frames.appendleft(oldest)
            raise

    def _leave(self, place: tuple[InferenceFuture, Any]) -> None:
        # A signal's handler may have closed the pipeline.
        if self._frames and self._frames[0] is place:
            self._frames.popleft()

    def drain(self) -> Iterator[Frame]:
        """The remaining results in order. An error is raised in its place; calling ``drain`` again goes on after it."""
        while self._frames:
            yield self._next()

    def __iter__(self) -> Iterator[Frame]:
        return self.drain()

    def reset(self, depth: int | None = None) -> None:
        """End what is pending as dropped("pipeline_reset"); a new depth if one is given."""
        if depth is not None:
            self._set_depth(depth)
        self._empty(self._drop)

    def close(self) -> None:
        """Cancel what is pending."""
        self._empty(lambda future: future.cancel())

    def _empty(self, end: Callable[[InferenceFuture], object]) -> None:
        while self._frames:
            place = self._frames[0]
            end(place[0])
            # Afterwards: interrupted, the next close goes on here.
            self._leave(place)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def __del__(self) -> None:
        # An interrupt may come before the end of a `with` block has begun.
        if getattr(self, "_frames", None) and self._cancels:
            # A forked child inherits the pipeline and not the session.
            with suppress(SessionClosed):
                self.close()
