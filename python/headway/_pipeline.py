"""Pipelines: a frame in, the result of an earlier frame out."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator
from contextlib import suppress
from types import TracebackType
from typing import TYPE_CHECKING, Any, NamedTuple, Self

from headway._checks import at_least, known
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
    goes on. Leaving the ``with`` block cancels what is left; ``drain()`` first to have it. Iterating drains.

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
        self._frames: deque[tuple[InferenceFuture, Any]] = deque()

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
        self._frames.append((self._submit(input_feed, **call), tag))
        return self._next() if len(self._frames) > self._depth else None

    def _follow(
        self, other: Pipeline | None, instead: Callable[[list[InferenceFuture]], InferenceFuture]
    ) -> None:
        """The first frame, in the place of another pipeline's, which stay where they are when it is refused."""
        pending = [] if other is None else [future for future, _ in other._frames]
        self._frames.append((instead(pending), None))
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
        future, tag = self._frames.popleft()
        try:
            return Frame(future.result(), tag)
        except BaseException as error:
            if not ended_with(future, error):
                # A signal's handler raised it, Ctrl-C say. The frame keeps its place: a later call gives it.
                self._frames.appendleft((future, tag))
            raise

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
        while self._frames:
            future, _ = self._frames.popleft()
            self._drop(future)

    def close(self) -> None:
        """Cancel what is pending."""
        while self._frames:
            future, _ = self._frames.popleft()
            future.cancel()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()
