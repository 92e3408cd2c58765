"""What may be fed to an input, and what comes back from a model that gives its input back.

A table and no tests, so that every calling convention can be driven through the same cases.
"""

from __future__ import annotations

import array
import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import ml_dtypes
import numpy as np
import onnx
from onnx import TensorProto as T

Shape = tuple[int | str | None, ...]


@dataclass(frozen=True)
class Case:
    """One object for one input: what comes back, or what the refusal says."""

    name: str
    dtype: int
    """The model's element type, as ONNX numbers it."""
    shape: Shape | None
    """The model's shape; `None` for an unknown rank."""
    make: Callable[[], Any]
    expected: Any = None
    """The output; `None` for a refusal."""
    error: str | None = None
    """A part of the refusal's message."""

    def __str__(self) -> str:
        return self.name

    def check(self, output: Any) -> None:
        """Compares an output with what was expected, dtype and shape included."""
        expected = np.asarray(self.expected)
        assert type(output) is np.ndarray
        assert output.shape == expected.shape
        if expected.dtype.kind in "UO":
            assert output.dtype == object
            assert output.tolist() == expected.tolist()
            return
        assert output.dtype == expected.dtype
        assert output.tobytes() == expected.tobytes()
        assert output.flags.c_contiguous and output.flags.aligned and output.flags.writeable

    @property
    def pattern(self) -> str:
        assert self.error is not None
        return re.escape(self.error)


NARROW = {T.INT4, T.UINT4, T.INT2, T.UINT2}
"""Types that ONNX Runtime cannot pass through `Identity`; it can cast them to int8 and back."""


def model_bytes(dtype: int, shape: Shape | None) -> bytes:
    """A model with the input `x` and the output `y`, which is the same."""
    make = onnx.helper
    info_x = make.make_tensor_value_info("x", dtype, shape)
    info_y = make.make_tensor_value_info("y", dtype, None)
    nodes = [make.make_node("Identity", ["x"], ["y"])]
    if dtype in NARROW:
        nodes = [
            make.make_node("Cast", ["x"], ["wide"], to=T.INT8),
            make.make_node("Cast", ["wide"], ["y"], to=dtype),
        ]
    opset, ir = (25, 13) if dtype in {T.INT2, T.UINT2} else (21, 10)
    graph = make.make_graph(nodes, "identity", [info_x], [info_y])
    model = make.make_model(graph, opset_imports=[make.make_opsetid("", opset)], ir_version=ir)
    data: bytes = model.SerializeToString()
    return data


GRID = np.arange(12, dtype=np.float32).reshape(3, 4)


def misaligned() -> np.ndarray:
    buffer = bytearray(b"\0" + GRID.tobytes())
    return np.frombuffer(buffer, np.float32, offset=1).reshape(3, 4)


def read_only() -> np.ndarray:
    grid = GRID.copy()
    grid.flags.writeable = False
    return grid


class Subclass(np.ndarray):
    pass


class OnlyDLPack:
    """What a foreign library's tensor looks like."""

    def __init__(self, data: np.ndarray, device: tuple[int, int] = (1, 0)) -> None:
        self.data = data
        self.device = device

    def __dlpack__(self, **options: Any) -> Any:
        return self.data.__dlpack__()

    def __dlpack_device__(self) -> tuple[int, int]:
        return self.device


class OnlyArray:
    """What an image or a table looks like."""

    def __array__(self, dtype: Any = None, copy: Any = None) -> np.ndarray:
        return GRID.copy()


def big_endian_slice() -> np.ndarray:
    return GRID.astype(">f4")[::-1, ::2]


def layouts() -> list[Case]:
    """The same numbers, laid out in every way that numpy allows."""
    makers: list[tuple[str, Callable[[], Any], Any]] = [
        ("plain", lambda: GRID.copy(), GRID),
        ("subclass", lambda: GRID.copy().view(Subclass), GRID),
        ("read-only", read_only, GRID),
        ("big-endian", lambda: GRID.astype(">f4"), GRID),
        ("big-endian slice", big_endian_slice, GRID[::-1, ::2]),
        ("negative strides", lambda: GRID[::-1, ::-1], GRID[::-1, ::-1]),
        ("every second column", lambda: GRID[:, ::2], GRID[:, ::2]),
        ("transposed", lambda: GRID.T, GRID.T),
        ("fortran order", lambda: np.asfortranarray(GRID), GRID),
        ("broadcast", lambda: np.broadcast_to(GRID[0], (5, 4)), np.tile(GRID[0], (5, 1))),
        ("misaligned", misaligned, GRID),
        ("misaligned slice", lambda: misaligned()[::2, ::-1], GRID[::2, ::-1]),
        (
            "packed field",
            lambda: np.rec.fromarrays([np.zeros(12, "u1"), GRID.ravel()])["f1"].reshape(3, 4),
            GRID,
        ),
        ("zero rows", lambda: GRID[:0], GRID[:0]),
        ("zero rows, strided", lambda: GRID[:0, ::2], GRID[:0, ::2]),
        ("dlpack", lambda: OnlyDLPack(GRID.copy()), GRID),
        ("dlpack, strided", lambda: OnlyDLPack(GRID.T), GRID.T),
        ("__array__", OnlyArray, GRID),
        ("memoryview", lambda: GRID.copy().data, GRID),
        ("strided memoryview", lambda: GRID.T.data, GRID.T),
        ("nested list", GRID.tolist, GRID),
        ("list of arrays", lambda: list(GRID), GRID),
        ("nested tuple", lambda: tuple(map(tuple, GRID.tolist())), GRID),
        ("list of ints", lambda: [[1, 2], [3, 4]], np.array([[1, 2], [3, 4]], np.float32)),
    ]
    return [Case(name, T.FLOAT, ("rows", "columns"), make, expected) for name, make, expected in makers]


def ranks() -> list[Case]:
    """Scalars, unknown ranks, many dimensions, large arrays."""
    six = np.arange(64, dtype=np.float32).reshape((2,) * 6)
    eight = np.arange(256, dtype=np.float32).reshape((2,) * 8)
    large = np.arange(3 * 70_001, dtype=np.float32).reshape(3, -1)
    one = np.array(1.5, np.float32)
    return [
        Case("0-d array", T.FLOAT, (), lambda: np.array(1.5, np.float32), one),
        Case("0-d big-endian", T.FLOAT, (), lambda: np.array(1.5, ">f4"), one),
        Case("numpy scalar", T.FLOAT, (), lambda: np.float32(1.5), one),
        Case("python float", T.FLOAT, (), lambda: 1.5, one),
        Case("python int", T.INT64, (), lambda: 7, np.array(7, np.int64)),
        Case("python bool", T.BOOL, (), lambda: True, np.array(True)),
        # ONNX Runtime does not check a model's rank of 0: many exporters write it for "unknown".
        Case("one element for a scalar", T.INT64, (), lambda: np.array([16000]), np.array([16000])),
        Case("unknown rank", T.FLOAT, None, lambda: six, six),
        Case("8 dimensions", T.FLOAT, None, lambda: eight[..., ::-1], eight[..., ::-1]),
        Case("large", T.FLOAT, (3, None), lambda: large, large),
        Case("large, transposed", T.FLOAT, (None, 3), lambda: large.T, large.T),
        Case("large, big-endian", T.FLOAT, (3, None), lambda: large.astype(">f4"), large),
    ]


NUMPY_TYPES = {
    T.FLOAT: np.float32, T.DOUBLE: np.float64, T.FLOAT16: np.float16, T.BOOL: np.bool_,
    T.INT8: np.int8, T.INT16: np.int16, T.INT32: np.int32, T.INT64: np.int64,
    T.UINT8: np.uint8, T.UINT16: np.uint16, T.UINT32: np.uint32, T.UINT64: np.uint64,
}  # fmt: skip

SMALL_TYPES = {
    T.BFLOAT16: ml_dtypes.bfloat16, T.FLOAT8E4M3FN: ml_dtypes.float8_e4m3fn,
    T.FLOAT8E4M3FNUZ: ml_dtypes.float8_e4m3fnuz, T.FLOAT8E5M2: ml_dtypes.float8_e5m2,
    T.FLOAT8E5M2FNUZ: ml_dtypes.float8_e5m2fnuz, T.UINT4: ml_dtypes.uint4, T.INT4: ml_dtypes.int4,
    T.UINT2: ml_dtypes.uint2, T.INT2: ml_dtypes.int2,
}  # fmt: skip


def types() -> list[Case]:
    """Every element type, plain, swapped and strided; narrow ones also with an odd count."""
    cases = []
    for dtype, scalar in NUMPY_TYPES.items():
        name = np.dtype(scalar).name
        values: np.ndarray[Any, Any] = np.array([[0, 1, 2], [3, 4, 120]]).astype(scalar)
        cases.append(Case(name, dtype, (2, 3), values.copy, values))
        cases.append(
            Case(
                f"{name}, swapped", dtype, (2, 3), values.astype(values.dtype.newbyteorder("S")).copy, values
            )
        )
        cases.append(Case(f"{name}, strided", dtype, (3, 2), values.T.view, values.T))
        if values.dtype.kind in "iu":
            lowest, highest = np.iinfo(scalar).min, np.iinfo(scalar).max
            ends: np.ndarray[Any, Any] = np.array([lowest, highest], scalar)
            cases.append(Case(f"{name}, ends as a list", dtype, (2,), ends.tolist, ends))
    for dtype, scalar in SMALL_TYPES.items():
        name = np.dtype(scalar).name
        signed = np.array([[0, 1, -2], [3, -4, 7], [5, 6, -8]]).astype(np.float32)
        if dtype in {T.UINT2, T.INT2}:
            signed = np.array([[0, 1, -2], [1, -1, 1], [0, 0, -2]]).astype(np.float32)
        values = (np.abs(signed) if "uint" in name else signed).astype(scalar)
        cases.append(Case(name, dtype, (3, 3), values.copy, values))
        cases.append(Case(f"{name}, transposed", dtype, (3, 3), values.T.view, values.T))
        cases.append(Case(f"{name}, no rows", dtype, (None, 3), values[:0].view, values[:0]))
        cases.append(Case(f"{name}, list", dtype, (2,), lambda: [1, 0], np.array([1, 0]).astype(scalar)))
    large = (np.arange(200_001) % 16 - 8).astype(ml_dtypes.int4)
    cases.append(Case("int4, large", T.INT4, (None,), large.copy, large))
    longlong = np.array([1, -2], np.longlong)
    cases.append(Case("longlong", T.INT64, (2,), longlong.copy, longlong.astype(np.int64)))
    return cases


def buffers() -> list[Case]:
    """Buffers of other types, and sequences that have a better reading than a list."""
    cases = [
        Case("bytearray", T.UINT8, (None,), lambda: bytearray(b"abc"), np.frombuffer(b"abc", np.uint8)),
        Case("bytes", T.UINT8, (None,), lambda: b"abc", np.frombuffer(b"abc", np.uint8)),
        Case("array.array", T.DOUBLE, (None,), lambda: array.array("d", [1, 2]), np.array([1.0, 2.0])),
        Case("range", T.INT64, (None,), lambda: range(3), np.arange(3)),
        Case("whole floats for integers", T.INT64, (None,), lambda: [1.0, 2.0], np.array([1, 2])),
        Case("bools for integers", T.INT64, (None,), lambda: [True, False], np.array([1, 0])),
        Case("no numbers", T.INT64, (None,), list, np.zeros(0, np.int64)),
    ]
    if hasattr(np.dtypes, "StringDType"):
        kind = np.dtypes.StringDType()
        text = ["a long string that is kept elsewhere", "é"]
        cases.append(
            Case("StringDType", T.STRING, (2,), lambda: np.array(text, kind), np.array(text, object))
        )
    return cases


def strings() -> list[Case]:
    """Strings in every form."""
    text = np.array([["a", "é"], ["", "\U0001f40d snake"]], object)
    nul = np.array(["a\0b", "c\0"], object)
    return [
        Case("objects", T.STRING, (2, 2), text.copy, text),
        Case("objects, transposed", T.STRING, (2, 2), lambda: text.T, text.T),
        Case("str array", T.STRING, (2, 2), lambda: text.astype(str), text),
        Case("str array, swapped", T.STRING, (2, 2), lambda: text.astype(str).astype(">U12"), text),
        Case("bytes array", T.STRING, (2,), lambda: np.array([b"ab", b"c"]), np.array(["ab", "c"], object)),
        Case(
            "bytes objects", T.STRING, (1,), lambda: np.array(["é".encode()], object), np.array(["é"], object)
        ),
        Case("list of str", T.STRING, (2, 2), text.tolist, text),
        Case("NUL is kept", T.STRING, (2,), nul.tolist, nul),
        Case("one str", T.STRING, (), lambda: "word", np.array("word", object)),
        Case("no strings", T.STRING, (None,), lambda: np.zeros(0, object), np.zeros(0, object)),
        Case(
            "none among them",
            T.STRING,
            (2,),
            lambda: np.array(["a", None], object),
            error="element 1 must be str",
        ),
        Case(
            "number among them",
            T.STRING,
            (2,),
            lambda: ["a", 1],
            error="element 1 must be str or UTF-8 bytes, got",
        ),
        Case(
            "not UTF-8",
            T.STRING,
            (1,),
            lambda: np.array([b"\xff"]),
            error="input 'x': element 0 is not UTF-8 text",
        ),
        Case(
            "lone surrogate",
            T.STRING,
            (1,),
            lambda: ["\ud800"],
            error="input 'x': element 0 is not UTF-8 text",
        ),
        Case(
            "numbers",
            T.STRING,
            (1,),
            lambda: np.zeros(1),
            error="Actual: (tensor(double)) , expected: (tensor(string))",
        ),
    ]


FIX = "Please fix either the inputs/outputs or the model."
RANK = f"Invalid rank for input: x Got: 1 Expected: 2 {FIX}"
DIMS = (
    "[ONNXRuntimeError] : 2 : INVALID_ARGUMENT : "
    "Got invalid dimensions for input: x for the following indices\n"
    f" index: 0 Got: 3 Expected: 2\n index: 2 Got: 4 Expected: 3\n {FIX}"
)
DTYPE = (
    "[ONNXRuntimeError] : 2 : INVALID_ARGUMENT : Unexpected input data type. "
    "Actual: (tensor(double)) , expected: (tensor(float)) for input 'x'"
)


def refusals() -> list[Case]:
    """What is wrong, and how it is said."""
    f32 = np.float32
    return [
        Case("dtype", T.FLOAT, (2,), lambda: np.zeros(2), error=DTYPE),
        Case("dtype before shape", T.FLOAT, (3,), lambda: np.zeros(2), error=DTYPE),
        Case("scalar's own dtype", T.FLOAT, (), lambda: np.float64(1), error=DTYPE),
        Case("rank", T.FLOAT, (2, 3), lambda: np.zeros(2, f32), error=RANK),
        Case("rank 0", T.FLOAT, (None,), lambda: np.zeros((), f32), error="Got: 0 Expected: 1"),
        Case("dimensions", T.FLOAT, (2, None, 3), lambda: np.zeros((3, 9, 4), f32), error=DIMS),
        Case(
            "dimension of zero",
            T.FLOAT,
            (2,),
            lambda: np.zeros(0, f32),
            error=" index: 0 Got: 0 Expected: 2\n",
        ),
        Case("list's shape", T.FLOAT, (3,), lambda: [1.0, 2.0], error=" index: 0 Got: 2 Expected: 3\n"),
        Case("none", T.FLOAT, (2,), lambda: None, error="input 'x' is None"),
        Case(
            "an object",
            T.FLOAT,
            (2,),
            object,
            error="input 'x': cannot read an object of type <class 'object'>",
        ),
        Case("a set", T.FLOAT, (2,), lambda: {1.0}, error="pass a numpy array"),
        Case("dates", T.INT64, (1,), lambda: np.zeros(1, "M8[s]"), error="Actual: (datetime64[s])"),
        Case("records", T.FLOAT, (1,), lambda: np.zeros(1, "f4,f4"), error="expected: (tensor(float))"),
        Case("objects", T.FLOAT, (1,), lambda: np.array([1.0], object), error="expected: (tensor(float))"),
        Case(
            "foreign small type",
            T.FLOAT,
            (1,),
            lambda: np.zeros(1, ml_dtypes.float8_e3m4),
            error="(float8_e3m4)",
        ),
        Case("small type", T.BFLOAT16, (1,), lambda: np.zeros(1, f32), error="astype(ml_dtypes.bfloat16)"),
        Case(
            "ragged",
            T.FLOAT,
            (2, 2),
            lambda: [[1.0], [1.0, 2.0]],
            error="input 'x': cannot read <class 'list'>",
        ),
        Case("fractions for integers", T.INT64, (1,), lambda: [1.5], error="do not all fit into int64"),
        Case("nan for integers", T.INT64, (1,), lambda: [float("nan")], error="do not all fit into int64"),
        Case("too large", T.UINT8, (1,), lambda: [256], error="do not all fit into uint8"),
        Case("negative", T.UINT64, (1,), lambda: [-1], error="do not all fit into uint64"),
        Case("too large for int4", T.INT4, (1,), lambda: [8], error="do not all fit into int4"),
        Case("not 0 or 1", T.BOOL, (1,), lambda: [2], error="do not all fit into bool"),
        Case("complex", T.FLOAT, (1,), lambda: [1j], error="Actual: (tensor(complex128))"),
        Case("words", T.FLOAT, (1,), lambda: ["a"], error="Actual: (tensor(string))"),
        Case(
            "on a GPU", T.FLOAT, (3, 4), lambda: OnlyDLPack(GRID, (2, 0)), error="it lies on another device"
        ),
    ]


ACCEPTED = [*layouts(), *ranks(), *types(), *buffers(), *(case for case in strings() if case.error is None)]
REFUSED = [*refusals(), *(case for case in strings() if case.error is not None)]
