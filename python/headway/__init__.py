"""Asynchronous inference: one session object over any engine, every calling convention over one flow."""

from __future__ import annotations

import _thread
import atexit as _atexit
import os as _os
import sys as _sys
from typing import TYPE_CHECKING

from headway import _core
from headway._batching import Batching
from headway._core import InferenceFuture, IOBinding, OrtValue, PreparedCall
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
from headway._nodes import ModelMetadata, NodeArg
from headway._options import (
    ExecutionMode,
    ExecutionOrder,
    GraphOptimizationLevel,
    OrtExecutionProviderDevicePolicy,
    RunOptions,
    SessionOptions,
)
from headway._providers import ProviderReport
from headway._threads import get_thread_budget, set_thread_budget
from headway.session import InferenceSession, Refused

if TYPE_CHECKING:
    __version__: str
    # What `_LAZY` below imports on first use; type checkers read these lines instead.
    from headway._adapter import LoraAdapter
    from headway._engine import Engine, Lane
    from headway._environment import (
        OrtEpDevice,
        OrtHardwareDevice,
        OrtHardwareDeviceType,
        create_and_register_allocator,
        create_and_register_allocator_v2,
        disable_telemetry_events,
        enable_telemetry_events,
        get_all_providers,
        get_available_providers,
        get_build_info,
        get_device,
        get_ep_devices,
        get_version_string,
        register_execution_provider_library,
        set_default_logger_severity,
        set_default_logger_verbosity,
        set_global_thread_pool_sizes,
        set_seed,
        unregister_execution_provider_library,
    )
    from headway._futures import ALL_COMPLETED, FIRST_COMPLETED, FIRST_EXCEPTION, as_completed, wait
    from headway._health import Health, LaneHealth
    from headway._metrics import (
        BatchingStats,
        CloseReport,
        Counters,
        Histogram,
        LaneStats,
        NodeTiming,
        Stats,
        ThreadStats,
        Timing,
    )
    from headway._ortvalue import OrtDevice, OrtDeviceVendorId, copy_tensors
    from headway._pipeline import Frame, Pipeline
    from headway._sample import Sample
    from headway._sparse import OrtSparseFormat, SparseTensor
    from headway.run import Run, Tally

__all__ = [
    # sessions
    "InferenceFuture",
    "InferenceSession",
    "Frame",
    "Pipeline",
    "Refused",
    "Run",
    "Sample",
    # engines of your own
    "Engine",
    "Lane",
    # values
    "IOBinding",
    "PreparedCall",
    "OrtDevice",
    "OrtDeviceVendorId",
    "OrtSparseFormat",
    "OrtValue",
    "SessionIOBinding",
    "SparseTensor",
    # options
    "Batching",
    "ExecutionMode",
    "ExecutionOrder",
    "GraphOptimizationLevel",
    "LoraAdapter",
    "OrtExecutionProviderDevicePolicy",
    "RunOptions",
    "SessionOptions",
    # what they give
    "BatchingStats",
    "CloseReport",
    "Counters",
    "Health",
    "Histogram",
    "LaneHealth",
    "LaneStats",
    "ModelMetadata",
    "NodeArg",
    "NodeTiming",
    "OrtEpDevice",
    "OrtHardwareDevice",
    "OrtHardwareDeviceType",
    "ProviderReport",
    "Stats",
    "Tally",
    "ThreadStats",
    "Timing",
    # functions
    "ALL_COMPLETED",
    "FIRST_COMPLETED",
    "FIRST_EXCEPTION",
    "as_completed",
    "wait",
    "copy_tensors",
    # the engine's library, the process's threads
    "create_and_register_allocator",
    "create_and_register_allocator_v2",
    "disable_telemetry_events",
    "enable_telemetry_events",
    "get_all_providers",
    "get_available_providers",
    "get_build_info",
    "get_device",
    "get_ep_devices",
    "get_thread_budget",
    "get_version_string",
    "register_execution_provider_library",
    "set_default_logger_severity",
    "set_default_logger_verbosity",
    "set_global_thread_pool_sizes",
    "set_seed",
    "set_thread_budget",
    "unregister_execution_provider_library",
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


#: onnxruntime's other name for it.
SessionIOBinding = IOBinding

#: Names that come in on first use, and the modules they are in: `import headway` is to cost little beyond numpy.
_LAZY = {
    name: module
    for module, names in {
        "headway._adapter": "LoraAdapter",
        "headway._engine": "Engine Lane",
        "headway._environment": (
            "OrtEpDevice OrtHardwareDevice OrtHardwareDeviceType create_and_register_allocator "
            "create_and_register_allocator_v2 disable_telemetry_events enable_telemetry_events "
            "get_all_providers get_available_providers get_build_info get_device get_ep_devices "
            "get_version_string register_execution_provider_library set_default_logger_severity "
            "set_default_logger_verbosity set_global_thread_pool_sizes set_seed "
            "unregister_execution_provider_library "
        ),
        "headway._futures": "ALL_COMPLETED FIRST_COMPLETED FIRST_EXCEPTION as_completed wait",
        "headway._health": "Health LaneHealth",
        "headway._metrics": (
            "BatchingStats CloseReport Counters Histogram LaneStats NodeTiming Stats ThreadStats Timing"
        ),
        "headway._ortvalue": "OrtDevice OrtDeviceVendorId copy_tensors",
        "headway._pipeline": "Frame Pipeline",
        "headway._sample": "Sample",
        "headway._sparse": "OrtSparseFormat SparseTensor",
        "headway.run": "Run Tally",
    }.items()
    for name in names.split()
}


# Only for the running program: to a type checker it would make every name exist.
if not TYPE_CHECKING:

    def __getattr__(name: str) -> object:
        if name in _LAZY:
            from importlib import import_module

            found = globals()[name] = getattr(import_module(_LAZY[name]), name)
            return found
        if name == "__version__":
            return _version()
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted({*globals(), *_LAZY})


def _version() -> str:
    from importlib.metadata import PackageNotFoundError, version

    try:
        return version("headway")
    except PackageNotFoundError:  # running from a source tree
        return "0"


def _forking() -> None:
    # Who has no other thread pays nothing; headway's native ones import nothing.
    if _thread._count() or len(_sys._current_frames()) > 1:
        from headway._late import import_all

        import_all()


# After the program's own threads are joined, before the interpreter is taken down (see ARCHITECTURE.md, "Exit").
_atexit.register(_core._exit)
if hasattr(_os, "register_at_fork"):
    _os.register_at_fork(
        before=_core._forking,
        after_in_parent=lambda: _core._forked(False),
        after_in_child=lambda: _core._forked(True),
    )
    # Registered last, it runs first: who waits for another thread's import holds none of the native locks.
    _os.register_at_fork(before=_forking)
