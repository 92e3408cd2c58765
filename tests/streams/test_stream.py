"""`stream`: feeds in, results out, with bounded look-ahead."""

from __future__ import annotations

import concurrent.futures
import operator
import signal
import sys
import threading
from collections.abc import Iterator
from types import FrameType
from typing import Any

import numpy as np
import pytest

import headway

from ..conftest import Make
from ..support import X, assert_conserved, until

pytestmark = pytest.mark.timeout(30)

WRONG = {"x": np.zeros((1, 3), np.int64)}


class Source:
    """An iterator that counts what was read of it."""

    def __init__(self, count: int) -> None:
        self.read = 0
        self._count = count

    def __iter__(self) -> Source:
        return self

    def __next__(self) -> Any:
        if self.read >= self._count:
            raise StopIteration
        self.read += 1
        return X + self.read - 1


def numbers(results: Any) -> list[float]:
    return [float(result[0][0, 0]) for result in results]


@pytest.mark.parametrize("overflow", ["block", "raise", "drop_oldest", "drop_newest"])
@pytest.mark.parametrize("depth", [None, 1, 2, 50])
def test_in_order_and_never_in_its_own_way(depth: int | None, overflow: str, fake: Make) -> None:
    session, _ = fake(held=False, workers=2, overflow=overflow)
    assert numbers(session.stream(Source(300), depth=depth)) == list(range(300))
    stats = assert_conserved(session)
    assert (stats.done, stats.dropped, stats.rejected) == (300, {}, 0)


def test_an_empty_source(fake: Make) -> None:
    session, _ = fake()
    assert list(session.stream([])) == []


@pytest.mark.parametrize("depth", [1, 3, 7])
def test_look_ahead_is_bounded(depth: int, fake: Make) -> None:
    session, engine = fake(queue_depth=16)
    source = Source(100)
    stream = session.stream(source, depth=depth)
    assert source.read == 0
    thread = threading.Thread(target=next, args=(stream,))
    thread.start()
    until(lambda: source.read == depth, "the look-ahead is full")
    engine.wait_running(1)
    assert (source.read, session.stats().submitted) == (depth, depth)
    engine.open()
    thread.join()
    assert source.read == depth
    stream.close()


def test_a_slow_source_is_read_one_feed_ahead(fake: Make) -> None:
    session, _ = fake(held=False)
    source = Source(20)

    def slow() -> Iterator[Any]:
        for feed in source:
            yield feed
            # It takes longer than the model: what was given has ended before the next is read. The counters say so
            # before the stream can see it.
            until(lambda: all(future.done() for future in stream._window), "the feed's end")

    stream: Any = session.stream(slow(), depth=8)
    for place, result in enumerate(stream):
        assert numbers([result]) == [place]
        assert source.read <= place + 2


def test_unordered_gives_what_has_ended(fake: Make) -> None:
    second = threading.Event()

    def model(feed: dict[str, Any]) -> list[Any]:
        if feed["x"][0, 0] == 0:
            second.wait()
        return [feed["x"]]

    with headway.InferenceSession(model, inputs=["x"], outputs=["y"], workers=2) as session:
        stream = session.stream(Source(3), ordered=False)
        first = numbers([next(stream), next(stream)])
        assert sorted(first) == [1, 2]
        second.set()
        assert numbers(stream) == [0]


@pytest.mark.parametrize("ordered", [True, False])
def test_errors_in_their_place(ordered: bool, fake: Make) -> None:
    session, engine = fake(held=False)
    engine.fail_nth(2, "told to fail")
    feeds = [X, WRONG, X + 1, X + 2, X + 3]
    items = list(session.stream(feeds, on_error="yield", ordered=ordered))
    kinds = [type(item) for item in items]
    if ordered:
        assert kinds == [list, headway._errors.InvalidArgument, list, headway.EngineError, list] or kinds == [
            list,
            headway.InputError,
            list,
            headway.EngineError,
            list,
        ]
    assert len(items) == 5
    assert sorted(numbers(item for item in items if isinstance(item, list))) == [0, 1, 3]


def test_the_first_error_ends_it_and_cancels_the_rest(fake: Make) -> None:
    session, engine = fake(queue_depth=16)
    engine.fail_nth(1, "told to fail")
    stream = session.stream(Source(100), depth=6)

    def release() -> None:
        # Not before: what has ended already is given before more is read.
        until(lambda: session.stats().submitted == 6, "the look-ahead is full")
        engine.release(2)

    thread = threading.Thread(target=release)
    thread.start()
    assert numbers([next(stream)]) == [0]
    thread.join()
    with pytest.raises(headway.EngineError, match="told to fail"):
        next(stream)
    assert list(stream) == []
    until(lambda: session.stats().running == 0, "the lane is free")
    stats = assert_conserved(session)
    assert stats.cancelled == stats.submitted - 2 > 0


def test_closing_it_cancels_what_it_had_submitted(fake: Make) -> None:
    session, engine = fake(queue_depth=16)
    mine = session.submit(X)
    engine.wait_running(1)
    engine.release()
    mine.result()
    stream = session.stream(Source(100), depth=6)
    engine.release()
    next(stream)
    other = session.submit(X)
    stream.close()
    until(lambda: session.stats().running <= 1, "the lane is free")
    stats = assert_conserved(session)
    assert stats.cancelled == stats.submitted - 3
    assert list(stream) == []
    engine.open()
    assert other.result()[0].tolist() == X.tolist()


def test_leaving_it_to_the_garbage_collector_cancels(fake: Make) -> None:
    session, engine = fake(queue_depth=16)

    def feeds() -> Iterator[Any]:
        for place in range(100):
            if place == 3:
                # Not before: nothing is read ahead of a result that is there.
                engine.release()
            yield X

    for _ in session.stream(feeds(), depth=6):
        break
    until(lambda: session.stats().running == 0, "the lane is free")
    stats = assert_conserved(session)
    assert stats.cancelled == stats.submitted - 1 >= 3


@pytest.mark.parametrize("ordered", [True, False])
def test_a_source_that_raises_ends_it_after_the_results_before(ordered: bool, fake: Make) -> None:
    session, _ = fake(held=False)

    def feeds() -> Iterator[Any]:
        yield X
        yield X + 1
        raise KeyError("mine")

    stream = session.stream(feeds(), ordered=ordered, depth=8)
    assert sorted(numbers([next(stream), next(stream)])) == [0, 1]
    with pytest.raises(KeyError, match="mine"):
        next(stream)
    assert list(stream) == []


@pytest.mark.parametrize("error", [KeyboardInterrupt, SystemExit])
def test_a_source_that_is_interrupted_ends_it_at_once(error: type[BaseException], fake: Make) -> None:
    session, _ = fake()

    def feeds() -> Iterator[Any]:
        yield X
        raise error("mine")

    stream = session.stream(feeds(), depth=8)
    # The engine holds the first feed: nobody waits for it.
    with pytest.raises(error, match="mine"):
        next(stream)
    assert list(stream) == []
    assert assert_conserved(session).cancelled == 1


def signal_it(number: int, ordered: bool) -> threading.Thread:
    """Sends the signal to the main thread as soon as that waits in a stream."""
    main = threading.main_thread().ident or 0

    def waits() -> bool:
        frame: FrameType | None = sys._current_frames()[main]
        while frame is not None and frame.f_code.co_name != ("_ending" if ordered else "_take"):
            frame = frame.f_back
        return frame is not None

    def send() -> None:
        until(waits, "the main thread waits")
        signal.pthread_kill(main, number)

    thread = threading.Thread(target=send)
    thread.start()
    return thread


def test_interrupted_while_it_waits(fake: Make) -> None:
    session, engine = fake()
    for ordered in (True, False):
        thread = signal_it(signal.SIGINT, ordered)
        stream = session.stream(Source(4), ordered=ordered)
        with pytest.raises(KeyboardInterrupt):
            next(stream)
        thread.join()
        stream.close()
        until(lambda: session.stats().running == 0, "the lane is free")
        # Or the next thread would take this round's request, which the engine has yet to leave, for its own.
        until(lambda: engine.counts.running == 0, "the engine is at rest")
    stats = assert_conserved(session)
    assert stats.cancelled == stats.submitted == 8


@pytest.mark.parametrize("ordered", [True, False])
def test_what_a_signals_handler_raises_is_no_items_error(ordered: bool, fake: Make) -> None:
    session, _ = fake()

    class Alarm(Exception):
        pass

    def raising(*_: object) -> None:
        raise Alarm

    before = signal.signal(signal.SIGALRM, raising)
    thread = signal_it(signal.SIGALRM, ordered)
    try:
        with pytest.raises(Alarm):
            next(session.stream(Source(4), ordered=ordered, on_error="yield"))
    finally:
        thread.join()
        signal.signal(signal.SIGALRM, before)
    until(lambda: session.stats().running == 0, "the lane is free")
    assert assert_conserved(session).done == 0


def test_length_hint(fake: Make) -> None:
    session, _ = fake(held=False)
    stream = session.stream([X] * 5)
    assert operator.length_hint(stream) == 5
    next(stream)
    assert operator.length_hint(stream) == 4
    assert len(list(stream)) == 4
    assert operator.length_hint(stream) == 0
    assert operator.length_hint(session.stream(feed for feed in [X]), 7) == 7


def test_length_hint_of_one_that_has_ended_early(fake: Make) -> None:
    session, _ = fake(held=False)
    failed = session.stream([X, WRONG, X, X])
    with pytest.raises(headway.InputError):
        list(failed)
    closed = session.stream([X] * 4)
    next(closed)
    closed.close()
    assert [operator.length_hint(failed), operator.length_hint(closed)] == [0, 0]
    assert list(failed) == list(closed) == []


def test_nothing_comes_after_a_gap_that_was_raised(fake: Make) -> None:
    session, engine = fake(workers=1, queue_depth=4, overflow="drop_oldest")
    stream = session.stream(Source(4), depth=4)
    ahead = threading.Thread(target=lambda: next(stream))
    ahead.start()
    engine.wait_running(1)
    until(lambda: session.stats().waiting == 3, "the look-ahead")
    for _ in range(3):
        # Two of the stream's are pushed out, and one of these.
        session.submit(X + 9)
    engine.open()
    ahead.join()
    with pytest.raises(headway.Dropped):
        list(stream)
    assert list(stream) == []


def test_dropped_neighbours_are_one_gap(fake: Make) -> None:
    session, engine = fake(overflow="drop_oldest", queue_depth=3)
    stream = session.stream(Source(6), depth=3, on_error="yield")
    items: list[Any] = []
    thread = threading.Thread(target=lambda: items.extend(stream))
    thread.start()
    engine.wait_running(1)
    until(lambda: session.stats().submitted == 3, "the look-ahead is full")
    # Other callers push both of its waiting frames out.
    others = [session.submit(X + 100) for _ in range(3)]
    engine.open()
    thread.join()
    gap = items[1]
    assert isinstance(gap, headway.Dropped)
    assert (gap.count, gap.reason) == (2, "overflow")
    assert numbers(items[:1] + items[2:]) == [0, 3, 4, 5]
    assert all(other.done() for other in others)


def test_a_gap_at_the_end(fake: Make) -> None:
    session, engine = fake(overflow="drop_oldest", queue_depth=2)
    stream = session.stream(Source(2), depth=2)
    items: list[Any] = []

    def work() -> None:
        try:
            items.extend(stream)
        except headway.Dropped as gap:
            items.append(gap)

    thread = threading.Thread(target=work)
    thread.start()
    engine.wait_running(1)
    until(lambda: session.stats().submitted == 2, "the look-ahead is full")
    others = [session.submit(X) for _ in range(2)]
    engine.open()
    thread.join()
    assert isinstance(items[-1], headway.Dropped)
    assert [other.result()[0].tolist() for other in others] == [X.tolist()] * 2


def test_cancelled_by_somebody_else(fake: Make) -> None:
    session, engine = fake()
    stream = session.stream(Source(4), depth=2, on_error="yield")
    thread = threading.Thread(target=lambda: (engine.wait_running(1), session.cancel_all(), engine.open()))
    thread.start()
    items = list(stream)
    thread.join()
    assert isinstance(items[0], concurrent.futures.CancelledError)
    assert len(items) == 4
    assert_conserved(session)


@pytest.mark.parametrize("options", [{"depth": 0}, {"depth": -1}, {"depth": 1.5}, {"on_error": "ignore"}])
def test_options_that_make_no_sense(options: dict[str, Any], fake: Make) -> None:
    session, _ = fake()
    with pytest.raises(ValueError, match=next(iter(options))):
        session.stream([X], **options)


def test_many_streams_at_once_do_not_mix(fake: Make) -> None:
    session, _ = fake(held=False, workers=2)
    wrong: list[Any] = []

    def drive(place: int) -> None:
        feeds = (X + 1000 * place + number for number in range(100))
        got = numbers(session.stream(feeds, ordered=place % 2 == 0, stream=place))
        if sorted(got) != [1000 * place + number for number in range(100)] or (
            place % 2 == 0 and got != sorted(got)
        ):
            wrong.append(got)

    threads = [threading.Thread(target=drive, args=(place,)) for place in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not wrong
    assert assert_conserved(session).done == 600
