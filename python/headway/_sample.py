"""``Sample``: what goes through a Run, with its identity and timing."""

from __future__ import annotations

from typing import Any

from headway._errors import Dropped
from headway._metrics import Timing

#: What the native core gives for a pull: sample, outputs, error, timing, and how many a gap stands for.
Pulled = tuple[Any, Any, "BaseException | None", tuple[float, "float | None", "float | None"], int]


class Sample:
    """One item of a Run. Reading the data of one that failed raises its error."""

    # A dataclass would cost the time of importing headway a tenth.
    __slots__ = ("_data", "attributes", "error", "frame_id", "pts_ns", "stream_id", "timing")

    def __init__(
        self,
        _data: Any,
        frame_id: int | None = None,
        stream_id: str | int | None = None,
        pts_ns: int | None = None,
        attributes: dict[str, Any] | None = None,
        timing: Timing | None = None,
        error: BaseException | None = None,
    ) -> None:
        self._data = _data
        #: Its number in the Run, from 0, in the order of the pushes; a refused push leaves its own unused. None for
        #: a gap.
        self.frame_id = frame_id
        #: Whose it is: a camera, a user.
        self.stream_id = stream_id
        #: When it was taken, in nanoseconds, if the producer said so.
        self.pts_ns = pts_ns
        #: What the producer attached.
        self.attributes: dict[str, Any] = {} if attributes is None else attributes
        #: Submission, start and end in seconds on the session's clock.
        self.timing = timing
        #: Why there is no data: the engine's error, DeadlineExceeded, CancelledError, or Dropped for a gap.
        self.error = error

    @property
    def data(self) -> Any:
        """The outputs by name.

        Raises:
            EngineError, DeadlineExceeded, Dropped, CancelledError: What ended it instead.
        """
        if self.error is not None:
            raise self.error
        return self._data

    @property
    def dropped(self) -> int:
        """How many items a gap marker stands for; 0 for every other sample."""
        return self.error.count if isinstance(self.error, Dropped) else 0

    def __repr__(self) -> str:
        names = ("_data", "frame_id", "stream_id", "pts_ns", "attributes", "timing", "error")
        return f"Sample({', '.join(f'{name}={getattr(self, name)!r}' for name in names)})"
