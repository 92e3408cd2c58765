"""What another process cannot have is refused where the session is made, with what to do instead."""

from __future__ import annotations

import functools
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import headway
from headway.testing import FakeEngine

from ..models import built
from ..support import X
from . import calls
from .conftest import children

pytestmark = pytest.mark.timeout(60)


def local() -> Any:
    def call(feed: dict[str, Any]) -> list[Any]:
        return [feed["x"]]

    return call


@pytest.mark.parametrize(
    "call",
    [lambda feed: [feed["x"]], local(), functools.partial(calls.double), calls.Names().method],
    ids=["lambda", "local", "partial", "bound"],
)
def test_what_cannot_be_imported(call: Any) -> None:
    before = children()
    with pytest.raises(TypeError, match="pass a function that stands at the top of a module"):
        headway.InferenceSession(call, inputs=["x"], isolation="process")
    assert children() == before


def test_what_the_program_itself_defines(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(calls.double, "__module__", "__main__")
    with pytest.raises(TypeError, match="a lane's process never runs"):
        headway.InferenceSession(calls.double, inputs=["x"], isolation="process")


def test_a_function_of_a_class_can_be_imported() -> None:
    with headway.InferenceSession(calls.Names.inner, inputs=["x"], isolation="process") as session:
        assert session.run(None, [X])[0].tolist() == X.tolist()


def test_a_callable_without_names() -> None:
    with pytest.raises(TypeError, match="name the callable's inputs"):
        headway.InferenceSession(calls.double, isolation="process")


def test_a_program_that_brings_its_own_interpreter(tiny: bytes, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "frozen", True, raising=False)
    with pytest.raises(headway.LoadError, match=r"sys\.executable is this program"):
        headway.InferenceSession(tiny, isolation="process")


def test_options_of_this_process_only(tiny: bytes) -> None:
    options = headway.SessionOptions()
    options.add_initializer("w", headway.OrtValue.ortvalue_from_numpy(X))
    with pytest.raises(TypeError, match="add_initializer"):
        headway.InferenceSession(tiny, options, isolation="process")
    profiled = headway.SessionOptions()
    profiled.enable_profiling = True
    with pytest.raises(TypeError, match="enable_profiling"):
        headway.InferenceSession(tiny, profiled, isolation="process")
    with pytest.raises(TypeError, match="fake"):
        headway.InferenceSession(FakeEngine(), isolation="process")
    with pytest.raises(TypeError, match="cannot be told to another process"):
        headway.InferenceSession(tiny, isolation="process", engine_options={"x": object()})


def test_options_reach_the_process(tiny: bytes) -> None:
    options = headway.SessionOptions()
    options.graph_optimization_level = headway.GraphOptimizationLevel.ORT_DISABLE_ALL
    options.intra_op_num_threads = 1
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    with headway.InferenceSession(tiny, options, isolation="process") as session:
        assert session.stats().threads.intra_op == 1
        assert session.run(None, [X])[0].tolist() == (2 * X).tolist()


@pytest.mark.parametrize(
    ("options", "text"),
    [
        ({"isolation": "fork"}, "isolation: expected one of"),
        ({"retries": 1}, 'add isolation="process"'),
        ({"isolation": "process", "retries": -1}, "retries: expected"),
        ({"isolation": "process", "retries": True}, "retries: expected"),
        ({"isolation": "process", "engine_options": {"memory_limit": 0}}, "memory_limit: expected"),
    ],
)
def test_wrong_arguments(tiny: bytes, options: dict[str, Any], text: str) -> None:
    with pytest.raises(ValueError, match=text):
        headway.InferenceSession(tiny, **options)


def test_a_model_that_cannot_be_loaded(tmp_path: Path) -> None:
    before = children()
    with pytest.raises(headway.NoSuchFile, match="not_there"):
        headway.InferenceSession(tmp_path / "not_there.onnx", isolation="process")
    with pytest.raises(headway.InvalidProtobuf):
        headway.InferenceSession(b"nonsense", isolation="process", workers=2)
    with pytest.raises(headway.LoadError, match="engine_options: the onnxruntime engine has none"):
        headway.InferenceSession(built.tiny(), isolation="process", engine_options={"x": 1})
    with pytest.raises(headway.LoadError, match="memory_limit=1: a process takes"):
        headway.InferenceSession(built.tiny(), isolation="process", engine_options={"memory_limit": 1})
    assert children() == before


@pytest.mark.parametrize(
    ("status", "text"), [(None, "there is room for one"), (3, "ended with exit status 3 while it loaded")]
)
def test_a_model_that_one_process_can_load_and_another_cannot(
    status: int | None, text: str, tmp_path: Path
) -> None:
    before = children()
    options = {"path": str(tmp_path / "taken"), "status": status}
    with pytest.raises(headway.LoadError, match=text):
        headway.InferenceSession(calls.Once, isolation="process", workers=2, engine_options=options)
    assert children() == before


def test_a_missing_provider_is_warned_about_here(tiny: bytes, monkeypatch: pytest.MonkeyPatch) -> None:
    wanted = ["CUDAExecutionProvider", "CPUExecutionProvider"]
    monkeypatch.setattr("headway._warn._given", set())
    with pytest.warns(UserWarning, match="CUDAExecutionProvider is not available"):
        session = headway.InferenceSession(tiny, providers=wanted, isolation="process")
    with session:
        assert [(one.provider, one.used) for one in session.providers_report] == [
            ("CUDAExecutionProvider", False),
            ("CPUExecutionProvider", True),
        ]
        assert session.get_providers() == ["CPUExecutionProvider"]
    with pytest.raises(headway.LoadError, match="CUDAExecutionProvider"):
        headway.InferenceSession(tiny, providers=wanted[:1], isolation="process")


def test_values_of_this_process_only(tiny: bytes) -> None:
    with headway.InferenceSession(tiny, isolation="process") as session:
        with pytest.raises(TypeError, match="run_options"):
            session.run(None, [X], headway.RunOptions())
        value = headway.OrtValue.ortvalue_from_numpy(X)
        [answer] = session.run_with_ort_values(None, {"x": value})
        assert answer.numpy().tolist() == (2 * X).tolist()
        assert session.run(None, [X])[0].dtype == np.float32
