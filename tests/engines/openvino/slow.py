"""A model that takes a second or so, in steps: OpenVINO looks for a cancellation between two operators."""

from __future__ import annotations

import numpy as np
from onnx import TensorProto, helper, numpy_helper

FEED = {"x": np.ones((1, 64, 1, 1), np.float32)}


def model(steps: int = 24) -> bytes:
    """So many 3x3 convolutions over 64 channels of 200 x 200, some tens of milliseconds each."""
    numbers = np.random.default_rng(5)
    weights = [
        numpy_helper.from_array(numbers.standard_normal((64, 64, 3, 3), np.float32) / 24, "w"),
        numpy_helper.from_array(np.array([1, 64, 200, 200]), "size"),
        numpy_helper.from_array(np.array([2, 3]), "axes"),
    ]
    nodes = [helper.make_node("Expand", ["x", "size"], ["h0"])]
    nodes += [
        helper.make_node("Conv", [f"h{step}", "w"], [f"h{step + 1}"], pads=[1] * 4) for step in range(steps)
    ]
    nodes.append(helper.make_node("ReduceMean", [f"h{steps}", "axes"], ["y"], keepdims=0))
    ends = [
        helper.make_tensor_value_info("x", TensorProto.FLOAT, (1, 64, 1, 1)),
        helper.make_tensor_value_info("y", TensorProto.FLOAT, (1, 64)),
    ]
    graph = helper.make_graph(nodes, "slow", ends[:1], ends[1:], weights)
    made = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=8)
    data: bytes = made.SerializeToString()
    return data
