"""``Sample``: what goes through a Run, with its identity and timing."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from headway._errors import Dropped
from headway._metrics import Timing

#: What the native core gives for a pull: sample, outputs, error, timing, and how many a gap stands for.
Pulled = tuple[Any, Any, "BaseException | None", tuple[float, "float | None", "float | None"], int]


@dataclass(slots=True)
class Sample:
    """One item of a Run. Reading the data of one that failed raises its error."""

    _data: Any
    #: Its number in the Run, from 0, in the order of the pushes; a refused push leaves its own unused. None for a gap.
    frame_id: int | None = None
    #: Whose it is: a camera, a user.
    stream_id: str | int | None = None
    #: When it was taken, in nanoseconds, if the producer said so.
    pts_ns: int | None = None
    #: What the producer attached.
    attributes: dict[str, Any] = field(default_factory=dict)
    #: Submission, start and end in seconds on the session's clock.
    timing: Timing | None = None
    #: Why there is no data: the engine's error, DeadlineExceeded, CancelledError, or Dropped for a gap.
    error: BaseException | None = None

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
