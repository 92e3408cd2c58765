"""What was found, as pictures: ratios, throughput and latency over the load, and where the time of a request went."""

from __future__ import annotations

import statistics
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from . import report
from .figures import Figure, Point, Result

_COLORS = {None: "#9aa5b1", True: "#2f855a", False: "#c53030"}
INK = "#1a202c"
_FAMILIES = {
    "Headway": "#2b6cb0",
    "onnxruntime": "#dd6b20",
    "OpenVINO": "#805ad5",
    "": "#718096",
}
"""By how a contender's name begins; within a family the styles tell them apart."""
_STYLES = (("-", "o"), ("--", "s"), (":", "^"), ("-.", "D"))
_PARTS = {"queue": "#f6ad55", "run": "#68a37f", "delivery": "#4a7fb5"}


def plotting() -> Any:
    import matplotlib as mpl

    mpl.use("Agg")
    import matplotlib.pyplot as plt

    return plt


def _place(machine: dict[str, Any]) -> str:
    """Where it comes from, for the title."""
    title = f"{machine['cpu']}, {machine['cores']} cores, headway {machine['headway']}"
    return (
        f"{title}, onnxruntime {machine['onnxruntime']}, Python {machine['python']}, {machine['date'][:10]}"
    )


def bare(axes: Any) -> None:
    for side in ("top", "right"):
        axes.spines[side].set_visible(False)


def _save(plt: Any, fig: Any, machine: dict[str, Any], folder: Path, name: str) -> Path:
    path = folder / f"{machine['date'][:10]}-{name}.png"
    fig.savefig(path, dpi=110)
    plt.close(fig)
    return path


_WIDEST = 3.0
"""Ratios beyond it run off the picture; their numbers stand at its edge."""


def label(figure: Figure, end: float) -> str:
    """What stands beside a bar whose row reaches so far; an arrow says that something of it runs off the picture."""
    text = f"{figure.ratio:.2f}"
    if figure.rival_ratio is not None:
        text += f" ({figure.rival_ratio:.2f})"
    if end <= _WIDEST:
        return text
    # The bar's own end is in the picture: the arrow is not its.
    return f"{text} →" if figure.ratio > _WIDEST else f"{text}, up to {end:.2f} →"


def _draw(axes: Any, place: int, figure: Figure) -> None:
    axes.barh(place, figure.ratio, height=0.56, color=_COLORS[figure.met], alpha=0.8)
    axes.plot(figure.ratios, [place] * len(figure.ratios), ".", color=INK, markersize=3)
    end = max(figure.ratios)
    if figure.target is not None:
        axes.plot([figure.target] * 2, [place - 0.4, place + 0.4], color=INK, linewidth=2)
        end = max(end, figure.target)
    if figure.rival_ratio is not None:
        axes.plot(figure.rival_ratio, place, "D", color="#dd6b20", markersize=6)
        end = max(end, figure.rival_ratio)
    beyond = end > _WIDEST
    axes.annotate(
        label(figure, end),
        (min(end, _WIDEST), place),
        (0 if beyond else 8, 0),
        textcoords="offset points",
        va="center",
        ha="right" if beyond else "left",
        fontsize=9,
        bbox={"facecolor": "white", "edgecolor": "none", "pad": 1, "alpha": 0.8} if beyond else None,
    )


def ratios(figures: list[Figure], machine: dict[str, Any], folder: Path, name: str, better: str) -> Path:
    """Every ratio: its rounds as dots, the median as a bar, the target as a line, a rival as a diamond."""
    plt = plotting()
    fig, axes = plt.subplots(figsize=(10, 0.45 * len(figures) + 1.4), layout="constrained")
    for place, figure in enumerate(figures):
        _draw(axes, place, figure)
    axes.axvline(1, color=INK, linewidth=0.8, linestyle=":")
    labels = [f"{figure.name}\nagainst {figure.against}" for figure in figures]
    axes.set_yticks(range(len(figures)), labels, fontsize=8)
    axes.set_ylim(len(figures) - 0.4, -0.6)
    axes.set_xlim(0, min(axes.get_xlim()[1] * 1.08, _WIDEST * 1.02))
    rivals = sorted({figure.rival.name for figure in figures if figure.rival})
    diamond = f", diamond: {', '.join(rivals)}" if rivals else ""
    axes.set_xlabel(f"ratio, {better} is better (bar: median, dots: rounds, line: target{diamond})")
    axes.set_title(_place(machine), fontsize=9)
    bare(axes)
    return _save(plt, fig, machine, folder, name)


def _looks(contenders: Iterable[str]) -> dict[str, dict[str, Any]]:
    """A family has a colour, its members have styles."""
    found: dict[str, dict[str, Any]] = {}
    members = dict.fromkeys(_FAMILIES, 0)
    for name in contenders:
        family = next(family for family in _FAMILIES if name.startswith(family))
        line, mark = _STYLES[members[family] % len(_STYLES)]
        members[family] += 1
        width = 1.9 if family == "Headway" else 1.1
        found[name] = {"color": _FAMILIES[family], "linestyle": line, "marker": mark, "linewidth": width}
    return found


def _lines(axes: Any, points: list[Point], field: str, looks: dict[str, dict[str, Any]]) -> None:
    for name in dict.fromkeys(one.contender for one in points):
        pairs = [(one.load, one.median(field)) for one in points if one.contender == name]
        known = [(load, value) for load, value in pairs if value is not None]
        if known:
            axes.plot(*zip(*known, strict=True), markersize=4, alpha=0.9, label=name, **looks[name])
    loads = sorted({one.load for one in points})
    if max(loads) > 1:
        axes.set_xscale("log", base=2)
    axes.set_xticks(loads, [f"{load:g}" for load in loads])
    axes.minorticks_off()
    axes.grid(axis="y", color="#e2e8f0", linewidth=0.6)
    bare(axes)


def _plain(axes: Any) -> None:
    """A logarithmic axis with numbers as people write them."""
    from matplotlib.ticker import FuncFormatter, LogLocator, NullLocator

    axes.yaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
    axes.yaxis.set_minor_locator(NullLocator())
    axes.yaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))


_ROWS = {"rate": "requests a second", "p50": "p50 latency, ms", "p99": "p99 latency, ms"}


def loads(result: Result, machine: dict[str, Any], folder: Path) -> Path:
    """A column for each case; throughput, p50 and p99 latency over the load below each other."""
    plt = plotting()
    cases = list(dict.fromkeys(point.case for point in result.points))
    contenders = list(dict.fromkeys(point.contender for point in result.points))
    size = (max(8.5, 3.1 * len(cases)), 8.6)
    fig, grid = plt.subplots(len(_ROWS), len(cases), figsize=size, layout="constrained", squeeze=False)
    looks = _looks(contenders)
    for column, case in enumerate(cases):
        points = [point for point in result.points if point.case == case]
        for row, (field, label) in enumerate(_ROWS.items()):
            axes = grid[row][column]
            _lines(axes, points, field, looks)
            if field == "rate":
                axes.set_title(case, fontsize=10)
                axes.set_ylim(bottom=0)
            else:
                # From the run alone to a queue of eight: a factor says more than a difference.
                axes.set_yscale("log")
                _plain(axes)
            if column == 0:
                axes.set_ylabel(label)
        axes.set_xlabel(result.load)
    handles = {
        text: handle
        for axes in grid[0]
        for handle, text in zip(*axes.get_legend_handles_labels(), strict=True)
    }
    fig.legend(
        handles.values(), handles.keys(), loc="outside lower center", ncols=4, fontsize=8, frameon=False
    )
    fig.suptitle(_place(machine), fontsize=9)
    return _save(plt, fig, machine, folder, result.bench)


def splits(result: Result, machine: dict[str, Any], folder: Path) -> Path:
    """Stacked bars: waiting, on the lane, and until the callback has returned."""
    plt = plotting()
    cases = list(dict.fromkeys(split.case for split in result.splits))
    size = (max(8.5, 3.1 * len(cases)), 3.4)
    fig, grid = plt.subplots(1, len(cases), figsize=size, layout="constrained", squeeze=False)
    for axes, case in zip(grid[0], cases, strict=True):
        chosen = [split for split in result.splits if split.case == case]
        places = range(len(chosen))
        below = [0.0] * len(chosen)
        for part, color in _PARTS.items():
            heights = [statistics.median(getattr(split, part)) for split in chosen]
            axes.bar(places, heights, 0.62, bottom=below, color=color, label=part)
            below = [one + more for one, more in zip(below, heights, strict=True)]
        axes.set_xticks(places, [f"{split.load:g}" for split in chosen])
        axes.set_title(case, fontsize=10)
        axes.set_xlabel(result.load)
        bare(axes)
    grid[0][0].set_ylabel("run_async with a callback:\nmean of a request, ms")
    handles, labels = grid[0][0].get_legend_handles_labels()
    fig.legend(handles, labels, loc="outside lower center", ncols=3, fontsize=8, frameon=False)
    fig.suptitle(_place(machine), fontsize=9)
    return _save(plt, fig, machine, folder, f"{result.bench}-split")


def plot(results: list[Result], machine: dict[str, Any], folder: Path) -> list[Path]:
    """Whatever pictures there are in the results. Ratios and rates are those of all of the day's records: a part that
    is measured by itself does not take the others' place."""
    day = machine["date"][:10]
    records = [one for one in report.newest(folder).values() if one["machine"]["date"].startswith(day)]
    figures = [figure for record in records for figure in report.figures_of(record)]
    costs = [figure for figure in figures if not figure.at_least]
    rates = [figure for figure in figures if figure.at_least]
    made = []
    if costs:
        made.append(ratios(costs, machine, folder, "ratios", "lower"))
    if rates:
        made.append(ratios(rates, machine, folder, "rates", "higher"))
    made += [loads(result, machine, folder) for result in results if result.points]
    made += [splits(result, machine, folder) for result in results if result.splits]
    return made
