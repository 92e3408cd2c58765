"""silero-vad keeps its meaning: several recordings at once give exactly the answers of one after the other."""

from __future__ import annotations

import asyncio
import functools
import threading
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

import headway

from ..models.files import path
from ..models.speech import RATE, SILERO, recording, silero_feeds
from ..support import PATIENCE, assert_conserved

pytestmark = pytest.mark.timeout(60)

CHUNKS, SPEAKERS = 120, 5

Session = headway.InferenceSession


def starts() -> list[float]:
    """Where in the minute each speaker's recording begins, in seconds."""
    return [place * 9.0 for place in range(SPEAKERS)]


def loop(session: Session, start: float, call: Any) -> NDArray[np.float32]:
    """The plain sequential loop: `call(feed)` gives the answer that makes the next feed."""
    feeds = silero_feeds(CHUNKS, start)
    answers: list[float] = []
    feed = next(feeds)
    while True:
        answer = call(feed)
        answers.append(float(answer[0].item()))
        try:
            feed = feeds.send(answer)
        except StopIteration:
            return np.array(answers, np.float32)


@functools.cache
def sequential() -> list[NDArray[np.float32]]:
    with Session(str(path(SILERO))) as session:
        return [loop(session, start, lambda feed: session.run(None, feed)) for start in starts()]


def assert_same(found: list[Any]) -> None:
    for speaker, (ours, plain) in enumerate(zip(found, sequential(), strict=True)):
        assert np.array_equal(ours, plain), f"speaker {speaker}"


@pytest.fixture
def session(leaks: None) -> Any:
    with Session(str(path(SILERO)), serial=True, hint="throughput", queue_depth=16) as session:
        yield session
        session.close()
        assert {key: counters.done for key, counters in session.stats().streams.items()} == dict.fromkeys(
            range(SPEAKERS), CHUNKS
        )
        assert_conserved(session)


def test_speech_is_heard() -> None:
    for answers in sequential():
        assert answers.min() < 0.3 and answers.max() > 0.9


def test_the_packages_sequence_model_agrees() -> None:
    """It takes all chunks with their contexts at once, and carries the state itself."""
    rest = np.zeros((1, 1, 128), np.float32)
    with Session(str(path("silero_vad_16k_sequence.onnx"))) as session:
        for start, answers in zip(starts(), sequential(), strict=True):
            first = int(start * RATE)
            samples = np.concatenate([np.zeros(64, np.float32), recording()[first : first + CHUNKS * 512]])
            windows = np.stack([samples[place * 512 : place * 512 + 576] for place in range(CHUNKS)])
            probabilities = session.run(["speech_probs"], {"input": windows, "h": rest, "c": rest})[0]
            # Another graph over the same weights: the same numbers but for rounding.
            np.testing.assert_allclose(probabilities, answers, atol=1e-5)


def test_threads(session: Session) -> None:
    found: list[Any] = [None] * SPEAKERS

    def drive(speaker: int, start: float) -> None:
        found[speaker] = loop(session, start, lambda feed: session.submit(feed, stream=speaker).result())

    threads = [threading.Thread(target=drive, args=pair) for pair in enumerate(starts())]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(PATIENCE)
    assert_same(found)


def test_tasks(session: Session) -> None:
    async def drive(speaker: int, start: float) -> NDArray[np.float32]:
        feeds = silero_feeds(CHUNKS, start)
        answers, feed = [], next(feeds)
        while True:
            answer = await session.arun(None, feed, stream=speaker)
            answers.append(float(answer[0].item()))
            try:
                feed = feeds.send(answer)
            except StopIteration:
                return np.array(answers, np.float32)

    async def main() -> list[Any]:
        return await asyncio.gather(*(drive(speaker, start) for speaker, start in enumerate(starts())))

    assert_same(asyncio.run(main()))


def test_callbacks(session: Session) -> None:
    found: list[list[float]] = [[] for _ in range(SPEAKERS)]
    left = threading.Semaphore(0)

    def drive(speaker: int, start: float) -> None:
        feeds = silero_feeds(CHUNKS, start)

        def callback(results: Any, user_data: Any, err: str) -> None:
            assert not err
            found[speaker].append(float(results[0].item()))
            try:
                feed = feeds.send(results)
            except StopIteration:
                left.release()
            else:
                session.run_async(None, feed, callback, stream=speaker)

        session.run_async(None, next(feeds), callback, stream=speaker)

    for speaker, start in enumerate(starts()):
        drive(speaker, start)
    for _ in range(SPEAKERS):
        assert left.acquire(timeout=PATIENCE)
    assert_same([np.array(answers, np.float32) for answers in found])


def test_push_and_pull(session: Session) -> None:
    """One Run for all speakers: the answer that is pulled makes its speaker's next push."""
    found: list[list[float]] = [[] for _ in range(SPEAKERS)]
    loops = [silero_feeds(CHUNKS, start) for start in starts()]
    names = [node.name for node in session.get_outputs()]
    with session.open(queue_depth=SPEAKERS) as run:
        for speaker, feeds in enumerate(loops):
            run.push(next(feeds), stream_id=speaker)
        left = SPEAKERS
        while left:
            sample = run.pull(PATIENCE)
            assert isinstance(sample.stream_id, int)
            answer = [sample.data[name] for name in names]
            found[sample.stream_id].append(float(answer[0].item()))
            try:
                run.push(loops[sample.stream_id].send(answer), stream_id=sample.stream_id)
            except StopIteration:
                left -= 1
    assert_same([np.array(answers, np.float32) for answers in found])
    total = SPEAKERS * CHUNKS
    assert str(run.tally) == f"pushed={total} pulled={total} dropped=0 failed=0"
