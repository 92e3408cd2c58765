"""ONNX's own backend tests: models with inputs and the outputs they must give."""

from __future__ import annotations

import functools
import warnings
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

import onnx
from onnx import numpy_helper
from onnx.backend.test.loader import load_model_tests

KINDS = ("node", "simple", "pytorch-operator", "pytorch-converted")
"""Not `real`: those are the large networks."""


class Case(NamedTuple):
    """One test of `onnx.backend.test`."""

    name: str
    given: Any

    @property
    def model(self) -> onnx.ModelProto:
        model = self.given.model
        return onnx.load(Path(self.given.model_dir) / "model.onnx") if model is None else model

    def data(self, model: onnx.ModelProto) -> Iterator[tuple[list[Any], list[Any]]]:
        """Inputs in the model's order and expected outputs, one pair for each data set."""
        if self.given.data_sets is not None:
            for inputs, outputs in self.given.data_sets:
                yield _arrays(inputs), _arrays(outputs)
            return
        for folder in sorted(Path(self.given.model_dir).glob("test_data_set*")):
            yield _read(folder, "input", model.graph.input), _read(folder, "output", model.graph.output)


def _arrays(values: Iterable[Any]) -> list[Any]:
    """Some of the tests give an `onnx.TensorProto` where others give an array."""
    return [
        numpy_helper.to_array(value) if isinstance(value, onnx.TensorProto) else value for value in values
    ]


def _read(folder: Path, what: str, infos: Any) -> list[Any]:
    values = []
    for number in range(len(list(folder.glob(f"{what}_*.pb")))):
        content = (folder / f"{what}_{number}.pb").read_bytes()
        kind = infos[number].type
        if kind.HasField("sequence_type"):
            values.append(numpy_helper.to_list(onnx.SequenceProto.FromString(content)))
        elif kind.HasField("optional_type"):
            values.append(numpy_helper.to_optional(onnx.OptionalProto.FromString(content)))
        else:
            values.append(numpy_helper.to_array(onnx.TensorProto.FromString(content)))
    return values


@functools.cache
def cases() -> tuple[Case, ...]:
    """All of them, in a fixed order. The test data is computed when ONNX's modules are imported."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        given = [one for kind in KINDS for one in load_model_tests(kind=kind)]
    return tuple(
        Case(f"{one.kind}-{one.name}", one) for one in sorted(given, key=lambda one: (one.kind, one.name))
    )
