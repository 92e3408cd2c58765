"""``run_batch``: axis 0 of the feed split over the lanes, the answers joined."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from headway._errors import InputError
from headway._parallel import join, pieces

if TYPE_CHECKING:
    from headway._nodes import NodeArg


def named(feed: Any, inputs: Sequence[NodeArg]) -> dict[str, Any]:
    """The feed by name, as arrays. What is wrong with it beyond that, the session says when it is run."""
    if isinstance(feed, Mapping):
        given = dict(feed)
    elif isinstance(feed, list | tuple) and len(feed) == len(inputs):
        given = {node.name: value for node, value in zip(inputs, feed, strict=True)}
    elif len(inputs) == 1:
        given = {inputs[0].name: feed}
    else:
        raise InputError(f"expected a feed of {len(inputs)} inputs ({[node.name for node in inputs]})")
    return {name: np.asanyarray(value) for name, value in given.items()}


def batch_size(arrays: Mapping[str, Any]) -> int:
    """The length of axis 0 that all inputs with an axis share.

    Raises:
        InputError: They differ, or no input has an axis.
    """
    sizes = {name: array.shape[0] for name, array in arrays.items() if array.ndim > 0}
    if not sizes:
        raise InputError("run_batch: no input has an axis 0 to split")
    if len(set(sizes.values())) != 1:
        raise InputError(f"run_batch: the inputs differ in axis 0: {sizes}")
    return int(next(iter(sizes.values())))


def fixed_batch(inputs: Sequence[NodeArg], arrays: Mapping[str, Any]) -> int | None:
    """The batch size that the model's own axis 0 fixes, if it does."""
    for node in inputs:
        if (
            node.name in arrays
            and arrays[node.name].ndim > 0
            and node.shape
            and isinstance(node.shape[0], int)
        ):
            return node.shape[0]
    return None


def split(feed: Any, inputs: Sequence[NodeArg], lanes: int) -> list[dict[str, Any]]:
    """The feed in pieces along axis 0; inputs without an axis go whole into every piece."""
    arrays = named(feed, inputs)
    size = batch_size(arrays)
    fixed = fixed_batch(inputs, arrays)
    if fixed is not None and fixed > 0 and size % fixed:
        raise InputError(f"run_batch: the model takes batches of {fixed}; {size} is no multiple of it")
    cuts = pieces(size, lanes, fixed or None)
    return [{name: array[cut] if array.ndim > 0 else array for name, array in arrays.items()} for cut in cuts]


__all__ = ["batch_size", "fixed_batch", "join", "named", "split"]
