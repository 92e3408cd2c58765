"""Processes on every interpreter under test."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from .process import INTERPRETERS, Ended, run

Script = Callable[..., Ended]


@pytest.fixture(scope="session")
def models(tmp_path_factory: pytest.TempPathFactory, tiny: bytes, loop: bytes) -> Path:
    folder = tmp_path_factory.mktemp("models")
    (folder / "tiny.onnx").write_bytes(tiny)
    (folder / "loop.onnx").write_bytes(loop)
    return folder


@pytest.fixture(params=INTERPRETERS, scope="session")
def python(request: pytest.FixtureRequest) -> str:
    interpreter: str = request.param
    return interpreter


@pytest.fixture
def script(python: str, models: Path) -> Script:
    def call(text: str, before: str = "", timeout: float = 30) -> Ended:
        return run(python, text, models, before=before, timeout=timeout)

    return call
