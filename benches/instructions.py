"""Instructions a request takes, counted under callgrind: what guards the hot path, since no machine's mood is in it.

    python -m benches.instructions --write       # what was counted becomes the bound

Only what Headway's own extension executes is held against the bound: the interpreter's, numpy's and onnxruntime's
share depends on their versions.
"""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
import tempfile
from collections import Counter
from pathlib import Path

import headway

from . import callgrind, models
from .figures import Check, Result
from .rounds import Effort

CALLS = 1_000

SLACK = 0.05
"""What another compiler, or which thread came first, may add."""

ROOT = Path(__file__).resolve().parent
BOUNDS = ROOT / "instructions.json"


def _counted(valgrind: str, folder: Path) -> dict[str, Counter[str]]:
    """Instructions by object file of each part of the child."""
    model, out = folder / "tiny.onnx", folder / "counts"
    content = models.tiny().content
    assert isinstance(content, bytes)
    model.write_bytes(content)
    command = [valgrind, "--tool=callgrind", "--dump-before=getppid", f"--callgrind-out-file={out}"]
    command += [sys.executable, str(ROOT / "counted_process.py"), str(model), str(CALLS)]
    done = subprocess.run(command, capture_output=True, text=True, check=False, cwd=ROOT.parent)
    if done.returncode:
        raise RuntimeError(f"under callgrind: exit status {done.returncode}\n{done.stderr[-2_000:]}")
    # Odd files hold what went before a part: the start, a warm-up.
    return {
        name: callgrind.instructions(Path(f"{out}.{2 * number}").read_text(errors="replace").splitlines())
        for number, name in enumerate(done.stdout.splitlines(), 1)
    }


def _per_call(counts: Counter[str]) -> tuple[int, int]:
    """Of Headway's extension, and of everything."""
    extension = sum(count for name, count in counts.items() if Path(name).name.startswith("_core."))
    return round(extension / CALLS), round(sum(counts.values()) / CALLS)


def count() -> dict[str, tuple[int, int]] | None:
    """By part; None where valgrind is not installed."""
    valgrind = shutil.which("valgrind")
    if valgrind is None:
        return None
    with tempfile.TemporaryDirectory() as folder:
        counted = _counted(valgrind, Path(folder))
    return {name: _per_call(counts) for name, counts in counted.items()}


def measure(_effort: Effort) -> Result:
    """Against the committed bounds. One count is enough: it hardly varies."""
    result = Result("instructions", settings={"headway": headway.__version__, "calls": CALLS})
    counted = count()
    if counted is None:
        result.settings["not measured"] = "valgrind is not installed"
        return result
    bounds: dict[str, int] = json.loads(BOUNDS.read_text())
    for name, (extension, total) in counted.items():
        bound = bounds[name]
        found = f"{extension:,} of {total:,}"
        target = f"<= {bound:,} + {SLACK:.0%}"
        result.checks.append(
            Check(f"{name}: instructions of the extension", found, target, extension <= bound * (1 + SLACK))
        )
    return result


def main(arguments: list[str]) -> int:
    counted = count()
    if counted is None or arguments != ["--write"]:
        print(__doc__, file=sys.stderr)
        return 2
    bounds = {name: extension for name, (extension, _) in counted.items()}
    BOUNDS.write_text(json.dumps(bounds, indent=1) + "\n")
    print(BOUNDS.read_text(), end="")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
