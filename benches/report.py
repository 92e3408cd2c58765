"""A result as a JSON record and as markdown tables."""

from __future__ import annotations

import json
import statistics
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from .figures import Figure, Point, Result

_ANSWER = {None: "", True: "yes", False: "NO"}


def write_record(result: Result, machine: dict[str, Any], folder: Path) -> Path:
    """`YYYY-MM-DD-<bench>.json`."""
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"{machine['date'][:10]}-{result.bench}.json"
    record = {
        "bench": result.bench,
        "machine": machine,
        "settings": result.settings,
        "figures": [figure.record() for figure in result.figures],
        "checks": [check.record() for check in result.checks],
        "load": result.load,
        "points": [point.record() for point in result.points],
        "splits": [split.record() for split in result.splits],
    }
    path.write_text(json.dumps(record, indent=1) + "\n", encoding="utf-8")
    return path


def newest(folder: Path) -> dict[str, dict[str, Any]]:
    """The newest record of each bench: their names begin with the day."""
    found: dict[str, dict[str, Any]] = {}
    for path in sorted(folder.glob("????-??-??-*.json")):
        record = json.loads(path.read_text(encoding="utf-8"))
        found[record["bench"]] = record
    return found


def figures_of(record: dict[str, Any] | None) -> list[Figure]:
    """A record's figures as they were when it was written."""
    return [Figure.of(one) for one in (record or {}).get("figures", [])]


def _table(head: tuple[str, ...], rows: Iterable[tuple[str, ...]]) -> list[str]:
    lines = [head, tuple("---" for _ in head), *rows]
    return ["| " + " | ".join(line) + " |" for line in lines]


def _row(figure: Figure) -> tuple[str, ...]:
    ours, base = statistics.median(figure.ours), statistics.median(figure.base)
    rival = f"{figure.rival_ratio:.2f} {figure.rival.name}" if figure.rival else ""
    return (
        figure.name,
        f"{ours:.2f} {figure.unit}",
        f"{base:.2f} {figure.unit} {figure.against}",
        f"**{figure.ratio:.2f}**",
        f"{min(figure.ratios):.2f}-{max(figure.ratios):.2f}",
        rival,
        "" if figure.target is None else f"{'>=' if figure.at_least else '<='} {figure.target:g}",
        _ANSWER[figure.met],
    )


def _cell(point: Point | None) -> str:
    if point is None:
        return ""
    latency = [f"{value:.2f}" for name in ("p50", "p99") if (value := point.median(name)) is not None]
    return f"{point.median('rate'):,.0f} ({' / '.join(latency)})"


def _points(result: Result) -> list[str]:
    """A table for each case: a row for each contender, a column for each load."""
    lines = []
    for case in dict.fromkeys(point.case for point in result.points):
        points = {(one.contender, one.load): one for one in result.points if one.case == case}
        loads = sorted({load for _, load in points})
        rows = (
            (contender, *(_cell(points.get((contender, load))) for load in loads))
            for contender in dict.fromkeys(contender for contender, _ in points)
        )
        lines += ["", f"{case}: requests a second (p50 / p99 latency in ms) over {result.load}", ""]
        lines += _table(("contender", *(f"{load:g}" for load in loads)), rows)
    return lines


def _distances(figures: list[Figure]) -> list[str]:
    """What crosses between cores, round by round: first those in which they were nearest."""
    rows = []
    for figure in figures:
        rounds = sorted(zip(figure.apart or [], figure.ratios, strict=False))
        if rounds:
            ratios = ", ".join(f"{ratio:.2f} ({nanos:.0f})" for nanos, ratio in rounds)
            rows.append((figure.name, figure.against, ratios))
    if not rows:
        return []
    return ["", *_table(("what", "against", "ratio of each round (ns from core to core and back)"), rows)]


def markdown(result: Result) -> str:
    """What was found, with its targets."""
    lines = [f"### {result.bench}", ""]
    lines += [", ".join(f"{name}: {value}" for name, value in result.settings.items()), ""]
    if result.figures:
        head = ("what", "median", "against", "ratio", "min-max", "rival", "target", "met")
        lines += _table(head, map(_row, result.figures))
        lines += _distances(result.figures)
    if result.checks:
        rows = ((check.name, check.value, check.target, _ANSWER[check.met]) for check in result.checks)
        lines += _table(("what", "found", "target", "met"), rows)
    lines += _points(result)
    return "\n".join(lines) + "\n"
