"""The engine's library reports nothing of what it runs, unless its user wants it to."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import headway

from ..support import tiny_model

RUN = """
import os, sys, numpy as np, headway
with headway.InferenceSession(sys.argv[1]) as session:
    session.run(None, {"x": np.zeros((1, 3), np.float32)})
print(os.environ.get("ORT_DISABLE_TELEMETRY"))
"""
ASK = """
import os
from headway import _library
_library.onnxruntime_candidates()
print(os.environ["ORT_DISABLE_TELEMETRY"])
"""


def python(script: str, home: Path, *arguments: str, **variables: str) -> str:
    """What the script prints in a process whose home is empty, and which nothing keeps from reporting."""
    quiet = {"ORT_DISABLE_TELEMETRY", "ORT_RUNNING_UNIT_TESTS", "CI", "GITHUB_ACTIONS", "XDG_CACHE_HOME"}
    kept = {name: value for name, value in os.environ.items() if name not in quiet}
    here = str(Path(headway.__file__).resolve().parents[1])
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", script, *arguments],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
        env={**kept, "HOME": str(home), "PYTHONPATH": here, **variables},
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_nothing_is_written_about_what_runs(tmp_path: Path) -> None:
    model = tmp_path / "tiny.onnx"
    model.write_bytes(tiny_model())
    said = python(RUN, tmp_path, str(model))
    assert said == "1\n"
    assert [path.name for path in tmp_path.rglob("*")] == ["tiny.onnx"]


def test_the_users_own_choice_stays(tmp_path: Path) -> None:
    assert python(ASK, tmp_path, ORT_DISABLE_TELEMETRY="0") == "0\n"
    assert python(ASK, tmp_path) == "1\n"
