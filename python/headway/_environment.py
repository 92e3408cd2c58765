"""The engine's library and environment, of which a process has one: ``onnxruntime``'s module-level calls."""

from __future__ import annotations

import os
from typing import Any

from headway import _core
from headway._fields import Named, whole
from headway._library import TELEMETRY, onnxruntime_candidates
from headway._options import ALL_PROVIDERS, GONE_SINCE_1_32
from headway._record import Record
from headway._warn import once

#: Providers that make `get_device()` say something else than the CPU, and what.
_DEVICES = {
    "CUDAExecutionProvider": "GPU",
    "MIGraphXExecutionProvider": "GPU",
    "ROCMExecutionProvider": "GPU",
    "DmlExecutionProvider": "CPU-DML",
    "OpenVINOExecutionProvider": "CPU-OPENVINO",
    "DnnlExecutionProvider": "CPU-DNNL",
}

_verbosity = 0


class OrtHardwareDeviceType(Named):
    """What a piece of hardware is."""

    CPU = 0
    GPU = 1
    NPU = 2


class OrtHardwareDevice(Record):
    """A piece of hardware."""

    #: What it is.
    type: OrtHardwareDeviceType
    #: Who made it.
    vendor: str
    #: The vendor's number on the bus.
    vendor_id: int
    #: The device's number.
    device_id: int
    #: What else is known of it.
    metadata: dict[str, str]


class OrtEpDevice(Record):
    """An execution provider on one device, for ``SessionOptions.add_provider_for_devices``."""

    #: The provider's name.
    ep_name: str
    #: Who made the provider.
    ep_vendor: str
    #: What the provider says of itself.
    ep_metadata: dict[str, str]
    #: Options that the provider would use on this device.
    ep_options: dict[str, str]
    #: The device.
    device: OrtHardwareDevice
    #: Which of the process's devices it is.
    handle: int


def _candidates() -> list[str]:
    return list(onnxruntime_candidates())


def get_available_providers() -> list[str]:
    """The execution providers that the installed onnxruntime library has."""
    return _core.available_providers(_candidates())


def get_all_providers() -> list[str]:
    """The execution providers that the onnxruntime at hand knows, whether or not its library has them."""
    major, minor = (int(part) for part in get_version_string().split(".")[:2])
    gone = GONE_SINCE_1_32 if (major, minor) >= (1, 32) else ()
    return [name for name in ALL_PROVIDERS if name not in gone]


def get_device() -> str:
    """``"GPU"`` when the installed onnxruntime library is built for one, else ``"CPU"`` or what stands beside it."""
    found = get_available_providers()
    return next((device for provider, device in _DEVICES.items() if provider in found), "CPU")


def get_version_string() -> str:
    """The installed onnxruntime library's version."""
    return _core.onnxruntime_version(_candidates())


def get_build_info() -> str:
    """How the installed onnxruntime library was built."""
    return _core.build_info(_candidates())


def set_default_logger_severity(severity: int) -> None:
    """Log from this severity on: 0 verbose, 1 info, 2 warning (the default), 3 error, 4 fatal.

    Lines go to the ``headway`` logger. Holds for sessions whose options leave ``log_severity_level`` at -1.

    Raises:
        RuntimeError: There is no such severity.
    """
    if not 0 <= whole(severity) <= 4:
        raise RuntimeError("Invalid logging severity. 0:Verbose, 1:Info, 2:Warning, 3:Error, 4:Fatal")
    _core.set_log_severity(whole(severity))


def set_default_logger_verbosity(verbosity: int) -> None:
    """Verbosity of verbose lines, for sessions made from now on whose options leave ``log_verbosity_level`` at 0."""
    global _verbosity
    _verbosity = whole(verbosity)


def default_logger_verbosity() -> int:
    """What ``set_default_logger_verbosity`` said."""
    return _verbosity


def set_global_thread_pool_sizes(intra_op_num_threads: int = 0, inter_op_num_threads: int = 0) -> None:
    """Set how many threads the shared pools have, which sessions with ``use_per_session_threads=False`` use.

    To be called once, before the first session, which makes the pools.

    Args:
        intra_op_num_threads: Threads for one operator, the caller's own included. 0: the thread budget.
        inter_op_num_threads: Threads for operators side by side. 0: none beside the caller's.

    Raises:
        Fail: The pools exist already.
    """
    _core.set_shared_pool_sizes(whole(intra_op_num_threads), whole(inter_op_num_threads))


def enable_telemetry_events() -> None:
    """Turn the library's telemetry on, before the first session: later it stays off.

    It reports to onnxruntime's maker what is run (see docs/onnxruntime.md). Setting the environment variable
    ``ORT_DISABLE_TELEMETRY`` to 0 does the same.
    """
    os.environ[TELEMETRY] = "0"
    _core.set_telemetry(True, _candidates())


def disable_telemetry_events() -> None:
    """Turn the library's telemetry off. It is off already, unless somebody has turned it on."""
    _core.set_telemetry(False, _candidates())


def get_ep_devices() -> list[OrtEpDevice]:
    """Every device that an execution provider can run on.

    Raises:
        LoadError: The onnxruntime library is older than 1.22.
    """
    devices = []
    for name, vendor, metadata, options, hardware, handle in _core.ep_devices(_candidates()):
        kind, maker, vendor_id, device_id, known = hardware
        device = OrtHardwareDevice(OrtHardwareDeviceType(kind), maker, vendor_id, device_id, dict(known))
        devices.append(OrtEpDevice(name, vendor, dict(metadata), dict(options), device, handle))
    return devices


def register_execution_provider_library(name: str, path: str | os.PathLike[str]) -> None:
    """Load a library of execution providers, whose devices ``get_ep_devices`` then lists.

    Raises:
        Fail: It cannot be loaded, or the name is taken.
        LoadError: The onnxruntime library is older than 1.22.
    """
    _core.register_provider_library(name, path, _candidates())


def unregister_execution_provider_library(name: str) -> None:
    """Unload a library of execution providers; no session may use it any more.

    Raises:
        Fail: There is none of this name.
        LoadError: The onnxruntime library is older than 1.22.
    """
    _core.unregister_provider_library(name, _candidates())


def set_seed(seed: int) -> None:
    """No effect, and warns: ONNX Runtime's C interface cannot set it. Operators' own ``seed`` attributes work."""
    whole(seed)
    once("set_seed has no effect here: ONNX Runtime's C interface cannot set it")


def create_and_register_allocator(*arguments: Any) -> None:
    """No effect, and warns: sessions use Headway's pooled memory, which has no arena to configure."""
    once("create_and_register_allocator has no effect here: sessions use Headway's pooled memory")


create_and_register_allocator_v2 = create_and_register_allocator
