"""The names of ``onnxruntime``: a program written for it runs with one changed import.

    from headway import ort          # was: import onnxruntime as ort

The classes and functions are those of ``headway``, with everything that they have beyond onnxruntime's. Two things
differ: a session that is dropped gives no ResourceWarning, and ``__version__`` is that of the onnxruntime library
which Headway loads. Names that are not offered raise AttributeError and say what to do; docs/onnxruntime.md lists them.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import headway
from headway.ort._absent import refuse
from headway.ort._session import InferenceSession

if TYPE_CHECKING:
    from headway import (
        ExecutionMode,
        ExecutionOrder,
        GraphOptimizationLevel,
        IOBinding,
        LoraAdapter,
        ModelMetadata,
        NodeArg,
        OrtDevice,
        OrtDeviceVendorId,
        OrtEpDevice,
        OrtExecutionProviderDevicePolicy,
        OrtHardwareDevice,
        OrtHardwareDeviceType,
        OrtSparseFormat,
        OrtValue,
        RunOptions,
        SessionIOBinding,
        SessionOptions,
        SparseTensor,
        copy_tensors,
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
    from headway.ort import capi
    from headway.ort._memory import (
        OrtAllocatorType,
        OrtArenaCfg,
        OrtDeviceMemoryType,
        OrtMemoryInfo,
        OrtMemoryInfoDeviceType,
        OrtMemType,
    )

    __version__: str

__all__ = [
    "ExecutionMode",
    "ExecutionOrder",
    "GraphOptimizationLevel",
    "IOBinding",
    "InferenceSession",
    "LoraAdapter",
    "ModelMetadata",
    "NodeArg",
    "OrtAllocatorType",
    "OrtArenaCfg",
    "OrtDevice",
    "OrtDeviceMemoryType",
    "OrtDeviceVendorId",
    "OrtEpDevice",
    "OrtExecutionProviderDevicePolicy",
    "OrtHardwareDevice",
    "OrtHardwareDeviceType",
    "OrtMemType",
    "OrtMemoryInfo",
    "OrtMemoryInfoDeviceType",
    "OrtSparseFormat",
    "OrtValue",
    "RunOptions",
    "SessionIOBinding",
    "SessionOptions",
    "SparseTensor",
    "capi",
    "copy_tensors",
    "create_and_register_allocator",
    "create_and_register_allocator_v2",
    "disable_telemetry_events",
    "enable_telemetry_events",
    "get_all_providers",
    "get_available_providers",
    "get_build_info",
    "get_device",
    "get_ep_devices",
    "get_version_string",
    "register_execution_provider_library",
    "set_default_logger_severity",
    "set_default_logger_verbosity",
    "set_global_thread_pool_sizes",
    "set_seed",
    "unregister_execution_provider_library",
]

#: Names of `_memory`.
_MEMORY = {
    "OrtAllocatorType",
    "OrtArenaCfg",
    "OrtDeviceMemoryType",
    "OrtMemType",
    "OrtMemoryInfo",
    "OrtMemoryInfoDeviceType",
}


# Only for the running program: to a type checker it would make every name exist.
if not TYPE_CHECKING:

    def __getattr__(name: str) -> object:
        from importlib import import_module

        if name == "capi":
            found = import_module("headway.ort.capi")
        elif name == "__version__":
            found = headway.get_version_string()
        elif name in _MEMORY:
            found = getattr(import_module("headway.ort._memory"), name)
        elif name in __all__:
            found = getattr(headway, name)
        else:
            raise refuse(name)
        globals()[name] = found
        return found


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__, "__version__"})
