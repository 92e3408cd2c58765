"""The models that the programs under `examples/from_onnxruntime` are given, where no package carries one."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper

_OPSETS = (("", 17), ("ai.onnx.ml", 3))
Shape = list[str | int | None]


def _info(name: str, element: int, shape: Shape) -> onnx.ValueInfoProto:
    return helper.make_tensor_value_info(name, element, shape)


def _model(
    nodes: Sequence[onnx.NodeProto],
    inputs: Sequence[onnx.ValueInfoProto],
    outputs: Sequence[onnx.ValueInfoProto],
    constants: dict[str, NDArray[Any]] | None = None,
) -> bytes:
    held = [numpy_helper.from_array(array, name) for name, array in (constants or {}).items()]
    graph = helper.make_graph(nodes, "program", inputs, outputs, held)
    opsets = [helper.make_opsetid(*pair) for pair in _OPSETS]
    model = helper.make_model(graph, opset_imports=opsets, ir_version=8, producer_name="tests")
    content: bytes = model.SerializeToString()
    return content


def _ml(kind: str, inputs: list[str], outputs: list[str], **attributes: Any) -> onnx.NodeProto:
    return helper.make_node(kind, inputs, outputs, domain="ai.onnx.ml", **attributes)


def flowers() -> bytes:
    """As skl2onnx writes a pipeline: scaled numbers and a one-hot text column, a linear classifier, a ZipMap."""
    classes, colours = ["iris", "rose", "tulip"], ["blue", "violet", "white"]
    weights = np.random.default_rng(5).standard_normal((3, 5)).round(3)
    nodes = [
        _ml("Scaler", ["measured"], ["scaled"], offset=[5.8, 3.1], scale=[1.2, 2.3]),
        _ml("OneHotEncoder", ["colour"], ["hot"], cats_strings=colours, zeros=1),
        helper.make_node("Reshape", ["hot", "columns"], ["flat"]),
        helper.make_node("Concat", ["scaled", "flat"], ["features"], axis=1),
        _ml(
            "LinearClassifier",
            ["features"],
            ["output_label", "scores"],
            coefficients=weights.ravel().tolist(),
            intercepts=[0.1, -0.2, 0.3],
            classlabels_strings=classes,
            multi_class=1,
            post_transform="SOFTMAX",
        ),
        _ml("ZipMap", ["scores"], ["output_probability"], classlabels_strings=classes),
    ]
    kind = helper.make_sequence_type_proto(
        helper.make_map_type_proto(TensorProto.STRING, helper.make_tensor_type_proto(TensorProto.FLOAT, None))
    )
    return _model(
        nodes,
        [_info("measured", TensorProto.FLOAT, [None, 2]), _info("colour", TensorProto.STRING, [None, 1])],
        [
            _info("output_label", TensorProto.STRING, [None]),
            helper.make_value_info("output_probability", kind),
        ],
        {"columns": np.array([-1, 3], np.int64)},
    )


def dictionaries() -> bytes:
    """A DictVectorizer and a Scaler: a map from text to number in, a row out."""
    nodes = [
        _ml("DictVectorizer", ["words"], ["counts"], string_vocabulary=["petal", "sepal", "leaf"]),
        _ml("Scaler", ["counts"], ["scaled"], offset=[0.5] * 3, scale=[2.0] * 3),
    ]
    kind = helper.make_map_type_proto(
        TensorProto.STRING, helper.make_tensor_type_proto(TensorProto.FLOAT, [])
    )
    return _model(
        nodes, [helper.make_value_info("words", kind)], [_info("scaled", TensorProto.FLOAT, [1, 3])]
    )


def powers() -> bytes:
    """`matrix` multiplied by itself `count` times, one step after the other: as long as is asked for."""
    body = helper.make_graph(
        [
            helper.make_node("Identity", ["going"], ["on"]),
            helper.make_node("MatMul", ["before", "matrix"], ["after"]),
        ],
        "step",
        [
            _info("number", TensorProto.INT64, []),
            _info("going", TensorProto.BOOL, []),
            _info("before", TensorProto.FLOAT, [None, None]),
        ],
        [_info("on", TensorProto.BOOL, []), _info("after", TensorProto.FLOAT, [None, None])],
    )
    return _model(
        [helper.make_node("Loop", ["count", "", "matrix"], ["power"], body=body)],
        [_info("matrix", TensorProto.FLOAT, ["n", "n"]), _info("count", TensorProto.INT64, [])],
        [_info("power", TensorProto.FLOAT, ["n", "n"])],
    )


def total() -> bytes:
    """`z = x + y`."""
    shape: Shape = ["rows", "columns"]
    return _model(
        [helper.make_node("Add", ["x", "y"], ["z"])],
        [_info("x", TensorProto.FLOAT, shape), _info("y", TensorProto.FLOAT, shape)],
        [_info("z", TensorProto.FLOAT, shape)],
    )


def convolutions(dtype: type[np.floating[Any]]) -> bytes:
    """Two convolutions and a linear layer, from `[batch, 3, height, width]` to five chances."""
    numbers = np.random.default_rng(9)

    def weights(*shape: int) -> NDArray[Any]:
        made: NDArray[Any] = numbers.standard_normal(shape) / np.sqrt(np.prod(shape[1:]))
        return made.astype(dtype)

    make = helper.make_node
    nodes = [
        make("Conv", ["pixels", "w1", "b1"], ["c1"], kernel_shape=[3, 3], pads=[1, 1, 1, 1]),
        make("Relu", ["c1"], ["r1"]),
        make("Conv", ["r1", "w2", "b2"], ["c2"], kernel_shape=[3, 3], strides=[2, 2]),
        make("Relu", ["c2"], ["r2"]),
        make("GlobalAveragePool", ["r2"], ["pooled"]),
        make("Flatten", ["pooled"], ["flat"]),
        make("MatMul", ["flat", "w3"], ["scores"]),
        make("Softmax", ["scores"], ["chances"]),
    ]
    element = helper.np_dtype_to_tensor_dtype(np.dtype(dtype))
    return _model(
        nodes,
        [_info("pixels", element, ["batch", 3, "height", "width"])],
        [_info("chances", element, ["batch", 5])],
        {
            "w1": weights(8, 3, 3, 3),
            "b1": weights(8),
            "w2": weights(16, 8, 3, 3),
            "b2": weights(16),
            "w3": 4 * weights(16, 5),
        },
    )


#: MiniLM's numbers for the words of the sentences that `embed_sentences.py` embeds, as the program reads them.
VOCABULARY = """\
[PAD] 0
[UNK] 100
[CLS] 101
[SEP] 102
. 1012
a 1037
again 2153
eating 5983
eats 20323
food 2833
is 2003
late 2397
man 2158
meal 7954
plays 3248
someone 2619
the 1996
train 3345
violin 6710
woman 2450
"""
