"""Options of sessions and of the process reach the engine: each is set, and its effect is seen."""

from __future__ import annotations

import json
import logging
import os
import threading
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxruntime
import pytest
from onnx import TensorProto, helper

import headway
from headway import _log, _warn
from tests.lifecycle import process
from tests.support import X, tiny_model

CPU = "CPUExecutionProvider"


def _model(nodes: list[Any], shape: list[Any], initializers: list[Any], **props: str) -> bytes:
    ends = [helper.make_tensor_value_info(name, TensorProto.FLOAT, shape) for name in ("x", "y")]
    graph = helper.make_graph(nodes, "built", ends[:1], ends[1:], initializers)
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    helper.set_model_props(model, props)
    data: bytes = model.SerializeToString()
    return data


def _tensor(name: str, values: list[float]) -> Any:
    return helper.make_tensor(name, TensorProto.FLOAT, [len(values)], values)


def _external(name: str, length: int) -> Any:
    tensor = onnx.TensorProto(name=name, data_type=TensorProto.FLOAT, dims=[length])
    tensor.data_location = onnx.TensorProto.EXTERNAL
    for key, value in (("location", "weights.bin"), ("offset", "0"), ("length", str(4 * length))):
        tensor.external_data.add(key=key, value=value)
    return tensor


ADD = [helper.make_node("Add", ["x", "w"], ["y"])]
FOUR = np.arange(4, dtype=np.float32)
ZEROS = {"x": np.zeros(4, np.float32)}


def _answer(session: headway.InferenceSession, feed: dict[str, Any]) -> list[float]:
    found: list[float] = session.run(None, feed)[0].tolist()
    return found


def test_an_initializer_takes_the_place_of_the_models() -> None:
    options = headway.SessionOptions()
    options.add_initializer("w", headway.OrtValue.ortvalue_from_numpy(FOUR.copy()))
    with headway.InferenceSession(_model(ADD, [4], [_tensor("w", [9.0] * 4)]), options) as session:
        # The options may go: the session keeps the memory.
        del options
        assert _answer(session, ZEROS) == FOUR.tolist()


def test_an_external_initializer_needs_no_file() -> None:
    options = headway.SessionOptions()
    options.add_external_initializers(["w"], [headway.OrtValue.ortvalue_from_numpy(FOUR.copy())])
    with headway.InferenceSession(_model(ADD, [4], [_external("w", 4)]), options) as session:
        del options
        assert _answer(session, ZEROS) == FOUR.tolist()


@pytest.mark.parametrize("kind", [bytes, bytearray, memoryview, lambda data: np.frombuffer(data, np.float32)])
def test_external_files_come_from_memory(kind: Any) -> None:
    contents = kind(FOUR.tobytes() * 2)
    options = headway.SessionOptions()
    options.add_external_initializers_from_files_in_memory(["weights.bin"], [contents], [16])
    with headway.InferenceSession(_model(ADD, [4], [_external("w", 4)]), options) as session:
        del options, contents
        assert _answer(session, ZEROS) == FOUR.tolist()


FUSED = [helper.make_node("Gemm", ["x", "w"], ["h"]), helper.make_node("Relu", ["h"], ["y"])]


def _optimised(tmp_path: Path, **asked: Any) -> list[str]:
    options = headway.SessionOptions()
    options.optimized_model_filepath = str(tmp_path / "optimised.onnx")
    options.graph_optimization_level = headway.GraphOptimizationLevel.ORT_ENABLE_EXTENDED
    weights = helper.make_tensor("w", TensorProto.FLOAT, [2, 2], [1.0] * 4)
    headway.InferenceSession(_model(FUSED, [2, 2], [weights]), options, **asked).close()
    return [node.op_type for node in onnx.load(tmp_path / "optimised.onnx").graph.node]


def test_disabled_optimizers(tmp_path: Path) -> None:
    assert _optimised(tmp_path) == ["FusedGemm"]
    assert _optimised(tmp_path, disabled_optimizers=["Other", "GemmActivationFusion"]) == ["Gemm", "Relu"]
    with pytest.raises(TypeError, match="disabled_optimizers: expected names"):
        _optimised(tmp_path, disabled_optimizers="GemmActivationFusion")


def test_options_in_the_model(monkeypatch: pytest.MonkeyPatch) -> None:
    config = json.dumps({"session_options": {"intra_op_num_threads": 3}})
    model = _model(ADD, [4], [_tensor("w", FOUR.tolist())], ort_config=config)
    for asked in ({"read_config_from_model": True}, {}):
        with headway.InferenceSession(model, **asked) as session:
            assert _answer(session, ZEROS) == FOUR.tolist()
            assert (session.stats().threads.intra_op == 3) == bool(asked)
    monkeypatch.setenv("ORT_LOAD_CONFIG_FROM_MODEL", "1")
    with headway.InferenceSession(model) as session:
        assert _answer(session, ZEROS) == FOUR.tolist()
        assert session.stats().threads.intra_op == 3
    broken = _model(ADD, [4], [_tensor("w", FOUR.tolist())], ort_config="{")
    monkeypatch.delenv("ORT_LOAD_CONFIG_FROM_MODEL")
    with pytest.raises(headway.LoadError, match="ort_config cannot be read"):
        headway.InferenceSession(broken, read_config_from_model=True)


def test_a_misspelt_keyword_is_a_type_error() -> None:
    with pytest.raises(TypeError, match="disable_optimizers"):
        headway.InferenceSession(tiny_model(), disable_optimizers=[])  # type: ignore[call-arg]


def test_a_canceled_load() -> None:
    options = headway.SessionOptions()
    options.set_load_cancellation_flag(True)
    with pytest.raises(headway.LoadError, match="canceled due to user request") as raised:
        headway.InferenceSession(tiny_model(), options)
    assert (type(raised.value).__name__, raised.value.code) == ("ModelLoadCanceled", 12)
    options.set_load_cancellation_flag(False)
    with headway.InferenceSession(tiny_model(), options) as session:
        assert (session.run(None, {"x": X})[0] == X + X).all()


def test_a_load_is_canceled_while_it_runs() -> None:
    length = 6000
    nodes = [helper.make_node("Add", ["x", "w"], ["a0"])]
    nodes += [helper.make_node("Add", [f"a{at}", "w"], [f"a{at + 1}"]) for at in range(length)]
    nodes.append(helper.make_node("Identity", [f"a{length}"], ["y"]))
    model = _model(nodes, [4], [_tensor("w", FOUR.tolist())])
    options = headway.SessionOptions()
    ready, canceled = threading.Event(), threading.Event()

    def cancel() -> None:
        ready.set()
        # The loader gives up the GIL only when it is in the engine.
        options.set_load_cancellation_flag(True)
        canceled.set()

    thread = threading.Thread(target=cancel)
    thread.start()
    ready.wait()
    with pytest.raises(headway.LoadError, match="cancel"):
        headway.InferenceSession(model, options)
    thread.join()
    assert canceled.is_set()


def test_what_has_no_effect_warns_when_a_session_is_made(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_warn, "_given", set())
    options = headway.SessionOptions()
    options.enable_mem_reuse = False
    with pytest.warns(UserWarning, match="enable_mem_reuse=False has no effect here") as caught:
        headway.InferenceSession(tiny_model(), options).close()
    assert caught[0].filename == __file__
    # Once: warnings are errors here.
    headway.InferenceSession(tiny_model(), options).close()


def test_a_profiled_session_may_be_closed_by_several_threads(tmp_path: Path) -> None:
    for _ in range(20):
        options = headway.SessionOptions()
        options.enable_profiling = True
        options.profile_file_prefix = str(tmp_path / "profile")
        session = headway.InferenceSession(tiny_model(), options)
        session.run(None, X)
        together = threading.Barrier(4)
        raised: list[BaseException] = []

        def close(
            session: headway.InferenceSession = session, together: Any = together, raised: Any = raised
        ) -> None:
            together.wait()
            try:
                session.close()
            except BaseException as error:
                raised.append(error)

        threads = [threading.Thread(target=close) for _ in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert not raised
        assert Path(session.end_profiling()).exists()


def test_profile(tmp_path: Path) -> None:
    options = headway.SessionOptions()
    options.enable_profiling = True
    options.profile_file_prefix = str(tmp_path / "profile")
    with headway.InferenceSession(tiny_model(), options) as session:
        started = session.get_profiling_start_time_ns()
        session.run(None, {"x": X})
    # `close` has ended it, with the last request in it.
    name = session.end_profiling()
    assert session.end_profiling() == name
    assert session.get_profiling_start_time_ns() == started > 0
    assert Path(name).parent == tmp_path
    assert any(event["name"] == "model_run" for event in json.loads(Path(name).read_text()))
    with headway.InferenceSession(tiny_model(), options) as session:
        ended = session.end_profiling()
        assert Path(ended).is_file()
        session.run(None, {"x": X})
    assert session.end_profiling() == ended
    with headway.InferenceSession(tiny_model()) as session:
        assert (session.end_profiling(), session.get_profiling_start_time_ns()) == ("", 0)


def test_profile_of_a_session_that_nobody_closes(tmp_path: Path) -> None:
    (tmp_path / "tiny.onnx").write_bytes(tiny_model())
    script = """
options = headway.SessionOptions()
options.enable_profiling = True
options.profile_file_prefix = os.path.join(os.environ["MODELS"], "profile")
session = headway.InferenceSession(load("tiny"), options)
session.run(None, {"x": X})
"""
    ended = process.run(process.INTERPRETERS[0], script, tmp_path)
    assert (ended.status, ended.err) == (0, "")
    (file,) = tmp_path.glob("profile*")
    assert any(event["name"] == "model_run" for event in json.loads(file.read_text()))


def test_providers_in_the_options() -> None:
    options = headway.SessionOptions()
    options.add_provider(CPU, {})
    with headway.InferenceSession(tiny_model(), options) as session:
        assert session.get_providers() == [CPU]
        assert session.get_session_options() is options
    options = headway.SessionOptions()
    options.add_provider("CUDAExecutionProvider", {"device_id": "1"})
    with pytest.raises(headway.LoadError, match="CUDAExecutionProvider is not available"):
        headway.InferenceSession(tiny_model(), options)


def test_devices() -> None:
    theirs = onnxruntime.get_ep_devices()
    ours = headway.get_ep_devices()
    assert [(one.ep_name, one.ep_vendor, one.ep_metadata, one.ep_options) for one in ours] == [
        (one.ep_name, one.ep_vendor, one.ep_metadata, one.ep_options) for one in theirs
    ]
    hardware = [(one.device.type.name, one.device.vendor, one.device.vendor_id) for one in ours]
    assert hardware == [(one.device.type.name, one.device.vendor, one.device.vendor_id) for one in theirs]
    options = headway.SessionOptions()
    options.add_provider_for_devices(ours[:1], {})
    with headway.InferenceSession(tiny_model(), options) as session:
        assert (session.run(None, {"x": X})[0] == X + X).all()
    options = headway.SessionOptions()
    options._devices = [([12345], [])]
    with pytest.raises(headway.LoadError, match="not there any more"):
        headway.InferenceSession(tiny_model(), options)


def test_policy() -> None:
    options = headway.SessionOptions()
    options.set_provider_selection_policy(headway.OrtExecutionProviderDevicePolicy.PREFER_CPU)
    with headway.InferenceSession(tiny_model(), options) as session:
        assert (session.run(None, {"x": X})[0] == X + X).all()


def test_a_session_keeps_its_providers() -> None:
    with headway.InferenceSession(tiny_model()) as session:
        session.set_providers()
        session.set_providers([CPU])
        with pytest.raises(headway.HeadwayError, match="Make a new session with providers="):
            session.set_providers(["CUDAExecutionProvider", CPU])
        session.enable_fallback()
        session.disable_fallback()


def test_dynamic_options() -> None:
    with headway.InferenceSession(tiny_model()) as session:
        session.set_ep_dynamic_options({"ep.dynamic.workload_type": "Efficient"})
        with pytest.raises(RuntimeError, match="No options were provided"):
            session.set_ep_dynamic_options({})
    with pytest.raises(headway.SessionClosed):
        session.set_ep_dynamic_options({"a": "b"})


def test_nodes_look_like_theirs() -> None:
    with headway.InferenceSession(tiny_model()) as session:
        ours = session.get_inputs()
    theirs = onnxruntime.InferenceSession(tiny_model()).get_inputs()
    assert [str(node) for node in ours] == [str(node) for node in theirs]


def test_what_the_library_says_of_itself() -> None:
    for name in ("get_available_providers", "get_all_providers", "get_device", "get_version_string"):
        assert getattr(headway, name)() == getattr(onnxruntime, name)(), name
    assert headway.get_build_info().startswith("ORT Build Info: ")


def test_provider_libraries() -> None:
    for call in (
        lambda package: package.register_execution_provider_library("none", "nowhere.so"),
        lambda package: package.unregister_execution_provider_library("none"),
    ):
        messages = []
        for package, kind in (
            (headway, headway.Fail),
            (onnxruntime, onnxruntime.capi.onnxruntime_pybind11_state.Fail),
        ):
            with pytest.raises(kind) as raised:
                call(package)
            messages.append(str(raised.value))
        assert messages[0] == messages[1]


def test_default_severity(caplog: pytest.LogCaptureFixture) -> None:
    def lines() -> int:
        _log.drain()
        caplog.clear()
        headway.InferenceSession(tiny_model()).close()
        _log.drain()
        return sum(record.levelno <= logging.INFO for record in caplog.records)

    with caplog.at_level(logging.DEBUG, "headway"):
        assert lines() == 0
        headway.set_default_logger_severity(1)
        try:
            assert lines() > 0
        finally:
            headway.set_default_logger_severity(2)
        assert lines() == 0
    with pytest.raises(RuntimeError, match="Invalid logging severity"):
        headway.set_default_logger_severity(5)


def test_telemetry_and_verbosity(monkeypatch: pytest.MonkeyPatch) -> None:
    # Turning it on sets the variable, which child processes would inherit.
    monkeypatch.setenv("ORT_DISABLE_TELEMETRY", "1")
    headway.disable_telemetry_events()
    headway.enable_telemetry_events()
    headway.set_default_logger_verbosity(1)
    try:
        headway.InferenceSession(tiny_model()).close()
    finally:
        headway.set_default_logger_verbosity(0)


def test_calls_without_effect_warn(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_warn, "_given", set())
    with pytest.warns(UserWarning, match="set_seed has no effect"):
        headway.set_seed(3)
    with pytest.warns(UserWarning, match="create_and_register_allocator has no effect"):
        headway.create_and_register_allocator(None, None)


def test_adapter(tmp_path: Path) -> None:
    nodes = [helper.make_node("Add", ["x", "w"], ["y"])]
    ends = [helper.make_tensor_value_info(name, TensorProto.FLOAT, [4]) for name in ("x", "y")]
    default = helper.make_tensor("w", TensorProto.FLOAT, [4], [9.0] * 4)
    inputs = [ends[0], helper.make_tensor_value_info("w", TensorProto.FLOAT, [4])]
    graph = helper.make_graph(nodes, "adapted", inputs, ends[1:], [default])
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    made = onnxruntime.AdapterFormat()
    made.set_adapter_version(1)
    made.set_model_version(1)
    # It keeps the value's memory, but not the value.
    value = onnxruntime.OrtValue.ortvalue_from_numpy(FOUR.copy())
    made.set_parameters({"w": value})
    file = tmp_path / "adapter.onnx_adapter"
    made.export_adapter(os.fspath(file))
    adapter = headway.LoraAdapter()
    options = headway.RunOptions()
    with pytest.raises(ValueError, match="has not been loaded"):
        options.add_active_adapter(adapter)
    adapter.Load(file)
    options.add_active_adapter(adapter)
    del adapter
    with headway.InferenceSession(model.SerializeToString()) as session:
        assert session.run(None, ZEROS)[0].tolist() == [9.0] * 4
        assert session.run(None, ZEROS, options)[0].tolist() == FOUR.tolist()
        assert session.submit(ZEROS, run_options=options).result()[0].tolist() == FOUR.tolist()
