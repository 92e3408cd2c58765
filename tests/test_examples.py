"""Every example runs and prints what it is for."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from onnx import TensorProto, helper
from PIL import Image

import headway

from .support import face_detection

FOLDER = Path(__file__).parent.parent / "examples"


def write_model(path: Path, shape: list[int], *nodes: tuple[str, str, str]) -> str:
    """A model of one-input nodes: ``(operator, input, output)``, from ``x`` to ``y``."""
    made = [helper.make_node(operator, [source], [target]) for operator, source, target in nodes]
    ends = [
        helper.make_tensor_value_info("x", TensorProto.FLOAT, shape),
        helper.make_tensor_value_info("y", TensorProto.FLOAT, None),
    ]
    graph = helper.make_graph(made, "example", ends[:1], ends[1:])
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    path.write_bytes(model.SerializeToString())
    return str(path)


@pytest.fixture
def negative(tmp_path: Path) -> str:
    """``y = -x``, of one row of three."""
    return write_model(tmp_path / "negative.onnx", [1, 3], ("Neg", "x", "y"))


def run(name: str, *arguments: str, silent: bool = True) -> list[str]:
    """What the example prints. A warning is an error there too; `silent` says that nothing comes beside it."""
    command = [sys.executable, "-W", "error", str(FOLDER / f"{name}.py"), *arguments]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, done.stderr
    assert not (silent and done.stderr)
    return done.stdout.splitlines()


def test_classify_folder(tmp_path: Path) -> None:
    model = write_model(
        tmp_path / "mean.onnx", [1, 3, 8, 8], ("GlobalAveragePool", "x", "pooled"), ("Flatten", "pooled", "y")
    )
    for number, name in enumerate(("a red", "b green", "c blue")):
        pixels = np.zeros((9, 12, 3), np.uint8)
        pixels[:, :, number] = 255
        Image.fromarray(pixels).save(tmp_path / f"{name}.jpg")
    lines = run("classify_folder", model, str(tmp_path))
    assert lines == ["a red.jpg: class 0", "b green.jpg: class 1", "c blue.jpg: class 2"]


def test_classify_folder_without_pictures(negative: str, tmp_path: Path) -> None:
    command = [sys.executable, str(FOLDER / "classify_folder.py"), negative, str(tmp_path)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert (done.returncode, done.stdout, done.stderr) == (1, "", f"[FAIL] no .jpg in {tmp_path}\n")


def test_camera_callback(negative: str) -> None:
    *frames, tally = run("camera_callback", negative, "5")
    assert [line.split(":")[0] for line in frames] == [f"frame {number}" for number in range(5)]
    counts = dict(pair.split("=") for pair in tally.split())
    assert int(counts["submitted"]) == 5 == int(counts["done"]) + int(counts["dropped"])


def test_asyncio_service(negative: str) -> None:
    assert run("asyncio_service", negative, "4") == ["0 -1 -2 -3"]


def test_stream_windows(negative: str) -> None:
    count, measured = run("stream_windows", negative)
    assert count == "2998 windows, highest 1.000"
    assert measured.endswith("of 2998 runs")


def test_python_callable() -> None:
    *blocks, tally = run("python_callable")
    assert len(blocks) == 8
    counts = {name: int(value) for name, value in (pair.split("=") for pair in tally.split())}
    assert counts["submitted"] == 8 == counts["done"] + counts["cancelled"]


def test_run_inference_async(tmp_path: Path) -> None:
    nodes = ("GlobalAveragePool", "x", "pooled"), ("Flatten", "pooled", "y")
    lines = run(
        "run_inference_async", "--model", write_model(tmp_path / "mean.onnx", [1, 3, 224, 224], *nodes)
    )
    assert lines[:4] == [f"frame {number}: top1=0" for number in range(4)]
    assert lines[4:] == ["pushed=4 pulled=4 dropped=0 failed=0", "[OK]"]


def test_run_inference_async_on_a_model_that_takes_something_else(negative: str) -> None:
    command = [sys.executable, str(FOLDER / "run_inference_async.py"), "--model", negative]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert (done.returncode, done.stderr) == (1, "")
    assert done.stdout.startswith("[FAIL] [ONNXRuntimeError] : 2 : INVALID_ARGUMENT")


BY_HAND = (
    "large, and needed by this example alone: the test environment does without it; run where it is installed"
)


def test_torch_module() -> None:
    pytest.importorskip("torch", reason=BY_HAND)
    session, difference, refused, tally = run("torch_module")
    assert session.startswith("<InferenceSession Sequential torch/")
    assert float(difference.rpartition(" ")[2]) < 1e-5
    assert refused.startswith("InputError Unexpected input data type")
    assert tally == "done=16"


def test_scikit_learn() -> None:
    pytest.importorskip("sklearn", reason=BY_HAND)
    assert run("scikit_learn")[1:] == ["as predict_proba: True", "index: 1 Got: 3 Expected: 4"]


def test_litert_model() -> None:
    pytest.importorskip("ai_edge_litert", reason=BY_HAND)
    # TensorFlow Lite says on stderr which delegate it uses.
    lines = run("litert_model", face_detection(), silent=False)
    assert lines[1:] == ["regressors: tensor(float)", "classificators: tensor(float)", "done=16"]


def test_every_example_is_run_here() -> None:
    tested = {name.removeprefix("test_") for name in globals() if name.startswith("test_")}
    assert {path.stem for path in FOLDER.glob("*.py")} <= tested


#: What each program is started with at least; those that take nothing, or need a package of their own, are not here.
ARGUMENTS = {
    "asyncio_service": 1,
    "camera_callback": 1,
    "classify_folder": 2,
    "litert_model": 1,
    "stream_windows": 1,
    "from_ez_rknn/callback_once": 2,
    "from_ez_rknn/pipeline": 2,
    "from_ez_rknn/run_once": 2,
    "from_ez_rknn/ten_callbacks": 2,
    "from_onnxruntime/classify_flowers": 2,
    "from_onnxruntime/classify_image": 2,
    "from_onnxruntime/configure_session": 1,
    "from_onnxruntime/detect_speech": 2,
    "from_onnxruntime/embed_sentences": 2,
    "from_onnxruntime/exchange_values": 1,
    "from_onnxruntime/half_precision": 2,
    "from_onnxruntime/profile_model": 1,
    "from_onnxruntime/read_text": 3,
    "from_onnxruntime/terminate_run": 1,
}
#: Packages that are not installed everywhere; nothing of them is reached.
STANDINS = {
    "ztu_somemodelruntime_ez_rknn_async.py": "from headway.ez_rknn import *",
    "ai_edge_litert/interpreter.py": "class Interpreter: ...",
}


def refuse(name: str, *arguments: str, folder: Path) -> tuple[int, str]:
    """How an example ends that is started wrongly: its status, and all that it says."""
    for file, content in STANDINS.items():
        (folder / file).parent.mkdir(exist_ok=True)
        (folder / file).write_text(content, encoding="utf-8")
    here = str(Path(headway.__file__).parent.parent)
    done = subprocess.run(
        [sys.executable, str(FOLDER / f"{name}.py"), *arguments],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
        env={**os.environ, "PYTHONPATH": os.pathsep.join([here, str(folder)])},
    )
    assert "Traceback" not in done.stderr
    return done.returncode, done.stdout + done.stderr


@pytest.mark.parametrize("name", [*ARGUMENTS, "run_inference_async"])
def test_started_without_arguments(name: str, tmp_path: Path) -> None:
    status, said = refuse(name, folder=tmp_path)
    assert status == 2
    assert said.startswith("usage: ")


@pytest.mark.parametrize("name", [*ARGUMENTS, "run_inference_async"])
def test_started_with_a_path_that_does_not_exist(name: str, tmp_path: Path) -> None:
    nothing = str(tmp_path / "nothing")
    given = ["--model", nothing] if name == "run_inference_async" else [nothing] * ARGUMENTS[name]
    status, said = refuse(name, *given, folder=tmp_path)
    assert status == 1
    assert said.splitlines()[-1].startswith("[FAIL] ")


def test_every_program_is_started_wrongly() -> None:
    without = {"python_callable", "run_inference_async", "scikit_learn", "torch_module"}
    programs = {str(path.relative_to(FOLDER).with_suffix("")) for path in FOLDER.rglob("*.py")}
    assert programs == set(ARGUMENTS) | without
