"""The engine's view of an input is kept for the next request that feeds the same memory in the same shape, no other."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from onnx import TensorProto, helper

import headway

pytestmark = pytest.mark.timeout(30)

Run = Callable[[headway.InferenceSession, Any], Any]

RUNS: dict[str, Run] = {
    "run": lambda session, x: session.run(None, {"x": x}),
    "submit": lambda session, x: session.submit({"x": x}).result(),
}


@pytest.fixture(scope="module", name="double")
def _double() -> bytes:
    """`y = x + x`, any two dimensions."""
    info = helper.make_tensor_value_info
    x, y = (info(name, TensorProto.FLOAT, ["N", "M"]) for name in "xy")
    graph = helper.make_graph([helper.make_node("Add", ["x", "x"], ["y"])], "double", [x], [y])
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    return bytes(model.SerializeToString())


@pytest.mark.parametrize("run", RUNS.values(), ids=RUNS)
def test_the_same_memory_in_another_shape_with_other_contents(run: Run, double: bytes) -> None:
    buffer = np.arange(12, dtype=np.float32)
    with headway.InferenceSession(double, workers=1) as session:
        for factor in range(1, 6):
            buffer[:] = factor * np.arange(12)
            for shape in [(3, 4), (3, 4), (4, 3), (12, 1), (1, 6), (0, 4), (3, 4)]:
                fed = buffer[: shape[0] * shape[1]].reshape(shape)
                [answer] = run(session, fed)
                assert answer.shape == shape
                assert (answer == 2 * fed).all()


@pytest.mark.parametrize("run", RUNS.values(), ids=RUNS)
def test_arrays_that_come_and_go(run: Run, double: bytes) -> None:
    with headway.InferenceSession(double, workers=1) as session:
        for number in range(200):
            fed = np.full((1 + number % 3, 5), number, np.float32)
            [answer] = run(session, fed)
            assert answer.shape == fed.shape
            assert (answer == 2 * number).all()
            del fed


def test_memory_fed_as_two_inputs_in_turn() -> None:
    """Each input has a view of its own."""
    info = helper.make_tensor_value_info
    given = [info(name, TensorProto.FLOAT, [3]) for name in "ab"]
    node, out = helper.make_node("Sub", ["a", "b"], ["d"]), info("d", TensorProto.FLOAT, [3])
    graph = helper.make_graph([node], "difference", given, [out])
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    one, two = np.array([1, 2, 3], np.float32), np.array([5, 5, 5], np.float32)
    with headway.InferenceSession(model.SerializeToString(), workers=1) as session:
        for _ in range(3):
            assert session.run(None, {"a": one, "b": two})[0].tolist() == [-4, -3, -2]
            assert session.run(None, {"a": two, "b": one})[0].tolist() == [4, 3, 2]
            assert session.run(None, {"a": one, "b": one})[0].tolist() == [0, 0, 0]
