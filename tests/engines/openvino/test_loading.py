"""Where an OpenVINO session comes from: files, bytes, options, and a machine without the package."""

from __future__ import annotations

import logging
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import openvino
import pytest

import headway
from headway import _core
from headway._library import openvino_candidates

from ...support import X
from . import tiny_tflite


@pytest.fixture
def tiny_xml(tmp_path: Path, tiny: bytes) -> Path:
    path = tmp_path / "tiny.xml"
    openvino.save_model(openvino.Core().read_model(tiny), path, compress_to_fp16=False)
    return path


def test_an_xml_file_runs_on_openvino_by_itself(tiny_xml: Path) -> None:
    with headway.InferenceSession(tiny_xml) as session:
        np.testing.assert_array_equal(session.run(None, {"x": X})[0], 2 * X)
        assert [(node.name, node.type, node.shape) for node in session.get_inputs()] == [
            ("x", "tensor(float)", [1, 3])
        ]
        assert [node.name for node in session.get_outputs()] == ["y"]
        assert repr(session).startswith("<InferenceSession tiny.xml openvino/CPU [1 lane: ")
        assert session.get_providers() == []


def test_bytes_of_xml_run_on_openvino_by_themselves(tiny_xml: Path) -> None:
    weights = tiny_xml.with_suffix(".bin").read_bytes()
    with headway.InferenceSession(tiny_xml.read_bytes(), engine_options={"weights": weights}) as session:
        np.testing.assert_array_equal(session.run(None, {"x": X})[0], 2 * X)


def test_a_tflite_file_runs_on_openvino_by_itself(tmp_path: Path) -> None:
    path = tmp_path / "tiny.tflite"
    path.write_bytes(tiny_tflite.build())
    with headway.InferenceSession(path) as session:
        np.testing.assert_array_equal(session.run(None, [X])[0], 2 * X)


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"nothing": 1}, "it has cache_dir, device, weights, and OpenVINO's properties"),
        ({"Device": "CPU"}, "'Device'"),
        ({"device": 3}, "device: expected a str"),
        ({"weights": "text"}, "weights: expected bytes"),
        ({"NUM_STREAMS": 1.5}, "NUM_STREAMS: expected str, int or bool"),
    ],
)
def test_wrong_options_say_which_there_are(tiny: bytes, options: dict[str, Any], words: str) -> None:
    with pytest.raises(TypeError, match=words):
        headway.InferenceSession(tiny, engine="openvino", engine_options=options)


def test_what_openvino_refuses_is_a_load_error_in_its_words(tiny: bytes, tmp_path: Path) -> None:
    with pytest.raises(headway.LoadError, match="NO_SUCH_PROPERTY") as caught:
        headway.InferenceSession(tiny, engine="openvino", engine_options={"NO_SUCH_PROPERTY": 1})
    assert caught.value.code == -1
    with pytest.raises(headway.LoadError, match="NO_DEVICE"):
        headway.InferenceSession(tiny, engine="openvino", engine_options={"device": "NO_DEVICE"})
    with pytest.raises(headway.LoadError, match=r"nowhere\.xml: no such file"):
        headway.InferenceSession(tmp_path / "nowhere.xml")
    with pytest.raises(headway.LoadError, match="Unable to read the model"):
        headway.InferenceSession(b"garbage", engine="openvino")
    with pytest.raises(TypeError, match="providers: the openvino engine has none"):
        headway.InferenceSession(tiny, engine="openvino", providers=["CPUExecutionProvider"])


def test_run_options_and_bindings_are_refused(tiny: bytes) -> None:
    with headway.InferenceSession(tiny, engine="openvino") as session:
        with pytest.raises(TypeError, match="takes none"):
            session.run(None, X, headway.RunOptions())
        with pytest.raises(headway.InputError, match="runs no IOBinding"):
            session.prepare(X).run()
        (y,) = session.run(None, X)
        np.testing.assert_array_equal(y, 2 * X)


def test_lanes_and_threads_come_out_of_the_budget(tiny: bytes) -> None:
    def plan(**options: Any) -> tuple[int, int]:
        with headway.InferenceSession(tiny, engine="openvino", **options) as session:
            threads = session.stats().threads
            assert threads.lanes == len(session.stats().lanes)
            return threads.lanes, threads.intra_op

    headway.set_thread_budget(2)
    try:
        cores = min(2, _core.usable_cores())
        assert plan() == (1, cores)
        assert plan(hint="throughput") == (cores, 1)
        assert plan(workers=1) == (1, cores)
        assert plan(workers=3)[0] == 3
        assert plan(engine_options={"INFERENCE_NUM_THREADS": 1}) == (1, 1)
        assert plan(hint="throughput", engine_options={"NUM_STREAMS": 1})[0] == 1
        options = headway.SessionOptions()
        options.intra_op_num_threads = 1
        assert plan(sess_options=options) == (1, 1)
    finally:
        headway.set_thread_budget(None)


def test_one_thread_and_an_open_shape_are_warned_of(tiny: bytes, caplog: pytest.LogCaptureFixture) -> None:
    """OpenVINO then says nothing of shapes that do not fit: it gives its last answer or ends the process."""
    one = {"INFERENCE_NUM_THREADS": 1}

    def said(model: bytes) -> list[str]:
        caplog.clear()
        with caplog.at_level(logging.WARNING, "headway"):
            headway.InferenceSession(model, engine="openvino", engine_options=one).close()
        return [record.getMessage() for record in caplog.records if "one thread" in record.getMessage()]

    model = onnx.load_model_from_string(tiny)
    model.graph.input[0].type.tensor_type.shape.dim[0].dim_param = "N"
    (text,) = said(model.SerializeToString())
    assert "isolation='process'" in text
    assert said(tiny) == []


def test_a_cache_folder_is_written_and_read(tiny: bytes, tmp_path: Path) -> None:
    for _ in range(2):
        with headway.InferenceSession(
            tiny, engine="openvino", engine_options={"cache_dir": tmp_path}
        ) as session:
            np.testing.assert_array_equal(session.run(None, X)[0], 2 * X)
            assert [node.name for node in session.get_outputs()] == ["y"]
    assert [path.suffix for path in tmp_path.iterdir()] == [".blob"]


def test_another_device(tiny: bytes) -> None:
    with headway.InferenceSession(tiny, engine="openvino", engine_options={"device": "AUTO:CPU"}) as session:
        np.testing.assert_array_equal(session.run(None, X)[0], 2 * X)
    version, devices = _core.openvino_devices(openvino_candidates())
    assert "CPU" in devices and version.startswith(openvino.__version__[:6])


def test_what_the_nodes_took(tiny: bytes) -> None:
    with headway.InferenceSession(tiny, engine="openvino", engine_options={"PERF_COUNT": True}) as session:
        assert session.profiling_info() == []
        session.run(None, X)
        assert any(one.status == "EXECUTED" and one.real_us >= 0 for one in session.profiling_info())
    with pytest.raises(headway.SessionClosed):
        session.profiling_info()
    with (
        headway.InferenceSession(tiny, engine="openvino") as session,
        pytest.raises(headway.InputError, match="PERF_COUNT"),
    ):
        session.profiling_info()
    with (
        headway.InferenceSession(tiny) as session,
        pytest.raises(headway.InputError, match="the onnxruntime engine has none"),
    ):
        session.profiling_info()


def _without_the_package(program: str, **environment: str) -> subprocess.CompletedProcess[str]:
    """A program in an interpreter that finds no openvino package."""
    hidden = (
        "import importlib.machinery as m, importlib.util as u\n"
        "def hide(find):\n"
        "    return lambda name, *rest: None if name == 'openvino' else find(name, *rest)\n"
        "m.PathFinder.find_spec, u.find_spec = hide(m.PathFinder.find_spec), hide(u.find_spec)\n"
    )
    return subprocess.run(
        [sys.executable, "-c", hidden + program],
        capture_output=True,
        text=True,
        env={**os.environ, **environment},
        check=False,
    )


def test_a_machine_without_openvino_is_told_what_to_install(tiny_xml: Path) -> None:
    program = (
        "import headway\n"
        f"try: headway.InferenceSession({str(tiny_xml)!r})\n"
        "except headway.LoadError as error: print(error)\n"
    )
    done = _without_the_package(program)
    assert done.returncode == 0, done.stderr
    assert "OpenVINO cannot be loaded: no installed package brings its library" in done.stdout
    assert 'pip install "headway[openvino]"' in done.stdout
    done = _without_the_package(program, HEADWAY_OPENVINO_LIBRARY="nowhere/libopenvino_c.so")
    assert "nowhere/libopenvino_c.so: no such file" in done.stdout
