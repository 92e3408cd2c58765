"""`headway run`: open the model, plan the preprocessing, classify, tally."""

from __future__ import annotations

import os
import warnings
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import headway
from headway._options import Hint
from headway._pictures import Color, Layout, Preprocessing, Resize

from ._errors import CliError
from ._inputs import Entry, Item, find_pictures, prepare, read_ahead
from ._labels import check_labels, read_labels
from ._plan import ModelInput, Plan, Wishes, make_plan
from ._records import open_records
from ._report import Report
from ._scores import BadScores, Scores
from ._via import VIAS, Outcome

if TYPE_CHECKING:
    from headway import InferenceSession


@dataclass(frozen=True, slots=True)
class RunOptions:
    """The command line of `headway run`."""

    model: Path
    inputs: Sequence[str]
    labels: str | None
    top: int
    via: str
    jsonl: str | None
    preset: str | None
    size: tuple[int, int] | None
    resize: Resize | None
    mean: tuple[float, ...] | None
    std: tuple[float, ...] | None
    pixel_range: str | None
    color: Color | None
    layout: Layout | None
    workers: int | None
    hint: Hint

    @property
    def wishes(self) -> Wishes:
        """What was asked of the preprocessing."""
        normalisation = self.mean, self.std, self.pixel_range
        return Wishes(self.preset, self.size, self.resize, *normalisation, self.color, self.layout)


def usable_cores() -> int:
    """The cores this process may run on."""
    affinity = getattr(os, "sched_getaffinity", None)
    return len(affinity(0)) if affinity else os.cpu_count() or 1


def window_for(hint: str, workers: int | None) -> int:
    """How many requests are kept in a session: two for each lane, at least four."""
    lanes = workers or (usable_cores() if hint == "throughput" else 1)
    return max(4, 2 * lanes)


def run_command(options: RunOptions) -> int:
    """Classify and return the exit status."""
    labels = read_labels(options.labels) if options.labels else None
    with ExitStack() as stack:
        report = Report(
            stack.enter_context(open_records(options.jsonl, [options.model, *options.inputs, options.labels]))
            if options.jsonl
            else None
        )
        try:
            _run_session(options, labels, report)
        except KeyboardInterrupt:
            # On its way here it cancelled what was still waiting in the session.
            report.line(str(report.tally))
            return 130
    report.line(str(report.tally))
    return 1 if report.tally.errors else 0


def _run_session(options: RunOptions, labels: list[str] | None, report: Report) -> None:
    window = window_for(options.hint, options.workers)
    with open_model(options.model, options.hint, options.workers, window) as session:
        plan = make_plan(_only_input(session), options.wishes)
        scores = Scores(session.get_outputs(), labels, options.top)
        if labels and scores.classes:
            check_labels(labels, scores.classes, str(options.labels))
        show_plan(plan, report)
        report.start()
        total = sum(1 for _ in find_pictures(options.inputs)) if report.animated else None
        with report.progress(total):
            entries = find_pictures(options.inputs)
            classify(session, entries, plan.preprocessing, scores, report, options.via, window)


@contextmanager
def open_model(path: Path, hint: Hint, workers: int | None, window: int) -> Iterator[InferenceSession]:
    """A session on this model, closed at the end; a CliError when the model cannot be loaded."""
    if not path.exists():
        raise CliError(f"no such model: {path}", status=2)
    try:
        session = headway.InferenceSession(str(path), hint=hint, workers=workers, queue_depth=window)
    except headway.HeadwayError as error:
        raise CliError(f"cannot load the model {path}: {error}") from error
    with session:
        yield session


def classify(
    session: InferenceSession,
    entries: Iterable[Entry],
    preprocessing: Preprocessing,
    scores: Scores,
    report: Report,
    via: str,
    window: int,
) -> None:
    """Every entry through the model by one convention, each with its line, all of them in the tally."""
    # What Pillow warns about either becomes a picture's error or does not matter to its pixels.
    warnings.filterwarnings("ignore", module=r"PIL\.")
    threads = min(4, usable_cores())
    pool = ThreadPoolExecutor(threads, thread_name_prefix="headway-read")
    read = partial(prepare, preprocessing=preprocessing)
    source = _counted(read_ahead(entries, read, pool, window + threads), report)
    wait = True
    try:
        VIAS[via](session, source, partial(_deliver, scores=scores, report=report), window)
    except KeyboardInterrupt:
        # Python may raise it just after a future's lock was taken, which is then never released: the thread that
        # was to set that future's result waits for ever, and so would whoever waits for that thread.
        wait = False
        raise
    finally:
        pool.shutdown(wait, cancel_futures=True)
        # Answers that an interruption left unpulled have no outcome here: they count as cancelled.
        dropped = session.stats().dropped
        report.tally.dropped += sum(count for why, count in dropped.items() if why != "unpulled")


def _counted(source: Iterator[Future[Item]], report: Report) -> Iterator[Future[Item]]:
    for future in source:
        report.tally.pushed += 1
        yield future


def _deliver(outcome: Outcome, *, scores: Scores, report: Report) -> None:
    if outcome.outputs is None:
        report.failure(outcome, outcome.error or "no answer")
        return
    undecided = scores.logits is None
    try:
        guesses = scores.best(outcome.outputs)
    except BadScores as error:
        report.failure(outcome, str(error))
        return
    if undecided:
        kind = "logits: softmax is applied for display" if scores.logits else "probabilities"
        report.line(f"  {'scores':<8} {kind}\n")
    report.picture(outcome, guesses)


def show_plan(plan: Plan, report: Report) -> None:
    """The preprocessing, a line for each value with where it came from."""
    report.line("preprocessing")
    for row in plan.rows:
        report.line(f"  {row.name:<8} {row.value:<44} {row.origin}")


def _only_input(session: InferenceSession) -> ModelInput:
    inputs: Sequence[ModelInput] = session.get_inputs()
    if len(inputs) != 1:
        names = ", ".join(node.name for node in inputs)
        raise CliError(f"the model has {len(inputs)} inputs ({names}); pictures go to a model with one")
    return inputs[0]
