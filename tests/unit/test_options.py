"""Options under ONNX Runtime's names, and the plan of lanes and threads."""

from __future__ import annotations

from typing import Any

import pytest

import headway
from headway._options import Plan, plan

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
