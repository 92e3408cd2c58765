"""Prepared calls: arrays that stay, checked once."""

from __future__ import annotations

import threading
from typing import Any

import numpy as np
import onnxruntime
import pytest
from onnx import TensorProto, helper

import headway

pytestmark = pytest.mark.timeout(30)

X = np.arange(6, dtype=np.float32).reshape(2, 3)


def two(dtype: int = TensorProto.FLOAT) -> bytes:
    """`s = a + b`, `d = a - b`, any number of rows."""
    info = helper.make_tensor_value_info
    names = {"inputs": ("a", "b"), "outputs": ("s", "d")}
    rows = {part: [info(name, dtype, ["N", 3]) for name in given] for part, given in names.items()}
    nodes = [helper.make_node("Add", ["a", "b"], ["s"]), helper.make_node("Sub", ["a", "b"], ["d"])]
    graph = helper.make_graph(nodes, "two", rows["inputs"], rows["outputs"])
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    return bytes(model.SerializeToString())


def test_the_same_arrays_each_time() -> None:
    with headway.InferenceSession(two()) as session:
        call = session.prepare({"b": X, "a": X})
        s, d = call.outputs
        assert s.tolist() == (X + X).tolist() and not d.any()
        for factor in range(1, 4):
            call.inputs["a"][...] = factor * X
            results = call.run()
            assert results[0] is s and results[1] is d
            assert s.tolist() == ((factor + 1) * X).tolist()
            assert d.tolist() == ((factor - 1) * X).tolist()
        # The feed was only a pattern.
        assert X[1, 2] == 5
        assert "2 inputs, 2 outputs" in repr(call)


@pytest.mark.parametrize(
    "feed", [[X, X], (X, X), {"a": X, "b": X[:, ::-1]}], ids=["list", "tuple", "strided"]
)
def test_feeds_of_every_form(feed: Any) -> None:
    given = feed if isinstance(feed, dict) else {"a": feed[0], "b": feed[1]}
    expected = onnxruntime.InferenceSession(two()).run(["d"], given)
    with headway.InferenceSession(two()) as session:
        (d,) = session.prepare(feed, ["d"]).run()
        assert d.tolist() == expected[0].tolist()


def test_an_array_for_a_model_with_one_input(tiny: bytes) -> None:
    with headway.InferenceSession(tiny) as session:
        call = session.prepare(X[:1])
        call.inputs["x"].fill(4)
        assert call.run(timeout=10)[0].tolist() == [[8, 8, 8]]


@pytest.mark.parametrize(
    ("feed", "message"),
    [
        ({"a": X}, "Required inputs"),
        ({"a": X, "b": X.astype(np.float64)}, "Unexpected input data type"),
        ({"a": X, "b": X[0]}, "Invalid rank"),
        ({"a": X, "b": np.array(["x"])}, "expected numbers"),
        ([X, X, X], "the model has 2 inputs"),
    ],
)
def test_wrong_feeds_are_told_at_once(feed: Any, message: str) -> None:
    with headway.InferenceSession(two()) as session, pytest.raises(ValueError, match=message):
        session.prepare(feed)


def test_arrays_and_calls_outlive_the_session() -> None:
    session = headway.InferenceSession(two())
    call = session.prepare([X, X])
    (s, _) = call.run()
    session.close()
    with pytest.raises(headway.SessionClosed):
        call.run()
    del session, call
    assert s.tolist() == (X + X).tolist()


def test_one_run_at_a_time(loop: bytes) -> None:
    feed = {"n": np.array(0, np.int64), "x": np.zeros(1, np.float32)}
    with headway.InferenceSession(loop) as session:
        call = session.prepare(feed)
        call.inputs["n"][...] = 10**15
        outcome: list[BaseException] = []

        def run() -> None:
            try:
                call.run()
            except BaseException as error:
                outcome.append(error)

        thread = threading.Thread(target=run)
        thread.start()
        while not session.stats().running:
            thread.join(0.001)
        with pytest.raises(RuntimeError, match="in use"):
            call.run()
        session.cancel_all()
        thread.join()
        assert len(outcome) == 1
        # Its turn is over: it goes on.
        call.inputs["n"][...] = 3
        assert call.run()[0].tolist() == [3.0]


def test_a_timeout_leaves_it_usable(loop: bytes) -> None:
    feed = {"n": np.array(0, np.int64), "x": np.zeros(1, np.float32)}
    with headway.InferenceSession(loop) as session:
        call = session.prepare(feed)
        call.inputs["n"][...] = 10**15
        with pytest.raises(headway.DeadlineExceeded):
            call.run(timeout=0.05)
        call.inputs["n"][...] = 2
        while True:
            try:
                assert call.run()[0].tolist() == [2.0]
                return
            except RuntimeError as busy:  # until the engine has obeyed
                assert "in use" in str(busy)


def test_a_python_engine_has_none() -> None:
    session = headway.InferenceSession(lambda feed: [feed["x"]], inputs=["x"], outputs=["y"])
    with session, pytest.raises(TypeError, match="Python engine"):
        session.prepare({"x": X})
