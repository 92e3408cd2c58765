"""The quick mode of the benchmarks runs and writes valid records. It says nothing about their figures."""

from __future__ import annotations

import json
import subprocess
import sys
from io import StringIO
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from benches import (
    callgrind,
    instructions,
    loadgen,
    mixed_soak,
    models,
    openloop,
    ov,
    pictures,
    report,
    summary,
)
from benches.figures import Figure, Result
from benches.progress import EVERY, Progress
from benches.session_pool import SessionPool

import headway

ROOT = Path(__file__).resolve().parents[1]


def bench(output: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "benches", *arguments, "--output", str(output)]
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=110, check=False)


def quick(folder: Path, *names: str) -> Path:
    done = bench(folder, *names, "--quick", "--rounds", "1")
    assert done.returncode == 0, done.stderr
    for line in done.stdout.splitlines():
        # A ratio, a check, and a contender under two or three loads.
        assert not line.startswith("|") or line.count("|") in (9, 5, 4), line
    return folder


@pytest.fixture(scope="module")
def records(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return quick(tmp_path_factory.mktemp("records"), "imports", "percall", "idle", "busy_producer", "soak")


@pytest.fixture(scope="module")
def loads(tmp_path_factory: pytest.TempPathFactory) -> Path:
    names = ("rivals", "saturation", "batching", "openloop", "loadgen", "engines")
    return quick(tmp_path_factory.mktemp("loads"), *names)


def record_of(folder: Path, name: str) -> dict[str, Any]:
    (path,) = folder.glob(f"*-{name}.json")
    found: dict[str, Any] = json.loads(path.read_text())
    return found


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
    queue = [("OpenVINO AsyncInferQueue, callback", 0.08)] if ov.INSTALLED else []
    assert aims == [
        ("15 ms", 1.0),
        *queue,
        ("ThreadPoolExecutor", 0.12),
        ("m", 1.3),
        ("max(p, m)", 1.03),
        ("onnxruntime run()", 0.55),
        ("onnxruntime run()", 0.6),
        ("onnxruntime run_async()", 0.3),
        ("onnxruntime run_with_iobinding()", 0.75),
        ("run_in_executor", 0.17),
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


def test_every_engine_has_what_it_can_read(loads: Path) -> None:
    record = record_of(loads, "engines")
    found = {(point["case"], point["contender"]) for point in record["points"]}
    engines = {"onnxruntime", "OpenVINO", "OpenVINO f32"}
    assert found == {("conv x8", name) for name in engines} | {("silero-vad", "onnxruntime")}
    assert "silero-vad: not on OpenVINO" in record["settings"]


@pytest.mark.parametrize("name", ["rivals", "openloop"])
def test_a_record_holds_every_contender_under_every_load(loads: Path, name: str) -> None:
    record = record_of(loads, name)
    points = {(point["case"], point["contender"], point["load"]): point for point in record["points"]}
    assert len(points) == len(record["points"])
    cases = {case for case, _, _ in points}
    for case in cases:
        names = {contender for one, contender, _ in points if one == case}
        shares = {load for one, _, load in points if one == case}
        assert {(case, one, load) for one in names for load in shares} <= set(points)
        assert {"Headway submit", "ThreadPoolExecutor"} <= names
    for point in points.values():
        (sample,) = point["samples"]
        assert sample["rate"] > 0
        assert 0 < sample["p50"] <= sample["p90"] <= sample["p99"]


def test_the_rivals_share_a_model_and_the_overhead_is_split(loads: Path) -> None:
    record = record_of(loads, "rivals")
    assert len({point["case"] for point in record["points"]}) == 2
    assert len({point["contender"] for point in record["points"]}) >= 9
    for split in record["splits"]:
        assert split["queue"][0] >= 0
        assert split["run"][0] > 0
        assert split["delivery"][0] > 0


def test_saturation_batching_and_the_server_have_lower_bounds(loads: Path) -> None:
    names = ("saturation", "batching", "loadgen")
    figures = [figure for name in names for figure in record_of(loads, name)["figures"]]
    aims = sorted(figure["target"] for figure in figures if figure["target"] and figure["at_least"])
    assert aims == sorted([0.98, 0.97, 1.6, 0.98] + ([0.85] if loadgen.INSTALLED else []))
    for figure in figures:
        assert figure["met"] == (None if figure["target"] is None else figure["ratio"] >= figure["target"])


def test_a_rate_is_met_from_its_target_up() -> None:
    assert Figure("", [99.0], [100.0], "", target=0.98, at_least=True).met
    assert not Figure("", [97.0], [100.0], "", target=0.98, at_least=True).met
    assert Figure("", [97.0], [100.0], "", target=0.98).met


def test_what_crosses_between_cores_is_told_by_their_distance(records: Path) -> None:
    figures = record_of(records, "percall")["figures"]
    crossing = {figure["name"] for figure in figures if figure["apart"] is not None}
    assert {name.split("(")[0] for name in crossing} == {"submit", "arun", "run_async"}
    assert all(len(figure["apart"]) == len(figure["ours"]) for figure in figures if figure["apart"])
    figure = Figure("window", [4.0, 2.0], [4.0, 4.0], "run", apart=[500, 50])
    assert "| window | run | 0.50 (50), 1.00 (500) |" in report.markdown(Result("percall", [figure]))


class _Done:
    def add_done_callback(self, call: Any) -> None:
        call(self)


def test_a_latency_counts_from_when_the_request_should_have_come() -> None:
    # All of them were due before the run began: whoever hands them in late is no excuse.
    sample = openloop.drive(_Done, [-2.0, -1.5, -1.0])
    assert sample.p50 is not None
    assert 1_500 <= sample.p50 < 2_500


def test_arrivals_are_a_poisson_process_of_the_wanted_rate() -> None:
    times = openloop.arrivals(200, 50, seed=1)
    assert times == openloop.arrivals(200, 50, seed=1) != openloop.arrivals(200, 50, seed=2)
    assert times == sorted(times)
    gaps = [after - before for before, after in pairwise(times)]
    mean = sum(gaps) / len(gaps)
    spread = (sum((gap - mean) ** 2 for gap in gaps) / len(gaps)) ** 0.5
    assert mean == pytest.approx(1 / 200, rel=0.05)
    assert spread == pytest.approx(mean, rel=0.05)


def test_instructions_are_counted_once_and_by_object_file() -> None:
    lines = """
events: Ir

ob=(1) /lib/libc.so.6
fl=(1) a.c
fn=(1) memcpy
10 5
+1 7
ob=(2) /package/_core.abi3.so
fn=(2) run
* 100
cob=(1)
cfn=(1)
calls=1 10
* 12
cob=(3) /lib/engine.so
cfn=(3) Run
calls=2 0
-3 400
+4 1
ob=(3)
fn=(3)
0 400
""".splitlines()
    assert callgrind.instructions(lines) == {
        "/lib/libc.so.6": 12,
        "/package/_core.abi3.so": 101,
        "/lib/engine.so": 400,
    }


def test_every_counted_part_has_a_bound() -> None:
    assert set(json.loads(instructions.BOUNDS.read_text())) == {
        "run()",
        "submit().result()",
        "submit(), window 32",
        "prepare(): call.run()",
        "run_async(), bursts of 100",
    }


def test_loadgens_summary_is_read() -> None:
    text = """Scenario : Server
Completed samples per second    : 296.75
Result is : INVALID
  Min duration satisfied : Yes
99.00 percentile latency (ns)   : 31310037
"""
    outcome = loadgen.summary(text)
    assert not outcome.valid
    assert outcome.values["Completed samples per second"] == 296.75
    assert outcome.values["99.00 percentile latency (ns)"] == 31_310_037
    assert loadgen.summary(text.replace("INVALID", "VALID")).valid


def test_an_idle_session_takes_nothing(records: Path) -> None:
    checks = record_of(records, "idle")["checks"]
    assert [check["met"] for check in checks] == [True] * 5


@pytest.mark.parametrize("name", ["rates", "rivals", "rivals-split", "openloop"])
def test_loads_are_drawn(loads: Path, name: str) -> None:
    (path,) = loads.glob(f"????-??-??-{name}.png")
    assert path.read_bytes().startswith(b"\x89PNG")


@pytest.mark.parametrize(
    ("ours", "text"),
    [([1.0, 2.0, 2.5], "2.00"), ([4.0, 4.0, 5.0], "4.00 →"), ([1.4, 1.4, 3.1], "1.40, up to 3.10 →")],
)
def test_a_label_says_what_runs_off_the_picture(ours: list[float], text: str) -> None:
    figure = Figure("run", ours, [1.0] * 3, "a thread")
    assert pictures.label(figure, max(figure.ratios)) == text


def test_a_picture_is_drawn(records: Path) -> None:
    (path,) = records.glob("*-ratios.png")
    assert path.read_bytes().startswith(b"\x89PNG")


def test_the_summary_is_drawn_from_the_newest_records(records: Path, tmp_path: Path) -> None:
    assert (records / "summary.png").read_bytes().startswith(b"\x89PNG")
    (path,) = records.glob("*-percall.json")
    old = json.loads(path.read_text())
    old["figures"] = []
    (tmp_path / "2020-01-01-percall.json").write_text(json.dumps(old))
    assert summary.draw(tmp_path) is None
    (tmp_path / path.name).write_text(path.read_text())
    assert report.newest(tmp_path)["percall"] == json.loads(path.read_text())
    assert summary.draw(tmp_path) == tmp_path / "summary.png"


def test_a_figure_is_read_back_as_it_was_written(records: Path, loads: Path) -> None:
    for folder in (records, loads):
        for path in folder.glob("*.json"):
            record = json.loads(path.read_text())
            assert [figure.record() for figure in report.figures_of(record)] == record["figures"]


def test_the_session_pool_calls_back_in_order_with_each_requests_answer() -> None:
    model, called = models.tiny(), []
    with SessionPool([models.theirs(model) for _ in range(3)]) as pool:
        for number in range(50):
            feed = {"x": np.full((1, 3), number, np.float32)}
            pool.submit(feed, lambda results: called.append(int(results[0][0, 0])))
    assert called == [2 * number for number in range(50)]


def test_progress_says_what_is_left() -> None:
    now, out = [100.0], StringIO()
    progress = Progress({"first": 60, "second": 100}, out, lambda: now[0])
    progress.begin("first")
    now[0] += EVERY / 2
    progress.tell("too soon")
    now[0] += EVERY
    progress.tell("round 2 of 7")
    now[0] += 200
    assert progress.left() == 100, "what takes longer than it should takes nothing from the others"
    assert progress.end() == 200 + 1.5 * EVERY
    progress.begin("second")
    assert out.getvalue().splitlines() == [
        "first (1 of 2); about 3 min left",
        "first (1 of 2), round 2 of 7; about 2 min left",
        "second (2 of 2); about 2 min left",
    ]


def looks(seconds: float, slope: float) -> list[mixed_soak.Look]:
    """Sixty of them, over memory that grows by so many MB an hour."""
    times = np.linspace(0, seconds, 60).tolist()
    return [mixed_soak.Look(at, 50 + slope * at / 3600, 0.0, 0.0, 0, 1, 1, 1, 0) for at in times]


@pytest.mark.parametrize(
    ("seconds", "slope", "grown", "decided", "verdict"),
    [
        (60, 0.5, 0.01, "the slope", "within 1.00 MB an hour"),
        (60, 100, 1.05, "the growth, for", "within 3.00 MB"),
        (60, 300, 3.17, "the growth, for", "over 3.00 MB"),
        (1199, 2, 0.42, "the growth, for", "within 1.00 MB"),
        (1199, 6, 1.26, "the growth, for", "over 1.00 MB"),
        (1200, 1.5, 0.32, "the slope, alone", "over 1.00 MB an hour"),
        (1800, 0.9, 0.28, "the slope, alone", "within 1.00 MB an hour"),
        (1800, 1.1, 0.35, "the slope, alone", "over 1.00 MB an hour"),
    ],
)
def test_a_soak_says_slope_and_growth_and_which_of_them_decided(
    seconds: float, slope: float, grown: float, decided: str, verdict: str
) -> None:
    given, report = looks(seconds, slope), headway.CloseReport(True, 0, (), True)
    growth = mixed_soak.Growth.of(given)
    assert str(growth).startswith(
        f"slope {slope:+.2f} MB an hour, growth {growth.grown:+.2f} MB after the warm-up; decided by {decided}"
    )
    assert growth.grown == pytest.approx(grown, abs=0.05)
    assert str(growth).endswith(f": {verdict}")
    assert mixed_soak.broken(given, report, []) == ([f"RSS grows: {growth}"] if "over" in verdict else [])


def test_it_is_said_where_a_run_is(tmp_path: Path) -> None:
    done = bench(tmp_path, "imports", "imports", "--quick", "--rounds", "1")
    assert done.stderr.splitlines()[0].startswith("imports (1 of 1); about ")
    assert "imports: took " in done.stderr
    assert done.stdout.count("### imports") == 1


def test_an_unknown_benchmark_is_refused(tmp_path: Path) -> None:
    done = bench(tmp_path, "fastest")
    assert done.returncode == 2
    assert "no benchmark fastest" in done.stderr
    assert list(tmp_path.iterdir()) == []
