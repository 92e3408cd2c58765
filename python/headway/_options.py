"""Session and run options under ONNX Runtime's names."""

from __future__ import annotations

import enum
import operator
import os
from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Literal, get_args

from headway import _core
from headway._errors import from_core
from headway._fields import Entries, Field, Named, member_of, path, text, truth, whole
from headway._warn import once

if TYPE_CHECKING:
    from headway._adapter import LoraAdapter
    from headway._environment import OrtEpDevice

Hint = Literal["latency", "throughput"]
Overflow = Literal["block", "raise", "drop_oldest", "drop_newest"]
OVERFLOWS: tuple[str, ...] = get_args(Overflow)
Wait = Literal["auto", "park", "spin"] | float


class GraphOptimizationLevel(Named):
    """How far ONNX Runtime rewrites the graph."""

    ORT_DISABLE_ALL = 0
    ORT_ENABLE_BASIC = 1
    ORT_ENABLE_EXTENDED = 2
    ORT_ENABLE_LAYOUT = 3
    ORT_ENABLE_ALL = 99


class ExecutionMode(Named):
    """Whether one request runs its operators one by one or side by side."""

    ORT_SEQUENTIAL = 0
    ORT_PARALLEL = 1


class ExecutionOrder(Named):
    """In which order operators run. Only the default has an effect here."""

    DEFAULT = 0
    PRIORITY_BASED = 1
    MEMORY_EFFICIENT = 2


class OrtExecutionProviderDevicePolicy(Named):
    """What ``SessionOptions.set_provider_selection_policy`` prefers."""

    DEFAULT = 0
    PREFER_CPU = 1
    PREFER_NPU = 2
    PREFER_GPU = 3
    MAX_PERFORMANCE = 4
    MAX_EFFICIENCY = 5
    MIN_OVERALL_POWER = 6


#: Providers that ONNX Runtime knows, whether or not the library at hand has them.
ALL_PROVIDERS = (
    "NvTensorRTRTXExecutionProvider",
    "TensorrtExecutionProvider",
    "CUDAExecutionProvider",
    "MIGraphXExecutionProvider",
    "OpenVINOExecutionProvider",
    "DnnlExecutionProvider",
    "VitisAIExecutionProvider",
    "QNNExecutionProvider",
    "NnapiExecutionProvider",
    "VSINPUExecutionProvider",
    "JsExecutionProvider",
    "CoreMLExecutionProvider",
    "ACLExecutionProvider",
    "DmlExecutionProvider",
    "RknpuExecutionProvider",
    "WebNNExecutionProvider",
    "WebGpuExecutionProvider",
    "XnnpackExecutionProvider",
    "CANNExecutionProvider",
    "AzureExecutionProvider",
    "CPUExecutionProvider",
)

#: Those among them that onnxruntime 1.32 knows no more.
GONE_SINCE_1_32 = ("NvTensorRTRTXExecutionProvider", "ACLExecutionProvider")

#: What ONNX Runtime's C interface has no call for: the value that needs none, by name.
_UNSERVED = {"enable_mem_reuse": True, "execution_order": ExecutionOrder.DEFAULT}


class SessionOptions(Entries):
    """Options of a session on the ``onnxruntime`` engine; names and defaults as in ``onnxruntime.SessionOptions``.

    A value of a wrong type raises TypeError where it is set. Thread counts of 0 leave the choice to Headway (see
    ``InferenceSession``). ``use_per_session_threads=False`` makes the session use the process's shared thread pool
    whatever its size (see ``set_global_thread_pool_sizes``). ``enable_mem_reuse`` and ``execution_order`` have no
    effect: the engine's interface cannot set them, and a session made with another value than the default warns.
    """

    __slots__ = (
        "_custom_ops",
        "_devices",
        "_dims_by_denotation",
        "_dims_by_name",
        "_external",
        "_files",
        "_initializers",
        "_load_flag",
        "_policy",
        "_providers",
    )

    enable_cpu_mem_arena = Field(True, truth)
    enable_mem_pattern = Field(True, truth)
    enable_mem_reuse = Field(True, truth)
    enable_profiling = Field(False, truth)
    execution_mode = Field(ExecutionMode.ORT_SEQUENTIAL, member_of(ExecutionMode))
    execution_order = Field(ExecutionOrder.DEFAULT, member_of(ExecutionOrder))
    graph_optimization_level = Field(GraphOptimizationLevel.ORT_ENABLE_ALL, member_of(GraphOptimizationLevel))
    inter_op_num_threads = Field(0, whole)
    intra_op_num_threads = Field(0, whole)
    log_severity_level = Field(-1, whole)
    log_verbosity_level = Field(0, whole)
    logid = Field("", text)
    optimized_model_filepath = Field("", path)
    profile_file_prefix = Field("onnxruntime_profile_", path)
    use_deterministic_compute = Field(False, truth)
    use_per_session_threads = Field(True, truth)

    def __init__(self) -> None:
        super().__init__()
        self._dims_by_name: dict[str, int] = {}
        self._dims_by_denotation: dict[str, int] = {}
        self._custom_ops: list[str] = []
        self._initializers: list[tuple[str, Any]] = []
        self._external: list[tuple[str, Any]] = []
        self._files: list[tuple[str, bytes]] = []
        self._providers: list[tuple[str, dict[str, str]]] = []
        self._devices: list[tuple[list[int], list[tuple[str, str]]]] = []
        self._policy: OrtExecutionProviderDevicePolicy | None = None
        self._load_flag = _core.LoadFlag()

    def add_session_config_entry(self, key: str, value: str) -> None:
        """Set a config entry, such as ``session.intra_op.allow_spinning`` = ``"0"``."""
        self._add(key, value)

    def get_session_config_entry(self, key: str) -> str:
        """The value of a config entry; RuntimeError when it was not set."""
        return self._get(key)

    def add_free_dimension_override_by_name(self, name: str, value: int) -> None:
        """Fix a named dimension."""
        self._dims_by_name[text(name)] = operator.index(value)

    def add_free_dimension_override_by_denotation(self, denotation: str, value: int) -> None:
        """Fix every dimension with this denotation."""
        self._dims_by_denotation[text(denotation)] = operator.index(value)

    def register_custom_ops_library(self, path: str) -> None:
        """Load a library of custom operators with the model.

        Raises:
            Fail: There is no such file. What else is wrong with it is raised by the session.
        """
        # A bare name is left to the system, which looks for it in places of its own.
        if os.path.dirname(text(path)) and not os.path.exists(path):
            raise from_core(
                "load",
                f"[ONNXRuntimeError] : 1 : FAIL : Failed to load library {path} with error: {path}: cannot open shared "
                "object file: No such file or directory",
                1,
                "onnxruntime",
                None,
                None,
            )
        self._custom_ops.append(path)

    def add_initializer(self, name: str, value: Any) -> None:
        """Let an ``OrtValue`` on the CPU take the place of the model's initializer of this name.

        Its memory is used, not copied, as long as a session is open that was made with these options.
        """
        self._initializers.append((text(name), _ort_value(value)))

    def add_external_initializers(self, names: Sequence[str], values: Sequence[Any]) -> None:
        """The same for initializers whose data the model keeps in other files, which are then not read."""
        if len(names) != len(values):
            raise RuntimeError(
                f"Expecting names and initializers of equal length, got {len(names)} and {len(values)}"
            )
        self._external += [(text(name), _ort_value(value)) for name, value in zip(names, values, strict=True)]

    def add_external_initializers_from_files_in_memory(
        self, names: Sequence[str], buffers: Sequence[Any], lengths: Sequence[int]
    ) -> None:
        """Give the contents of the model's external data files, by the names that the model has for them.

        Args:
            names: The files' names.
            buffers: Their contents: bytes are used as they are, any other buffer is copied.
            lengths: How many bytes of each buffer.
        """
        if not len(names) == len(buffers) == len(lengths):
            raise RuntimeError("names, buffers and lengths must be of equal length")
        for name, buffer, length in zip(names, buffers, lengths, strict=True):
            contents = buffer if isinstance(buffer, bytes) else memoryview(buffer).cast("B")
            if not 0 <= operator.index(length) <= len(contents):
                raise ValueError(f"{name}: length {length} of a buffer of {len(contents)} bytes")
            self._files.append((text(name), bytes(contents[:length])))

    def add_provider(self, name: str, options: Mapping[str, str]) -> None:
        """Use an execution provider; the ``providers`` of a session, when given, take the place of all of these."""
        if text(name) not in ALL_PROVIDERS:
            raise RuntimeError(f"Unknown Provider Type: {name}")
        self._providers.append((name, {text(key): text(value) for key, value in options.items()}))

    def add_provider_for_devices(self, devices: Sequence[OrtEpDevice], options: Mapping[str, str]) -> None:
        """Use the provider of these devices (``get_ep_devices()``) on them; all must be the same provider's."""
        if not devices:
            from headway._errors import from_core

            # Theirs too, where a program has imported the onnxruntime package.
            said = (
                "[ONNXRuntimeError] : 2 : INVALID_ARGUMENT : Must provide one or more OrtEpDevice instances."
            )
            raise from_core("input", said, 2, "onnxruntime", None, None)
        pairs = [(text(key), text(value)) for key, value in options.items()]
        self._devices.append(([device.handle for device in devices], pairs))

    def set_provider_selection_policy(self, policy: OrtExecutionProviderDevicePolicy) -> None:
        """Let the engine choose among the devices there are."""
        self._policy = member_of(OrtExecutionProviderDevicePolicy)(policy)

    def has_providers(self) -> bool:
        """True when providers, devices or a policy were chosen here."""
        return bool(self._providers or self._devices) or self._policy is not None

    def set_load_cancellation_flag(self, cancel: bool) -> None:
        """Stop a session that is being made with these options, from any thread: it raises ModelLoadCanceled.

        Set before, it stops those that will be made, until it is False again. A library older than 1.22 reads the
        model to its end first.
        """
        self._load_flag.set(truth(cancel))

    def _unserved(self) -> Iterator[str]:
        """What was set that has no effect."""
        for name, default in _UNSERVED.items():
            if (value := getattr(self, name)) != default:
                shown = value.name if isinstance(value, enum.Enum) else value
                yield f"SessionOptions.{name}={shown} has no effect here: ONNX Runtime's C interface cannot set it"

    def _native(self) -> dict[str, Any]:
        """What the native loader takes; a missing entry is the engine's default."""
        native: dict[str, Any] = {
            "execution_mode": int(self.execution_mode),
            "graph_optimization_level": int(self.graph_optimization_level),
            "enable_cpu_mem_arena": self.enable_cpu_mem_arena,
            "enable_mem_pattern": self.enable_mem_pattern,
            "config_entries": list(self._entries.items()),
            "free_dimensions_by_name": list(self._dims_by_name.items()),
            "free_dimensions_by_denotation": list(self._dims_by_denotation.items()),
            "custom_op_libraries": self._custom_ops,
            "initializers": self._initializers,
            "external_initializers": self._external,
            "external_files": self._files,
            "device_providers": self._devices,
            "load_flag": self._load_flag,
        }
        if self.enable_profiling:
            native["profile_file_prefix"] = self.profile_file_prefix
        if self.log_severity_level >= 0:
            native["log_severity_level"] = self.log_severity_level
        if self._policy is not None:
            native["selection_policy"] = int(self._policy)
        # Where the default is what nobody set.
        for name in ("optimized_model_filepath", "logid", "log_verbosity_level", "use_deterministic_compute"):
            if value := getattr(self, name):
                native[name] = value
        if self.inter_op_num_threads:
            native["inter_op_num_threads"] = self.inter_op_num_threads
        return native


def _ort_value(value: Any) -> Any:
    if not isinstance(value, _core.OrtValue):
        raise TypeError(f"expected an OrtValue, got {type(value).__name__}")
    return value


class RunOptions(Entries):
    """Options of one request; names and defaults as in ``onnxruntime.RunOptions``.

    What is set here is taken when a request is submitted. Only ``terminate`` works at any time, from any thread: True
    ends every request that was submitted with this object and has not ended, with the engine's Fail, and those
    that will be submitted with it until it is False again. It stops a request between two operators, never inside
    one. ``only_execute_path_to_fetches`` has no effect: the engine's interface cannot set it, and True warns.
    """

    _owner = "RunOptions"
    __slots__ = ("_adapters", "_flag")

    log_severity_level = Field(-1, whole)
    log_verbosity_level = Field(0, whole)
    logid = Field("", text)
    only_execute_path_to_fetches = Field(False, truth)

    def __init__(self) -> None:
        super().__init__()
        self._flag = _core.RunFlag()
        self._adapters: list[_core.LoraAdapter] = []

    @property
    def terminate(self) -> bool:
        """True ends the requests submitted with this object, now and later."""
        return self._flag.get()

    @terminate.setter
    def terminate(self, value: bool) -> None:
        self._flag.set(truth(value))

    def add_run_config_entry(self, key: str, value: str) -> None:
        """Set a config entry, such as ``memory.enable_memory_arena_shrinkage`` = ``"cpu:0"``."""
        self._add(key, value)

    def get_run_config_entry(self, key: str) -> str:
        """The value of a config entry; RuntimeError when it was not set."""
        return self._get(key)

    def add_active_adapter(self, adapter: LoraAdapter) -> None:
        """Use a loaded adapter's parameters."""
        native = getattr(adapter, "_native", None)
        if native is None:
            raise TypeError(f"adapter: expected headway.LoraAdapter, got {type(adapter).__name__}")
        self._adapters.append(native())

    def _fields(self) -> dict[str, Any]:
        if self.only_execute_path_to_fetches:
            once(
                "RunOptions.only_execute_path_to_fetches=True has no effect here: ONNX Runtime's C interface cannot "
                "set it"
            )
        return {
            "log_severity_level": self.log_severity_level if self.log_severity_level >= 0 else None,
            "log_verbosity_level": self.log_verbosity_level or None,
            "logid": self.logid or None,
            "config_entries": list(self._entries.items()),
            "flag": self._flag,
            "adapters": self._adapters,
        }
