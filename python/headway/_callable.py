"""Python engines: what a callable is fed, what it may answer, and the loop of its lanes.

A lane is a Python thread that waits detached for work. The callable is called from Python frames only.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from headway._core import Lane

#: One request: the feed, and the wanted output names (None for all).
Fed = tuple[dict[str, Any], "list[str] | None"]


def _by_name(feed: object, inputs: list[str]) -> dict[str, Any] | str:
    if isinstance(feed, Mapping):
        missing = [name for name in inputs if name not in feed]
        if missing:
            return f"Required inputs ({missing}) are missing from input feed ({list(feed)})."
        unknown = [name for name in feed if inputs and name not in inputs]
        if unknown:
            return f"Invalid input name: {unknown[0]}; the session has {inputs}"
        return dict(feed)
    if not inputs:
        return "the session has no input names (inputs=[...]), so the feed must be a dict by name"
    values = list(feed) if isinstance(feed, list | tuple) else [feed]
    if len(values) != len(inputs):
        return f"expected {len(inputs)} inputs ({inputs}), got {len(values)}"
    return dict(zip(inputs, values, strict=True))


def _array(value: object, copy: bool) -> Any:
    if value is None:
        return None
    # An array stays an array of its own class; everything else becomes one.
    array = np.asanyarray(value)
    return array.copy() if copy and array is value else array


def read_feed(
    feed: object, output_names: object, inputs: list[str], outputs: list[str], copy: bool
) -> Fed | str:
    """What the callable will be called with, or the text of what is wrong with it."""
    named = _by_name(feed, inputs)
    if isinstance(named, str):
        return named
    for name, value in named.items():
        if value is None:
            return f"input {name!r}: expected an array, got None"
    arrays = {name: _array(value, copy) for name, value in named.items()}
    if output_names is None or output_names == [] or output_names == ():
        return arrays, None
    if isinstance(output_names, str) or not isinstance(output_names, Sequence):
        raise TypeError(f"output_names: expected a list of str or None, got {type(output_names).__name__}")
    wanted = list(output_names)
    for name in wanted:
        if outputs and name not in outputs:
            return f"Invalid output name:{name}; the session has {outputs}"
    return arrays, wanted


def outputs_of(answer: object, outputs: list[str], wanted: list[str] | None) -> list[Any]:
    """The list of wanted outputs in a callable's answer: a dict by name, a list or tuple in order, or one value."""
    if isinstance(answer, Mapping):
        names = wanted or outputs or list(answer)
        missing = [name for name in names if name not in answer]
        if missing:
            raise ValueError(f"the callable gave no output {missing[0]!r}; it gave {list(answer)}")
        return [answer[name] for name in names]
    values = list(answer) if isinstance(answer, list | tuple) else [answer]
    if outputs and len(values) != len(outputs):
        raise ValueError(f"the callable gave {len(values)} outputs; the session has {outputs}")
    if wanted is None:
        return values
    if not outputs:
        raise ValueError("output_names: the session has no output names (outputs=[...]) to choose from")
    return [values[outputs.index(name)] for name in wanted]


def work(lane: Lane, call: Callable[[dict[str, Any]], Any], outputs: list[str]) -> None:
    """A lane's thread: takes, calls, completes, until the lane is closed."""
    while True:
        batch = lane.take()
        if batch is None:
            return
        results: list[tuple[bool, Any]] = []
        feed: Any
        for feed, wanted in batch:
            try:
                results.append((True, outputs_of(call(feed), outputs, wanted)))
            except BaseException as raised:
                results.append((False, raised))
            # Neither the feed nor the answer is kept until the next request comes.
            feed = None
        batch = None
        lane.complete(results)
        results = []
