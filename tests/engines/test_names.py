"""Names in a call: of dimensions, and of the wanted outputs, in every form that onnxruntime takes."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import onnxruntime
import pytest
from onnx import TensorProto, helper

import headway

pytestmark = pytest.mark.timeout(30)


def sums(dimension: str) -> bytes:
    """`y` and `z`: the sums of `a` and of `b`, whose only dimensions have one name."""
    info = helper.make_tensor_value_info
    inputs = [info(name, TensorProto.FLOAT, [dimension]) for name in ("a", "b")]
    outputs = [info(name, TensorProto.FLOAT, [1]) for name in ("y", "z")]
    nodes = [helper.make_node("ReduceSum", [of], [to]) for of, to in (("a", "y"), ("b", "z"))]
    graph = helper.make_graph(nodes, "sums", inputs, outputs)
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    return bytes(model.SerializeToString())


UNEVEN = {"a": np.ones(2, np.float32), "b": np.ones(3, np.float32)}


@pytest.mark.parametrize("dimension", ["?", "-1", "*"])
def test_a_dimension_without_a_name_worth_it_may_differ(dimension: str) -> None:
    # As some exporters write every length that they do not know.
    with headway.InferenceSession(sums(dimension)) as session:
        assert [one.tolist() for one in session.run(None, UNEVEN)] == [[2.0], [3.0]]


def test_a_named_dimension_may_not() -> None:
    with headway.InferenceSession(sums("N")) as session, pytest.raises(headway.InputError, match="'N'"):
        session.run(None, UNEVEN)


def _generator() -> Iterator[str]:
    yield from ("z", "y")


FORMS: dict[str, Callable[[], Any]] = {
    "list": lambda: ["z", "y"],
    "tuple": lambda: ("z", "y"),
    "keys": lambda: {"z": 0, "y": 0}.keys(),
    "generator": _generator,
}


@pytest.mark.parametrize("form", FORMS)
def test_names_of_outputs(form: str) -> None:
    model = sums("?")
    expected = onnxruntime.InferenceSession(model).run(FORMS[form](), UNEVEN)
    with headway.InferenceSession(model) as session:
        assert session.run(FORMS[form](), UNEVEN) == expected
        assert session.submit(UNEVEN, FORMS[form]()).result() == expected
