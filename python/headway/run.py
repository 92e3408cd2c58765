"""``Run``: a live push / pull flow on a session."""

from __future__ import annotations

import itertools
from collections.abc import AsyncIterator, Iterator, Sequence
from types import TracebackType
from typing import TYPE_CHECKING, Any, Literal, NamedTuple, Self

from headway._checks import at_least_one, one_of, seconds
from headway._errors import Dropped, EndOfStream, QueueFull, SessionClosed
from headway._metrics import Timing
from headway._nodes import names_of
from headway._options import OVERFLOWS, Overflow
from headway._record import Record
from headway._sample import Pulled, Sample

if TYPE_CHECKING:
    from headway._conventions import Conventions

Preset = Literal["realtime", "balanced", "reliable"]


class Bounds(NamedTuple):
    """How much a Run holds, and what happens to one item more."""

    queue_depth: int
    overflow: Overflow


#: What a preset fills in where the caller left None.
PRESETS: dict[str, Bounds] = {
    "realtime": Bounds(1, "drop_oldest"),
    "balanced": Bounds(4, "block"),
    "reliable": Bounds(8, "block"),
}


class Tally(Record):
    """How a Run's items ended: ``pushed`` is the sum of the others once it is closed and drained."""

    #: Items that were taken.
    pushed: int
    #: Samples with data that a consumer has.
    pulled: int
    #: The engine failed on them.
    failed: int
    #: The overflow policy removed them.
    dropped: int
    #: Their timeout passed.
    expired: int
    #: Cancelled.
    cancelled: int

    def __str__(self) -> str:
        text = f"pushed={self.pushed} pulled={self.pulled} dropped={self.dropped} failed={self.failed}"
        text += f" expired={self.expired}" if self.expired else ""
        return text + (f" cancelled={self.cancelled}" if self.cancelled else "")


def bounds_of(preset: str, queue_depth: int | None, overflow: Overflow | None) -> Bounds:
    """The preset's bounds where none were given."""
    one_of("preset", preset, PRESETS)
    depth, policy = PRESETS[preset]
    if overflow is not None:
        one_of("overflow", overflow, OVERFLOWS)
        policy = overflow
    return Bounds(at_least_one("queue_depth", queue_depth) or depth, policy)


class Run:
    """A live flow: ``push`` feeds in, ``pull`` samples out, in the order of the pushes of each stream.

    Any number of threads push and pull. Timeout, end, failure and cancellation are four different things:
    the builtin ``TimeoutError``, ``EndOfStream``, a sample with ``.error``, and a sample whose error is
    ``CancelledError``. Leaving the ``with`` block drains (cancels, on an exception).
    """

    def __init__(
        self,
        session: Conventions,
        bounds: Bounds,
        output_names: Sequence[str] | None,
        timeout: float | None,
    ) -> None:
        self._session = session
        self._outputs = names_of(output_names) or [node.name for node in session.get_outputs()]
        self._timeout = timeout
        self._flow = session._open_flow(bounds.queue_depth, bounds.overflow)
        self._frame_ids = itertools.count()
        self._closed = False

    # ---- in ----------------------------------------------------------------------------------------------------

    def push(
        self,
        input_feed: Any,
        timeout: float | None = None,
        *,
        stream_id: str | int | None = None,
        pts_ns: int | None = None,
        attributes: dict[str, Any] | None = None,
        priority: int = 0,
    ) -> int:
        """Hand in a feed; waits for room under the policy ``"block"``, else applies the policy.

        Args:
            input_feed: A dict by input name, a list in input order, or one array.
            timeout: Seconds to wait for room; None waits for the session's ``submit_timeout``.
            stream_id: Whose it is; order is kept per stream, and streams are served fairly.
            pts_ns: When it was taken.
            attributes: Anything to find again in the sample.
            priority: Larger goes first within the waiting ones.

        Returns:
            Its ticket.

        Raises:
            QueueFull: No room in time (or at once, under ``"raise"``).
            InputError: The feed is wrong.
            SessionClosed: The input is closed.
        """
        return self._push(input_feed, True, timeout, stream_id, pts_ns, attributes, priority)

    def try_push(
        self,
        input_feed: Any,
        *,
        stream_id: str | int | None = None,
        pts_ns: int | None = None,
        attributes: dict[str, Any] | None = None,
        priority: int = 0,
    ) -> bool:
        """Like ``push``, never waiting: False when the feed was not taken (under ``"drop_newest"``: was dropped)."""
        try:
            return self._push(input_feed, False, None, stream_id, pts_ns, attributes, priority) > 0
        except QueueFull:
            return False

    def _push(
        self,
        feed: Any,
        block: bool,
        room: float | None,
        stream_id: str | int | None,
        pts_ns: int | None,
        attributes: dict[str, Any] | None,
        priority: int,
    ) -> int:
        if self._closed:
            raise SessionClosed("the run's input is closed")
        if room is not None:
            room = seconds("timeout", room)
        sample = Sample(
            None, next(self._frame_ids), stream_id, pts_ns, {} if attributes is None else attributes
        )
        call: dict[str, Any] = {} if self._timeout is None else {"timeout": self._timeout}
        ticket, kept = self._flow.push(
            feed,
            self._outputs,
            sample,
            block=block,
            room=room,
            priority=priority,
            stream=stream_id,
            **call,
        )
        return ticket if kept or block else 0

    def close_input(self) -> None:
        """No more input: ``pull`` goes on until ``EndOfStream``, ``push`` raises SessionClosed. Idempotent."""
        self._closed = True
        self._flow.close()

    @property
    def input_closed(self) -> bool:
        """True once no more input is taken."""
        return self._closed

    # ---- out ---------------------------------------------------------------------------------------------------

    def pull(self, timeout: float | None = None) -> Sample:
        """The next sample.

        Args:
            timeout: Seconds; None waits for ever.

        Raises:
            TimeoutError: Nothing came in time. Nothing is lost: the next pull gives what this one would have.
            EndOfStream: The input is closed and everything has been pulled.
        """
        return self._sample(self._flow.pull(timeout))

    def try_pull(self, timeout: float = 0) -> Sample | None:
        """The next sample, or None when nothing came. EndOfStream at the end."""
        try:
            return self.pull(timeout)
        except TimeoutError:
            return None

    async def apull(self) -> Sample:
        """Like ``pull``, without blocking the event loop."""
        from headway._delivery import await_output

        return self._sample(await await_output(self._flow))

    def _sample(self, pulled: Pulled) -> Sample:
        sample, outputs, error, timing, count = pulled
        if count:
            gap = Dropped(f"{count} dropped: the flow was full")
            gap.count = count
            return Sample(None, error=gap)
        assert isinstance(sample, Sample)
        sample.timing = Timing(*timing)
        if error is None:
            sample._data = dict(zip(self._outputs, outputs, strict=True))
        else:
            sample.error = error
        return sample

    def __iter__(self) -> Iterator[Sample]:
        while True:
            try:
                sample = self.pull()
            except EndOfStream:
                return
            yield sample

    async def __aiter__(self) -> AsyncIterator[Sample]:
        while True:
            try:
                sample = await self.apull()
            except EndOfStream:
                return
            yield sample

    def run(self, input_feed: Any, timeout: float | None = None) -> dict[str, Any]:
        """This feed's own answer, beside what is pushed and pulled: it gets no place in the Run's order."""
        outputs = self._session.run(self._outputs, input_feed, timeout=timeout)
        return dict(zip(self._outputs, outputs, strict=True))

    # ---- the end -----------------------------------------------------------------------------------------------

    @property
    def tally(self) -> Tally:
        """How its items ended so far."""
        return Tally(*self._flow.tally())

    def stop(self) -> Tally:
        """Cancel what is in flight, drop what was not pulled, and count both. The input is closed."""
        self._closed = True
        self._flow.stop()
        return self.tally

    def close(self, timeout: float | None = 30.0) -> Tally:
        """Close the input and let everything finish. What nobody has pulled is dropped("unpulled") and counted.

        Args:
            timeout: Seconds; after it the rest is cancelled. None waits for ever.
        """
        self._closed = True
        self._flow.drain(timeout)
        return self.tally

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if kind is None:
            self.close()
        else:
            self.stop()

    def __repr__(self) -> str:
        try:
            return f"<Run on {self._session!r}: {self.tally}>"
        except SessionClosed:
            # In a forked child nothing is known of it.
            return f"<Run on {self._session!r}>"


__all__ = ["Run", "Sample", "Tally"]
