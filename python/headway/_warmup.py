"""Warm-up: feeds made from what the model says of its inputs."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from headway._errors import InputError

if TYPE_CHECKING:
    from headway._nodes import NodeArg

_DTYPES = {
    "float": "float32", "double": "float64", "float16": "float16", "bool": "bool",
    "int8": "int8", "int16": "int16", "int32": "int32", "int64": "int64",
    "uint8": "uint8", "uint16": "uint16", "uint32": "uint32", "uint64": "uint64",
    "complex64": "complex64", "complex128": "complex128", "string": "str",
}  # fmt: skip


def zeros(inputs: Sequence[NodeArg]) -> dict[str, Any]:
    """Zeros for every input, dimensions of any length taken as 1.

    Raises:
        InputError: An input's type cannot be made up.
    """
    feed: dict[str, Any] = {}
    for node in inputs:
        word = node.type.removeprefix("tensor(").removesuffix(")")
        if word not in _DTYPES:
            raise InputError(
                f"warmup: pass feeds=[...]; zeros of type {node.type} for {node.name!r} cannot be made up"
            )
        shape = [dim if isinstance(dim, int) else 1 for dim in node.shape]
        feed[node.name] = np.zeros(shape, _DTYPES[word])
    return feed
