"""Models of three sizes, and sessions on them with one operator thread, on either side."""

from __future__ import annotations

from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import onnxruntime
from onnx import TensorProto, helper, numpy_helper

import headway
from headway import _demo

Feed = dict[str, Any]


class Model(NamedTuple):
    """A model and one feed."""

    name: str
    content: bytes | Path
    feed: Feed


def tiny() -> Model:
    """`y = x + x` on three numbers: what is left is the cost of the call."""
    row = [helper.make_tensor_value_info(name, TensorProto.FLOAT, (1, 3)) for name in ("x", "y")]
    graph = helper.make_graph([helper.make_node("Add", ["x", "x"], ["y"])], "tiny", row[:1], row[1:])
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    return Model("tiny", model.SerializeToString(), {"x": np.ones((1, 3), np.float32)})


def small() -> Model:
    """About two milliseconds."""
    return convolutions(8)


def convolutions(layers: int) -> Model:
    """So many 3x3 convolutions over 64 channels of 28x28, a quarter of a millisecond each."""
    numbers = np.random.default_rng(3)
    weights = numbers.standard_normal((64, 64, 3, 3), np.float32) / 24
    nodes = [
        helper.make_node("Conv", [f"x{i}", "w"], [f"x{i + 1}"], kernel_shape=[3, 3], pads=[1] * 4)
        for i in range(layers)
    ]
    info = helper.make_tensor_value_info
    shape = (1, 64, 28, 28)
    graph = helper.make_graph(
        nodes,
        "convolutions",
        [info("x0", TensorProto.FLOAT, shape)],
        [info(f"x{layers}", TensorProto.FLOAT, shape)],
        [numpy_helper.from_array(weights, "w")],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    feed = {"x0": numbers.standard_normal(shape, np.float32)}
    return Model(f"conv x{layers}", model.SerializeToString(), feed)


def lite0() -> Model:
    """EfficientNet-Lite0 with its real weights."""
    picture = np.random.default_rng(3).standard_normal((1, 3, 224, 224), np.float32)
    return Model("EfficientNet-Lite0", _demo.model_file(), {"input": picture})


def ours(model: Model, **options: Any) -> headway.InferenceSession:
    """A Headway session with one operator thread, and one lane unless `workers` says otherwise."""
    threads = headway.SessionOptions()
    threads.intra_op_num_threads = threads.inter_op_num_threads = 1
    threads.log_severity_level = 3
    return headway.InferenceSession(model.content, threads, **{"workers": 1, **options})


def theirs(model: Model, intra_op: int = 1) -> onnxruntime.InferenceSession:
    """An onnxruntime session."""
    threads = onnxruntime.SessionOptions()
    threads.intra_op_num_threads = intra_op
    threads.inter_op_num_threads = 1
    # What a model's exporter left over is no news here.
    threads.log_severity_level = 3
    return onnxruntime.InferenceSession(model.content, threads, providers=["CPUExecutionProvider"])
