"""A result as a JSON record, a markdown table and a picture."""

from __future__ import annotations

import json
import statistics
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from .figures import Figure, Result

_ANSWER = {None: "", True: "yes", False: "NO"}
_COLORS = {None: "#9aa5b1", True: "#2f855a", False: "#c53030"}
_INK = "#1a202c"


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
    }
    path.write_text(json.dumps(record, indent=1) + "\n", encoding="utf-8")
    return path


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
        "" if figure.target is None else f"<= {figure.target:g}",
        _ANSWER[figure.met],
    )


def markdown(result: Result) -> str:
    """What was found, with its targets."""
    lines = [f"### {result.bench}", ""]
    lines += [", ".join(f"{name}: {value}" for name, value in result.settings.items()), ""]
    if result.figures:
        head = ("what", "median", "against", "ratio", "min-max", "rival", "target", "met")
        lines += _table(head, map(_row, result.figures))
    if result.checks:
        rows = ((check.name, check.value, check.target, _ANSWER[check.met]) for check in result.checks)
        lines += _table(("what", "found", "target", "met"), rows)
    return "\n".join(lines) + "\n"


def _draw(axes: Any, place: int, figure: Figure) -> None:
    axes.barh(place, figure.ratio, height=0.56, color=_COLORS[figure.met], alpha=0.8)
    axes.plot(figure.ratios, [place] * len(figure.ratios), ".", color=_INK, markersize=3)
    end = max(figure.ratios)
    if figure.target is not None:
        axes.plot([figure.target] * 2, [place - 0.4, place + 0.4], color=_INK, linewidth=2)
        end = max(end, figure.target)
    if figure.rival_ratio is not None:
        axes.plot(figure.rival_ratio, place, "D", color="#dd6b20", markersize=6)
        end = max(end, figure.rival_ratio)
    text = (
        f"{figure.ratio:.2f}"
        if figure.rival_ratio is None
        else f"{figure.ratio:.2f} ({figure.rival_ratio:.2f})"
    )
    axes.annotate(text, (end, place), (8, 0), textcoords="offset points", va="center", fontsize=9)


def plot(results: list[Result], machine: dict[str, Any], folder: Path) -> Path | None:
    """Every ratio: its rounds as dots, the median as a bar, the target as a line, a rival as a diamond."""
    figures = [figure for result in results for figure in result.figures]
    if not figures:
        return None
    import matplotlib as mpl

    mpl.use("Agg")
    import matplotlib.pyplot as plt

    fig, axes = plt.subplots(figsize=(10, 0.45 * len(figures) + 1.4), layout="constrained")
    for place, figure in enumerate(figures):
        _draw(axes, place, figure)
    axes.axvline(1, color=_INK, linewidth=0.8, linestyle=":")
    labels = [f"{figure.name}\nagainst {figure.against}" for figure in figures]
    axes.set_yticks(range(len(figures)), labels, fontsize=8)
    axes.set_ylim(len(figures) - 0.4, -0.6)
    axes.set_xlim(0, axes.get_xlim()[1] * 1.08)
    rivals = sorted({figure.rival.name for figure in figures if figure.rival})
    diamond = f", diamond: {', '.join(rivals)}" if rivals else ""
    axes.set_xlabel(f"ratio, lower is better (bar: median, dots: rounds, line: target{diamond})")
    title = f"{machine['cpu']}, {machine['cores']} cores, headway {machine['headway']}"
    axes.set_title(f"{title}, onnxruntime {machine['onnxruntime']}, Python {machine['python']}", fontsize=10)
    for side in ("top", "right"):
        axes.spines[side].set_visible(False)
    path = folder / f"{machine['date'][:10]}-ratios.png"
    fig.savefig(path, dpi=110)
    plt.close(fig)
    return path
