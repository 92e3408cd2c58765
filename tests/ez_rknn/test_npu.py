"""Provider options that are about the NPU, on the stand-in for its runtime."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from headway import ez_rknn
from headway.ez_rknn import _plugins

from ..engines.rknn.conftest import loaded_standin, standin
from ..engines.rknn.standin import StandIn, echo

__all__ = ["loaded_standin", "standin"]

X = np.ones((1, 4), np.float32)


def session_of(standin: StandIn, model: bytes, **options: Any) -> ez_rknn.InferenceSession:
    return ez_rknn.InferenceSession(model, provider_options=options, engine_options={"library": standin.path})


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Where custom operators are looked for."""
    monkeypatch.setattr(_plugins, "_FOLDERS", (str(tmp_path),))
    return tmp_path


def test_native_bound_memory(standin: StandIn) -> None:
    with session_of(standin, echo(), zero_copy_layout="native", schedule=[0, 1]) as session:
        assert session.run(None, {"x": X})[0].tolist() == X.tolist()
    calls = standin.stats()["counts"]["calls"]
    # Memory is bound, and nothing is copied by the runtime.
    assert calls["rknn_set_io_mem"] >= 4
    assert "rknn_inputs_set" not in calls
    with session_of(standin, echo(), zero_copy_layout="nhwc") as session:
        session.run(None, {"x": X})
    assert standin.stats()["counts"]["calls"]["rknn_inputs_set"] == 1


@pytest.mark.parametrize("name", ["custom_op_default_path", "load_custom_ops_from_default_path"])
def test_installed_custom_operators(standin: StandIn, folder: Path, name: str) -> None:
    # The stand-in's own file exports an operator.
    shutil.copy(standin.path, folder / "librkcst_echo.so")
    (folder / "librkcst_broken.so").write_bytes(b"nonsense")
    shutil.copy(standin.path, folder / "other.so")
    with (
        pytest.warns(UserWarning, match=r"librkcst_broken\.so are left out"),
        session_of(standin, echo(custom_ops=1), **{name: True}) as session,
    ):
        assert session.run(None, {"x": X})[0].tolist() == X.tolist()
    assert standin.stats()["counts"]["calls"]["rknn_register_custom_ops"] == 1


def test_named_operators_are_not_taken_twice(standin: StandIn, folder: Path) -> None:
    path = folder / "librkcst_echo.so"
    shutil.copy(standin.path, path)
    options = {"custom_op_paths": [str(path)], "custom_op_default_path": True}
    with session_of(standin, echo(custom_ops=1), **options) as session:
        session.run(None, {"x": X})
    assert standin.stats()["counts"]["calls"]["rknn_register_custom_ops"] == 1


def test_no_folder_of_custom_operators(
    standin: StandIn, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(_plugins, "_FOLDERS", (str(folder / "nowhere"),))
    with (
        pytest.warns(UserWarning, match="there is no folder .*nowhere with custom operators"),
        session_of(standin, echo(), custom_op_default_path=True) as session,
    ):
        session.run(None, {"x": X})
