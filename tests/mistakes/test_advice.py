"""What goes wrong on the first day: the error says what to write instead."""

from __future__ import annotations

import ast
import concurrent.futures
import copy
import inspect
import io
import pickle
import textwrap
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxruntime
import pytest

import headway
from headway import _warn

from ..models.built import tiny

X = np.ones((1, 3), np.float32)
STUB = Path(headway.__file__).parent / "_core.pyi"


@pytest.fixture
def session() -> Iterator[headway.InferenceSession]:
    with headway.InferenceSession(tiny()) as session:
        yield session


Call = Callable[[Any], Any]

CALLS: dict[str, tuple[Call, type[Exception], str]] = {
    "a lone output name": (lambda s: s.run("y", X), TypeError, r"; write \['y'\]$"),
    "a lone output name, submit": (lambda s: s.submit(X, "y"), TypeError, r"; write \['y'\]$"),
    "run's arguments the other way round": (
        lambda s: s.run({"x": X}, None),
        TypeError,
        r"got a dict; the order is run\(output_names, input_feed\)",
    ),
    "submit's arguments in run's order": (
        lambda s: s.submit(None, {"x": X}),
        TypeError,
        r"and submit\(input_feed, output_names\)$",
    ),
    "a file's name": (
        lambda s: s.run(None, {"x": "cat.jpg"}),
        headway.InputError,
        r"pass an array of numpy\.float32, not of text or objects$",
    ),
    "onnxruntime's run options": (
        lambda s: s.run(None, X, onnxruntime.RunOptions()),
        TypeError,
        r"expected headway\.RunOptions, got RunOptions of onnxruntime\.",
    ),
    "concurrent.futures.wait": (
        lambda s: concurrent.futures.wait([s.submit(X)]),
        AttributeError,
        r"use headway\.wait and headway\.as_completed",
    ),
    "concurrent.futures.as_completed": (
        lambda s: list(concurrent.futures.as_completed([s.submit(X)])),
        AttributeError,
        r"use headway\.wait and headway\.as_completed",
    ),
    "pickle": (pickle.dumps, TypeError, "make one in each, in a pool's initializer"),
    "copy": (copy.copy, TypeError, "make one in each"),
    "deepcopy": (copy.deepcopy, TypeError, "make one in each"),
}


@pytest.mark.parametrize("name", CALLS)
def test_a_call_says_what_to_write(session: headway.InferenceSession, name: str) -> None:
    call, kind, advice = CALLS[name]
    with pytest.raises(kind, match=advice):
        call(session)


def test_a_dict_of_output_names_is_still_taken(session: headway.InferenceSession) -> None:
    assert session.run({"y": 0}, X)[0].shape == session.submit(X, {"y": 0}).result()[0].shape == (1, 3)


def test_a_callables_lone_output_name() -> None:
    with (
        headway.InferenceSession(lambda feed: feed) as free,
        pytest.raises(TypeError, match=r"; write \['y'\]$"),
    ):
        free.run("y", {"x": 1})


MODELS: dict[str, tuple[Call, str]] = {
    "bytearray": (bytearray, r"got bytearray; pass bytes\(\.\.\.\) of it"),
    "memoryview": (memoryview, r"got memoryview; pass bytes\(\.\.\.\) of it"),
    "a file": (lambda contents: io.BufferedReader(io.BytesIO(contents)), r"; pass what its read\(\) gives"),
    "a file in memory": (io.BytesIO, r"; pass what its getvalue\(\) gives"),
    "a ModelProto": (onnx.load_from_string, r"; pass what its SerializeToString\(\) gives"),
}


@pytest.mark.parametrize("name", MODELS)
def test_a_model_says_how_its_bytes_are_got(name: str) -> None:
    made, advice = MODELS[name]
    with pytest.raises(TypeError, match=advice):
        headway.InferenceSession(made(tiny()))


class Asynchronous:
    """A model whose call gives a coroutine."""

    async def __call__(self, feed: dict[str, Any]) -> dict[str, Any]:
        return feed


@pytest.mark.parametrize("model", [Asynchronous(), Asynchronous().__call__], ids=["object", "function"])
def test_a_model_that_nobody_would_await(model: Any) -> None:
    with pytest.raises(TypeError, match="expected a plain function, got a coroutine function"):
        headway.InferenceSession(model, inputs=["x"])


def test_options_of_onnxruntime_are_told_from_ours() -> None:
    with pytest.raises(TypeError, match=r"got SessionOptions of onnxruntime\."):
        headway.InferenceSession(tiny(), onnxruntime.SessionOptions())


@pytest.mark.parametrize("name", ["cpu", "CPU", "CPUExecutionprovider"])
def test_a_misspelt_provider(name: str) -> None:
    with pytest.raises(headway.LoadError, match=r"Did you mean 'CPUExecutionProvider'\?"):
        headway.InferenceSession(tiny(), providers=[name])


def test_a_warning_is_about_the_programs_own_line(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_warn, "_given", set())
    providers = ["CUDAExecutionProvider", "CPUExecutionProvider"]
    with pytest.warns(UserWarning, match="going on without it") as warned:
        headway.InferenceSession(tiny(), providers=providers).close()
    assert [one.filename for one in warned] == [__file__]


def documented() -> dict[str, str]:
    """The stub's texts of the methods that are native and that everybody calls."""
    wanted = {
        "Session": ("run", "submit", "run_async", "run_with_ort_values", "run_with_iobinding"),
        "InferenceFuture": ("result", "exception"),
    }
    texts = {}
    for owner in ast.parse(STUB.read_text(encoding="utf-8")).body:
        if isinstance(owner, ast.ClassDef):
            for method in owner.body:
                if isinstance(method, ast.FunctionDef) and method.name in wanted.get(owner.name, ()):
                    texts[f"{owner.name}.{method.name}"] = ast.get_docstring(method) or ""
    return texts


@pytest.mark.parametrize("name", documented())
def test_help_says_what_the_editor_says(name: str) -> None:
    owner, _, method = name.partition(".")
    kind = headway.InferenceSession if owner == "Session" else headway.InferenceFuture
    assert textwrap.dedent(inspect.getdoc(getattr(kind, method)) or "").strip() == documented()[name]
