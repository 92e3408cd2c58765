"""``Batching``: several requests in one run of the model."""

from __future__ import annotations

from collections.abc import Mapping

from headway._record import Record


class Batching(Record):
    """Dynamic batching: requests that look alike share a run of the model, and each gets its own answer.

    Args:
        max_size: Most rows in one run (a request may bring several).
        max_delay: Seconds for which the oldest request waits for others while a lane is free. It waits less where it
            does not pay: see docs/batching.md.
        axes: The batch's axis by input or output name; None for what is not batched, and must then be equal in all
            requests of a batch. What is not named has axis 0, and inputs without dimensions have none.

    Raises:
        TypeError, ValueError: A value is wrong.
    """

    max_size: int
    max_delay: float
    axes: Mapping[str, int | None] | None

    def __init__(
        self,
        max_size: int = 8,
        max_delay: float = 0.002,
        axes: Mapping[str, int | None] | None = None,
    ) -> None:
        if isinstance(max_size, bool) or not isinstance(max_size, int):
            raise TypeError(f"max_size: expected a whole number, got {type(max_size).__name__}")
        if not 1 <= max_size <= 65536:
            raise ValueError(f"max_size: expected 1 to 65536 rows, got {max_size}")
        if isinstance(max_delay, bool) or not isinstance(max_delay, int | float):
            raise TypeError(f"max_delay: expected seconds, got {type(max_delay).__name__}")
        if not 0 <= max_delay <= 3600:
            raise ValueError(f"max_delay: expected 0 to 3600 seconds, got {max_delay}")
        super().__init__(max_size, float(max_delay), None if axes is None else _checked(axes))

    def __hash__(self) -> int:
        return hash((self.max_size, self.max_delay, frozenset((self.axes or {}).items())))

    def _native(self) -> tuple[int, float, dict[str, int | None]]:
        return self.max_size, self.max_delay, dict(self.axes or {})


def _checked(axes: object) -> dict[str, int | None]:
    if not isinstance(axes, Mapping):
        raise TypeError(f"axes: expected a dict of name to axis, got {type(axes).__name__}")
    for name, axis in axes.items():
        if not isinstance(name, str):
            raise TypeError(f"axes: expected names, got {name!r}")
        if axis is not None and (isinstance(axis, bool) or not isinstance(axis, int)):
            raise TypeError(f"axes[{name!r}]: expected an axis or None, got {axis!r}")
        if axis is not None and axis < 0:
            raise ValueError(f"axes[{name!r}]: expected an axis from 0 on, got {axis}")
    return dict(axes)
