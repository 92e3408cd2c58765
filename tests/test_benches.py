"""The quick mode of the benchmarks runs and writes valid records. It says nothing about their figures."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]


def bench(output: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "benches", *arguments, "--output", str(output)]
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=110, check=False)


@pytest.fixture(scope="module")
def records(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("records")
    done = bench(folder, "--quick", "--rounds", "1")
    assert done.returncode == 0, done.stderr
    for line in done.stdout.splitlines():
        assert not line.startswith("|") or line.count("|") in (5, 9), line
    return folder


@pytest.mark.parametrize("name", ["imports", "percall", "busy_producer"])
def test_a_record_holds_every_round_of_every_figure(records: Path, name: str) -> None:
    (path,) = records.glob(f"*-{name}.json")
    record = json.loads(path.read_text())
    assert record["bench"] == name
    assert record["figures"]
    for figure in record["figures"]:
        assert len(figure["ours"]) == len(figure["base"]) == len(figure["ratios"]) == 1
        assert all(value > 0 for value in (*figure["ours"], *figure["base"]))
        assert figure["ratio"] == pytest.approx(figure["ours"][0] / figure["base"][0])
        assert figure["met"] == (None if figure["target"] is None else figure["ratio"] <= figure["target"])


def test_every_target_of_the_project_is_measured(records: Path) -> None:
    figures = [
        figure for path in records.glob("*.json") for figure in json.loads(path.read_text())["figures"]
    ]
    aims = sorted({(figure["against"], figure["target"]) for figure in figures if figure["target"]})
    assert aims == [
        ("15 ms", 1.0),
        ("m", 1.5),
        ("max(p, m)", 1.05),
        ("onnxruntime run()", 0.7),
        ("onnxruntime run()", 0.8),
    ]


def test_the_soak_loses_nothing(records: Path) -> None:
    (path,) = records.glob("*-soak.json")
    record = json.loads(path.read_text())
    assert record["settings"]["requests"] >= 20_000
    assert [check["name"] for check in record["checks"] if not check["met"]] == []


def test_a_record_says_where_it_comes_from_and_names_no_folder(records: Path) -> None:
    for path in records.glob("*.json"):
        text = path.read_text()
        machine = json.loads(text)["machine"]
        assert machine["command"].startswith("python -m benches")
        assert machine["cores"] >= 1
        assert {"cpu", "date", "headway", "onnxruntime", "numpy", "python"} <= set(machine)
        assert str(ROOT) not in text
        assert str(records) not in text


def test_a_picture_is_drawn(records: Path) -> None:
    (path,) = records.glob("*-ratios.png")
    assert path.read_bytes().startswith(b"\x89PNG")


def test_an_unknown_benchmark_is_refused(tmp_path: Path) -> None:
    done = bench(tmp_path, "fastest")
    assert done.returncode == 2
    assert "no benchmark fastest" in done.stderr
    assert list(tmp_path.iterdir()) == []
