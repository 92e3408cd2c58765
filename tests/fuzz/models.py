"""Random small models: what they are made of, and the bytes of them."""

from __future__ import annotations

from typing import Any, NamedTuple

import ml_dtypes
import numpy as np
import onnx
from hypothesis import strategies as st
from onnx import TensorProto as T
from onnx import helper

DTYPES: dict[int, Any] = {
    T.FLOAT: np.float32, T.DOUBLE: np.float64, T.FLOAT16: np.float16, T.BFLOAT16: ml_dtypes.bfloat16,
    T.INT64: np.int64, T.INT32: np.int32, T.INT8: np.int8, T.UINT8: np.uint8, T.BOOL: np.bool_, T.STRING: object,
}  # fmt: skip

NAMES = (
    "x",
    "y",
    "a/b",
    "layer:0",
    "x.y",
    "two words",
    "größe",
    "日本",
    "/model/layer.0/Mul:0",
    "x y:z/1.2",
    "'q'",
)
"""Names as exporters write them, and as they had better not."""

SYMBOLS = ("N", "batch/size", "sequence length")

Dimension = int | str | None
Shape = tuple[Dimension, ...] | None


class Input(NamedTuple):
    name: str
    dtype: int
    #: None: of unknown rank.
    shape: Shape
    #: The value of an initializer that a feed may override; None for a required input.
    default: list[float] | None = None


class Node(NamedTuple):
    operator: str
    inputs: tuple[str, ...]
    output: str
    dtype: int
    attributes: dict[str, Any]


class Model(NamedTuple):
    inputs: tuple[Input, ...]
    nodes: tuple[Node, ...]
    outputs: tuple[str, ...]

    @property
    def output_types(self) -> list[int]:
        return [next(node.dtype for node in self.nodes if node.output == name) for name in self.outputs]


# ---- drawing --------------------------------------------------------------------------------------------------------

_DIMENSION = st.one_of(st.integers(1, 3), st.sampled_from(SYMBOLS), st.none())
_SHAPE = st.one_of(
    st.none(), st.lists(_DIMENSION, max_size=4).map(tuple), st.just((None, 3)), st.just(("N",))
)
_DTYPE = st.sampled_from([T.FLOAT, T.FLOAT, *DTYPES])

_NUMBERS = {T.FLOAT, T.DOUBLE, T.INT64, T.INT32}
_FRACTIONS = {T.FLOAT, T.DOUBLE}
_CASTABLE = {*DTYPES} - {T.STRING}


@st.composite
def models(draw: st.DrawFn) -> Model:
    """One to three inputs, one to four nodes, and some of what the nodes make as outputs."""
    names = draw(st.permutations(NAMES))
    inputs = [Input(names[0], draw(_DTYPE), draw(_SHAPE))]
    for name in names[1 : 1 + draw(st.integers(0, 2))]:
        # Often of one type and shape, so that they can meet in a node.
        alike = draw(st.booleans())
        inputs.append(
            Input(name, inputs[0].dtype, inputs[0].shape)
            if alike
            else Input(name, draw(_DTYPE), draw(_SHAPE))
        )
    if draw(st.integers(0, 3)) == 0:
        inputs.append(Input(names[4], T.FLOAT, (3,), [1.5, -2.0, 0.25]))
    values = {one.name: one.dtype for one in inputs}
    nodes: list[Node] = []
    for number in range(draw(st.integers(1, 4))):
        nodes.append(_node(draw, values, f"{draw(st.sampled_from(NAMES))}#{number}"))
        values[nodes[-1].output] = nodes[-1].dtype
    made = [node.output for node in nodes]
    outputs = draw(st.lists(st.sampled_from(made), min_size=1, max_size=3, unique=True))
    return Model(tuple(inputs), tuple(nodes), tuple(outputs))


def _node(draw: st.DrawFn, values: dict[str, int], output: str) -> Node:
    name = draw(st.sampled_from(list(values)))
    dtype = values[name]
    operators = ["Identity", "Shape", "Transpose", "Concat"]
    if dtype in _CASTABLE:
        operators.append("Cast")
    if dtype in _NUMBERS:
        operators += ["Add", "Mul", "Neg"]
    if dtype in _FRACTIONS:
        operators += ["MatMul", "Tanh"]
    if dtype == T.BOOL:
        operators.append("Not")
    operator = draw(st.sampled_from(operators))
    attributes: dict[str, Any] = {}
    inputs: tuple[str, ...] = (name,)
    if operator == "Cast":
        dtype = draw(st.sampled_from(sorted(_CASTABLE)))
        attributes = {"to": dtype}
    elif operator == "Shape":
        dtype = T.INT64
    elif operator == "Concat":
        # Twice the same: onnxruntime 1.31.1 aborts the process when an empty tensor has another rank than the rest.
        inputs, attributes = (name, name), {"axis": 0}
    elif operator in {"Add", "Mul", "MatMul"}:
        inputs = (name, draw(st.sampled_from([other for other, kind in values.items() if kind == dtype])))
    return Node(operator, inputs, output, dtype, attributes)


# ---- writing --------------------------------------------------------------------------------------------------------


def serialized(model: Model, *, wide: bool = False) -> bytes:
    """The model's bytes.

    Args:
        wide: bfloat16 comes in and goes out as float32, which holds the same numbers: onnxruntime's Python has no
            bfloat16.
    """
    nodes, inside = [], {}
    inputs, outputs, constants = [], [], []
    for one in model.inputs:
        cast = wide and one.dtype == T.BFLOAT16
        inputs.append(helper.make_tensor_value_info(one.name, T.FLOAT if cast else one.dtype, one.shape))
        if cast:
            inside[one.name] = f"{one.name}#in"
            nodes.append(helper.make_node("Cast", [one.name], [inside[one.name]], to=T.BFLOAT16))
        if one.default is not None:
            constants.append(helper.make_tensor(one.name, one.dtype, (len(one.default),), one.default))
    for name, dtype in zip(model.outputs, model.output_types, strict=True):
        cast = wide and dtype == T.BFLOAT16
        outputs.append(helper.make_tensor_value_info(name, T.FLOAT if cast else dtype, None))
        if cast:
            inside[name] = f"{name}#out"
    for node in model.nodes:
        ins = [inside.get(name, name) for name in node.inputs]
        nodes.append(
            helper.make_node(node.operator, ins, [inside.get(node.output, node.output)], **node.attributes)
        )
    nodes += [
        helper.make_node("Cast", [inside[name]], [name], to=T.FLOAT)
        for name in model.outputs
        if name in inside
    ]
    graph = helper.make_graph(nodes, "random", inputs, outputs, constants)
    content: bytes = helper.make_model(
        graph, opset_imports=[helper.make_opsetid("", 20)], ir_version=9
    ).SerializeToString()
    assert onnx.ModelProto.FromString(content).graph.node
    return content
