"""Runs a script in a process of its own, on every interpreter under test."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import NamedTuple

import headway

INTERPRETERS = [one for one in os.environ.get("HEADWAY_TEST_PYTHONS", "").split(os.pathsep) if one] or [
    sys.executable
]
"""`HEADWAY_TEST_PYTHONS` names them, separated like `PATH`; each must have numpy, onnxruntime and this headway."""

ROOT = Path(__file__).resolve().parents[2]

PRELUDE = """
import atexit, os, signal, sys, threading, time
import numpy as np
import headway
from headway.testing import FakeEngine, ManualClock
X = np.arange(3, dtype=np.float32).reshape(1, 3)

def spawn(call, *args):
    thread = threading.Thread(target=call, args=args, daemon=True)
    thread.start()
    return thread

def load(name):
    with open(os.path.join(os.environ["MODELS"], name + ".onnx"), "rb") as file:
        return file.read()

LONG = {"n": np.array(10**15), "x": np.zeros(1, np.float32)}
SHORT = {"n": np.array(3), "x": np.zeros(1, np.float32)}
"""


class Ended(NamedTuple):
    """How a process ended."""

    status: int
    out: str
    err: str


def environment(models: Path) -> dict[str, str]:
    """Where the process finds this build of headway, and the models."""
    here = str(Path(headway.__file__).resolve().parents[1])
    return {**os.environ, "PYTHONPATH": here, "MODELS": str(models), "PYTHONFAULTHANDLER": "1"}


def run(python: str, script: str, models: Path, before: str = "", timeout: float = 30) -> Ended:
    """Runs the script to its end; one that hangs fails the test. `before` runs before headway is imported."""
    done = subprocess.run(
        [python, "-W", "error", "-c", before + PRELUDE + script],
        capture_output=True,
        text=True,
        timeout=timeout,
        env=environment(models),
        check=False,
    )
    return Ended(done.returncode, done.stdout, done.stderr)
