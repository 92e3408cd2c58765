"""The stand-in for ``librknnrt.so``: built once, steered and asked in JSON; and stand-in models for it."""

from __future__ import annotations

import ctypes
import functools
import json
import os
import shutil
import struct
import subprocess
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from headway._library import onnxruntime_candidates

ROOT = Path(__file__).parents[3]


@functools.cache
def library() -> Path:
    """The stand-in's file, built from ``crates/rknn-standin``."""
    cargo = shutil.which("cargo")
    assert cargo, "the rknn tests build their stand-in with cargo"
    command = [cargo, "build", "--quiet", "--locked", "-p", "headway-rknn-standin", "--message-format=json"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    made = [json.loads(line) for line in done.stdout.splitlines() if line.startswith("{")]
    files = [Path(name) for one in made for name in one.get("filenames", ()) if "rknn_standin" in name]
    return next(path for path in files if path.suffix == ".so")


class StandIn:
    """The loaded stand-in: faults, cores, counts."""

    def __init__(self) -> None:
        # It computes through the same library as the onnxruntime engine, whichever that is.
        os.environ.setdefault("HEADWAY_STANDIN_ONNXRUNTIME", onnxruntime_candidates()[0])
        self.path = library()
        self._native = ctypes.CDLL(str(self.path))
        self._native.standin_stats.restype = ctypes.c_int64
        self._native.standin_stats.argtypes = [ctypes.c_void_p, ctypes.c_size_t]

    def control(self, **command: Any) -> None:
        """``reset=True``, ``cores=[1.0, 0.5]``, ``faults=[{...}]``, ``release=True``, ``simulate=(lanes, requests)``."""
        assert self._native.standin_control(json.dumps(command).encode()) == 0, command

    def fault(self, function: str, call: int, **what: Any) -> None:
        """One fault at the call with this number from now on."""
        done = self.stats()["counts"]["calls"].get(function, 0)
        self.control(faults=[{"function": function, "call": call and done + call, **what}])

    def stats(self) -> dict[str, Any]:
        """What was counted."""
        room = 1 << 20
        buffer = ctypes.create_string_buffer(room)
        length = self._native.standin_stats(buffer, room)
        assert 0 < length <= room
        found: dict[str, Any] = json.loads(buffer.raw[:length])
        return found


def tensor(
    name: str, dims: Sequence[int], fmt: str = "UNDEFINED", kind: str = "float32", **more: Any
) -> dict[str, Any]:
    """One input or output of a stand-in model; ``crates/rknn-standin/src/file.rs`` says what there is."""
    return {"name": name, "dims": list(dims), "fmt": fmt, "kind": kind, **more}


def affine(zero_point: int, scale: float) -> dict[str, Any]:
    """The quantisation of a tensor."""
    return {"qnt": "affine", "zp": zero_point, "scale": scale}


def model(
    op: str,
    inputs: Sequence[Mapping[str, Any]],
    outputs: Sequence[Mapping[str, Any]],
    payload: bytes = b"",
    **more: Any,
) -> bytes:
    """A stand-in ``.rknn`` file: a real one's container, with an ONNX model (or nothing) as its payload."""
    description = {"op": op, "inputs": list(inputs), "outputs": list(outputs), **more}
    outer = {"version": "stand-in", "target_platform": ["rk3588"], "standin": description}
    text = json.dumps(outer).encode()
    head = struct.pack("<8sQQ40x", b"RKNN\0\0\0\0", 6, len(payload))
    return head + payload + struct.pack("<Q", len(text)) + text


def echo(dims: Sequence[int] = (1, 4), **more: Any) -> bytes:
    """One input ``x``, one output ``y`` equal to it."""
    return model("identity", [tensor("x", dims)], [tensor("y", dims)], **more)
