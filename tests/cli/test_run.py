"""`headway run`: what is classified, what is said, and how it ends."""

import json
import os
import re
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from onnx import TensorProto, helper
from PIL import Image

import headway.cli
from headway.cli import _via

from ..support import until
from .conftest import RAW, Headway, paint, write_model

VIAS = ["stream", "callback", "future", "asyncio", "pipeline", "pushpull"]


def test_classifies_files_and_folders_in_order(
    headway_cli: Headway, model: Path, labels: Path, folder: Path, tmp_path: Path
) -> None:
    last = paint(tmp_path / "z.png", (0, 255, 0))
    result = headway_cli("run", model, folder, last, "--labels", labels, *RAW)
    assert result.status == 0
    assert result.err == ""
    words = [line.split() for line in result.pictures]
    expected = [("a/red.png", "red"), ("b.png", "blue"), ("c/green.png", "green"), ("../z.png", "green")]
    assert [(name, label) for name, label, _ in words] == [
        (os.path.normpath(folder / name), label) for name, label in expected
    ]
    assert {share for _, _, share in words} == {"100.0%"}
    assert result.tally == "pushed=4 pulled=4 dropped=0 failed=0"


@pytest.mark.parametrize("via", VIAS)
def test_every_convention_goes_on_after_bad_pictures(
    headway_cli: Headway, model: Path, labels: Path, folder: Path, tmp_path: Path, via: str
) -> None:
    (folder / "a" / "broken.png").write_bytes(b"no picture at all")
    Image.effect_noise((64, 64), 50).save(folder / "bb.png")
    os.truncate(folder / "bb.png", 2000)
    empty = tmp_path / "empty"
    empty.mkdir()
    records = tmp_path / "records.jsonl"
    inputs = [tmp_path / "gone.png", folder, empty]
    result = headway_cli("run", model, *inputs, "--via", via, "--labels", labels, "--jsonl", records, *RAW)
    assert result.status == 1
    assert result.tally == "pushed=7 pulled=3 dropped=0 failed=4"
    complaints = result.err.splitlines()
    assert len(complaints) == 4
    assert complaints[0] == f"{tmp_path / 'gone.png'}: no such file"
    assert complaints[1].startswith(f"{folder / 'a' / 'broken.png'}: not a picture of a known kind")
    assert complaints[2].startswith(f"{folder / 'bb.png'}: cannot be read")
    assert complaints[3] == f"{empty}: no pictures in this folder"
    assert [line.split()[1] for line in result.pictures] == ["red", "blue", "green"]
    rows = [json.loads(line) for line in records.read_text().splitlines()]
    names = [os.path.basename(row["path"]) for row in rows]
    assert names == ["gone.png", "broken.png", "red.png", "b.png", "bb.png", "green.png", "empty"]
    assert [row["error"] is None for row in rows] == [False, False, True, True, False, True, False]


@pytest.mark.parametrize("via", VIAS)
def test_a_model_that_fails_on_every_picture_fails_each_alone(
    headway_cli: Headway, folder: Path, tmp_path: Path, via: str
) -> None:
    shape = helper.make_tensor("shape", TensorProto.INT64, [4], [1, 3, 8, 8])
    reshape = helper.make_node("Reshape", ["x", "shape"], ["fixed"])
    path = tmp_path / "picky.onnx"
    write_model(path, (1, 3, "h", "w"), extra=[reshape], constants=[shape], source="fixed")
    assert headway_cli("run", path, folder, "--size", 8, "--via", via).status == 0
    result = headway_cli("run", path, folder, "--size", 9, "--via", via)
    assert result.status == 1
    assert result.tally == "pushed=3 pulled=0 dropped=0 failed=3"
    assert len(re.findall(r"^\S+\.png: \S", result.err, re.MULTILINE)) == 3


def test_many_bad_pictures_in_a_row_keep_the_order(headway_cli: Headway, model: Path, tmp_path: Path) -> None:
    good = paint(tmp_path / "good.png", "red")
    gone = [f"gone{number}" for number in range(1500)]
    inputs = [good, *gone, good, *gone, good]
    records = tmp_path / "records.jsonl"
    result = headway_cli("run", model, *inputs, "--jsonl", records, *RAW)
    assert result.tally == "pushed=3003 pulled=3 dropped=0 failed=3000"
    written = [json.loads(line)["path"] for line in records.read_text().splitlines()]
    assert written == [str(path) for path in inputs]


def test_top_lists_the_best_classes_and_their_record(
    headway_cli: Headway, model: Path, labels: Path, tmp_path: Path
) -> None:
    picture = paint(tmp_path / "p.png", (51, 153, 102))  # means 0.2, 0.6, 0.4
    records = tmp_path / "records.jsonl"
    arguments = ["--labels", labels, "--top", 2, "--jsonl", records, *RAW]
    result = headway_cli("run", model, picture, *arguments)
    assert result.pictures[0].endswith("green 86.7%, blue 11.7%")
    record = json.loads(records.read_text())
    assert [(guess["class_index"], guess["label"]) for guess in record["top"]] == [(1, "green"), (2, "blue")]
    assert record["top"][0]["probability"] == pytest.approx(0.8668, abs=1e-3)
    assert record["path"] == str(picture)
    assert record["read_ms"] > 0 and record["infer_ms"] > 0 and record["error"] is None


def test_logits_are_shown_as_probabilities(headway_cli: Headway, labels: Path, tmp_path: Path) -> None:
    picture = paint(tmp_path / "p.png", (51, 153, 102))
    plain = headway_cli("run", write_model(tmp_path / "p.onnx"), picture, "--labels", labels, *RAW)
    logits = headway_cli(
        "run", write_model(tmp_path / "l.onnx", softmax=False), picture, "--labels", labels, *RAW
    )
    assert plain.pictures == logits.pictures
    assert "scores   probabilities" in plain.out
    assert "scores   logits: softmax is applied for display" in logits.out


def test_tells_the_preprocessing_and_where_each_value_came_from(
    headway_cli: Headway, model: Path, tmp_path: Path
) -> None:
    picture = paint(tmp_path / "p.png", "red")
    result = headway_cli(
        "run", model, picture, "--preset", "lite0", "--resize", "letterbox", "--color", "bgr"
    )
    rows = dict(re.findall(r"^  (\w+) +(.*)$", result.out, re.MULTILINE))
    told = {name: re.split(r"  +", value) for name, value in rows.items()}
    assert told["size"] == ["8 x 8 (height x width)", "model"]
    assert told["resize"] == ["letterbox (grey 114)", "--resize"]
    assert told["color"] == ["bgr", "--color"]
    assert told["layout"] == ["nchw", "model"]
    assert told["range"] == ["0..255", "preset lite0"]
    assert told["mean"] == ["127", "preset lite0"]
    assert told["std"] == ["128", "preset lite0"]
    assert told["dtype"] == ["float32", "model"]


def test_flags_reach_the_model(headway_cli: Headway, model: Path, labels: Path, tmp_path: Path) -> None:
    red = paint(tmp_path / "red.png", "red")
    assert " red " in headway_cli("run", model, red, "--labels", labels, *RAW).pictures[0]
    assert " blue " in headway_cli("run", model, red, "--labels", labels, *RAW, "--color", "bgr").pictures[0]
    # Brightest is the channel with the smallest mean taken away: (1 - 1, 0 + 1, 0 - 0) = (0, 1, 0).
    shifted = headway_cli("run", model, red, "--labels", labels, "--mean", "1,-1,0", "--std", "1")
    assert " green " in shifted.pictures[0]


@pytest.mark.parametrize(
    ("shape", "nhwc", "size", "layout"),
    [
        (("n", 3, 6, 10), False, "6 x 10", "nchw"),
        ((1, 6, 10, 3), True, "6 x 10", "nhwc"),
        ((1, 3, "h", "w"), False, "16 x 20", "nchw"),
        ((1, "h", "w", 3), True, "16 x 20", "nhwc"),
    ],
)
def test_reads_layout_and_size_from_the_model(
    headway_cli: Headway,
    labels: Path,
    tmp_path: Path,
    shape: tuple[int | str, ...],
    nhwc: bool,
    size: str,
    layout: str,
) -> None:
    path = write_model(tmp_path / "m.onnx", shape, nhwc=nhwc)
    picture = paint(tmp_path / "blue.png", "blue")
    flags = ["--size", "16x20"] if "h" in shape else []
    result = headway_cli("run", path, picture, "--labels", labels, *flags, *RAW)
    assert result.status == 0
    assert f"{size} (height x width)" in result.out
    assert re.search(rf"layout +{layout} +model", result.out)
    assert " blue 100.0%" in result.pictures[0]


def test_grey_and_uint8_models(headway_cli: Headway, tmp_path: Path) -> None:
    white = paint(tmp_path / "white.png", "white")
    grey = headway_cli("run", write_model(tmp_path / "grey.onnx", (1, 1, 8, 8)), white)
    assert grey.status == 0 and re.search(r"color +grey +model", grey.out)
    raw = write_model(tmp_path / "raw.onnx", dtype=TensorProto.UINT8)
    result = headway_cli("run", raw, paint(tmp_path / "g.png", (0, 9, 0)))
    assert result.status == 0 and "class 1 100.0%" in result.pictures[0]
    refused = headway_cli("run", raw, white, "--mean", "127")
    assert refused.status == 2 and "uint8" in refused.err


@pytest.mark.parametrize(
    ("flags", "message"),
    [
        (["--size", "9"], "['batch', 3, 8, 8], which --size 9x9 does not fit"),
        (["--layout", "nhwc"], "as nhwc that is 8 channels"),
        (["--size", "big"], "'big' is not a size like 224"),
        (["--mean", "1,2"], "holds 2 numbers"),
        (["--std", "0"], "--std must not be 0"),
        (["--labels", "gone.txt"], "cannot read the labels gone.txt: No such file"),
        (["--jsonl", "gone/records.jsonl"], "cannot write gone/records.jsonl"),
        (["--via", "pigeon"], "'pigeon' is not one of"),
        (["--workers", "0"], "0 is not in the range"),
    ],
)
def test_wrong_usage_is_one_message_and_status_2(
    headway_cli: Headway, tmp_path: Path, flags: list[str], message: str
) -> None:
    model = write_model(tmp_path / "m.onnx", ("batch", 3, 8, 8))
    result = headway_cli("run", model, paint(tmp_path / "p.png", "red"), *flags)
    assert result.status == 2
    assert message in result.err
    assert "pushed" not in result.out


def test_models_that_do_not_load(headway_cli: Headway, tmp_path: Path) -> None:
    picture = paint(tmp_path / "p.png", "red")
    gone = headway_cli("run", tmp_path / "gone.onnx", picture)
    assert gone == (2, "", f"headway: error: no such model: {tmp_path / 'gone.onnx'}\n")
    (tmp_path / "junk.onnx").write_bytes(b"this is not a model")
    junk = headway_cli("run", tmp_path / "junk.onnx", picture)
    assert junk.status == 1 and junk.out == ""
    assert junk.err.startswith(f"headway: error: cannot load the model {tmp_path / 'junk.onnx'}: ")


@pytest.mark.parametrize("declared", [3, "classes"])
def test_labels_must_be_one_for_each_class(headway_cli: Headway, tmp_path: Path, declared: int | str) -> None:
    path = write_model(tmp_path / "m.onnx", (1, 3, 8, 8))
    if declared == "classes":
        path = write_model(tmp_path / "m.onnx", (1, "c", 8, 8))
    short = tmp_path / "short.txt"
    short.write_text("red\ngreen\n")
    result = headway_cli("run", path, paint(tmp_path / "p.png", "red"), "--labels", short)
    assert result.status == 2
    assert re.search(r"2 labels.* the model has 3 classes", result.err)


def test_labels_from_json(headway_cli: Headway, model: Path, tmp_path: Path) -> None:
    picture = paint(tmp_path / "p.png", "blue")
    for content in (
        ["r", "g", "b"],
        {"2": "b", "0": "r", "1": "g"},
        {"0": ["n1", "r"], "1": ["n2", "g"], "2": ["n3", "b"]},
    ):
        path = tmp_path / "labels.json"
        path.write_text(json.dumps(content))
        assert " b 100.0%" in headway_cli("run", model, picture, "--labels", path, *RAW).pictures[0]
    path.write_text('{"0": "r", "2": "b"}')
    result = headway_cli("run", model, picture, "--labels", path)
    assert result.status == 2 and "without a gap" in result.err


def test_odd_names_are_spelled_out(headway_cli: Headway, model: Path, tmp_path: Path) -> None:
    odd = os.fsdecode(os.path.join(os.fsencode(tmp_path), b"red\x1b[2J\xff.png"))
    paint(tmp_path / "p.png", "red").rename(odd)
    result = headway_cli("run", model, odd, *RAW)
    assert result.status == 0
    assert "\x1b" not in result.out and r"red\x1b[2J\udcff.png" in result.out


def test_not_a_classifier_is_said_once(headway_cli: Headway, folder: Path, tmp_path: Path) -> None:
    nodes = [helper.make_node("Relu", ["x"], ["y"])]
    value = [helper.make_tensor_value_info(name, TensorProto.FLOAT, [1, 3, 8, 8]) for name in "xy"]
    import onnx

    graph = helper.make_graph(nodes, "pixels", value[:1], value[1:])
    path = tmp_path / "pixels.onnx"
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8), path)
    result = headway_cli("run", path, folder)
    assert result.status == 1
    assert result.err.count("\n") == 1
    assert "'y' has the shape [1, 3, 8, 8]; a classifier gives one score for each class" in result.err


def test_a_missing_extra_is_one_helpful_line(
    headway_cli: Headway, monkeypatch: pytest.MonkeyPatch, model: Path
) -> None:
    monkeypatch.setattr(headway.cli, "find_spec", lambda name: None if name == "PIL" else object())
    result = headway_cli("run", model, "p.png")
    assert result.status == 1
    assert result.err == 'headway: error: the command line needs pillow: pip install "headway[cli]"\n'


def test_as_a_module_in_a_pipe_it_writes_plain_text(model: Path, folder: Path) -> None:
    command = [sys.executable, "-m", "headway", "run", str(model), str(folder)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60)
    assert done.returncode == 0
    assert done.stderr == ""
    assert "\x1b" not in done.stdout and "\r" not in done.stdout
    assert done.stdout.endswith("pushed=3 pulled=3 dropped=0 failed=0\n")


def test_version() -> None:
    command = [sys.executable, "-m", "headway", "--version"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60)
    assert done.returncode == 0 and re.fullmatch(r"headway \d+\.\d+\S*\n", done.stdout)


def test_answers_that_were_not_pulled_count_as_cancelled(
    headway_cli: Headway, model: Path, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    via = _via.VIAS["pushpull"]

    def interrupted(session: headway.InferenceSession, source: Any, deliver: Any, window: int) -> None:
        def stop(_: object) -> None:
            until(lambda: session.stats().undelivered == 2, "the other answers")
            raise KeyboardInterrupt

        via(session, source, stop, window)

    monkeypatch.setitem(_via.VIAS, "pushpull", interrupted)
    result = headway_cli("run", model, folder, "--via", "pushpull", *RAW)
    assert (result.status, result.err) == (130, "")
    assert result.tally == "pushed=3 pulled=0 dropped=0 failed=0 cancelled=3"


#: Ctrl-C in the worst moment: the lock of a picture's future has been taken, and the block that releases it not entered.
WORST_MOMENT = """
import concurrent.futures._base as base, sys, threading
from headway.cli import main

def interrupt(frame, event, arg):
    caller = frame.f_back
    if event == "return" and caller.f_code is base.Future.result.__code__:
        if caller.f_locals["self"]._state == "RUNNING":
            raise KeyboardInterrupt
    return interrupt

sys.settrace(lambda frame, *_: interrupt if frame.f_code is threading.Condition.__enter__.__code__ else None)
sys.exit(main())
"""


@pytest.mark.parametrize("via", ["stream", "callback", "future", "pipeline"])
def test_ctrl_c_that_leaves_a_lock_locked(model: Path, tmp_path: Path, via: str) -> None:
    picture = tmp_path / "large.png"
    Image.new("RGB", (3000, 3000), "red").save(picture)
    command = [sys.executable, "-c", WORST_MOMENT, "run", str(model), *[str(picture)] * 9, "--via", via]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert (done.returncode, done.stderr) == (130, "")
    assert done.stdout.splitlines()[-1].startswith("pushed=")


@pytest.mark.parametrize("via", VIAS)
def test_ctrl_c_tells_the_tally_so_far(model: Path, tmp_path: Path, via: str) -> None:
    picture = tmp_path / "large.png"
    Image.new("RGB", (1500, 1500), "red").save(picture)
    many = [str(picture)] * 5000
    command = [sys.executable, "-m", "headway", "run", str(model), *many, "--via", via]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None and process.stderr is not None
        lines = iter(process.stdout)
        next(line for line in lines if "large.png" in line)
        process.send_signal(signal.SIGINT)
        *_, tally = lines
        assert process.wait(60) == 130
        assert process.stderr.read() == ""
    counts = {name: int(count) for name, count in re.findall(r"(\w+)=(\d+)", tally)}
    assert 0 < counts["pulled"] < 5000
    assert min(counts.values()) == counts["dropped"] == counts["failed"] == 0
    assert counts.pop("pushed") == sum(counts.values())
