"""What `EngineSuite` looks at: single checks, wrong feeds, and what happens to an engine."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

from headway._engine import Engine
from headway._nodes import NodeArg
from headway._nodespec import numpy_name

#: A feed by name.
Feed = Mapping[str, Any]


def skip(why: str) -> Exception:
    """What pytest and unittest take for a test that has nothing to do."""
    from unittest import SkipTest

    return SkipTest(why)


def raises(kind: type[BaseException], call: Callable[[], Any], what: str = "") -> None:
    try:
        got = call()
    except kind:
        return
    except BaseException as other:
        raise AssertionError(f"{what}: expected {kind.__name__}, got {other!r}") from other
    raise AssertionError(f"{what}: expected {kind.__name__}, got the answer {got!r}")


def fits(node: NodeArg, array: Any) -> None:
    expected = numpy_name(node.type)
    assert expected in (array.dtype.name, None), f"{node.name}: {array.dtype} instead of {node.type}"
    if node.shape:
        assert array.ndim == len(node.shape), f"{node.name}: shape {array.shape} instead of {node.shape}"
        for length, wanted in zip(array.shape, node.shape, strict=True):
            assert not isinstance(wanted, int) or length == wanted, (
                f"{node.name}: {array.shape}, {node.shape}"
            )


def wrong_feeds(nodes: Sequence[NodeArg], good: Feed) -> dict[str, Feed]:
    """What is wrong with each, in words."""
    wrong: dict[str, Feed] = {}
    if nodes:
        wrong["an unknown name"] = {**good, "no such input": np.zeros(1)}
    for node in nodes:
        value = np.asarray(good[node.name])
        wrong[f"{node.name} is missing"] = {name: one for name, one in good.items() if name != node.name}
        wrong[f"{node.name} is None"] = {**good, node.name: None}
        if node.type == "object":
            continue
        other = np.float64 if value.dtype != np.float64 else np.float32
        if value.dtype.kind not in "OUT":
            wrong[f"{node.name} has another dtype"] = {**good, node.name: value.astype(other)}
        # No shape says nothing: exporters write it for "unknown".
        if node.shape:
            wrong[f"{node.name} has another rank"] = {**good, node.name: value[None]}
        for axis, length in enumerate(node.shape):
            if isinstance(length, int):
                longer = np.concatenate([value, value], axis)
                wrong[f"{node.name} is too long along axis {axis}"] = {**good, node.name: longer}
    return wrong


def watch(engine: Engine) -> list[tuple[str, int]]:
    """What happens to an engine and its lanes from now on."""
    events: list[tuple[str, int]] = []
    open_lane, close = engine.open_lane, engine.close

    def opening(number: int) -> Any:
        lane = open_lane(number)
        closing = lane.close

        def closed() -> None:
            events.append(("closed", number))
            closing()

        lane.close = closed  # type: ignore[method-assign]
        events.append(("opened", number))
        return lane

    def ended() -> None:
        events.append(("engine closed", -1))
        close()

    engine.open_lane = opening  # type: ignore[method-assign]
    engine.close = ended  # type: ignore[method-assign]
    return events
