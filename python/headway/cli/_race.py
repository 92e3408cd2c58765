"""Times the same frames through a plain onnxruntime loop and through every convention, in turns."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from concurrent.futures import Future
from dataclasses import dataclass, field
from importlib import import_module
from time import perf_counter
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from ._errors import CliError
from ._inputs import Item
from ._report import Report
from ._via import VIAS, Outcome

if TYPE_CHECKING:
    from headway import InferenceSession

# The machine's speed drifts over seconds, so everyone runs a slice of the frames before anyone runs the next.
_SLICE = 40
# Before every slice: the threads of the one before spin for some milliseconds more, which slows the next one.
_WARM_UP = 8


class Frame(NamedTuple):
    """A preprocessed picture."""

    number: int
    array: NDArray[Any]


class Answer(NamedTuple):
    """What became of a frame, and how long its caller waited for it."""

    number: int
    scores: NDArray[Any]
    latency_ms: float


_Runner = Callable[[Sequence[Frame]], list[Answer]]


@dataclass(slots=True)
class Contender:
    """One row of the table."""

    name: str
    hint: str
    run: _Runner
    ours: bool = True
    seconds: float = 0.0
    latencies: list[float] = field(default_factory=list)
    answers: dict[int, NDArray[Any]] = field(default_factory=dict)

    @property
    def frames_per_second(self) -> float:
        """Frames over the time that this contender's own slices took."""
        return len(self.latencies) / self.seconds

    def percentile(self, share: float) -> float:
        """The latency in ms that this share (0..100) of the frames stayed under."""
        return float(np.percentile(self.latencies, share))

    def run_slice(self, frames: Sequence[Frame]) -> None:
        """Run and time these frames."""
        start = perf_counter()
        answers = self.run(frames)
        self.seconds += perf_counter() - start
        for answer in answers:
            self.latencies.append(answer.latency_ms)
            self.answers[answer.number] = answer.scores


@dataclass(slots=True)
class Race:
    """All contenders over all frames."""

    contenders: list[Contender]
    frames: list[Frame]

    @property
    def total(self) -> int:
        """How many requests that makes, warm-up left out."""
        return len(self.contenders) * len(self.frames)

    def run(self, report: Report) -> None:
        """Take turns, each warmed up before; our own frames are entered in the tally."""
        for turn, start in enumerate(range(0, len(self.frames), _SLICE)):
            frames = self.frames[start : start + _SLICE]
            first = turn % len(self.contenders)
            # Everyone is first, and follows everyone's cooling threads, equally often.
            for contender in self.contenders[first:] + self.contenders[:first]:
                if contender.ours:
                    report.tally.pushed += len(frames)
                contender.run(self.frames[:_WARM_UP])
                contender.run_slice(frames)
                if contender.ours:
                    report.tally.pulled += len(frames)
                report.advance(len(frames))

    def largest_difference(self) -> float:
        """How far any answer is from the first contender's to the same frame."""
        expected = self.contenders[0].answers
        return max(
            float(np.abs(scores - expected[index]).max())
            for contender in self.contenders
            for index, scores in contender.answers.items()
        )


def plain_loop(model: str) -> Contender:
    """A loop over `onnxruntime.InferenceSession.run` with its defaults: all cores for each request."""
    session = import_module("onnxruntime").InferenceSession(model, providers=["CPUExecutionProvider"])
    name = session.get_inputs()[0].name

    def run(frames: Sequence[Frame]) -> list[Answer]:
        answers = []
        for frame in frames:
            start = perf_counter()
            scores = session.run(None, {name: frame.array})[0]
            answers.append(Answer(frame.number, scores, (perf_counter() - start) * 1e3))
        return answers

    return Contender("onnxruntime loop", "defaults", run, ours=False)


def session_contender(name: str, hint: str, session: InferenceSession, window: int) -> Contender:
    """One of Headway's conventions; `run` is the blocking one."""

    def run(frames: Sequence[Frame]) -> list[Answer]:
        outcomes: list[Outcome] = []
        source = iter([_ready(frame) for frame in frames])
        VIAS[name](session, source, outcomes.append, window)
        return [_answer(frame, outcome) for frame, outcome in zip(frames, outcomes, strict=True)]

    return Contender(f"headway {name}", hint, run)


def _ready(frame: Frame) -> Future[Item]:
    future: Future[Item] = Future()
    future.set_result(Item(str(frame.number), frame.array, None, 0.0))
    return future


def _answer(frame: Frame, outcome: Outcome) -> Answer:
    if outcome.outputs is None or outcome.infer_ms is None:
        raise CliError(f"frame {frame.number} failed: {outcome.error}")
    return Answer(frame.number, outcome.outputs[0], outcome.infer_ms)
