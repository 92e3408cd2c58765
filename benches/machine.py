"""The machine and the versions that figures come from."""

from __future__ import annotations

import datetime
import os
import platform
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import headway

from .rounds import usable_cores


def _cpu() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        return platform.processor() or platform.machine()
    names = [line.split(":", 1)[1].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.machine()


def _load() -> float | None:
    try:
        return round(os.getloadavg()[0], 2)
    except OSError:
        return None


def _version(package: str) -> str | None:
    try:
        return version(package)
    except PackageNotFoundError:
        return None


def describe(arguments: list[str]) -> dict[str, Any]:
    """What stands at the head of every record."""
    return {
        "date": datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds"),
        "command": " ".join(["python -m benches", *arguments]),
        "cpu": _cpu(),
        "cores": usable_cores(),
        "load_before": _load(),
        "system": f"{platform.system()} {platform.release()} {platform.machine()}",
        "python": platform.python_version(),
        "headway": headway.__version__,
        "onnxruntime": version("onnxruntime"),
        "numpy": version("numpy"),
        "openvino": _version("openvino"),
        "mlcommons-loadgen": _version("mlcommons-loadgen"),
    }
