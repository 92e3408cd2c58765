"""Asynchronous inference: one session object over any engine, every calling convention over one flow."""

from __future__ import annotations

import atexit as _atexit
import os as _os

from headway import _core
from headway._core import InferenceFuture
from headway._errors import (
    DeadlineExceeded,
    Dropped,
    EndOfStream,
    EngineError,
    Fail,
    HeadwayError,
    InputError,
    InvalidArgument,
    InvalidGraph,
    InvalidProtobuf,
    LaneCrashed,
    LoadError,
    NoModel,
    NoSuchFile,
    QueueFull,
    RuntimeException,
    SessionClosed,
)
from headway._futures import ALL_COMPLETED, FIRST_COMPLETED, FIRST_EXCEPTION, as_completed, wait
from headway._metrics import CloseReport, Counters, Histogram, LaneStats, Stats, Timing
from headway._nodes import ModelMetadata, NodeArg
from headway._options import ExecutionMode, GraphOptimizationLevel, RunOptions, SessionOptions
from headway._pipeline import Frame, Pipeline
from headway._providers import ProviderReport
from headway._sample import Sample
from headway.run import Run, Tally
from headway.session import InferenceSession, Refused

__all__ = [
    # sessions
    "InferenceFuture",
    "InferenceSession",
    "Frame",
    "Pipeline",
    "Refused",
    "Run",
    "Sample",
    # options
    "ExecutionMode",
    "GraphOptimizationLevel",
    "RunOptions",
    "SessionOptions",
    # what they give
    "CloseReport",
    "Counters",
    "Histogram",
    "LaneStats",
    "ModelMetadata",
    "NodeArg",
    "ProviderReport",
    "Stats",
    "Tally",
    "Timing",
    # functions
    "ALL_COMPLETED",
    "FIRST_COMPLETED",
    "FIRST_EXCEPTION",
    "as_completed",
    "wait",
    "get_available_providers",
    # errors
    "DeadlineExceeded",
    "Dropped",
    "EndOfStream",
    "EngineError",
    "Fail",
    "HeadwayError",
    "InputError",
    "InvalidArgument",
    "InvalidGraph",
    "InvalidProtobuf",
    "LaneCrashed",
    "LoadError",
    "NoModel",
    "NoSuchFile",
    "QueueFull",
    "RuntimeException",
    "SessionClosed",
]


def __getattr__(name: str) -> str:
    # On demand: importlib.metadata would be most of the time that importing headway takes.
    if name == "__version__":
        from importlib.metadata import PackageNotFoundError, version

        try:
            return version("headway")
        except PackageNotFoundError:  # running from a source tree
            return "0"
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def get_available_providers() -> list[str]:
    """The execution providers that the installed onnxruntime library has."""
    from headway._library import onnxruntime_candidates

    return _core.available_providers(None, list(onnxruntime_candidates()))


# After the program's own threads are joined, before the interpreter is taken down (see ARCHITECTURE.md, "Exit").
_atexit.register(_core._exit)
if hasattr(_os, "register_at_fork"):
    _os.register_at_fork(after_in_child=_core._forked)
