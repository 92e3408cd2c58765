"""Writes the tiny models that the engine tests run. Needs the `onnx` package; run it from anywhere."""

from pathlib import Path

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

HERE = Path(__file__).parent
OPSET = 21
IR_VERSION = 10

# ONNX Runtime's word -> ONNX's number; the types that its Identity takes on the CPU.
DTYPES = {
    "float": TensorProto.FLOAT,
    "uint8": TensorProto.UINT8,
    "int8": TensorProto.INT8,
    "uint16": TensorProto.UINT16,
    "int16": TensorProto.INT16,
    "int32": TensorProto.INT32,
    "int64": TensorProto.INT64,
    "string": TensorProto.STRING,
    "bool": TensorProto.BOOL,
    "float16": TensorProto.FLOAT16,
    "double": TensorProto.DOUBLE,
    "uint32": TensorProto.UINT32,
    "uint64": TensorProto.UINT64,
    "bfloat16": TensorProto.BFLOAT16,
    "float8e4m3fn": TensorProto.FLOAT8E4M3FN,
    "float8e4m3fnuz": TensorProto.FLOAT8E4M3FNUZ,
    "float8e5m2": TensorProto.FLOAT8E5M2,
    "float8e5m2fnuz": TensorProto.FLOAT8E5M2FNUZ,
}
# Packed types: no Identity, so they are widened and narrowed again.
PACKED = {"uint4": (TensorProto.UINT4, TensorProto.UINT8), "int4": (TensorProto.INT4, TensorProto.INT8)}


def tensor(
    name: str, dtype: int = TensorProto.FLOAT, shape: list[int | str | None] | None = None
) -> onnx.ValueInfoProto:
    return helper.make_tensor_value_info(name, dtype, shape)


def save(
    name: str, nodes: list[onnx.NodeProto], inputs: list, outputs: list, initializers: tuple = (), **meta: str
) -> None:
    graph = helper.make_graph(
        nodes, name, inputs, outputs, initializer=list(initializers), doc_string="a graph"
    )
    write(name, graph, **meta)


def write(name: str, graph: onnx.GraphProto, **meta: str) -> None:
    opsets = [helper.make_opsetid("", OPSET)]
    if any(one.domain == "ai.onnx.ml" for one in graph.node):
        opsets.append(helper.make_opsetid("ai.onnx.ml", 3))
    model = helper.make_model(graph, opset_imports=opsets, ir_version=IR_VERSION)
    model.producer_name = "headway"
    model.producer_version = ""
    model.domain = "test.headway"
    model.doc_string = "a model"
    helper.set_model_props(model, meta)
    onnx.save(model, HERE / f"{name}.onnx")


def node(op: str, inputs: list[str], outputs: list[str], **attributes: object) -> onnx.NodeProto:
    return helper.make_node(op, inputs, outputs, **attributes)


def constant(name: str, array: np.ndarray) -> onnx.TensorProto:
    return numpy_helper.from_array(array, name)


def arithmetic() -> None:
    rows = ["N", 3]
    ends = [tensor("x", shape=rows), tensor("y", shape=rows)]
    save("mul", [node("Mul", ["x", "y"], ["z"])], ends, [tensor("z", shape=rows)], colour="green", size="ten")

    nodes = [
        node("Add", ["x", "x"], ["twice"]),
        node("Mul", ["x", "x"], ["square"]),
        node("Neg", ["x"], ["minus"]),
    ]
    outputs = [tensor("twice", shape=["N"]), tensor("square", shape=["N"]), tensor("minus", shape=["N"])]
    save("three", nodes, [tensor("x", shape=["N"])], outputs)

    save(
        "default",
        [node("Add", ["x", "w"], ["y"])],
        [tensor("x", shape=[3]), tensor("w", shape=[3])],
        [tensor("y", shape=[3])],
        (constant("w", np.float32([10, 20, 30])),),
    )

    weights = [constant(f"w{n}", np.eye(16, dtype=np.float32)) for n in range(12)]
    steps = [node("MatMul", [f"h{n}", f"w{n}"], [f"h{n + 1}"]) for n in range(12)]
    steps += [node("Relu", ["h12"], ["y"])]
    save("chain", steps, [tensor("h0", shape=["N", 16])], [tensor("y", shape=["N", 16])], tuple(weights))


def shapes() -> None:
    save(
        "shapes",
        [
            node("Identity", ["scalar"], ["a"]),
            node("Identity", ["free"], ["b"]),
            node("Identity", ["mixed"], ["c"]),
        ],
        [tensor("scalar", shape=[]), tensor("free"), tensor("mixed", shape=[2, "H", None])],
        [tensor("a", shape=[]), tensor("b"), tensor("c", shape=[2, "H", None])],
    )
    # As many rows as the input says, none included.
    save(
        "grow",
        [node("ConstantOfShape", ["n"], ["y"], value=helper.make_tensor("v", TensorProto.FLOAT, [1], [2.5]))],
        [tensor("n", TensorProto.INT64, [1])],
        [tensor("y", shape=["R"])],
    )


def aliases() -> None:
    weight = constant("weight", np.float32([1, 2, 3]))
    # The initializer itself is an output, and a copy of it that the optimiser may fold away.
    save(
        "alias",
        [node("Identity", ["weight"], ["copy"]), node("Add", ["x", "weight"], ["sum"])],
        [tensor("x", shape=[3])],
        [tensor("weight", shape=[3]), tensor("copy", shape=[3]), tensor("sum", shape=[3])],
        (weight,),
    )
    # The input itself is an output.
    save(
        "passthrough",
        [node("Neg", ["x"], ["minus"])],
        [tensor("x", shape=["N"])],
        [tensor("x", shape=["N"]), tensor("minus", shape=["N"])],
    )


def loops() -> None:
    body = helper.make_graph(
        [node("Identity", ["go"], ["go_on"]), node("MatMul", ["h", "w"], ["next"])],
        "body",
        [tensor("i", TensorProto.INT64, []), tensor("go", TensorProto.BOOL, []), tensor("h", shape=[16, 16])],
        [tensor("go_on", TensorProto.BOOL, []), tensor("next", shape=[16, 16])],
    )
    eye = constant("w", np.eye(16, dtype=np.float32))
    yes = constant("yes", np.array(True))
    save(
        "loop",
        [node("Loop", ["n", "yes", "x"], ["y"], body=body)],
        [tensor("n", TensorProto.INT64, []), tensor("x", shape=[16, 16])],
        [tensor("y", shape=[16, 16])],
        (eye, yes),
    )


def other_values() -> None:
    sequence = helper.make_tensor_sequence_value_info("s", TensorProto.FLOAT, None)
    save(
        "sequence",
        [node("SequenceConstruct", ["x", "x"], ["s"]), node("Neg", ["x"], ["y"])],
        [tensor("x", shape=["N"])],
        [sequence, tensor("y", shape=["N"])],
    )
    inner = helper.make_tensor_type_proto(TensorProto.FLOAT, ["N"])
    maybe = helper.make_value_info("maybe", helper.make_optional_type_proto(inner))
    save("optional", [node("Optional", ["x"], ["maybe"])], [tensor("x", shape=["N"])], [maybe])
    save(
        "nothing",
        [node("Optional", [], ["maybe"], type=inner), node("Neg", ["x"], ["y"])],
        [tensor("x", shape=["N"])],
        [maybe, tensor("y", shape=["N"])],
    )


def composites() -> None:
    for word in ("float", "int64", "string"):
        kind = helper.make_sequence_type_proto(helper.make_tensor_type_proto(DTYPES[word], None))
        ends = helper.make_value_info("x", kind), helper.make_value_info("y", kind)
        save(f"sequence_{word}", [node("Identity", ["x"], ["y"])], [ends[0]], [ends[1]])
    sequence = helper.make_sequence_type_proto(helper.make_tensor_type_proto(TensorProto.FLOAT, None))
    maybe = helper.make_optional_type_proto(sequence)
    ends = helper.make_value_info("x", maybe), helper.make_value_info("y", maybe)
    save("optional_sequence", [node("Identity", ["x"], ["y"])], [ends[0]], [ends[1]])
    has = node("OptionalHasElement", ["x"], ["has"])
    for word, inner in (
        ("sequence", sequence),
        ("tensor", helper.make_tensor_type_proto(TensorProto.FLOAT, None)),
    ):
        there = helper.make_value_info("x", helper.make_optional_type_proto(inner))
        save(f"has_{word}", [has], [there], [tensor("has", TensorProto.BOOL, [])])

    for word, labels in (
        ("int64", {"classlabels_int64s": [7, 8]}),
        ("string", {"classlabels_strings": ["a", "b"]}),
    ):
        key = helper.make_map_type_proto(DTYPES[word], helper.make_tensor_type_proto(TensorProto.FLOAT, []))
        maps = helper.make_value_info("maps", helper.make_sequence_type_proto(key))
        zipped = node("ZipMap", ["x"], ["maps"], domain="ai.onnx.ml", **labels)
        save(f"zip_map_{word}", [zipped], [tensor("x", shape=["N", 2])], [maps])
        save(f"maps_{word}", [node("Identity", ["x"], ["y"])], [maps, tensor("x")], [maps, tensor("y")])
    for key, value in (("string", "int64"), ("int64", "double"), ("int64", "float"), ("string", "string")):
        kind = helper.make_map_type_proto(DTYPES[key], helper.make_tensor_type_proto(DTYPES[value], []))
        both = helper.make_value_info("map", kind)
        save(f"map_{key}_{value}", [node("Identity", ["x"], ["y"])], [both, tensor("x")], [both, tensor("y")])
    vocabulary = {"string_vocabulary": ["a", "b", "c"]}
    counts = helper.make_map_type_proto(
        TensorProto.STRING, helper.make_tensor_type_proto(TensorProto.INT64, [])
    )
    save(
        "vectorize",
        [node("DictVectorizer", ["map"], ["y"], domain="ai.onnx.ml", **vocabulary)],
        [helper.make_value_info("map", counts)],
        [tensor("y", TensorProto.INT64, [1, 3])],
    )


def sparse_values() -> None:
    kept = helper.make_tensor("kept", TensorProto.FLOAT, [3], [1.0, 2.0, 3.0])
    places = helper.make_tensor("places", TensorProto.INT64, [3], [2, 5, 8])
    weight = helper.make_sparse_tensor(kept, places, [3, 3])
    kind = helper.make_sparse_tensor_type_proto(TensorProto.FLOAT, [3, 3])
    graph = helper.make_graph(
        [node("Identity", ["x"], ["y"])],
        "sparse_weight",
        [tensor("x", shape=[1])],
        [helper.make_value_info("kept", kind), tensor("y", shape=[1])],
        sparse_initializer=[weight],
    )
    write("sparse_weight", graph)
    for word in ("float", "string"):
        both = helper.make_value_info("s", helper.make_sparse_tensor_type_proto(DTYPES[word], None))
        save(f"sparse_{word}", [node("Identity", ["x"], ["y"])], [both, tensor("x")], [both, tensor("y")])


def batches() -> None:
    inner = ["S", "B", "F"]
    nodes = [
        node("Mul", ["x", "factor"], ["y"]),
        node("ReduceSum", ["y", "axes"], ["total"], keepdims=0),
    ]
    save(
        "batch_inner",
        nodes,
        [tensor("x", shape=inner), tensor("factor", shape=[])],
        [tensor("y", shape=[None, None, None]), tensor("total", shape=[None])],
        (constant("axes", np.array([0, 2], np.int64)),),
    )
    save(
        "batch_gather",
        [node("Gather", ["table", "index"], ["y"])],
        [tensor("index", TensorProto.INT64, ["N"])],
        [tensor("y", shape=["N"])],
        (constant("table", np.array([10, 20, 30], np.float32)),),
    )
    nodes = [node("Add", ["x", "x"], ["y"]), node("Identity", ["own"], ["shared"])]
    rows = ["N", 3]
    save(
        "batch_shared",
        nodes,
        [tensor("x", shape=rows)],
        [tensor("y", shape=rows), tensor("shared", shape=[2])],
        (constant("own", np.array([7, 8], np.float32)),),
    )


def main() -> None:
    arithmetic()
    shapes()
    aliases()
    loops()
    other_values()
    composites()
    sparse_values()
    batches()
    for word, dtype in DTYPES.items():
        ends = tensor("x", dtype, ["N"]), tensor("y", dtype, ["N"])
        save(f"identity_{word}", [node("Identity", ["x"], ["y"])], [ends[0]], [ends[1]])
    for word, (dtype, wider) in PACKED.items():
        nodes = [node("Cast", ["x"], ["wide"], to=wider), node("Cast", ["wide"], ["y"], to=dtype)]
        save(f"identity_{word}", nodes, [tensor("x", dtype, ["N"])], [tensor("y", dtype, ["N"])])


if __name__ == "__main__":
    main()
