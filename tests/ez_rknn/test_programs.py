"""Programs written for EZ RKNN Async run with one changed import."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from headway import _demo
from headway._library import onnxruntime_candidates

from ..engines.rknn import standin
from ..engines.rknn.standin import tensor
from ..models.files import ROOT

pytestmark = pytest.mark.timeout(120)

FOLDER = ROOT / "examples" / "from_ez_rknn"
WRITTEN = "import ztu_somemodelruntime_ez_rknn_async as ort"
CHANGED = "from headway import ez_rknn as ort"

#: What each prints about a photograph of a cat (ImageNet's classes 281 to 285).
CATS = {281, 282, 283, 284, 285}


def run(name: str, model: str, tmp_path: Path) -> list[str]:
    source = (FOLDER / f"{name}.py").read_text(encoding="utf-8")
    assert source.count(WRITTEN) == 1
    program = tmp_path / "migrated.py"
    program.write_text(source.replace(WRITTEN, CHANGED), encoding="utf-8")
    done = subprocess.run(
        [sys.executable, "-W", "error", str(program), model, str(_demo.picture_folder() / "cat.jpg")],
        capture_output=True,
        text=True,
        timeout=100,
        check=False,
        env={
            **os.environ,
            "PYTHONIOENCODING": "utf-8",
            "HEADWAY_RKNN_LIBRARY": str(standin.library()) if model.endswith(".rknn") else "",
            "HEADWAY_STANDIN_ONNXRUNTIME": onnxruntime_candidates()[0],
        },
    )
    assert done.returncode == 0, done.stderr
    assert not done.stderr
    return done.stdout.splitlines()


@pytest.fixture(scope="module", params=["onnx", "rknn"])
def model(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> str:
    """The demo's model; as a converted file says it, channels last and in float16, on the stand-in for the runtime."""
    onnx = _demo.model_file()
    if request.param == "onnx":
        return str(onnx)
    fed = tensor("input", [1, 224, 224, 3], "NHWC", "float16", perm=[0, 3, 1, 2])
    given = tensor("probabilities", [1, 1000], kind="float16")
    file = tmp_path_factory.mktemp("rknn") / "lite0.rknn"
    file.write_bytes(standin.model("onnx", [fed], [given], onnx.read_bytes()))
    return str(file)


def test_run_once(model: str, tmp_path: Path) -> None:
    first, top = run("run_once", model, tmp_path)
    assert first.endswith(" 3, 224, 224] -> ['probabilities']")
    assert int(top.removeprefix("top1=")) in CATS


def test_callback_once(model: str, tmp_path: Path) -> None:
    (line,) = run("callback_once", model, tmp_path)
    assert int(line.removeprefix("picture: top1=")) in CATS


def test_ten_callbacks(model: str, tmp_path: Path) -> None:
    in_order, as_done, tops = run("ten_callbacks", model, tmp_path)
    assert (in_order, as_done) == ("in order: True", "the same answers: True")
    found = [int(top) for top in tops.removeprefix("top1: [").removesuffix("]").split(",")]
    assert len(found) == 10
    assert set(found) <= CATS


def test_pipeline(model: str, tmp_path: Path) -> None:
    *filling, last = run("pipeline", model, tmp_path)
    assert filling == [f"frame {number}: filling" for number in range(3)]
    count, first = last.split(" answers, top1 of the first: ")
    assert int(count) == 12
    assert int(first) in CATS


def test_every_program_is_run_here() -> None:
    assert {file.stem for file in FOLDER.glob("*.py")} == {
        "run_once",
        "callback_once",
        "ten_callbacks",
        "pipeline",
    }
