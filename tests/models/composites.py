"""Small models whose inputs or outputs are not plain tensors."""

from __future__ import annotations

from collections.abc import Sequence

import onnx
from onnx import TensorProto, helper

_ML = helper.make_opsetid("ai.onnx.ml", 3)
_MICROSOFT = helper.make_opsetid("com.microsoft", 1)

#: ONNX's types of keys and values, and the attribute of `DictVectorizer` that lists the keys.
STRING, INT64, FLOAT, DOUBLE = TensorProto.STRING, TensorProto.INT64, TensorProto.FLOAT, TensorProto.DOUBLE


def _serialize(
    node: onnx.NodeProto,
    inputs: Sequence[onnx.ValueInfoProto],
    outputs: Sequence[onnx.ValueInfoProto],
    *domains: onnx.OperatorSetIdProto,
) -> bytes:
    graph = helper.make_graph([node], "composite", inputs, outputs)
    opsets = [helper.make_opsetid("", 18), *domains]
    content: bytes = helper.make_model(graph, opset_imports=opsets, ir_version=9).SerializeToString()
    return content


def _tensors(element: int = FLOAT) -> onnx.TypeProto:
    return helper.make_sequence_type_proto(helper.make_tensor_type_proto(element, None))


def _map(key: int, value: int) -> onnx.TypeProto:
    return helper.make_map_type_proto(key, helper.make_tensor_type_proto(value, []))


def sequence(element: int = FLOAT) -> bytes:
    """`o = s`, a list of tensors."""
    info = helper.make_value_info
    kind = _tensors(element)
    return _serialize(helper.make_node("Identity", ["s"], ["o"]), [info("s", kind)], [info("o", kind)])


def vectorize(key: int = STRING, value: int = FLOAT) -> bytes:
    """A dict of the keys a, b, c (or 1, 2, 3) as a row of its values."""
    words = {"string_vocabulary": ["a", "b", "c"]} if key == STRING else {"int64_vocabulary": [1, 2, 3]}
    node = helper.make_node("DictVectorizer", ["m"], ["o"], domain="ai.onnx.ml", **words)
    output = helper.make_tensor_value_info("o", value, None)
    return _serialize(node, [helper.make_value_info("m", _map(key, value))], [output], _ML)


def zip_map(key: int = INT64) -> bytes:
    """Rows of three as a list of dicts: what scikit-learn's classifiers give."""
    labels = {"classlabels_strings": ["a", "b", "c"]} if key == STRING else {"classlabels_int64s": [1, 2, 3]}
    node = helper.make_node("ZipMap", ["x"], ["o"], domain="ai.onnx.ml", **labels)
    rows = helper.make_tensor_value_info("x", FLOAT, ["rows", 3])
    kind = helper.make_sequence_type_proto(_map(key, FLOAT))
    return _serialize(node, [rows], [helper.make_value_info("o", kind)], _ML)


def optional(of_list: bool = False) -> bytes:
    """`y = x`, which may be nothing."""
    inner = _tensors() if of_list else helper.make_tensor_type_proto(FLOAT, [None])
    kind = helper.make_optional_type_proto(inner)
    info = helper.make_value_info
    return _serialize(helper.make_node("Identity", ["x"], ["y"]), [info("x", kind)], [info("y", kind)])


def sparse_times_dense() -> bytes:
    """`o = a @ b` of a sparse 3 x 3 matrix `a`."""
    node = helper.make_node("SparseToDenseMatMul", ["a", "b"], ["o"], domain="com.microsoft")
    sparse = helper.make_value_info("a", helper.make_sparse_tensor_type_proto(FLOAT, [3, 3]))
    dense = helper.make_tensor_value_info("b", FLOAT, [None, None])
    return _serialize(node, [sparse, dense], [helper.make_tensor_value_info("o", FLOAT, None)], _MICROSOFT)
