"""What `import headway` adds to a program that has numpy already, in fresh processes; beside it, onnxruntime."""

from __future__ import annotations

import os
import statistics
import subprocess
import sys
from collections.abc import Callable
from functools import partial

from .figures import Figure, Result, Rival
from .rounds import Effort, collect, interleave, note

BUDGET = 15.0
"""Milliseconds that it may add."""

_PROGRAM = (
    "import time, numpy; start = time.perf_counter(); import {name}; print(time.perf_counter() - start)"
)


def _import_ms(name: str) -> float:
    """One import, timed where it happens: the start of the process and numpy are not in it."""
    command = [sys.executable, "-c", _PROGRAM.format(name=name)]
    # An installed package has its bytecode; that of a source tree is written by the warm-up, if it may be.
    given = {name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}
    done = subprocess.run(command, check=True, capture_output=True, text=True, env=given)
    return float(done.stdout) * 1e3


def _round(processes: int, number: int) -> dict[str, float]:
    contenders: dict[str, Callable[[], float]] = {
        name: partial(_import_ms, name) for name in ("headway", "headway.ort", "onnxruntime")
    }
    found = [interleave(contenders, number + process) for process in range(processes)]
    return {name: statistics.median(one[name] for one in found) for name in contenders}


def measure(effort: Effort) -> Result:
    """`import headway`, and `import headway.ort`, against the budget."""
    processes = effort.pick(1, 20)
    result = Result("imports", settings={"fresh processes a round": processes})
    rounds = collect(effort, partial(_round, processes))
    note(rounds, result.settings)
    theirs = Rival("onnxruntime", [one["onnxruntime"] for one in rounds.values])
    budget = [BUDGET] * len(rounds.values)
    for name in ("headway", "headway.ort"):
        ours = [one[name] for one in rounds.values]
        result.figures.append(
            Figure(f"import {name}, numpy loaded", ours, budget, f"{BUDGET:g} ms", "ms", 1.0, theirs)
        )
    return result
