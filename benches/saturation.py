"""How much of the machine one process gets out of it: against as many single-threaded processes as there are cores.

Nothing in Python does more than raw onnxruntime in a process for each core: no hand-off, no shared interpreter, no
shared allocator. That is the limit; Headway has one process, `hint="throughput"`, and one thread that submits.
"""

from __future__ import annotations

import subprocess
import sys
import tempfile
from collections.abc import Callable
from contextlib import ExitStack
from functools import partial
from pathlib import Path

import numpy as np

import headway

from . import closed, models, real
from .figures import Figure, Result
from .rounds import Effort, collect, interleave, note, usable_cores

TARGETS = {"borrowed": 0.98, "copied": 0.97}

ROOT = Path(__file__).resolve().parent.parent


def _files(model: models.Model, folder: Path) -> tuple[Path, Path]:
    """The model and its feed as files, for the children."""
    path = folder / "model.onnx"
    if isinstance(model.content, bytes):
        path.write_bytes(model.content)
    else:
        path = model.content
    feed = folder / "feed.npz"
    # Keys of the archive are file names, which an input's name need not be.
    values = {f"value{number}": value for number, value in enumerate(model.feed.values())}
    np.savez(feed, allow_pickle=False, names=np.array(list(model.feed)), **values)
    return path, feed


def _processes(files: tuple[Path, Path], seconds: float, count: int) -> float:
    """Runs a second, all of them together."""
    command = [sys.executable, "-m", "benches.raw_process", *map(str, files), str(seconds)]
    with ExitStack() as stack:
        children = [
            stack.enter_context(
                subprocess.Popen(command, cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
            )
            for _ in range(count)
        ]
        for child in children:
            assert child.stdout is not None
            if child.stdout.readline() != "ready\n":
                raise RuntimeError("a process of plain onnxruntime did not start")
        return sum(float(child.communicate()[0]) for child in _let_go(children))


def _let_go(children: list[subprocess.Popen[str]]) -> list[subprocess.Popen[str]]:
    # All of them before the first is waited for.
    for child in children:
        assert child.stdin is not None
        child.stdin.write("\n")
        child.stdin.flush()
    return children


def _headway(session: headway.InferenceSession, feed: models.Feed, cores: int, seconds: float) -> float:
    return closed.window(partial(session.submit, feed), 4 * cores, seconds).rate


def _of_model(model: models.Model, effort: Effort, result: Result) -> None:
    cores, seconds = usable_cores(), effort.pick(1, 20) / 10
    with ExitStack() as stack:
        files = _files(model, Path(stack.enter_context(tempfile.TemporaryDirectory())))
        contenders: dict[str, Callable[[], float]] = {"processes": partial(_processes, files, seconds, cores)}
        for name in TARGETS:
            session = headway.InferenceSession(
                model.content,
                hint="throughput",
                queue_depth=4 * cores,
                copy_inputs=name == "copied",
            )
            stack.enter_context(session)
            contenders[name] = partial(_headway, session, model.feed, cores, seconds)
        rounds = collect(effort, partial(interleave, contenders), model.name)
    note(rounds, result.settings)
    found = {name: [one[name] for one in rounds.values] for name in contenders}
    result.figures += [
        Figure(
            f"{model.name}: saturation, inputs {name}",
            found[name],
            found["processes"],
            f"{cores} processes",
            "/s",
            target,
            at_least=True,
        )
        for name, target in TARGETS.items()
    ]


def measure(effort: Effort) -> Result:
    """Three or four models, or a small one."""
    result = Result("saturation", settings={"in flight": 4 * usable_cores(), "submitting threads": 1})
    chosen = (
        [models.small()] if effort.quick else [models.lite0(), real.minilm(), real.ocr(), real.resnet50()]
    )
    for model in chosen:
        _of_model(model, effort, result)
    return result
