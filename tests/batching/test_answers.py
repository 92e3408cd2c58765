"""Joined requests get the answers that they get alone, through every convention, whatever they are mixed with."""

from __future__ import annotations

import asyncio
import threading
from typing import Any

import numpy as np
import pytest

import headway
from headway import Batching

from ..models import SILERO, path, silero_feeds
from ..support import assert_conserved
from .models import answers, lookup, perceptron, picked, scaled

NEVER = 60.0
"""A window that only a full batch, or somebody who waits, ends in a test's time."""


def _rows(count: int, width: int = 32) -> list[dict[str, Any]]:
    numbers = np.random.default_rng(1)
    return [{"x": numbers.standard_normal((1 + at % 3, width), np.float32)} for at in range(count)]


def _same(ours: Any, theirs: Any) -> None:
    """Of the same dtype and shape, and equal but for the order in which a larger product adds up its terms."""
    for one, other in zip(ours, theirs, strict=True):
        assert (one.dtype, one.shape) == (other.dtype, other.shape)
        np.testing.assert_allclose(one, other, rtol=1e-5, atol=1e-6)


def test_a_full_batch_is_one_run() -> None:
    feeds = [{"x": np.full((1, 32), number, np.float32)} for number in range(4)]
    with headway.InferenceSession(perceptron(), workers=1, batching=Batching(4, NEVER)) as session:
        for _ in range(2):  # The first batch only shows that the outputs are as long as it.
            futures = [session.submit(feed) for feed in feeds]
            for future, expected in zip(futures, answers(perceptron(), feeds), strict=True):
                _same(future.result(), expected)
        stats = session.stats()
        assert stats.batching is not None
        assert (stats.batching.runs, stats.batching.mean_size) == (2, 4.0)
        assert stats.batching.released == {"full": 2}
        assert (stats.done, [lane.runs for lane in stats.lanes if lane.worker]) == (8, [2])
        assert stats.batching.enabled and stats.batching.off_reason is None and stats.batching.cost[4] > 0


def test_the_window_ends_by_itself() -> None:
    with headway.InferenceSession(perceptron(), workers=1, batching=Batching(8, 0.02)) as session:
        done = threading.Event()
        future = session.submit(_rows(1)[0])
        future.add_done_callback(lambda _: done.set())
        assert done.wait(20)
        assert session.stats().batching.released == {"delay": 1}  # type: ignore[union-attr]


def test_closing_waits_for_nobody() -> None:
    with headway.InferenceSession(perceptron(), workers=1, batching=Batching(8, NEVER)) as session:
        futures = [session.submit(feed) for feed in _rows(3)]
    assert all(future.done() and not future.exception() for future in futures)


@pytest.mark.parametrize("workers", [1, 2])
def test_all_conventions_at_once(workers: int) -> None:
    model, feeds = perceptron(), _rows(240)
    expected = answers(model, feeds)
    found: dict[int, Any] = {}
    with headway.InferenceSession(
        model, workers=workers, queue_depth=32, batching=Batching(8, 0.001)
    ) as session:

        def blocking(part: range) -> None:
            for at in part:
                found[at] = session.run(None, feeds[at])

        def futures(part: range) -> None:
            pending = {at: session.submit(feeds[at], stream=at % 5) for at in part}
            found.update({at: future.result() for at, future in pending.items()})

        def awaited(part: range) -> None:
            async def main() -> None:
                some = await asyncio.gather(*(session.arun(None, feeds[at]) for at in part))
                found.update(zip(part, some, strict=True))

            asyncio.run(main())

        def streamed(part: range) -> None:
            found.update(zip(part, session.stream(feeds[at] for at in part), strict=True))

        def called_back(part: range) -> None:
            order: list[int] = []

            def callback(results: Any, at: int, err: str) -> None:
                found[at] = results
                order.append(at)

            for at in part:
                session.run_async(["y"], feeds[at], callback, at)
            while len(order) < len(part):
                session.run(None, feeds[part[0]])
            assert order == list(part)

        ways = (blocking, futures, awaited, streamed, called_back, blocking)
        threads = [
            threading.Thread(target=way, args=(range(at * 40, at * 40 + 40),)) for at, way in enumerate(ways)
        ]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert_conserved(session)
    for at, own in enumerate(expected):
        _same(found[at], own)


def test_only_the_guilty_fails() -> None:
    indices = [0, 2, 99, 1]
    with headway.InferenceSession(lookup(), workers=1, batching=Batching(4, NEVER)) as session:
        for _ in range(3):
            futures = [session.submit(np.array([index])) for index in indices]
            with pytest.raises(headway.EngineError, match="out of data bounds"):
                futures[2].result()
            assert [float(futures[at].result()[0][0]) for at in (0, 1, 3)] == [10, 30, 20]
        assert (session.stats().done, session.stats().failed) == (9, 3)


def test_an_inner_axis_and_a_shared_number() -> None:
    numbers = np.random.default_rng(2)
    feeds = [
        {"x": numbers.standard_normal((2, 1 + at % 2, 3), np.float32), "factor": np.float32(at % 3)}
        for at in range(24)
    ]
    feeds = [{**feed, "factor": np.array(feed["factor"])} for feed in feeds]
    batching = Batching(8, NEVER, {"x": 1, "y": 1})
    with headway.InferenceSession(scaled(), workers=1, queue_depth=24, batching=batching) as session:
        futures = [session.submit(feed) for feed in feeds]
        for future, expected in zip(futures, answers(scaled(), feeds), strict=True):
            assert future.result()[0].tobytes() == expected[0].tobytes()


def test_a_wrong_axis_of_an_output_ends_batching_and_harms_nobody() -> None:
    keep = np.array([True, True])
    feeds = [{"x": np.full((2, 1, 3), at, np.float32), "keep": keep} for at in range(4)]
    batching = Batching(2, NEVER, {"x": 1, "keep": None})
    with headway.InferenceSession(picked(), workers=1, batching=batching) as session:
        for future, own in zip([session.submit(feed) for feed in feeds], feeds, strict=True):
            assert future.result()[0].tolist() == own["x"].tolist()
        found = session.stats().batching
        assert found is not None and not found.enabled and found.off_reason is not None
        assert "output 'y' has length 2 on axis 0 for 1 rows; give its axis in Batching" in found.off_reason


def test_what_cannot_be_joined_runs_alone() -> None:
    feed = _rows(1)[0]
    with headway.InferenceSession(perceptron(), workers=1, batching=Batching(8, NEVER)) as session:
        options = headway.RunOptions()
        values = {"x": headway.OrtValue.ortvalue_from_numpy(feed["x"])}
        binding = session.io_binding()
        binding.bind_cpu_input("x", feed["x"])
        binding.bind_output("y")
        alone = [session.submit(feed, run_options=options), session.submit_with_iobinding(binding)]
        for future in alone:
            future.result()
        assert session.stats().batching.released == {"alone": 2}  # type: ignore[union-attr]
        assert len(session.run_with_ort_values(None, values)) == 1


def test_a_cancelled_neighbour() -> None:
    feeds = _rows(3)[:1] * 3
    with headway.InferenceSession(perceptron(), workers=1, batching=Batching(8, NEVER)) as session:
        futures = [session.submit(feed) for feed in feeds]
        assert futures[1].cancel()
        for at in (0, 2):
            _same(futures[at].result(), answers(perceptron(), feeds[:1])[0])


def test_silero_over_eight_streams_equals_the_sequential_loop() -> None:
    chunks, streams = 24, 8
    starts = [0.9 * at for at in range(streams)]
    loops = [silero_feeds(chunks, start) for start in starts]
    own = [silero_feeds(chunks, start) for start in starts]
    with headway.InferenceSession(path(SILERO)) as session:
        expected = [_follow(session, loop) for loop in loops]
    batching = Batching(8, 0.05, {"state": 1, "stateN": 1})
    found: list[list[Any]] = [[] for _ in range(streams)]
    with headway.InferenceSession(path(SILERO), workers=1, serial=True, batching=batching) as session:
        feeds = [next(one) for one in own]
        for chunk in range(chunks):
            futures = [session.submit(feed, stream=at) for at, feed in enumerate(feeds)]
            for at, future in enumerate(futures):
                answer = future.result()
                found[at].append(answer)
                if chunk + 1 < chunks:
                    feeds[at] = own[at].send(answer)
        stats = assert_conserved(session)
        assert stats.batching is not None and stats.batching.runs < chunks * streams
    for mine, theirs in zip(found, expected, strict=True):
        for one, other in zip(mine, theirs, strict=True):
            for left, right in zip(one, other, strict=True):
                assert left.shape == right.shape
                np.testing.assert_allclose(left, right, rtol=0, atol=1e-6)


def _follow(session: headway.InferenceSession, loop: Any) -> list[list[Any]]:
    found, feed = [], next(loop)
    try:
        while True:
            found.append(session.run(None, feed))
            feed = loop.send(found[-1])
    except StopIteration:
        return found
