"""Options under ONNX Runtime's names, and the plan of lanes and threads."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime
import pytest

import headway
from headway import _warn
from headway._threads import Plan, plan, pool_for

TABLE = [
    # hint, workers, cores, intra_op -> workers, caller lanes, intra_op, spinning
    (("latency", None, 1, 0), Plan(1, 0, 1, True)),
    (("latency", None, 8, 0), Plan(1, 7, 8, False)),
    (("throughput", None, 1, 0), Plan(1, 0, 1, True)),
    (("throughput", None, 8, 0), Plan(8, 0, 1, False)),
    (("latency", 1, 8, 0), Plan(1, 0, 8, True)),
    (("latency", 3, 8, 0), Plan(3, 0, 6, False)),
    (("latency", 12, 8, 0), Plan(12, 0, 1, False)),
    (("throughput", 2, 8, 0), Plan(2, 0, 7, False)),
    (("throughput", None, 8, 3), Plan(8, 0, 3, False)),
    (("latency", 3, 8, 1), Plan(3, 0, 1, False)),
    (("latency", None, 8, 2), Plan(1, 7, 2, False)),
]


@pytest.mark.parametrize(("given", "expected"), TABLE)
def test_plan(given: Any, expected: Plan) -> None:
    made = plan(*given)
    lanes = made.workers + made.caller_lanes
    # Spinning only where one lane owns the threads: two lanes' threads would burn each other's cores.
    assert (made.workers, made.caller_lanes, made.intra_op) == (
        expected.workers,
        expected.caller_lanes,
        expected.intra_op,
    )
    assert not made.spinning or made.workers == 1
    assert lanes >= 1


@pytest.mark.parametrize("hint", ["latency", "throughput"])
@pytest.mark.parametrize("workers", [None, 1, 2, 5])
@pytest.mark.parametrize("cores", [1, 2, 4, 64])
def test_threads_fit_the_cores(hint: Any, workers: int | None, cores: int) -> None:
    made = plan(hint, workers, cores)
    # The lanes of a session share the engine's threads.
    assert made.workers + made.intra_op - 1 <= max(cores, made.workers)


def test_config_entries() -> None:
    for options, add, get in (
        (headway.SessionOptions(), "add_session_config_entry", "get_session_config_entry"),
        (headway.RunOptions(), "add_run_config_entry", "get_run_config_entry"),
    ):
        getattr(options, add)("key", "value")
        assert getattr(options, get)("key") == "value"
        with pytest.raises(RuntimeError, match="does not have configuration with key: other"):
            getattr(options, get)("other")
        with pytest.raises(TypeError, match="config entries are str"):
            getattr(options, add)("key", 1)


@pytest.mark.parametrize("options", [headway.SessionOptions(), headway.RunOptions()])
def test_misspelt_option(options: Any) -> None:
    with pytest.raises(AttributeError):
        options.intra_op_num_thread = 1


def test_native_leaves_out_what_was_not_set() -> None:
    native = headway.SessionOptions()._native()
    for name in ("profile_file_prefix", "logid", "inter_op_num_threads", "optimized_model_filepath"):
        assert name not in native


def test_native_passes_everything_on() -> None:
    options = headway.SessionOptions()
    options.enable_profiling = True
    options.inter_op_num_threads = 2
    options.log_severity_level = 0
    options.execution_mode = headway.ExecutionMode.ORT_PARALLEL
    options.graph_optimization_level = headway.GraphOptimizationLevel.ORT_DISABLE_ALL
    options.add_free_dimension_override_by_name("n", 3)
    native = options._native()
    assert native["profile_file_prefix"] == "onnxruntime_profile_"
    assert (native["inter_op_num_threads"], native["log_severity_level"]) == (2, 0)
    assert (native["execution_mode"], native["graph_optimization_level"]) == (1, 0)
    assert native["free_dimensions_by_name"] == [("n", 3)]


WRONG = [
    ("intra_op_num_threads", "2"),
    ("intra_op_num_threads", 2.5),
    ("intra_op_num_threads", 2**40),
    ("log_severity_level", None),
    ("enable_mem_pattern", "yes"),
    ("use_per_session_threads", "no"),
    ("logid", 3),
    ("profile_file_prefix", None),
    ("optimized_model_filepath", 3),
    ("graph_optimization_level", "ORT_ENABLE_ALL"),
    ("graph_optimization_level", 7),
    ("execution_mode", 1.0),
    ("execution_order", None),
]


@pytest.mark.parametrize(("name", "value"), WRONG)
def test_a_wrong_type_raises_where_it_is_set(name: str, value: object) -> None:
    options = headway.SessionOptions()
    before = getattr(options, name)
    with pytest.raises(TypeError, match=rf"SessionOptions\.{name}: expected"):
        setattr(options, name, value)
    assert getattr(options, name) == before


def test_what_converts_is_taken() -> None:
    options = headway.SessionOptions()
    options.intra_op_num_threads = np.int64(3)  # type: ignore[assignment]
    options.enable_mem_pattern = None  # type: ignore[assignment]
    options.enable_profiling = 1  # type: ignore[assignment]
    options.graph_optimization_level = 2  # type: ignore[assignment]
    options.optimized_model_filepath = Path("model.onnx")  # type: ignore[assignment]
    assert (options.intra_op_num_threads, options.enable_mem_pattern, options.enable_profiling) == (
        3,
        False,
        True,
    )
    assert options.graph_optimization_level is headway.GraphOptimizationLevel.ORT_ENABLE_EXTENDED
    assert options.optimized_model_filepath == "model.onnx"


@pytest.mark.parametrize("options", [headway.SessionOptions(), headway.RunOptions()])
def test_defaults_are_onnxruntimes(options: Any) -> None:
    theirs = getattr(onnxruntime, type(options).__name__)()
    names = [name for name in dir(theirs) if not name.startswith("_") and not callable(getattr(theirs, name))]
    assert len(names) >= 5
    for name in names:
        value = getattr(theirs, name)
        # Their enumerations are of a kind of their own.
        value = int(value) if hasattr(value, "__members__") else value
        assert getattr(options, name) == value, name


def test_onnxruntimes_enumerations_are_taken() -> None:
    options = headway.SessionOptions()
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_ENABLE_BASIC
    options.execution_mode = onnxruntime.ExecutionMode.ORT_PARALLEL
    assert options.graph_optimization_level is headway.GraphOptimizationLevel.ORT_ENABLE_BASIC
    assert options.execution_mode is headway.ExecutionMode.ORT_PARALLEL


@pytest.mark.parametrize(("key", "value"), [("", "v"), ("k" * 1025, "v"), ("k", "v" * 8193)])
def test_config_entries_are_as_long_as_onnxruntimes(key: str, value: str) -> None:
    messages = []
    for options in (headway.SessionOptions(), onnxruntime.SessionOptions()):
        with pytest.raises(RuntimeError) as raised:
            options.add_session_config_entry(key, value)
        messages.append(str(raised.value))
    assert messages[0] == messages[1]


def test_has_providers() -> None:
    for add in (
        lambda options: options.add_provider("CPUExecutionProvider", {}),
        lambda options: options.add_provider_for_devices(headway.get_ep_devices(), {}),
        lambda options: options.set_provider_selection_policy(
            headway.OrtExecutionProviderDevicePolicy.PREFER_CPU
        ),
    ):
        options = headway.SessionOptions()
        assert not options.has_providers()
        add(options)
        assert options.has_providers()


def test_refused_where_they_are_added() -> None:
    options = headway.SessionOptions()
    with pytest.raises(RuntimeError, match="Unknown Provider Type: CUDA"):
        options.add_provider("CUDA", {})
    with pytest.raises(headway.InvalidArgument, match="Must provide one or more OrtEpDevice instances"):
        options.add_provider_for_devices([], {})
    with pytest.raises(TypeError, match="expected an OrtValue, got int"):
        options.add_initializer("x", 3)
    with pytest.raises(RuntimeError, match="equal length"):
        options.add_external_initializers(["x"], [])
    with pytest.raises(ValueError, match="length 5 of a buffer of 3 bytes"):
        options.add_external_initializers_from_files_in_memory(["x"], [b"abc"], [5])


@pytest.mark.parametrize(
    ("name", "value"),
    [("enable_mem_reuse", False), ("execution_order", headway.ExecutionOrder.PRIORITY_BASED)],
)
def test_what_has_no_effect_is_said(name: str, value: object) -> None:
    options = headway.SessionOptions()
    assert not list(options._unserved())
    setattr(options, name, value)
    (said,) = options._unserved()
    assert name in said
    assert "has no effect here" in said


def test_only_execute_path_to_fetches_warns_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_warn, "_given", set())
    options = headway.RunOptions()
    options.only_execute_path_to_fetches = True
    with pytest.warns(UserWarning, match="only_execute_path_to_fetches=True has no effect here"):
        options._fields()
    # Once: warnings are errors here.
    options._fields()


def _options(**values: object) -> headway.SessionOptions:
    options = headway.SessionOptions()
    for name, value in values.items():
        setattr(options, name, value)
    return options


def test_who_gets_the_shared_pool() -> None:
    lone, many = plan("latency", None, 8), plan("throughput", None, 8)
    assert pool_for(_options(), lone) == "shared_if_equal"
    # Lanes that must not spin cannot use a pool that does.
    assert pool_for(_options(), many) == "own"
    assert pool_for(_options(use_per_session_threads=False), many) == "shared"
    for name, value in (("intra_op_num_threads", 8), ("inter_op_num_threads", 1), ("execution_mode", 1)):
        assert pool_for(_options(**{name: value}), lone) == "own"
    options = _options()
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    assert pool_for(options, lone) == "own"


@pytest.mark.parametrize("threads", [0, -1])
def test_a_budget_is_at_least_one(threads: int) -> None:
    with pytest.raises(ValueError, match="at least 1"):
        headway.set_thread_budget(threads)


@pytest.mark.parametrize("threads", ["2", 2.0, True])
def test_a_budget_is_a_whole_number(threads: Any) -> None:
    with pytest.raises(TypeError, match="expected a whole number or None"):
        headway.set_thread_budget(threads)
