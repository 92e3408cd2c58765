"""``run_batch``: axis 0 of the feed split over the lanes, the answers joined."""

from __future__ import annotations

import numbers
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from headway._errors import InputError
from headway._parallel import pieces

if TYPE_CHECKING:
    from headway._nodes import NodeArg


def named(feed: Any, inputs: Sequence[NodeArg]) -> dict[str, Any]:
    """The feed by name. What is wrong with it beyond that, the session says when it is run."""
    if isinstance(feed, Mapping):
        given = dict(feed)
    elif isinstance(feed, list | tuple):
        if len(feed) != len(inputs):
            raise InputError(
                f"expected {len(inputs)} inputs ({[node.name for node in inputs]}), got {len(feed)}"
            )
        given = {node.name: value for node, value in zip(inputs, feed, strict=True)}
    elif len(inputs) == 1:
        given = {inputs[0].name: feed}
    else:
        raise InputError(f"expected a feed of {len(inputs)} inputs ({[node.name for node in inputs]})")
    # Lists and numbers stay what they are: the session gives them the model's dtype, numpy would give another.
    plain = (list, tuple, np.ndarray, str, bytes, numbers.Number)
    return {
        name: value if isinstance(value, plain) else np.asanyarray(value) for name, value in given.items()
    }


def length(value: Any) -> int | None:
    """How long axis 0 is; None without one."""
    if isinstance(value, list | tuple):
        return len(value)
    return value.shape[0] if isinstance(value, np.ndarray) and value.ndim > 0 else None


def batch_size(values: Mapping[str, Any]) -> int:
    """The length of axis 0 that all inputs with an axis share.

    Raises:
        InputError: They differ, or no input has an axis.
    """
    sizes = {name: size for name, value in values.items() if (size := length(value)) is not None}
    if not sizes:
        kinds = ", ".join(f"{name!r} is a {type(value).__name__}" for name, value in values.items())
        raise InputError(
            f"run_batch: no input has an axis 0 to split ({kinds or 'the feed is empty'}); use run()"
        )
    if len(set(sizes.values())) != 1:
        raise InputError(f"run_batch: the inputs differ in axis 0: {sizes}")
    return next(iter(sizes.values()))


def fixed_batch(inputs: Sequence[NodeArg], values: Mapping[str, Any]) -> int | None:
    """The batch size that the model's own axis 0 fixes, if it does."""
    for node in inputs:
        split = node.name in values and length(values[node.name]) is not None
        if split and node.shape and isinstance(node.shape[0], int) and node.shape[0] > 0:
            return node.shape[0]
    return None


def split(feed: Any, inputs: Sequence[NodeArg], lanes: int) -> list[dict[str, Any]]:
    """The feed in pieces along axis 0; inputs without an axis go whole into every piece.

    Raises:
        InputError: The inputs differ in axis 0, or the model's fixed batch size does not divide it.
    """
    values = named(feed, inputs)
    cuts = pieces(batch_size(values), lanes, fixed_batch(inputs, values))
    if len(cuts) == 1:
        return [values]
    return [
        {name: value if length(value) is None else value[cut] for name, value in values.items()}
        for cut in cuts
    ]


def stays(column: Sequence[Any], sizes: Sequence[int], node: NodeArg | None) -> bool:
    """True when the model gives this output the same length for every batch: a table, a mean over the rows."""
    fixed = node.shape[0] if node is not None and node.shape else None
    lengths = [part.shape[0] for part in column]
    return isinstance(fixed, int) and lengths == [fixed] * len(lengths) and lengths != list(sizes)


def join(
    parts: Sequence[Sequence[Any]], sizes: Sequence[int] = (), nodes: Sequence[NodeArg | None] = ()
) -> list[Any]:
    """The outputs of the pieces, joined along axis 0; a single piece's are given as they are.

    Args:
        parts: Each piece's outputs.
        sizes: How many rows each piece had.
        nodes: What the model says of each output; fewer or None where it says nothing.

    Raises:
        InputError: An output has no axis 0, or does not grow with the batch and differs from piece to piece.
    """
    if len(parts) == 1:
        return list(parts[0])
    joined = []
    for place, column in enumerate(zip(*parts, strict=True)):
        if not all(isinstance(part, np.ndarray) and part.ndim > 0 for part in column):
            raise InputError(f"run_batch: output {place} has no axis 0 along which answers can be joined")
        node = nodes[place] if place < len(nodes) else None
        if not stays(column, sizes, node):
            joined.append(np.concatenate(column))
        elif all(part.tobytes() == column[0].tobytes() for part in column):
            joined.append(column[0])
        else:
            raise InputError(
                f"run_batch: output {place} has length {len(column[0])} whatever the batch, and is not the same for "
                "each piece of it: leave it out of output_names, or use run()"
            )
    return joined
