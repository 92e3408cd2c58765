"""An engine that does what a test says, a clock that stands still, and tests for engines. For Headway's own tests and
for yours.

Example::

    engine = FakeEngine(held=True)
    with InferenceSession(engine) as session:
        future = session.submit(np.ones((1, 3), np.float32))
        engine.wait_running(1)
        assert future.running()
        engine.release()
        future.result()
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import NamedTuple

from headway import _core
from headway._core import ManualClock
from headway._engines.words import Loaded
from headway._suite import EngineSuite

__all__ = ["EngineSuite", "FakeCounts", "FakeEngine", "ManualClock"]

#: numpy dtype name -> ONNX's number.
_DTYPES = {
    "float32": 1,
    "uint8": 2,
    "int8": 3,
    "int32": 6,
    "int64": 7,
    "bool": 9,
    "float16": 10,
    "float64": 11,
}

#: An input: dtype name, and shape (None where any length will do).
Spec = tuple[str, Sequence[int | None] | None]


class FakeCounts(NamedTuple):
    """What a fake engine has seen."""

    started: int
    finished: int
    terminated: int
    running: int


class FakeEngine:
    """A model whose outputs are its inputs. Pass it where a model's path would go.

    Args:
        inputs: dtype and shape of each input by name. Default: one float32 input ``x`` of any shape.
        outputs: Output names, as many as inputs. Default: ``y``, or ``y0``, ``y1`` ...
        held: Requests block on their lanes until ``release()``.
        can_cancel: A blocked request obeys its terminate flag.
        clock: The session's clock; None is the system's.
    """

    def __init__(
        self,
        inputs: Mapping[str, Spec] | None = None,
        outputs: Sequence[str] | None = None,
        *,
        held: bool = False,
        can_cancel: bool = True,
        clock: ManualClock | None = None,
    ) -> None:
        specs = dict(inputs) if inputs is not None else {"x": ("float32", None)}
        default = ["y"] if len(specs) == 1 else [f"y{place}" for place in range(len(specs))]
        names = list(outputs) if outputs is not None else default
        if len(names) != len(specs):
            raise ValueError(f"outputs: expected {len(specs)} names, got {len(names)}")
        nodes = [
            (name, _DTYPES[dtype], None if shape is None else list(shape))
            for name, (dtype, shape) in specs.items()
        ]
        out = [(name, dtype, shape) for name, (_, dtype, shape) in zip(names, nodes, strict=True)]
        self._model, self._control = _core.Model.fake(
            nodes, out, can_cancel=can_cancel, held=held, clock=clock
        )

    def _headway_load(self) -> Loaded:
        return Loaded(self._model, "CPU")

    def hold(self) -> None:
        """Requests block from now on."""
        self._control.hold()

    def release(self, n: int = 1) -> None:
        """Lets n blocked requests finish."""
        self._control.release(n)

    def open(self) -> None:
        """Lets everything through from now on."""
        self._control.open()

    def fail_nth(self, nth: int, message: str = "the fake engine was told to fail") -> None:
        """Request number nth (from 0) fails with EngineError."""
        self._control.fail_nth(nth, message)

    def set_busy(self, seconds: float) -> None:
        """Every request keeps a core busy for this long."""
        self._control.set_busy(seconds)

    def wait_running(self, n: int) -> None:
        """Waits until n requests are running."""
        self._control.wait_running(n)

    def wait_finished(self, n: int) -> None:
        """Waits until n requests have finished in all."""
        self._control.wait_finished(n)

    @property
    def counts(self) -> FakeCounts:
        """What it has seen so far."""
        return FakeCounts(*self._control.counts())
