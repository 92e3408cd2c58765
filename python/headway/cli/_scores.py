"""From a model's outputs to probabilities and the best classes."""

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from ._errors import CliError
from ._plan import ModelInput

_FLOATS = ("tensor(float)", "tensor(float16)", "tensor(double)")
_TOLERANCE = 1e-2  # float16 sums of a thousand probabilities are this far off


class Guess(NamedTuple):
    """One class of the top list."""

    class_index: int
    label: str
    probability: float


class BadScores(ValueError):
    """This picture's scores are of no use."""


class Scores:
    """Reads one output as class scores; whether they are logits is settled by the first picture."""

    def __init__(self, outputs: Sequence[ModelInput], labels: list[str] | None, top: int) -> None:
        floats = [index for index, output in enumerate(outputs) if output.type in _FLOATS]
        if not floats:
            kinds = ", ".join(output.type for output in outputs)
            raise CliError(f"the model gives {kinds}; class scores are floating-point numbers")
        self._position = floats[0]
        self._name = outputs[self._position].name
        self._labels = labels
        self._top = top
        self.logits: bool | None = None
        shape = outputs[self._position].shape
        last = shape[-1] if shape else None
        # Files declare wrong shapes; what is not plainly one axis of classes is left to the first answer.
        self.classes = last if len(shape) == 2 and isinstance(last, int) and last > 0 else None

    def best(self, outputs: list[NDArray[Any]]) -> list[Guess]:
        """The best classes of one picture, the best first."""
        probabilities = self._probabilities(self._vector(outputs))
        order = np.argsort(-probabilities, kind="stable")[: self._top]
        return [Guess(int(index), self._label(int(index)), float(probabilities[index])) for index in order]

    def _label(self, index: int) -> str:
        return self._labels[index] if self._labels else f"class {index}"

    def _vector(self, outputs: list[NDArray[Any]]) -> NDArray[np.float64]:
        scores = np.asarray(outputs[self._position], np.float64)
        if max(scores.shape, default=1) != scores.size or scores.size == 0:
            told = f"the model's output {self._name!r} has the shape {list(scores.shape)}"
            raise CliError(f"{told}; a classifier gives one score for each class")
        if self._labels is not None and len(self._labels) != scores.size:
            told = f"{len(self._labels)} labels were given, the model has {scores.size} classes"
            raise CliError(told, status=2)
        if not np.isfinite(scores).all():
            raise BadScores("the model's scores are not finite")
        return scores.reshape(-1)

    def _probabilities(self, scores: NDArray[np.float64]) -> NDArray[np.float64]:
        if self.logits is None:
            inside = scores.min() >= -1e-6 and scores.max() <= 1 + 1e-6
            # A single score is a probability by itself; it has no others to add up with.
            adds_up = scores.size == 1 or abs(scores.sum() - 1) < _TOLERANCE
            self.logits = not (inside and adds_up)
        if not self.logits:
            return scores
        if scores.size == 1:
            result: NDArray[np.float64] = 1 / (1 + np.exp(-scores))
            return result
        powers = np.exp(scores - scores.max())
        return np.asarray(powers / powers.sum())
