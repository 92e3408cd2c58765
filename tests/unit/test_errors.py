"""The tree of errors, ONNX Runtime's names in it, and classes that are both."""

from __future__ import annotations

import concurrent.futures
import subprocess
import sys

import numpy as np
import pytest

import headway
from headway import _errors
from headway._errors import from_core

PARENTS = {
    "LoadError": (headway.HeadwayError,),
    "InputError": (headway.HeadwayError, ValueError),
    "QueueFull": (headway.HeadwayError,),
    "Dropped": (headway.HeadwayError,),
    "DeadlineExceeded": (headway.HeadwayError, TimeoutError),
    "EngineError": (headway.HeadwayError,),
    "LaneCrashed": (headway.EngineError,),
    "EndOfStream": (headway.HeadwayError,),
    "SessionClosed": (headway.HeadwayError,),
    "InvalidArgument": (headway.InputError,),
    "Fail": (headway.EngineError,),
    "RuntimeException": (headway.EngineError,),
    "NoSuchFile": (headway.LoadError,),
    "NoModel": (headway.LoadError,),
    "InvalidProtobuf": (headway.LoadError,),
    "InvalidGraph": (headway.LoadError,),
}


@pytest.mark.parametrize("name", PARENTS)
def test_tree(name: str) -> None:
    assert getattr(headway, name).__bases__ == PARENTS[name]
    assert getattr(headway, name).__doc__


KINDS = {
    "load": headway.LoadError,
    "input": headway.InputError,
    "queue_full": headway.QueueFull,
    "dropped": headway.Dropped,
    "expired": headway.DeadlineExceeded,
    "cancelled": concurrent.futures.CancelledError,
    "engine": headway.EngineError,
    "closed": headway.SessionClosed,
}


@pytest.mark.parametrize("kind", KINDS)
def test_kinds(kind: str) -> None:
    cause = ValueError("why")
    error = from_core(kind, "what", None, "fake", None, cause)
    assert type(error) is KINDS[kind]
    assert str(error) == "what"
    assert kind == "cancelled" or error.__cause__ is cause


def test_attributes() -> None:
    dropped = from_core("dropped", "what", None, "fake", "pipeline_reset", None)
    assert isinstance(dropped, headway.Dropped)
    assert dropped.reason == "pipeline_reset"
    for detail, running in (("running", True), ("waiting", False)):
        expired = from_core("expired", "what", None, "fake", detail, None)
        assert isinstance(expired, headway.DeadlineExceeded)
        assert expired.running is running
    failed = from_core("engine", "what", 77, "other", None, None)
    assert isinstance(failed, headway.EngineError)
    assert (failed.code, failed.engine) == (77, "other")


@pytest.mark.parametrize("code", _errors._BY_CODE)
@pytest.mark.parametrize("kind", ["load", "input", "engine"])
def test_every_code_of_onnxruntime(code: int, kind: str) -> None:
    named, native = _errors._BY_CODE[code]
    error = from_core(kind, "what", code, "onnxruntime", None, None)
    # Whatever the engine calls it, `except LoadError` and the like do what they say.
    assert isinstance(error, KINDS[kind])
    assert isinstance(error, named)
    assert type(error).__name__ == (
        native if native != "EngineError" or kind == "engine" else type(error).__name__
    )
    assert error.code == code  # type: ignore[attr-defined]


def test_code_of_another_engine_means_nothing() -> None:
    assert type(from_core("engine", "what", 2, "openvino", None, None)) is headway.EngineError


def test_also_an_instance_of_the_packages_own_class(gather: bytes) -> None:
    from onnxruntime.capi.onnxruntime_pybind11_state import Fail, InvalidArgument, InvalidProtobuf

    with headway.InferenceSession(gather) as session:
        with pytest.raises(InvalidArgument) as caught:
            session.run(None, np.array([9]))
        assert isinstance(caught.value, headway.InvalidArgument)
        assert type(caught.value).__name__ == "InvalidArgument"
        with pytest.raises(InvalidArgument):
            session.run(None, {"i": np.array([1]), "q": np.array([9])})
        with pytest.raises(InvalidArgument) as again:
            session.run(None, np.array([9]))
        assert type(again.value) is type(caught.value), "made once"
    with pytest.raises(headway.LoadError) as load:
        headway.InferenceSession(b"certainly not a model")
    assert isinstance(load.value, InvalidProtobuf | Fail | InvalidArgument)


def test_import_is_light() -> None:
    text = "import sys, headway; print(sorted({'onnxruntime', 'onnx', 'asyncio', 'PIL', 'ml_dtypes'} & set(sys.modules)))"
    done = subprocess.run(
        [sys.executable, "-c", text], capture_output=True, text=True, timeout=60, check=True
    )
    assert done.stdout == "[]\n"
