"""Mistakes in what is fed, in the outputs asked for, and in the options of one run."""

from __future__ import annotations

from typing import Any

import numpy as np

from .kit import BF16, BOTH, Kit, Mistake, X


def x_is(value: Any) -> Any:
    """`run` with `x` as it is said here, and a right `y`."""
    return lambda kit: kit.run({"x": value, "y": X})


def text_is(value: Any) -> Any:
    return lambda kit: kit.run({"x": value}, model="strings")


def sequence_is(value: Any) -> Any:
    return lambda kit: kit.run({"s": value}, model="sequence")


def map_is(value: Any) -> Any:
    return lambda kit: kit.run({"m": value}, model="map")


NAMES = (
    Mistake("missing input", lambda kit: kit.run({"x": X})),
    Mistake("nothing fed", lambda kit: kit.run({})),
    Mistake("missing and unknown input", lambda kit: kit.run({"x": X, "q": X})),
    Mistake("unknown input", lambda kit: kit.run({**BOTH, "q": X})),
    Mistake("unknown input of a wrong dtype", lambda kit: kit.run({**BOTH, "q": X.astype(np.int8)})),
    Mistake("input names in capitals", lambda kit: kit.run({"X": X, "Y": X})),
    Mistake("input name is bytes", lambda kit: kit.run({b"x": X, "y": X})),
    Mistake("input name is a number", lambda kit: kit.run({**BOTH, 5: X})),
    Mistake("input name is None", lambda kit: kit.run({**BOTH, None: X})),
    Mistake("an output fed", lambda kit: kit.run({**BOTH, "z": X})),
    Mistake("initializer of a wrong dtype", lambda kit: kit.run({"x": X, "w": np.ones(3)}, model="override")),
    Mistake(
        "initializer of a wrong length",
        lambda kit: kit.run({"x": X, "w": np.ones(4, np.float32)}, model="override"),
    ),
    Mistake("feed is a list", lambda kit: kit.run([X, X])),
    Mistake("feed is an array", lambda kit: kit.run(np.ones((1,), np.float32), model="gather")),
    Mistake("feed is a number", lambda kit: kit.run(5)),
    Mistake("feed is None", lambda kit: kit.run(None)),
    Mistake("feed is a str", lambda kit: kit.run("x")),
)

ARRAYS = (
    Mistake("float64 for float32", x_is(X.astype(np.float64))),
    Mistake("float16 for float32", x_is(X.astype(np.float16))),
    Mistake("int8 for float32", x_is(X.astype(np.int8))),
    Mistake("int64 for float32", x_is(X.astype(np.int64))),
    Mistake("bool for float32", x_is(X.astype(bool))),
    Mistake("strings for float32", x_is(np.array([["a"] * 3]))),
    Mistake("objects for float32", x_is(np.array([[object()] * 3]))),
    Mistake("complex for float32", x_is(X.astype(np.complex64))),
    Mistake("dates for float32", x_is(np.zeros((2, 3), "M8[s]"))),
    Mistake("records for float32", x_is(np.zeros((2, 3), "f4,f4"))),
    Mistake("bfloat16 for float32", x_is(X.astype(BF16))),
    Mistake("longdouble for float32", x_is(X.astype(np.longdouble))),
    Mistake("int32 for int64", lambda kit: kit.run({"x": np.zeros(2, np.int32)}, model="int64")),
    Mistake("rank 1 for 2", x_is(X[0])),
    Mistake("rank 3 for 2", x_is(X[None])),
    Mistake("rank 0 for 2", x_is(np.array(1, np.float32))),
    Mistake("one dimension wrong", x_is(np.ones((2, 4), np.float32))),
    Mistake("dimension of zero", x_is(np.ones((2, 0), np.float32))),
    Mistake("rank before dimensions", x_is(np.ones((1, 4, 2), np.float32))),
    Mistake("dtype before rank", x_is(np.ones(4))),
    Mistake("both inputs wrong", lambda kit: kit.run({"x": X[0], "y": X.astype(np.int8)})),
    Mistake(
        "both inputs wrong, fed the other way round", lambda kit: kit.run({"y": X.astype(np.int8), "x": X[0]})
    ),
    Mistake("lengths of one dimension differ", x_is(np.ones((3, 3), np.float32))),
    Mistake("big-endian", x_is(np.full((2, 3), 7, ">f4"))),
    Mistake("an index beyond", lambda kit: kit.run({"i": np.array([9], np.int64)}, model="gather")),
)

OBJECTS = (
    Mistake("None", x_is(None)),
    Mistake("python float", x_is(1.0)),
    Mistake("python int", x_is(1)),
    Mistake("numpy number", x_is(np.float32(1))),
    Mistake("object", x_is(object())),
    Mistake("str for float32", x_is("word")),
    Mistake("bytes for float32", x_is(b"word")),
    Mistake("dict for float32", x_is({"a": 1})),
    Mistake("set for float32", x_is({1.0})),
    Mistake("generator for float32", x_is(value for value in (1.0, 2.0))),
    Mistake("list of the wrong shape", x_is([[1.0, 2.0]])),
    Mistake("list of words", x_is([["a", "b", "c"]])),
    Mistake("ragged list", x_is([[1.0], [1.0, 2.0]])),
    Mistake("empty list", x_is([])),
    Mistake("list of None", x_is([[None, None, None]])),
    Mistake("memoryview", x_is(X.data)),
    Mistake("numbers for strings", text_is(np.zeros(1))),
    Mistake("one str for strings", text_is("word")),
    Mistake("None among strings", text_is(np.array(["a", None], object))),
    Mistake("a number among strings", text_is(np.array(["a", 1], object))),
    Mistake("bytes that are no UTF-8", text_is(np.array([b"\xff"]))),
    Mistake("a lone surrogate", text_is(np.array(["\ud800"], object))),
    Mistake("bfloat16 input", lambda kit: kit.run({"x": np.ones(2, BF16)}, model="from bfloat16")),
    Mistake("bfloat16 output", lambda kit: kit.run({"x": np.ones(2, np.float32)}, model="to bfloat16")),
    Mistake("an array for a sequence", sequence_is(X)),
    Mistake("a number for a sequence", sequence_is(5)),
    Mistake("a sequence of float64", sequence_is([X.astype(np.float64)])),
    Mistake("a sequence of two dtypes", sequence_is([X, X.astype(np.int64)])),
    Mistake("a sequence with None", sequence_is([X, None])),
    Mistake("a sequence of words", sequence_is(["a"])),
    Mistake("an empty sequence", sequence_is([])),
    Mistake("a map from numbers", map_is({1: 1.0})),
    Mistake("a map to words", map_is({"a": "b"})),
    Mistake("a list for a map", map_is([1.0])),
    Mistake("an array for a map", map_is(X)),
)

OUTPUT_NAMES = (
    Mistake("unknown output", lambda kit: kit.run(BOTH, ["nope"])),
    Mistake("unknown output among known ones", lambda kit: kit.run(BOTH, ["z", "nope"])),
    Mistake("empty output name", lambda kit: kit.run(BOTH, [""])),
    Mistake("an input as output", lambda kit: kit.run(BOTH, ["x"])),
    Mistake("output names are a str", lambda kit: kit.run(BOTH, "z")),
    Mistake("output names are numbers", lambda kit: kit.run(BOTH, [1])),
    Mistake("output names with None", lambda kit: kit.run(BOTH, [None])),
    Mistake("output names are bytes", lambda kit: kit.run(BOTH, [b"nope"])),
    Mistake("output names are a number", lambda kit: kit.run(BOTH, 5)),
    Mistake("unknown output before a wrong input", lambda kit: kit.run({**BOTH, "x": X[0]}, ["nope"])),
    Mistake("unknown output before a missing input", lambda kit: kit.run({"x": X}, ["nope"])),
)


def _entry(key: Any, value: Any) -> Any:
    def make(kit: Kit) -> Any:
        options = kit.run_options()
        options.add_run_config_entry(key, value)
        return kit.run(BOTH, None, options)

    return make


def _terminated(call: Any) -> Any:
    return lambda kit: call(kit, kit.run_options(terminate=True))


RUN_OPTIONS = (
    Mistake("run options are a number", lambda kit: kit.run(BOTH, None, 5)),
    Mistake("run options are a dict", lambda kit: kit.run(BOTH, None, {"terminate": True})),
    Mistake("run options are session options", lambda kit: kit.run(BOTH, None, kit.options())),
    Mistake("no feed", lambda kit: kit["product"].run(None)),
    Mistake("unknown keyword of run", lambda kit: kit.run(BOTH, None, colour="red")),
    Mistake("terminated run", _terminated(lambda kit, options: kit.run(BOTH, None, options))),
    Mistake(
        "terminated run with ort values",
        _terminated(
            lambda kit, options: kit["product"].run_with_ort_values(
                None, {"x": kit.value(), "y": kit.value()}, options
            )
        ),
    ),
    Mistake(
        "terminated run with a binding",
        _terminated(lambda kit, options: kit["product"].run_with_iobinding(kit.binding(), options)),
    ),
    Mistake("unknown field of RunOptions", lambda kit: kit.run_options(colour="red")),
    Mistake("field of RunOptions that is not read", lambda kit: kit.run_options().colour),
    Mistake("terminate is a str", lambda kit: kit.run(BOTH, None, kit.run_options(terminate="yes"))),
    Mistake(
        "severity of a run is a str", lambda kit: kit.run(BOTH, None, kit.run_options(log_severity_level="x"))
    ),
    Mistake("log id of a run is a number", lambda kit: kit.run(BOTH, None, kit.run_options(logid=5))),
    Mistake("run entry is missing", lambda kit: kit.run_options().get_run_config_entry("zz")),
    Mistake("run entry's value is a number", _entry("memory.enable_memory_arena_shrinkage", 5)),
    Mistake("run entry's key is a number", _entry(5, "1")),
    Mistake("run entry's key is empty", _entry("", "1")),
    Mistake("run entry nobody reads", _entry("no.such.key", "1")),
    Mistake("shrinkage of nonsense", _entry("memory.enable_memory_arena_shrinkage", "nonsense")),
    Mistake("shrinkage of an absent device", _entry("memory.enable_memory_arena_shrinkage", "gpu:0")),
    Mistake("adapter is a number", lambda kit: kit.run_options().add_active_adapter(5)),
)

ALL = (*NAMES, *ARRAYS, *OBJECTS, *OUTPUT_NAMES, *RUN_OPTIONS)
