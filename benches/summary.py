"""One picture for the README: what a request takes, beside what people use today. Drawn from the newest records.

python -m benches.summary                  # benches/results/summary.png, without measuring anything
"""

from __future__ import annotations

import statistics
import sys
from pathlib import Path
from typing import Any, NamedTuple

from . import report
from .figures import Figure
from .pictures import INK, bare, plotting

_OURS, _THEIRS, _WORSE, _QUIET = "#2b6cb0", "#cbd5e0", "#c53030", "#4a5568"

_FACTOR = 1.7
"""Where the last column ends; a rival's time is 1."""


class _Row(NamedTuple):
    """Which figure of which record, and how the picture calls it."""

    bench: str
    #: How the figure's name begins, or ends.
    name: str
    against: str
    title: str
    theirs: str
    group: str = "a tiny model: the cost of the call"


_REAL = "real models"
_ROWS = (
    _Row("percall", "run()", "onnxruntime run()", "run()", "onnxruntime run()"),
    _Row("percall", "submit(), ", "ThreadPoolExecutor", "submit(), 32 on their way", "ThreadPoolExecutor"),
    _Row("percall", "submit(), ", "OpenVINO", "submit(), 32 on their way", "OpenVINO AsyncInferQueue"),
    _Row("percall", "submit().result()", "", "submit().result()", "ThreadPoolExecutor"),
    _Row("percall", "arun()", "", "await arun(), 1,000 at once", "run_in_executor"),
    _Row("percall", "run_async()", "onnxruntime", "callbacks, 1,000 at once", "onnxruntime run_async()"),
    _Row(
        "busy_producer",
        "EfficientNet-Lite0, p = 1.5 m: p50 latency",
        "",
        "latency beside busy Python",
        "ThreadPoolExecutor",
        _REAL,
    ),
    _Row(
        "batching",
        "silero-vad, 8 streams, batched",
        "the best unbatched way",
        "batching, 8 audio streams",
        "the best way without batching",
        _REAL,
    ),
)


class _Bar(NamedTuple):
    group: str
    title: str
    theirs: str
    #: What a request takes, ours and theirs, as words.
    words: tuple[str, str]
    #: Ours by theirs: the median of the rounds.
    ratio: float


def _time(value: float, unit: str) -> str:
    """A figure as a time; a rate as what one takes."""
    if unit == "/s":
        value, unit = 1e6 / value, "us"
    # Three digits say all that a median of seven rounds can.
    return f"{value:.3g} {'µs' if unit == 'us' else unit}"


def _bar(row: _Row, figure: Figure) -> _Bar:
    theirs = figure.rival.values if figure.rival else figure.base
    ratios = [one / other for one, other in zip(figure.ours, theirs, strict=True)]
    ratio = statistics.median(ratios)
    words = tuple(_time(statistics.median(values), figure.unit) for values in (figure.ours, theirs))
    return _Bar(
        row.group, row.title, row.theirs, (words[0], words[1]), 1 / ratio if figure.at_least else ratio
    )


def _bars(records: dict[str, dict[str, Any]]) -> list[_Bar]:
    bars = []
    for row in _ROWS:
        for figure in report.figures_of(records.get(row.bench)):
            if figure.name.startswith(row.name) and figure.against.startswith(row.against):
                bars.append(_bar(row, figure))
                break
    return bars


def _place(records: dict[str, dict[str, Any]]) -> str:
    """The machine, and when."""
    used = [
        records[bench]["machine"] for bench in dict.fromkeys(row.bench for row in _ROWS) if bench in records
    ]
    days = sorted({machine["date"][:10] for machine in used})
    machine = used[0]
    return (
        f"{machine['cpu']}, {machine['cores']} cores; onnxruntime {machine['onnxruntime']}, Python "
        f"{machine['python']}; {' to '.join(dict.fromkeys((days[0], days[-1])))}; python -m benches"
    )


def _draw(axes: Any, place: float, bar: _Bar) -> None:
    axes.annotate(bar.title, (-0.01, place), va="center", ha="right", fontsize=10, color=INK)
    # The whole length is their time: what is blue of it is ours.
    axes.barh(place, 1, height=0.66, color=_THEIRS)
    color = _OURS if bar.ratio <= 1 else _WORSE
    length = min(bar.ratio, 1.0)
    axes.barh(place, length, height=0.66, color=color)
    # In the bar where there is room for it, else behind its end.
    inside = length > 0.15
    axes.annotate(
        bar.words[0],
        (length, place),
        (-6 if inside else 6, 0),
        textcoords="offset points",
        va="center",
        ha="right" if inside else "left",
        fontsize=10,
        color="white" if inside else _OURS,
        fontweight="bold",
    )
    axes.annotate(f"{bar.words[1]}  {bar.theirs}", (1.01, place), va="center", fontsize=9, color=INK)
    axes.annotate(
        f"{1 / bar.ratio:.1f}",
        (_FACTOR, place),
        va="center",
        ha="right",
        fontsize=13,
        fontweight="bold",
        color=color,
    )


def draw(folder: Path) -> Path | None:
    """The picture of the newest records in a folder; None without any of the figures."""
    records = report.newest(folder)
    bars = _bars(records)
    if not bars:
        return None
    plt = plotting()
    groups = list(dict.fromkeys(bar.group for bar in bars))
    fig, axes = plt.subplots(
        figsize=(10.5, 0.44 * (len(bars) + 0.8 * len(groups)) + 1.2), layout="constrained"
    )
    axes.set_title("What a request takes: Headway (blue) beside what people use today (grey)", fontsize=12)
    place = -0.2
    for group in groups:
        axes.annotate(
            group, (-0.01, place), va="center", ha="right", fontsize=9, fontstyle="italic", color=_QUIET
        )
        if group == groups[0]:
            axes.annotate(
                "times as fast", (_FACTOR, place), va="center", ha="right", fontsize=9, color=_QUIET
            )
        for bar in (bar for bar in bars if bar.group == group):
            place += 1
            _draw(axes, place, bar)
        place += 0.8
    axes.set_ylim(place - 0.2, -0.6)
    axes.set_xlim(-0.56, _FACTOR)
    axes.set_xticks([])
    axes.set_yticks([])
    bare(axes)
    for side in ("left", "bottom"):
        axes.spines[side].set_visible(False)
    fig.supxlabel(_place(records), fontsize=8, color=_QUIET)
    path = folder / "summary.png"
    fig.savefig(path, dpi=110)
    plt.close(fig)
    return path


if __name__ == "__main__":
    print(draw(Path(sys.argv[1]) if sys.argv[1:] else Path(__file__).resolve().parent / "results"))
