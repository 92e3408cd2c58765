"""Answers equal onnxruntime's own, bit for bit, on the same model, options and thread count."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import onnxruntime
import pytest

import headway

from ..models import CASES, SILERO, Case, path, silero_feeds
from .conventions import CONVENTIONS, Answer, Convention, Feed, by_run, by_run_async, by_submit

#: How a session is made, and onnxruntime's threads that it comes to.
SETTINGS: dict[str, tuple[dict[str, Any], int]] = {
    "intra=1": ({"sess_options": 1}, 1),
    "intra=2": ({"sess_options": 2}, 2),
    "throughput": ({"hint": "throughput"}, 1),
}


class Pair(NamedTuple):
    """A session, and what onnxruntime itself answers to each feed."""

    session: headway.InferenceSession
    feeds: list[Feed]
    expected: list[Answer]


def reference(model: bytes | Path, threads: int) -> onnxruntime.InferenceSession:
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    options.inter_op_num_threads = 1
    return onnxruntime.InferenceSession(model, options, providers=["CPUExecutionProvider"])


def session_for(model: bytes | Path, settings: str) -> headway.InferenceSession:
    given = dict(SETTINGS[settings][0])
    if threads := given.pop("sess_options", None):
        given["sess_options"] = options = headway.SessionOptions()
        options.intra_op_num_threads = threads
        options.inter_op_num_threads = 1
    return headway.InferenceSession(model, **given)


def assert_same(ours: Answer, theirs: Answer) -> None:
    """The same outputs of the same types and shapes, and the same bits in them."""
    assert len(ours) == len(theirs)
    for one, other in zip(ours, theirs, strict=True):
        assert (one.dtype, one.shape) == (other.dtype, other.shape)
        if other.dtype == object:
            assert one.tolist() == other.tolist()
        else:
            assert one.tobytes() == other.tobytes()


@pytest.fixture(
    scope="module",
    params=[(case, settings) for case in CASES for settings in SETTINGS],
    ids=lambda value: f"{value[0].name}-{value[1]}",
)
def pair(request: pytest.FixtureRequest) -> Iterator[Pair]:
    case: Case
    case, settings = request.param
    model, feeds = case.model(), case.feeds()
    theirs = reference(model, SETTINGS[settings][1])
    expected = [theirs.run(None, feed) for feed in feeds]
    with session_for(model, settings) as session:
        yield Pair(session, feeds, expected)


@pytest.mark.parametrize("convention", CONVENTIONS.values(), ids=CONVENTIONS)
def test_answers_equal_onnxruntimes(pair: Pair, convention: Convention) -> None:
    answers = convention(pair.session, pair.feeds)
    assert len(answers) == len(pair.expected)
    for ours, theirs in zip(answers, pair.expected, strict=True):
        assert_same(ours, theirs)


def test_feeds_of_a_case_have_different_answers() -> None:
    """Else an answer handed to the wrong request would pass."""
    for case in CASES:
        theirs = reference(case.model(), 1)
        answers = [repr([output.tolist() for output in theirs.run(None, feed)]) for feed in case.feeds()]
        assert len(set(answers)) == len(answers), case.name


def test_outputs_stay_right_after_more_requests_and_after_close() -> None:
    """Outputs live in pooled memory: what is still held must not be handed out again."""
    case = next(case for case in CASES if case.name == "ocr")
    feeds = case.feeds()
    theirs = reference(case.model(), 1)
    with session_for(case.model(), "intra=1") as session:
        answers = [answer for _ in range(4) for answer in session.stream(feeds)]
    for ours, theirs_ in zip(answers, [theirs.run(None, feed) for feed in feeds] * 4, strict=True):
        assert_same(ours, theirs_)


# ---- carried state --------------------------------------------------------------------------------------------------

CHUNKS = 200


def follow(call: Any) -> list[Answer]:
    """Calls silero-vad on the recording, each time with the state that came out of the call before."""
    feeds = silero_feeds(CHUNKS, start=1.0)
    answers = [call(next(feeds))]
    while len(answers) < CHUNKS:
        answers.append(call(feeds.send(answers[-1])))
    return answers


@pytest.mark.parametrize("convention", CONVENTIONS.values(), ids=CONVENTIONS)
@pytest.mark.parametrize("settings", SETTINGS)
def test_carried_state_equals_onnxruntimes(settings: str, convention: Convention) -> None:
    theirs = follow(lambda feed: reference_silero(SETTINGS[settings][1]).run(None, feed))
    with session_for(path(SILERO), settings) as session:
        ours = follow(lambda feed: convention(session, [feed])[0])
    for one, other in zip(ours, theirs, strict=True):
        assert_same(one, other)
    speech = np.array([answer[0].item() for answer in theirs])
    assert (speech > 0.5).mean() > 0.3, "the recording is speech"
    assert speech.min() < 0.2, "with pauses"


_references: dict[int, onnxruntime.InferenceSession] = {}


def reference_silero(threads: int) -> onnxruntime.InferenceSession:
    if threads not in _references:
        _references[threads] = reference(path(SILERO), threads)
    return _references[threads]


@pytest.mark.parametrize("settings", SETTINGS)
def test_one_stream_carries_its_own_state(settings: str) -> None:
    """With a look-ahead of one, the source of a stream may use the answer before."""
    theirs = follow(lambda feed: reference_silero(SETTINGS[settings][1]).run(None, feed))
    source = silero_feeds(CHUNKS, start=1.0)
    last: list[Answer] = []

    def feeds() -> Iterator[Feed]:
        yield next(source)
        for _ in range(CHUNKS - 1):
            yield source.send(last.pop())

    with session_for(path(SILERO), settings) as session:
        for number, answer in enumerate(session.stream(feeds(), depth=1)):
            last.append(answer)
            assert_same(answer, theirs[number])
        assert session.stats().done == CHUNKS


# ---- many threads ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["ocr", "minilm", "words"])
@pytest.mark.parametrize("settings", SETTINGS)
def test_threads_on_one_session_get_their_own_answers(name: str, settings: str) -> None:
    case = next(case for case in CASES if case.name == name)
    feeds = case.feeds()
    theirs = reference(case.model(), SETTINGS[settings][1])
    expected = [theirs.run(None, feed) for feed in feeds]
    with session_for(case.model(), settings) as session, ThreadPoolExecutor(3) as pool:
        calls = (by_run, by_submit, by_run_async)
        for answers in [pool.submit(call, session, feeds * 2) for call in calls]:
            for ours, other in zip(answers.result(), expected * 2, strict=True):
                assert_same(ours, other)
