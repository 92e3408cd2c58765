"""Random requests for a model: feeds in every layout, right or wrong on purpose, and choices of outputs."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from hypothesis import strategies as st
from onnx import TensorProto as T

from .models import DTYPES, NAMES, Input, Model

LAYOUTS = (
    "plain",
    "fortran",
    "reversed",
    "every second",
    "transposed",
    "read-only",
    "swapped",
    "swapped slice",
    "list",
)

WRONG = ("dtype", "rank", "dimension", "missing", "unknown", "none", "output")
"""Mistakes made on purpose."""


class Request(NamedTuple):
    """What both packages are asked."""

    #: As a program has it: strided, in another byte order, a list.
    feed: dict[str, Any]
    #: The same values as plain arrays.
    plain: dict[str, Any]
    outputs: list[str] | None
    mistakes: frozenset[str]
    #: Two inputs give one symbolic dimension different lengths.
    uneven: bool


@st.composite
def requests(draw: st.DrawFn, model: Model) -> Request:
    """A request, right three times in four."""
    seed = draw(st.integers(0, 2**32 - 1))
    numbers = np.random.default_rng(seed)
    mistakes = (
        frozenset(draw(st.lists(st.sampled_from(WRONG), min_size=1, max_size=2)))
        if draw(st.integers(0, 3)) == 3
        else frozenset()
    )
    uneven = draw(st.integers(0, 9)) == 9
    symbols: dict[str, int] = {}
    feed: dict[str, Any] = {}
    plain: dict[str, Any] = {}
    victim = draw(st.sampled_from([one.name for one in model.inputs]))
    for one in draw(st.permutations(model.inputs)):
        if one.default is not None and draw(st.booleans()):
            continue
        shape = _shape(draw, one, symbols, uneven)
        wrong = mistakes if one.name == victim else frozenset()
        plain[one.name], feed[one.name] = _value(draw, one, shape, numbers, wrong)
    if "missing" in mistakes:
        plain.pop(victim, None)
        feed.pop(victim, None)
    if "none" in mistakes and victim in feed:
        plain[victim] = feed[victim] = None
    if "unknown" in mistakes:
        plain["no such input"] = feed["no such input"] = np.zeros(2, np.float32)
    outputs = draw(
        st.one_of(st.none(), st.just([]), st.lists(st.sampled_from(model.outputs), min_size=1, max_size=4))
    )
    if "output" in mistakes:
        outputs = [*(outputs or []), f"no such {NAMES[2]}"]
    return Request(feed, plain, outputs, mistakes, _is_uneven(model, plain))


def _is_uneven(model: Model, plain: dict[str, Any]) -> bool:
    lengths: dict[str, set[int]] = {}
    for one in model.inputs:
        for dimension, size in zip(one.shape or (), np.shape(plain.get(one.name)), strict=False):
            if isinstance(dimension, str):
                lengths.setdefault(dimension, set()).add(size)
    return any(len(each) > 1 for each in lengths.values())


def _shape(draw: st.DrawFn, one: Input, symbols: dict[str, int], uneven: bool) -> list[int]:
    length = st.integers(0, 3)
    if one.shape is None:
        return draw(st.lists(length, max_size=4))
    shape = []
    for dimension in one.shape:
        if isinstance(dimension, str):
            size = draw(length) if uneven else symbols.setdefault(dimension, draw(length))
        else:
            size = draw(length) if dimension is None else dimension
        shape.append(size)
    return shape


def _value(
    draw: st.DrawFn, one: Input, shape: list[int], numbers: Any, wrong: frozenset[str]
) -> tuple[Any, Any]:
    dtype = one.dtype
    if "dtype" in wrong:
        dtype = draw(st.sampled_from([other for other in DTYPES if other != dtype and other != T.BFLOAT16]))
    if "rank" in wrong:
        shape = [*shape, 2]
    if "dimension" in wrong:
        shape = [size + 1 for size in shape]
    array = _array(numbers, dtype, shape)
    layout = draw(st.sampled_from(LAYOUTS))
    # A list has no dtype of its own, so none that could be wrong.
    if layout == "list" and (wrong or 0 in shape):
        layout = "plain"
    return array, laid_out(array, layout)


def _array(numbers: Any, dtype: int, shape: list[int]) -> Any:
    if dtype == T.STRING:
        words = np.array(["", "cat", "grüße", "日本", "a\0b"], object)
        return np.asarray(words[numbers.integers(0, len(words), shape)], object)
    if dtype == T.BOOL:
        return np.asarray(numbers.integers(0, 2, shape), bool)
    low = 0 if dtype == T.UINT8 else -8
    # Eighths: exact in every type that has fractions.
    values = np.asarray(numbers.integers(low, 8, shape)) / (
        1 if dtype in {T.INT64, T.INT32, T.INT8, T.UINT8} else 8
    )
    return np.asarray(values).astype(DTYPES[dtype])


def laid_out(array: Any, layout: str) -> Any:
    """The same values, in another layout or form."""
    if layout == "list":
        return array.tolist()
    if layout == "fortran":
        return np.asfortranarray(array) if array.ndim else array
    if layout == "reversed":
        turned = tuple(slice(None, None, -1) for _ in array.shape)
        return array[turned].copy()[turned] if array.ndim else array
    if layout == "every second":
        wide = np.repeat(array, 2, axis=-1) if array.ndim else array
        return wide[..., ::2] if array.ndim else array
    if layout == "transposed":
        return array.T.copy().T
    if layout == "read-only":
        array = array.copy()
        array.flags.writeable = False
        return array
    if layout.startswith("swapped") and array.dtype.kind in "fiu":
        swapped = array.astype(array.dtype.newbyteorder("S"))
        return swapped[::-1].copy()[::-1] if layout == "swapped slice" and array.ndim else swapped
    return array
