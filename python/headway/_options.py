"""Session and run options under ONNX Runtime's names, and how many lanes and threads they come to."""

from __future__ import annotations

import enum
from dataclasses import dataclass
from typing import Any, Literal

Hint = Literal["latency", "throughput"]
Overflow = Literal["block", "raise", "drop_oldest", "drop_newest"]


class GraphOptimizationLevel(enum.IntEnum):
    """How far ONNX Runtime rewrites the graph."""

    ORT_DISABLE_ALL = 0
    ORT_ENABLE_BASIC = 1
    ORT_ENABLE_EXTENDED = 2
    ORT_ENABLE_LAYOUT = 3
    ORT_ENABLE_ALL = 99


class ExecutionMode(enum.IntEnum):
    """Whether one request runs its operators one by one or side by side."""

    ORT_SEQUENTIAL = 0
    ORT_PARALLEL = 1


class _Entries:
    """Config entries: text keys and values that the engine reads."""

    # A misspelt option raises instead of being ignored.
    __slots__ = ("_entries",)
    _owner = "SessionOptions"

    def __init__(self) -> None:
        self._entries: dict[str, str] = {}

    def _add(self, key: str, value: str) -> None:
        if not isinstance(key, str) or not isinstance(value, str):
            raise TypeError(f"config entries are str, got {key!r}: {value!r}")
        self._entries[key] = value

    def _get(self, key: str) -> str:
        try:
            return self._entries[key]
        except KeyError:
            raise RuntimeError(f"{self._owner} does not have configuration with key: {key}") from None


class SessionOptions(_Entries):
    """Options of a session on the ``onnxruntime`` engine; names and defaults as in ``onnxruntime.SessionOptions``.

    Thread counts of 0 leave the choice to Headway (see ``InferenceSession``).
    """

    __slots__ = (
        "_custom_ops",
        "_dims_by_denotation",
        "_dims_by_name",
        "enable_cpu_mem_arena",
        "enable_mem_pattern",
        "enable_profiling",
        "execution_mode",
        "graph_optimization_level",
        "inter_op_num_threads",
        "intra_op_num_threads",
        "log_severity_level",
        "log_verbosity_level",
        "logid",
        "optimized_model_filepath",
        "profile_file_prefix",
        "use_deterministic_compute",
    )

    def __init__(self) -> None:
        super().__init__()
        self.enable_cpu_mem_arena = True
        self.enable_mem_pattern = True
        self.enable_profiling = False
        self.execution_mode: ExecutionMode | int = ExecutionMode.ORT_SEQUENTIAL
        self.graph_optimization_level: GraphOptimizationLevel | int = GraphOptimizationLevel.ORT_ENABLE_ALL
        self.inter_op_num_threads = 0
        self.intra_op_num_threads = 0
        self.log_severity_level = -1
        self.log_verbosity_level = 0
        self.logid = ""
        self.optimized_model_filepath = ""
        self.profile_file_prefix = "onnxruntime_profile_"
        self.use_deterministic_compute = False
        self._dims_by_name: dict[str, int] = {}
        self._dims_by_denotation: dict[str, int] = {}
        self._custom_ops: list[str] = []

    def add_session_config_entry(self, key: str, value: str) -> None:
        """Set a config entry, such as ``session.intra_op.allow_spinning`` = ``"0"``."""
        self._add(key, value)

    def get_session_config_entry(self, key: str) -> str:
        """The value of a config entry; RuntimeError when it was not set."""
        return self._get(key)

    def add_free_dimension_override_by_name(self, name: str, value: int) -> None:
        """Fix a named dimension."""
        self._dims_by_name[name] = int(value)

    def add_free_dimension_override_by_denotation(self, denotation: str, value: int) -> None:
        """Fix every dimension with this denotation."""
        self._dims_by_denotation[denotation] = int(value)

    def register_custom_ops_library(self, path: str) -> None:
        """Load a library of custom operators with the model."""
        self._custom_ops.append(str(path))

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
        }
        if self.enable_profiling:
            native["profile_file_prefix"] = self.profile_file_prefix
        if self.optimized_model_filepath:
            native["optimized_model_filepath"] = self.optimized_model_filepath
        if self.logid:
            native["logid"] = self.logid
        if self.log_severity_level >= 0:
            native["log_severity_level"] = self.log_severity_level
        if self.log_verbosity_level:
            native["log_verbosity_level"] = self.log_verbosity_level
        if self.use_deterministic_compute:
            native["use_deterministic_compute"] = True
        if self.inter_op_num_threads:
            native["inter_op_num_threads"] = self.inter_op_num_threads
        return native


class RunOptions(_Entries):
    """Options of one request; names and defaults as in ``onnxruntime.RunOptions``."""

    _owner = "RunOptions"
    __slots__ = ("log_severity_level", "log_verbosity_level", "logid", "terminate")

    def __init__(self) -> None:
        super().__init__()
        self.log_severity_level = -1
        self.log_verbosity_level = 0
        self.logid = ""
        self.terminate = False

    def add_run_config_entry(self, key: str, value: str) -> None:
        """Set a config entry, such as ``memory.enable_memory_arena_shrinkage`` = ``"cpu:0"``."""
        self._add(key, value)

    def get_run_config_entry(self, key: str) -> str:
        """The value of a config entry; RuntimeError when it was not set."""
        return self._get(key)

    def _fields(self) -> dict[str, Any]:
        return {
            "log_severity_level": self.log_severity_level if self.log_severity_level >= 0 else None,
            "log_verbosity_level": self.log_verbosity_level or None,
            "logid": self.logid or None,
            "config_entries": list(self._entries.items()),
            "terminate": self.terminate,
        }


@dataclass(frozen=True, slots=True)
class Plan:
    """How many lanes and threads a session gets."""

    #: Lanes with a worker thread.
    workers: int
    #: Further lanes for threads that wait in ``run()``.
    caller_lanes: int
    #: Threads that one request's operators may use.
    intra_op: int
    #: Whether the engine's threads spin while idle: only where one lane owns them.
    spinning: bool


def plan(hint: Hint, workers: int | None, cores: int, intra_op: int = 0) -> Plan:
    """Lanes and threads for the usable cores: explicit thread counts beat ``workers``, ``workers`` beats ``hint``.

    Lanes of one session share the engine's intra-op threads, so threads = lanes + intra_op - 1.
    """
    if workers is not None:
        chosen = Plan(workers, 0, max(1, cores - workers + 1), workers == 1)
    elif hint == "throughput":
        chosen = Plan(cores, 0, 1, cores == 1)
    else:
        chosen = Plan(1, cores - 1, cores, True)
    if intra_op > 0:
        chosen = Plan(chosen.workers, chosen.caller_lanes, intra_op, chosen.spinning)
    return chosen
