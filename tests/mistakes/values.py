"""Mistakes with OrtValue and IOBinding."""

from __future__ import annotations

from typing import Any

import numpy as np

from .kit import BF16, Kit, Mistake, X

OUT = np.zeros((2, 3), np.float32)


def _updated(value: Any) -> Any:
    return lambda kit: kit.value(X.copy()).update_inplace(value)


def _with_values(feed: Any, names: Any = None) -> Any:
    return lambda kit: kit["product"].run_with_ort_values(names, feed(kit))


ORT_VALUES = (
    Mistake("value of a list", lambda kit: kit.value([1.0, 2.0])),
    Mistake("value of a number", lambda kit: kit.value(1.0)),
    Mistake("value of None", lambda kit: kit.value(None)),
    Mistake("value of strings", lambda kit: kit.value(np.array(["a", "b"]))),
    Mistake("value of objects", lambda kit: kit.value(np.array([object()]))),
    Mistake("value of complex numbers", lambda kit: kit.value(X.astype(np.complex64))),
    Mistake("value of bfloat16", lambda kit: kit.value(X.astype(BF16))),
    Mistake("value of a big-endian array", lambda kit: kit.value(np.full((2, 3), 7, ">f4")).numpy()),
    Mistake("value on an absent device", lambda kit: kit.value(X, "cuda", 0)),
    Mistake("value on an unknown device", lambda kit: kit.value(X, "nope", 0)),
    Mistake("value's device is a number", lambda kit: kit.value(X, 5, 0)),
    Mistake(
        "value of an unknown ONNX type",
        lambda kit: kit.ort.OrtValue.ortvalue_from_numpy_with_onnx_type(X, 9999),
    ),
    Mistake(
        "value of an ONNX type that is a str",
        lambda kit: kit.ort.OrtValue.ortvalue_from_numpy_with_onnx_type(X, "float"),
    ),
    Mistake(
        "value of an ONNX type of another width",
        lambda kit: kit.ort.OrtValue.ortvalue_from_numpy_with_onnx_type(X, 11).numpy(),
    ),
    Mistake("empty value of an unknown type", lambda kit: kit.empty((2, 3), "nope")),
    Mistake("empty value of strings", lambda kit: kit.empty((2, 3), np.str_)),
    Mistake("empty value of a negative shape", lambda kit: kit.empty((-2, 3))),
    Mistake("empty value of a shape of str", lambda kit: kit.empty("ab")),
    Mistake("empty value of a shape of None", lambda kit: kit.empty(None)),
    Mistake("empty value on an absent device", lambda kit: kit.empty((2, 3), np.float32, "cuda", 0)),
    Mistake("updated with more", _updated(np.zeros((3, 3), np.float32))),
    Mistake("updated with less", _updated(np.zeros((1, 3), np.float32))),
    Mistake("updated with float64", _updated(np.zeros((2, 3)))),
    Mistake("updated with float64 of the same bytes", _updated(np.zeros(3))),
    Mistake("updated with int32", _updated(np.zeros((2, 3), np.int32))),
    Mistake("updated with a list", _updated([[1.0] * 3] * 2)),
    Mistake("updated with None", _updated(None)),
    Mistake("updated with another shape", _updated(np.zeros((3, 2), np.float32))),
    Mistake("DLPack of a number", lambda kit: kit.ort.OrtValue.from_dlpack(5)),
    Mistake("DLPack of a str", lambda kit: kit.ort.OrtValue.from_dlpack("a")),
    Mistake("DLPack of a strided array", lambda kit: kit.ort.OrtValue.from_dlpack(X.T)),
    Mistake("OrtValue of a number", lambda kit: kit.ort.OrtValue(5)),
    Mistake("tensor as a sparse one", lambda kit: kit.value().as_sparse_tensor()),
    Mistake("value pickled", lambda kit: __import__("pickle").dumps(kit.value())),
    Mistake(
        "fed value of a wrong dtype", lambda kit: kit.run({"x": kit.value(X.astype(np.float64)), "y": X})
    ),
    Mistake("fed value of a wrong rank", lambda kit: kit.run({"x": kit.value(X[0]), "y": X})),
    Mistake("values: missing input", _with_values(lambda kit: {"x": kit.value()})),
    Mistake(
        "values: unknown input",
        _with_values(lambda kit: {"x": kit.value(), "y": kit.value(), "q": kit.value()}),
    ),
    Mistake("values: arrays", _with_values(lambda kit: {"x": X, "y": X})),
    Mistake("values: None", _with_values(lambda kit: None)),
    Mistake("values: a list", _with_values(lambda kit: [kit.value(), kit.value()])),
    Mistake(
        "values: dtype", _with_values(lambda kit: {"x": kit.value(X.astype(np.float64)), "y": kit.value()})
    ),
    Mistake("values: rank", _with_values(lambda kit: {"x": kit.value(X[0]), "y": kit.value()})),
    Mistake(
        "values: unknown output", _with_values(lambda kit: {"x": kit.value(), "y": kit.value()}, ["nope"])
    ),
)


def _bound(kit: Kit, **given: Any) -> Any:
    return kit["product"].run_with_iobinding(kit.binding(**given))


def _binding(call: Any) -> Any:
    """A right binding to which `call` did something, run."""

    def make(kit: Kit) -> Any:
        binding = kit.binding()
        call(binding, kit)
        kit["product"].run_with_iobinding(binding)
        return binding.copy_outputs_to_cpu()

    return make


BINDINGS = (
    Mistake("binding: missing input", lambda kit: _bound(kit, y=None)),
    Mistake("binding: nothing bound", lambda kit: _bound(kit, x=None, y=None, z=False)),
    Mistake("binding: no output", lambda kit: _bound(kit, z=False)),
    Mistake("binding: dtype", lambda kit: _bound(kit, x=X.astype(np.float64))),
    Mistake("binding: rank", lambda kit: _bound(kit, x=X[0])),
    Mistake("binding: dimension", lambda kit: _bound(kit, x=np.ones((2, 4), np.float32))),
    Mistake("binding: unknown input", _binding(lambda binding, kit: binding.bind_cpu_input("nope", X))),
    Mistake(
        "binding: unknown input's value",
        _binding(lambda binding, kit: binding.bind_ortvalue_input("nope", kit.value())),
    ),
    Mistake("binding: unknown output", _binding(lambda binding, kit: binding.bind_output("nope"))),
    Mistake("binding: a list", _binding(lambda binding, kit: binding.bind_cpu_input("x", [[1.0] * 3] * 2))),
    Mistake("binding: None", _binding(lambda binding, kit: binding.bind_cpu_input("x", None))),
    Mistake("binding: name is a number", _binding(lambda binding, kit: binding.bind_cpu_input(5, X))),
    Mistake(
        "binding: strings", _binding(lambda binding, kit: binding.bind_cpu_input("x", np.array([["a"] * 3])))
    ),
    Mistake(
        "binding: an array for a value", _binding(lambda binding, kit: binding.bind_ortvalue_input("x", X))
    ),
    Mistake(
        "binding: an array for an output's value",
        _binding(lambda binding, kit: binding.bind_ortvalue_output("z", OUT)),
    ),
    Mistake(
        "binding: output of another shape",
        _binding(
            lambda binding, kit: binding.bind_ortvalue_output("z", kit.value(np.zeros((1, 3), np.float32)))
        ),
    ),
    Mistake(
        "binding: output of another dtype",
        _binding(
            lambda binding, kit: binding.bind_ortvalue_output("z", kit.value(np.zeros((2, 3), np.int32)))
        ),
    ),
    Mistake(
        "binding: output on an absent device", _binding(lambda binding, kit: binding.bind_output("z", "cuda"))
    ),
    Mistake(
        "binding: output on an unknown device",
        _binding(lambda binding, kit: binding.bind_output("z", "nope")),
    ),
    Mistake(
        "binding: input on an unknown device",
        _binding(lambda binding, kit: binding.bind_input("x", "nope", 0, np.float32, (2, 3), X.ctypes.data)),
    ),
    Mistake(
        "binding: input of an unknown type",
        _binding(lambda binding, kit: binding.bind_input("x", "cpu", 0, "nope", (2, 3), X.ctypes.data)),
    ),
    Mistake("binding: is None", lambda kit: kit["product"].run_with_iobinding(None)),
    Mistake("binding: is a number", lambda kit: kit["product"].run_with_iobinding(5)),
    Mistake(
        "binding: of another session",
        lambda kit: kit["other"].run_with_iobinding(kit.binding()),
    ),
    Mistake(
        "binding: run options are a number",
        lambda kit: kit["product"].run_with_iobinding(kit.binding(), 5),
    ),
)

ALL = (*ORT_VALUES, *BINDINGS)
