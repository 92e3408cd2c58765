"""What a Python engine says of its inputs and outputs, in the native contract's form; answers checked against it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np

from headway._nodes import NodeArg

#: ONNX Runtime's word for an element type, numpy's name where it is another, ONNX's number.
_DTYPES = (
    ("float", "float32", 1),
    ("uint8", "uint8", 2),
    ("int8", "int8", 3),
    ("uint16", "uint16", 4),
    ("int16", "int16", 5),
    ("int32", "int32", 6),
    ("int64", "int64", 7),
    ("string", "str", 8),
    ("bool", "bool", 9),
    ("float16", "float16", 10),
    ("double", "float64", 11),
    ("uint32", "uint32", 12),
    ("uint64", "uint64", 13),
    ("complex64", "complex64", 14),
    ("complex128", "complex128", 15),
    ("bfloat16", "bfloat16", 16),
)
_BY_WORD = {f"tensor({word})": number for word, _, number in _DTYPES}
_BY_NAME = {name: number for _, name, number in _DTYPES}
_NAMES = {number: name for _, name, number in _DTYPES}


class Spec(NamedTuple):
    """One input or output."""

    name: str
    #: ONNX's number; None for anything.
    dtype: int | None
    #: None for any rank; None in it for any length.
    shape: list[int | str | None] | None


def specs(what: str, given: Sequence[Any] | None) -> list[Spec] | None:
    """``inputs`` or ``outputs`` as people write them; None where nothing is said.

    Raises:
        TypeError, ValueError: One of them is none of the forms, names an unknown dtype, or a name comes twice.
    """
    if given is None:
        return None
    if isinstance(given, str | bytes):
        raise TypeError(f"{what}: expected a list of names, got {given!r}; write [{given!r}]")
    made = [_spec(what, one) for one in given]
    names = [one.name for one in made]
    twice = [name for name in names if names.count(name) > 1]
    if twice:
        raise ValueError(f"{what}: the name {twice[0]!r} comes twice")
    return made


def _spec(what: str, given: Any) -> Spec:
    if isinstance(given, str):
        return Spec(given, None, None)
    if isinstance(given, NodeArg):
        given = (given.name, given.type, given.shape)
    if not isinstance(given, tuple | list) or not 1 <= len(given) <= 3 or not isinstance(given[0], str):
        raise TypeError(f"{what}: expected a name or (name, dtype, shape), got {given!r}")
    name, dtype, shape = (*given, None, None)[:3]
    if dtype is None and shape is not None:
        raise ValueError(f"{what}: {name!r} has a shape but no dtype; give both, or only the name")
    number = None if dtype is None else _number(what, name, dtype)
    return Spec(name, number, None if shape is None else [_length(what, name, one) for one in shape])


def _number(what: str, name: str, dtype: Any) -> int:
    if isinstance(dtype, str) and dtype in _BY_WORD:
        return _BY_WORD[dtype]
    try:
        known = str if dtype is str else np.dtype(dtype)
    except TypeError:
        known = None
    found = "str" if known is str else getattr(known, "name", str(dtype))
    if getattr(known, "kind", "") in ("U", "O", "T"):
        found = "str"
    if found not in _BY_NAME:
        raise ValueError(f"{what}: {name!r} has the dtype {dtype!r}; known are {', '.join(_BY_NAME)}")
    return _BY_NAME[found]


def _length(what: str, name: str, given: Any) -> int | str | None:
    if given is None or isinstance(given, str):
        return given
    try:
        length = given.__index__()
    except AttributeError:
        raise TypeError(
            f"{what}: {name!r} has {given!r} in its shape; expected a number, a name or None"
        ) from None
    return int(length) if length >= 0 else None


def numpy_name(word: str) -> str | None:
    """numpy's name for a node's type, ``tensor(float)``; None where it has none of its own."""
    number = _BY_WORD.get(word)
    return None if number is None or _NAMES[number] == "str" else _NAMES[number]


def check_answers(values: list[Any], found: list[Spec]) -> list[Any]:
    """Answers as arrays of what the engine said they would be.

    Raises:
        ValueError: A dtype, rank or dimension is another.
    """
    return [
        value if spec.dtype is None else _checked(value, spec)
        for value, spec in zip(values, found, strict=True)
    ]


def _checked(value: Any, spec: Spec) -> Any:
    array = np.asarray(value)
    assert spec.dtype is not None
    expected = _NAMES[spec.dtype]
    if array.dtype.name != expected and not (expected == "str" and array.dtype.kind in "UOT"):
        raise ValueError(f"output {spec.name!r} is {array.dtype.name}; the engine's outputs say {expected}")
    if spec.shape is None:
        return array
    fits = len(array.shape) == len(spec.shape) and all(
        not isinstance(wanted, int) or length == wanted
        for length, wanted in zip(array.shape, spec.shape, strict=True)
    )
    if not fits:
        raise ValueError(
            f"output {spec.name!r} has the shape {list(array.shape)}; the engine's outputs say {spec.shape}"
        )
    return array
