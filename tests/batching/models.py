"""Models that take batches, and what they answer to one request alone."""

from __future__ import annotations

from typing import Any

import numpy as np
import onnxruntime
from onnx import TensorProto, helper, numpy_helper

F32, I64 = TensorProto.FLOAT, TensorProto.INT64


def _serialize(nodes: list[Any], inputs: list[Any], outputs: list[Any], weights: list[Any]) -> bytes:
    graph = helper.make_graph(nodes, "batched", inputs, outputs, weights)
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    data: bytes = model.SerializeToString()
    return data


def perceptron(layers: int = 12, width: int = 32) -> bytes:
    """`y = tanh(tanh(x w) w ...)`, many small operators: most of a run is what each operator costs beside its rows."""
    weight = np.random.default_rng(5).standard_normal((width, width), np.float32) / np.float32(width**0.5)
    nodes = []
    for layer in range(layers):
        nodes.append(helper.make_node("MatMul", [f"h{layer}" if layer else "x", "w"], [f"m{layer}"]))
        last = layer == layers - 1
        nodes.append(helper.make_node("Tanh", [f"m{layer}"], ["y" if last else f"h{layer + 1}"]))
    ends = [helper.make_tensor_value_info(name, F32, ["N", width]) for name in ("x", "y")]
    return _serialize(nodes, ends[:1], ends[1:], [numpy_helper.from_array(weight, "w")])


def lookup() -> bytes:
    """`y = table[index]`, three entries: any other index makes the run fail."""
    ends = [
        helper.make_tensor_value_info("index", I64, ["N"]),
        helper.make_tensor_value_info("y", F32, ["N"]),
    ]
    table = numpy_helper.from_array(np.array([10, 20, 30], np.float32), "table")
    return _serialize([helper.make_node("Gather", ["table", "index"], ["y"])], ends[:1], ends[1:], [table])


def scaled() -> bytes:
    """`y = x * factor` along axis 1, `factor` a single number that a batch shares; `y`'s shape is not declared."""
    info = helper.make_tensor_value_info
    inputs = [info("x", F32, [2, "B", 3]), info("factor", F32, [])]
    outputs = [info("y", F32, [None, None, None])]
    return _serialize([helper.make_node("Mul", ["x", "factor"], ["y"])], inputs, outputs, [])


def picked() -> bytes:
    """`y = x` along axis 1, of whose shape the engine knows nothing: `keep` says which rows of axis 0 it has."""
    info = helper.make_tensor_value_info
    inputs = [info("x", F32, [2, "B", 3]), info("keep", TensorProto.BOOL, [2])]
    node = helper.make_node("Compress", ["x", "keep"], ["y"], axis=0)
    return _serialize([node], inputs, [info("y", F32, [None, None, None])], [])


def answers(model: Any, feeds: list[dict[str, Any]]) -> list[list[Any]]:
    """onnxruntime's own, one request after the other, on one thread."""
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    session = onnxruntime.InferenceSession(model, options, providers=["CPUExecutionProvider"])
    return [session.run(None, feed) for feed in feeds]
