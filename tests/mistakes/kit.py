"""What a mistake is made with: one package, its sessions, and what went wrong."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import ml_dtypes
import numpy as np
import onnx
from onnx import TensorProto, helper

from ..support import gather_model

X = np.ones((2, 3), np.float32)
BOTH = {"x": X, "y": X}
BF16: Any = ml_dtypes.bfloat16
CPU = ["CPUExecutionProvider"]


class Mistake(NamedTuple):
    """Something wrong that a program may do, written once for both packages."""

    name: str
    make: Callable[[Kit], Any]


class Kit:
    """One of the two packages, with a session for each model."""

    def __init__(self, package: Any, folder: Path) -> None:
        #: What the program imported as `ort`.
        self.ort = package
        self.folder = folder
        self._sessions: dict[str, Any] = {}
        self._made: list[Any] = []

    def __getitem__(self, name: str) -> Any:
        """The session of a model in `MODELS`."""
        if name not in self._sessions:
            self._sessions[name] = self.ort.InferenceSession(MODELS[name](), providers=CPU)
        return self._sessions[name]

    def load(self, *given: Any, **keywords: Any) -> Any:
        """A session of one case's own."""
        keywords.setdefault("providers", CPU)
        self._made.append(self.ort.InferenceSession(*given, **keywords))
        return self._made[-1]

    def tidy(self) -> None:
        """Closes what `load` made."""
        while self._made:
            _close(self._made.pop())

    def close(self) -> None:
        while self._sessions:
            _close(self._sessions.popitem()[1])

    # ---- short words for the catalogue ----------------------------------------------------------------------------

    def run(self, feed: Any, names: Any = None, *rest: Any, model: str = "product", **keywords: Any) -> Any:
        return self[model].run(names, feed, *rest, **keywords)

    def value(self, array: Any = X, *rest: Any) -> Any:
        return self.ort.OrtValue.ortvalue_from_numpy(array, *rest)

    def empty(self, shape: Any = (2, 3), dtype: Any = np.float32, *rest: Any) -> Any:
        return self.ort.OrtValue.ortvalue_from_shape_and_type(shape, dtype, *rest)

    def options(self, **fields: Any) -> Any:
        return _filled(self.ort.SessionOptions(), fields)

    def run_options(self, **fields: Any) -> Any:
        return _filled(self.ort.RunOptions(), fields)

    def binding(self, x: Any = X, y: Any = X, z: bool = True, model: str = "product") -> Any:
        """An IOBinding with what is not None bound."""
        bound = self[model].io_binding()
        for name, array in (("x", x), ("y", y)):
            if array is not None:
                bound.bind_cpu_input(name, array)
        if z:
            bound.bind_output("z")
        return bound


def _close(session: Any) -> None:
    # onnxruntime's sessions have no close.
    if hasattr(session, "close"):
        session.close()


def _filled(options: Any, fields: dict[str, Any]) -> Any:
    for name, value in fields.items():
        setattr(options, name, value)
    return options


# ---- models ---------------------------------------------------------------------------------------------------------


def _model(
    nodes: list[onnx.NodeProto],
    inputs: list[onnx.ValueInfoProto],
    outputs: list[onnx.ValueInfoProto],
    constants: list[onnx.TensorProto] | None = None,
    ir_version: int = 8,
    opset: int = 17,
) -> bytes:
    graph = helper.make_graph(nodes, "mistakes", inputs, outputs, constants or [])
    opsets = [helper.make_opsetid("", opset), helper.make_opsetid("ai.onnx.ml", 3)]
    model = helper.make_model(graph, opset_imports=opsets, ir_version=ir_version)
    content: bytes = model.SerializeToString()
    return content


def _info(name: str, dtype: int = TensorProto.FLOAT, shape: Any = ("N", 3)) -> onnx.ValueInfoProto:
    return helper.make_tensor_value_info(name, dtype, shape)


def product(ir_version: int = 8, opset: int = 17, operator: str = "Mul") -> bytes:
    """`z = x * y`, rows of three, the same number of them."""
    nodes = [helper.make_node(operator, ["x", "y"], ["z"])]
    return _model(nodes, [_info("x"), _info("y")], [_info("z")], ir_version=ir_version, opset=opset)


def identity(dtype: int) -> bytes:
    return _model(
        [helper.make_node("Identity", ["x"], ["z"])], [_info("x", dtype, ["N"])], [_info("z", dtype, ["N"])]
    )


def cast(source: int, target: int) -> bytes:
    nodes = [helper.make_node("Cast", ["x"], ["z"], to=target)]
    return _model(nodes, [_info("x", source, ["N"])], [_info("z", target, ["N"])])


def override() -> bytes:
    """`z = x + w`, where `w` is an initializer that a feed may override."""
    nodes = [helper.make_node("Add", ["x", "w"], ["z"])]
    default = helper.make_tensor("w", TensorProto.FLOAT, (3,), [1.0, 2.0, 3.0])
    return _model(nodes, [_info("x"), _info("w", shape=(3,))], [_info("z")], [default])


def first_of_sequence() -> bytes:
    """The first tensor of a sequence."""
    sequence = helper.make_tensor_sequence_value_info("s", TensorProto.FLOAT, None)
    zero = helper.make_tensor("zero", TensorProto.INT64, (), [0])
    nodes = [helper.make_node("SequenceAt", ["s", "zero"], ["z"])]
    return _model(nodes, [sequence], [_info("z", shape=None)], [zero])


def map_to_row() -> bytes:
    """A map from words to numbers, written as a row."""
    value = helper.make_tensor_type_proto(TensorProto.FLOAT, None)
    kind = helper.make_map_type_proto(TensorProto.STRING, value)
    nodes = [
        helper.make_node(
            "DictVectorizer", ["m"], ["z"], domain="ai.onnx.ml", string_vocabulary=["a", "b", "c"]
        )
    ]
    return _model(nodes, [helper.make_value_info("m", kind)], [_info("z", shape=(1, 3))])


MODELS: dict[str, Callable[[], bytes]] = {
    "product": product,
    "other": product,
    "gather": gather_model,
    "override": override,
    "strings": lambda: identity(TensorProto.STRING),
    "int64": lambda: identity(TensorProto.INT64),
    "to bfloat16": lambda: cast(TensorProto.FLOAT, TensorProto.BFLOAT16),
    "from bfloat16": lambda: cast(TensorProto.BFLOAT16, TensorProto.FLOAT),
    "sequence": first_of_sequence,
    "map": map_to_row,
}
