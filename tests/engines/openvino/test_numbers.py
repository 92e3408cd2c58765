"""Answers on OpenVINO beside onnxruntime's."""

from __future__ import annotations

from typing import Any

import ml_dtypes
import numpy as np
import onnxruntime
import pytest
from onnx import TensorProto, helper

import headway

from ...models import CASES, SILERO, path

#: What OpenVINO would choose by itself depends on the processor: bfloat16, where it has instructions for it.
EXACT = {"INFERENCE_PRECISION_HINT": "f32"}

#: Largest difference of an element, by the largest element of the answer. Quantised operators round at other places.
TOLERANCES = {"tiny": 1e-6, "lite0": 1e-5, "ocr": 1e-4, "minilm": 0.05}


def _difference(ours: list[Any], theirs: list[Any]) -> float:
    return max(
        float(np.abs(np.subtract(a, b, dtype=np.float64)).max(initial=0) / np.abs(b).max(initial=1e-9))
        for a, b in zip(ours, theirs, strict=True)
    )


def _pairs(name: str) -> list[tuple[list[Any], list[Any]]]:
    (case,) = [case for case in CASES if case.name == name]
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 3
    model, feeds = case.model(), case.feeds()
    theirs = onnxruntime.InferenceSession(model, options, providers=["CPUExecutionProvider"])
    with headway.InferenceSession(model, engine="openvino", engine_options=EXACT) as session:
        assert [node.name for node in session.get_inputs()] == [node.name for node in theirs.get_inputs()]
        assert [node.name for node in session.get_outputs()] == [node.name for node in theirs.get_outputs()]
        answers = list(session.stream(feeds))
    return list(zip(answers, [theirs.run(None, feed) for feed in feeds], strict=True))


@pytest.mark.parametrize("name", TOLERANCES)
def test_answers_agree_with_onnxruntimes(name: str) -> None:
    for ours, theirs in _pairs(name):
        assert [(y.shape, y.dtype) for y in ours] == [(y.shape, y.dtype) for y in theirs]
        assert _difference(ours, theirs) < TOLERANCES[name]


def test_the_same_pictures_are_seen() -> None:
    for (ours,), (theirs,) in _pairs("lite0"):
        assert np.argsort(ours[0])[-3:].tolist() == np.argsort(theirs[0])[-3:].tolist()


def test_the_same_sentences_are_alike() -> None:
    """What MiniLM is for: the mean of its vectors points in the same direction."""
    for (ours,), (theirs,) in _pairs("minilm"):
        a, b = ours[0].mean(axis=0), theirs[0].mean(axis=0)
        assert np.dot(a, b) / (np.linalg.norm(a) * np.linalg.norm(b)) > 0.999


def test_a_model_that_openvino_cannot_read_says_so() -> None:
    with pytest.raises(headway.LoadError, match="Model wasn't fully converted") as caught:
        headway.InferenceSession(path(SILERO), engine="openvino")
    assert caught.value.code == -1


def _cast_model(source: int, target: int) -> bytes:
    ends = [
        helper.make_tensor_value_info("x", source, [None]),
        helper.make_tensor_value_info("y", target, [None]),
    ]
    graph = helper.make_graph([helper.make_node("Cast", ["x"], ["y"], to=target)], "cast", ends[:1], ends[1:])
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 21)], ir_version=10)
    data: bytes = model.SerializeToString()
    return data


@pytest.mark.parametrize("kind", ["int4", "uint4"])
def test_two_to_a_byte_are_read_in_the_right_order(kind: str) -> None:
    values = np.array([1, 2, 3, 4, 5], getattr(ml_dtypes, kind))
    source = getattr(TensorProto, kind.upper())
    with headway.InferenceSession(_cast_model(source, TensorProto.FLOAT), engine="openvino") as session:
        assert session.run(None, values)[0].tolist() == [1, 2, 3, 4, 5]


def test_64_bits_are_computed_as_32() -> None:
    """OpenVINO's CPU device does so: docs/openvino.md warns of it, and has to change when this does."""
    with headway.InferenceSession(
        _cast_model(TensorProto.INT64, TensorProto.INT64), engine="openvino"
    ) as session:
        assert session.run(None, np.array([7, -7]))[0].tolist() == [7, -7]
        assert session.run(None, np.array([1 << 40]))[0].tolist() != [1 << 40]
