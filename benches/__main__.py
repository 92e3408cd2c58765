"""`python -m benches [NAME...] [--quick] [--rounds N] [--output FOLDER]`."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import NamedTuple

from . import (
    batching,
    busy_producer,
    engines,
    idle,
    imports,
    instructions,
    isolation,
    loadgen,
    machine,
    openloop,
    percall,
    pictures,
    report,
    rivals,
    saturation,
    soak,
    summary,
)
from .figures import Result
from .progress import Progress, minutes
from .rounds import Effort

ROOT = Path(__file__).resolve().parent

ROUNDS = 7


class _Bench(NamedTuple):
    """One of them, and what it takes in seconds on two quiet cores."""

    measure: Callable[[Effort], Result]
    #: With seven rounds.
    full: float
    #: A smoke run's two.
    quick: float


BENCHES = {
    "imports": _Bench(imports.measure, 75, 2),
    "percall": _Bench(percall.measure, 20, 3),
    "instructions": _Bench(instructions.measure, 60, 60),
    "idle": _Bench(idle.measure, 40, 6),
    "busy_producer": _Bench(busy_producer.measure, 60, 5),
    "rivals": _Bench(rivals.measure, 900, 20),
    "engines": _Bench(engines.measure, 60, 10),
    "saturation": _Bench(saturation.measure, 240, 5),
    "batching": _Bench(batching.measure, 40, 10),
    "openloop": _Bench(openloop.measure, 220, 5),
    "loadgen": _Bench(loadgen.measure, 200, 10),
    "isolation": _Bench(isolation.measure, 60, 8),
    "soak": _Bench(soak.measure, 30, 3),
}
FIXED = ("instructions", "idle", "soak")
"""They have no rounds."""


def _estimates(names: Iterable[str], quick: bool, rounds: int) -> dict[str, float]:
    """Seconds; a warm-up comes before the rounds."""
    usual = (2 if quick else ROUNDS) + 1
    share = {name: 1 if name in FIXED else (rounds + 1) / usual for name in names}
    return {
        name: part * (BENCHES[name].quick if quick else BENCHES[name].full) for name, part in share.items()
    }


def _parse(arguments: list[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        "python -m benches", description="Headway beside its rivals, in one run."
    )
    known = ", ".join(f"{name} ({minutes(bench.full)})" for name, bench in BENCHES.items())
    parser.add_argument("names", nargs="*", metavar="NAME", help=f"which (all): {known}")
    parser.add_argument("--quick", action="store_true", help="a smoke run; its figures mean nothing")
    parser.add_argument("--rounds", type=int, help=f"rounds of every measurement ({ROUNDS}; 2 with --quick)")
    parser.add_argument(
        "--output", type=Path, help="folder of the records (benches/results; .cache/benches if quick)"
    )
    given = parser.parse_args(arguments)
    if unknown := [name for name in given.names if name not in BENCHES]:
        parser.error(f"no benchmark {', '.join(unknown)}; there are: {', '.join(BENCHES)}")
    return given


def main(arguments: list[str]) -> int:
    given = _parse(arguments)
    rounds = given.rounds or (2 if given.quick else ROUNDS)
    folder = given.output or (ROOT.parent / ".cache" / "benches" if given.quick else ROOT / "results")
    # The folder says nothing to a reader of the record, and may be anywhere.
    here = machine.describe([*given.names, *(["--quick"] if given.quick else []), f"--rounds {rounds}"])
    # Asked for twice, measured once.
    names = list(dict.fromkeys(given.names or BENCHES))
    progress = Progress(_estimates(names, given.quick, rounds))
    effort = Effort(given.quick, rounds, progress.tell)
    results = []
    for name in names:
        progress.begin(name)
        result = BENCHES[name].measure(effort)
        seconds = progress.end()
        print(f"{name}: took {minutes(seconds)}", file=sys.stderr, flush=True)
        result.settings |= {"rounds": rounds, "took, s": round(seconds)}
        report.write_record(result, here, folder)
        print(report.markdown(result), flush=True)
        results.append(result)
    pictures.plot(results, here, folder)
    summary.draw(folder)
    return 0 if all(check.met for result in results for check in result.checks) else 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
