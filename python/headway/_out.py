"""``out=`` on engines that cannot write into a program's arrays themselves."""

from __future__ import annotations

from typing import Any

import numpy as np

from headway._errors import InputError


def fill(arrays: list[tuple[str, Any]], results: list[Any]) -> list[Any]:
    """Copy each result into its array, which takes its place; where that is None the result stays.

    Raises:
        InputError: An array is not of its result's dtype and shape. Nothing has been written then.
    """
    if len(arrays) != len(results):
        raise InputError(f"out: the request gave {len(results)} outputs, out has {len(arrays)}")
    for place, (name, array) in enumerate(arrays):
        if array is None:
            continue
        result = np.asanyarray(results[place])
        if result.dtype != array.dtype or result.shape != array.shape:
            raise InputError(
                f"output '{name}': expected an array of {result.dtype} of the shape {result.shape} in out=, got one "
                f"of {array.dtype} of the shape {array.shape}"
            )
    filled = list(results)
    for place, (_, array) in enumerate(arrays):
        if array is not None:
            np.copyto(array, results[place])
            filled[place] = array
    return filled
