"""`run_batch`: axis 0 split over the lanes, the answers joined."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from onnx import TensorProto, helper

import headway
from headway.testing import FakeEngine

from ..conftest import Make
from ..support import X, assert_conserved

pytestmark = pytest.mark.timeout(30)


def rows(count: int) -> NDArray[np.float32]:
    return np.arange(3 * count, dtype=np.float32).reshape(count, 3)


@pytest.mark.parametrize("count", [1, 2, 3, 5, 7, 64])
@pytest.mark.parametrize("workers", [1, 2, 3])
def test_uneven_sizes(count: int, workers: int, fake: Make) -> None:
    session, _ = fake(held=False, workers=workers)
    [joined] = session.run_batch(None, {"x": rows(count)})
    assert joined.tolist() == rows(count).tolist()
    assert 1 <= assert_conserved(session).done <= min(count, max(workers, headway._core.usable_cores()))


@pytest.mark.parametrize("overflow", ["raise", "drop_oldest", "drop_newest"])
def test_pieces_find_room_under_every_policy(overflow: str, tiny: bytes, leaks: None) -> None:
    with headway.InferenceSession(tiny, workers=2, queue_depth=1, overflow=overflow) as session:
        [joined] = session.run_batch(None, {"x": rows(100)})
        assert joined.tolist() == (2 * rows(100)).tolist()
        assert session.stats().done == 100


def test_a_fixed_batch_of_one(tiny: bytes, leaks: None) -> None:
    with headway.InferenceSession(tiny) as session:
        assert session.get_inputs()[0].shape == [1, 3]
        for feed in ({"x": rows(5)}, [rows(5)], rows(5)):
            [joined] = session.run_batch(["y"], feed)
            assert joined.tolist() == (2 * rows(5)).tolist()
        with pytest.raises(headway.InputError, match="0 is no multiple"):
            session.run_batch(None, {"x": rows(0)})


def test_a_fixed_batch_must_divide(leaks: None) -> None:
    engine = FakeEngine(inputs={"x": ("float32", [4, 3])})
    with headway.InferenceSession(engine) as session:
        assert session.run_batch(None, rows(12))[0].tolist() == rows(12).tolist()
        with pytest.raises(headway.InputError, match="batches of 4; 10"):
            session.run_batch(None, rows(10))


def test_inputs_without_an_axis_go_into_every_piece(leaks: None) -> None:
    info = helper.make_tensor_value_info
    graph = helper.make_graph(
        [helper.make_node("Mul", ["x", "k"], ["y"])],
        "scaled",
        [info("x", TensorProto.FLOAT, ("n", 3)), info("k", TensorProto.FLOAT, ())],
        [info("y", TensorProto.FLOAT, ("n", 3))],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    with headway.InferenceSession(model.SerializeToString()) as session:
        for k in (np.float32(3), np.array(3, np.float32), 3.0):
            [joined] = session.run_batch(None, {"x": rows(5), "k": k})
            assert joined.tolist() == (3 * rows(5)).tolist()


def test_one_piece_is_given_as_it_is(leaks: None) -> None:
    made: list[Any] = []

    def model(feed: dict[str, Any]) -> list[Any]:
        made.append(feed["x"] + 1)
        return [made[-1]]

    with headway.InferenceSession(model, inputs=["x"], outputs=["y"], workers=2) as session:
        [joined] = session.run_batch(None, {"x": X})
        assert joined is made[0]


def test_lists_take_the_models_dtype(tiny: bytes, leaks: None) -> None:
    with headway.InferenceSession(tiny) as session:
        [joined] = session.run_batch(None, {"x": [[1, 2, 3], [4, 5, 6]]})
        assert joined.dtype == np.float32
        assert joined.tolist() == [[2, 4, 6], [8, 10, 12]]


def test_feeds_that_cannot_be_split(fake: Make) -> None:
    session, _ = fake(held=False)
    for feed, says in (({"x": np.float32(1)}, "no input has an axis"), ([X, X], "expected 1 input")):
        with pytest.raises(headway.InputError, match=says):
            session.run_batch(None, feed)
    two = headway.InferenceSession(lambda feed: [feed["a"]], inputs=["a", "b"], outputs=["y"])
    with two, pytest.raises(headway.InputError, match="differ in axis 0"):
        two.run_batch(None, {"a": rows(2), "b": rows(3)})


def test_the_same_mistake_gives_the_same_class(tiny: bytes, leaks: None) -> None:
    with headway.InferenceSession(tiny) as session:
        for feed in ({"x": rows(4).astype(np.int64)}, {"z": rows(4)}, {"x": np.zeros((4, 2), np.float32)}):
            with pytest.raises(headway.InputError) as split:
                session.run_batch(None, feed)
            one = {name: array[:1] for name, array in feed.items()}
            with pytest.raises(headway.InputError) as whole:
                session.run(None, one)
            assert type(split.value) is type(whole.value)
        assert_conserved(session)


def test_outputs_that_cannot_be_joined(leaks: None) -> None:
    def model(feed: dict[str, Any]) -> list[Any]:
        return [feed["x"].sum()]

    session = headway.InferenceSession(model, inputs=["x"], outputs=["y"], workers=2)
    with session, pytest.raises(headway.InputError, match="no axis 0"):
        session.run_batch(None, {"x": rows(4)})


def test_outputs_that_do_not_grow_with_the_batch(leaks: None) -> None:
    def model(feed: dict[str, Any]) -> list[Any]:
        return [feed["x"], np.arange(5), feed["x"].mean(axis=0, keepdims=True)]

    outputs = [("y", "float32", ["n", 3]), ("table", "int64", [5]), ("mean", "float32", [1, 3])]
    session = headway.InferenceSession(model, inputs=[("x", "float32", ["n", 3])], outputs=outputs, workers=2)
    with session:
        joined, table = session.run_batch(["y", "table"], {"x": rows(4)})
        assert joined.tolist() == rows(4).tolist()
        assert table.tolist() == [0, 1, 2, 3, 4]
        with pytest.raises(headway.InputError, match="output 1 has length 1 whatever the batch"):
            session.run_batch(["y", "mean"], {"x": rows(4)})


def test_an_error_of_one_piece_is_the_batchs(fake: Make) -> None:
    session, engine = fake(held=False, workers=2)
    engine.fail_nth(1, "told to fail")
    with pytest.raises(headway.EngineError, match="told to fail"):
        session.run_batch(None, {"x": rows(4)})
    session.close()
    assert assert_conserved(session).failed == 1
