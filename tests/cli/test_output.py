"""`headway run` writes where it was told to, over nothing that it reads, and says when it cannot."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from .conftest import RAW, Headway


@pytest.fixture
def link(tmp_path: Path, model: Path) -> Path:
    """Another name of the model."""
    link = tmp_path / "another"
    link.symlink_to(model)
    return link


@pytest.mark.parametrize("which", ["model", "link", "labels", "picture"])
def test_records_are_not_written_over_what_is_read(
    headway_cli: Headway, model: Path, link: Path, labels: Path, folder: Path, which: str
) -> None:
    target = {"model": model, "link": link, "labels": labels, "picture": folder / "b.png"}[which]
    before = target.read_bytes()
    result = headway_cli("run", model, folder, "--labels", labels, "--jsonl", target, *RAW)
    assert (result.status, result.out) == (2, "")
    assert f"--jsonl {target}" in result.err
    assert "name another file" in result.err
    assert target.read_bytes() == before


def test_standard_output_has_the_results_already(
    headway_cli: Headway, model: Path, folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    result = headway_cli("run", model, folder, "--jsonl", "-")
    assert (result.status, (tmp_path / "-").exists()) == (2, False)
    assert "standard output has the results already" in result.err


def test_older_records_make_room_for_new_ones(
    headway_cli: Headway, model: Path, folder: Path, tmp_path: Path
) -> None:
    records = tmp_path / "records.jsonl"
    records.write_text("old\n" * 100)
    assert headway_cli("run", model, folder, "--jsonl", records, *RAW).status == 0
    assert len([json.loads(line) for line in records.read_text().splitlines()]) == 3


def test_older_records_stay_when_the_run_does_not_begin(
    headway_cli: Headway, folder: Path, tmp_path: Path
) -> None:
    records, broken = tmp_path / "records.jsonl", tmp_path / "broken.onnx"
    records.write_text("old\n")
    broken.write_bytes(b"no model")
    for model in (broken, tmp_path / "nothing.onnx"):
        assert headway_cli("run", model, folder, "--jsonl", records, *RAW).status != 0
        assert records.read_text() == "old\n"


@pytest.mark.parametrize("to", ["stdout", "jsonl"])
def test_a_full_disk_is_one_line(model: Path, folder: Path, to: str) -> None:
    command = [sys.executable, "-m", "headway", "run", str(model), str(folder), *RAW]
    if to == "jsonl":
        command += ["--jsonl", "/dev/full"]
    with Path("/dev/full" if to == "stdout" else "/dev/null").open("w") as out:
        done = subprocess.run(command, stdout=out, stderr=subprocess.PIPE, text=True, check=False)
    name = "standard output" if to == "stdout" else "/dev/full"
    assert (done.returncode, done.stderr) == (
        1,
        f"headway: error: cannot write {name}: No space left on device\n",
    )


def test_a_picture_that_may_not_be_read_does_not_stop_the_others(
    headway_cli: Headway, model: Path, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Root may read everything: what the operating system says is taken from elsewhere.
    may = os.access
    monkeypatch.setattr(
        os, "access", lambda path, *mode, **how: "b.png" not in str(path) and may(path, *mode, **how)
    )
    result = headway_cli("run", model, folder / "b.png", folder / "a" / "red.png", *RAW)
    assert "pushed=2" in result.tally
