"""`python -m benches [NAME...] [--quick] [--rounds N] [--output FOLDER]`."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

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
)
from .rounds import Effort

ROOT = Path(__file__).resolve().parent
BENCHES = {
    "imports": imports.measure,
    "percall": percall.measure,
    "instructions": instructions.measure,
    "idle": idle.measure,
    "busy_producer": busy_producer.measure,
    "rivals": rivals.measure,
    "engines": engines.measure,
    "saturation": saturation.measure,
    "batching": batching.measure,
    "openloop": openloop.measure,
    "loadgen": loadgen.measure,
    "isolation": isolation.measure,
    "soak": soak.measure,
}


def _parse(arguments: list[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        "python -m benches", description="Headway beside its rivals, in one run."
    )
    parser.add_argument("names", nargs="*", metavar="NAME", help=f"which: {', '.join(BENCHES)} (all)")
    parser.add_argument("--quick", action="store_true", help="a smoke run; its figures mean nothing")
    parser.add_argument("--rounds", type=int, help="rounds of every measurement (7; 2 with --quick)")
    parser.add_argument(
        "--output", type=Path, help="folder of the records (benches/results; .cache/benches if quick)"
    )
    given = parser.parse_args(arguments)
    if unknown := [name for name in given.names if name not in BENCHES]:
        parser.error(f"no benchmark {', '.join(unknown)}; there are: {', '.join(BENCHES)}")
    return given


def main(arguments: list[str]) -> int:
    given = _parse(arguments)
    effort = Effort(given.quick, given.rounds or (2 if given.quick else 7))
    folder = given.output or (ROOT.parent / ".cache" / "benches" if given.quick else ROOT / "results")
    # The folder says nothing to a reader of the record, and may be anywhere.
    here = machine.describe(
        [*given.names, *(["--quick"] if given.quick else []), f"--rounds {effort.rounds}"]
    )
    results = []
    for name in given.names or BENCHES:
        print(f"{name} ...", file=sys.stderr, flush=True)
        result = BENCHES[name](effort)
        result.settings["rounds"] = effort.rounds
        report.write_record(result, here, folder)
        print(report.markdown(result), flush=True)
        results.append(result)
    pictures.plot(results, here, folder)
    return 0 if all(check.met for result in results for check in result.checks) else 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
