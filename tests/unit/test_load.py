"""Which engine a model gets, and where its library is looked for."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pytest

import headway
from headway._library import onnxruntime_candidates
from headway._load import source_of
from headway.testing import FakeEngine

from ..support import X


def model(feed: Any) -> Any:
    return feed


@pytest.mark.parametrize(
    ("given", "engine", "label"),
    [
        ("folder/m.onnx", "onnxruntime", "m.onnx"),
        ("M.ONNX", "onnxruntime", "M.ONNX"),
        ("m.ort", "onnxruntime", "m.ort"),
        ("m.bin", "onnxruntime", "m.bin"),
        (Path("m.onnx"), "onnxruntime", "m.onnx"),
        (b"12345", "onnxruntime", "5 bytes"),
        ("m.rknn", "rknn", "m.rknn"),
        (b"RKNN\0\0\0\0", "rknn", "8 bytes"),
        (b"RKNX\0\0\0\0", "rknn", "8 bytes"),
        (model, "python", "model"),
    ],
)
def test_engine_by_the_model(given: Any, engine: str, label: str) -> None:
    source = source_of(given, None)
    assert (source.engine, source.label) == (engine, label)


@pytest.mark.parametrize(("given", "engine"), [("m.onnx", "nonsense"), ("m.rknn", "nonsense")])
def test_engine_that_is_not_here(given: str, engine: str | None) -> None:
    with pytest.raises(headway.LoadError, match="there is no engine"):
        source_of(given, engine)


@pytest.mark.parametrize(
    ("given", "engine"), [(3, None), (None, None), ("m.onnx", "python"), (model, "onnxruntime")]
)
def test_what_is_no_model(given: Any, engine: str | None) -> None:
    with pytest.raises(TypeError):
        source_of(given, engine)


def test_library_is_found_in_the_wheel() -> None:
    found = onnxruntime_candidates()
    assert found
    assert all(os.path.isabs(one) for one in found)
    assert os.path.exists(found[0])


BAD_ARGUMENTS: list[tuple[dict[str, Any], type[Exception], str]] = [
    ({"nonsense": 1}, TypeError, "nonsense"),
    ({"workers": 0}, ValueError, "workers: expected a whole number of at least 1, got 0"),
    ({"workers": 1.5}, ValueError, "workers"),
    ({"workers": True}, ValueError, "workers"),
    ({"queue_depth": 0}, ValueError, "queue_depth"),
    ({"delivery_depth": -1}, ValueError, "delivery_depth"),
    ({"hint": "fast"}, ValueError, "hint: expected one of 'latency', 'throughput', got 'fast'"),
    ({"overflow": "spill"}, ValueError, "overflow"),
    ({"on_missing_provider": "cry"}, ValueError, "on_missing_provider"),
    ({"sess_options": object()}, TypeError, "sess_options"),
    ({"timeout": "soon"}, TypeError, "expected seconds .* got str"),
    ({"timeout": float("nan")}, ValueError, "expected seconds .* got nan"),
    ({"submit_timeout": "soon"}, TypeError, "expected seconds .* got str"),
]


@pytest.mark.parametrize(("options", "error", "message"), BAD_ARGUMENTS)
def test_bad_arguments(options: dict[str, Any], error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=message):
        headway.InferenceSession(FakeEngine(), **options)


BAD_CALLS: list[tuple[dict[str, Any], type[Exception]]] = [
    ({"nonsense": 1}, TypeError),
    ({"timeout": "soon"}, TypeError),
    ({"timeout": float("nan")}, ValueError),
    ({"priority": "high"}, TypeError),
    ({"priority": 1.5}, TypeError),
    ({"stream": 1.5}, TypeError),
    ({"stream": True}, TypeError),
    ({"run_options": 3}, (TypeError, AttributeError)),  # type: ignore[list-item]
]


@pytest.mark.parametrize(("options", "error"), BAD_CALLS)
def test_bad_call(options: dict[str, Any], error: type[Exception], tiny: bytes) -> None:
    with headway.InferenceSession(tiny) as session:
        calls = [
            lambda: session.run(None, X, **options),
            lambda: session.submit(X, **options),
            lambda: session.run_async(None, X, print, **options),
            lambda: session.try_submit(X, **options),
        ]
        for call in calls:
            with pytest.raises(error):
                call()
        assert session.stats().submitted == 0
        with pytest.raises((*([error] if isinstance(error, type) else error),)):
            next(session.stream([X], **options))
        for wrong in ({"depth": 0}, {"on_error": "cry"}):
            with pytest.raises(ValueError):
                session.stream([X], **wrong)  # type: ignore[arg-type]
