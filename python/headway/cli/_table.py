"""Prints the race: a table that fits 80 columns, on a terminal and in a pipe alike."""

from rich import box
from rich.table import Table

from ._race import Race
from ._report import Report


def show_race(race: Race, report: Report, window: int, cores: int) -> None:
    """The table with its caption: whose threads, how many requests in flight, what latency means."""
    baseline = race.contenders[0]
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False)
    table.add_column("convention", no_wrap=True)
    table.add_column("threads by", no_wrap=True)
    for title in ("frames/s", "p50 ms", "p99 ms", "ratio"):
        table.add_column(title, justify="right", no_wrap=True)
    for contender in race.contenders:
        ratio = contender.frames_per_second / baseline.frames_per_second
        table.add_row(
            contender.name,
            contender.hint,
            f"{contender.frames_per_second:.1f}",
            f"{contender.percentile(50):.2f}",
            f"{contender.percentile(99):.2f}",
            f"{ratio:.2f}x",
            style="bold" if ratio == max(_ratios(race)) else "",
        )
    report.line(f"{len(race.frames)} frames each, in turns, on {cores} usable core{'s' if cores > 1 else ''}")
    report.table(table)
    for line in _caption(window):
        report.line(line)
    report.line(f"Largest difference of a score from the first row's: {race.largest_difference():.1g}\n")


def _ratios(race: Race) -> list[float]:
    base = race.contenders[0].frames_per_second
    return [contender.frames_per_second / base for contender in race.contenders]


def _caption(window: int) -> tuple[str, ...]:
    return (
        "Every row may use every core: `defaults` (of onnxruntime) and `latency` give all",
        "cores to one request, `throughput` gives one core to each of several requests.",
        f"The loop and `run` have one request in flight, the other rows {window}. Latency counts",
        "from the hand-over until the answer is back, in order, in the caller's hands.",
    )
