"""Small models made here, for the types that no packaged model has."""

from __future__ import annotations

from collections.abc import Sequence

import onnx
from onnx import TensorProto, helper

_OPSET, _IR_VERSION = 20, 9


def _serialize(
    nodes: Sequence[onnx.NodeProto],
    inputs: Sequence[onnx.ValueInfoProto],
    outputs: Sequence[onnx.ValueInfoProto],
    constants: Sequence[onnx.TensorProto] = (),
    *,
    domains: Sequence[onnx.OperatorSetIdProto] = (),
) -> bytes:
    graph = helper.make_graph(nodes, "built", inputs, outputs, constants)
    opsets = [helper.make_opsetid("", _OPSET), *domains]
    model = helper.make_model(graph, opset_imports=opsets, ir_version=_IR_VERSION)
    content: bytes = model.SerializeToString()
    return content


def tiny() -> bytes:
    """`y = x * x + x` on any number of rows of three."""
    info = helper.make_tensor_value_info
    nodes = [helper.make_node("Mul", ["x", "x"], ["square"]), helper.make_node("Add", ["square", "x"], ["y"])]
    shape: list[str | int | None] = ["rows", 3]
    return _serialize(nodes, [info("x", TensorProto.FLOAT, shape)], [info("y", TensorProto.FLOAT, shape)])


def words() -> bytes:
    """Two columns of strings: joined, and the number of the first in a small vocabulary."""
    info = helper.make_tensor_value_info
    nodes = [
        helper.make_node("StringConcat", ["left", "right"], ["joined"]),
        helper.make_node(
            "LabelEncoder",
            ["left"],
            ["number"],
            domain="ai.onnx.ml",
            keys_strings=["cat", "dog", "grüße", ""],
            values_int64s=[1, 2, 3, 4],
            default_int64=-1,
        ),
    ]
    shape = ["rows"]
    return _serialize(
        nodes,
        [info("left", TensorProto.STRING, shape), info("right", TensorProto.STRING, shape)],
        [info("joined", TensorProto.STRING, shape), info("number", TensorProto.INT64, shape)],
        domains=[helper.make_opsetid("ai.onnx.ml", 3)],
    )


def doubles() -> bytes:
    """A small dense layer in double precision, with its arg max."""
    info = helper.make_tensor_value_info
    weight = [((row * 7 + column * 3) % 11 - 5) / 3 for row in range(8) for column in range(4)]
    nodes = [
        helper.make_node("MatMul", ["x", "weight"], ["hidden"]),
        helper.make_node("Tanh", ["hidden"], ["y"]),
        helper.make_node("ArgMax", ["y"], ["best"], axis=1, keepdims=0),
    ]
    return _serialize(
        nodes,
        [info("x", TensorProto.DOUBLE, ["rows", 8])],
        [info("y", TensorProto.DOUBLE, ["rows", 4]), info("best", TensorProto.INT64, ["rows"])],
        [helper.make_tensor("weight", TensorProto.DOUBLE, (8, 4), weight)],
    )
