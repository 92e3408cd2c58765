"""Feeds of Python engines where the engine says nothing of them, and the reading of answers."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

#: One request: the feed, and the wanted output names (None for all).
Fed = tuple[dict[str, Any], "list[str] | None"]


def as_array(value: object, copy: bool) -> Any:
    """An array stays an array of its own class; everything else becomes one."""
    array = np.asanyarray(value)
    return array.copy() if copy and array is value else array


def free_feed(feed: object, copy: bool) -> dict[str, Any] | str:
    """The feed of an engine without input names, or the text of what is wrong with it."""
    if not isinstance(feed, Mapping):
        return "the session has no input names (inputs=[...]), so the feed must be a dict by name"
    for name, value in feed.items():
        if value is None:
            return f"input {name!r} is None: pass an array"
    return {name: as_array(value, copy) for name, value in feed.items()}


def free_names(output_names: object) -> list[str] | None:
    """The wanted outputs of an engine without output names; None for all."""
    if isinstance(output_names, str | bytes) or not isinstance(output_names, Sequence):
        advice = f"; write [{output_names!r}]" if isinstance(output_names, str) else ""
        raise TypeError(f"output_names must be None or a list of str, got {type(output_names)}{advice}")
    return list(output_names) or None


def outputs_of(answer: object, outputs: list[str], wanted: list[str] | None) -> list[Any]:
    """The wanted outputs in an answer: a dict by name, a list or tuple of all in order, or one value."""
    if isinstance(answer, Mapping):
        names = wanted or outputs or list(answer)
        missing = [name for name in names if name not in answer]
        if missing:
            raise ValueError(f"the answer has no output {missing[0]!r}; it has {list(answer)}")
        return [answer[name] for name in names]
    values = list(answer) if isinstance(answer, list | tuple) else [answer]
    if outputs and len(values) != len(outputs):
        raise ValueError(f"the answer has {len(values)} outputs; the session has {outputs}")
    if wanted is None:
        return values
    if not outputs:
        raise ValueError("output_names: the session has no output names (outputs=[...]) to choose from")
    return [values[outputs.index(name)] for name in wanted]
