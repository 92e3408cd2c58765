"""Random mixes of every convention against a reference model: order, conservation, bounds, and no answer astray."""

from __future__ import annotations

import threading
from collections import deque
from concurrent.futures import CancelledError
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import Bundle, RuleBasedStateMachine, consumes, invariant, rule

import headway
from headway.testing import FakeEngine

from ..support import PATIENCE, accounted, assert_conserved, until

pytestmark = pytest.mark.timeout(110)

DEPTH, DELIVERY, WORKERS = 4, 3, 2
KEYS = st.sampled_from([None, "a", "b", 7])
PRIORITIES = st.sampled_from([0, 0, 0, 1])


class Mixes(RuleBasedStateMachine):
    """The model: which number every request carries, and how many must have ended."""

    futures = Bundle("futures")
    runs = Bundle("runs")
    pipes = Bundle("pipes")
    streams = Bundle("streams")

    def __init__(self) -> None:
        super().__init__()
        self.engine = FakeEngine()
        self.session = headway.InferenceSession(
            self.engine, workers=WORKERS, queue_depth=DEPTH, delivery_depth=DELIVERY
        )
        self.number = 0
        #: Requests handed in: each gets a ticket or is rejected. One that stands in line for room has neither yet.
        self.asked = 0
        #: Expected callbacks of each key and priority, in order, and those that came.
        self.expected: dict[Any, list[int]] = {}
        self.called: dict[Any, list[int]] = {}
        self.astray: list[Any] = []

    def feed(self) -> tuple[int, dict[str, Any]]:
        """A feed that no other request has."""
        self.number += 1
        return self.number, {"x": np.full((1, 2), self.number, np.float32)}

    def check(self, number: int, outputs: Any) -> None:
        if outputs[0].tolist() != [[number, number]]:
            self.astray.append((number, outputs))

    @rule(key=KEYS, priority=PRIORITIES)
    def run(self, key: Any, priority: int) -> None:
        number, feed = self.feed()
        self.check(number, self.session.run(None, feed, stream=key, priority=priority))
        self.asked += 1

    @rule(target=futures, key=KEYS, priority=PRIORITIES, expired=st.booleans())
    def submit(self, key: Any, priority: int, expired: bool) -> Any:
        number, feed = self.feed()
        self.asked += 1
        limit: dict[str, Any] = {"timeout": 0} if expired else {}
        try:
            future = self.session.submit(feed, stream=key, priority=priority, **limit)
        except headway.DeadlineExceeded:
            # There was no room at that moment, and no time to wait for it.
            assert expired
            return number, None, expired
        return number, future, expired

    @rule(item=consumes(futures), how=st.sampled_from(["result", "wait", "as_completed", "cancel"]))
    def take(self, item: Any, how: str) -> None:
        number, future, expired = item
        if future is None:
            return
        if how == "cancel":
            future.cancel()
        elif how == "wait":
            assert headway.wait([future], timeout=PATIENCE).done == {future}
        elif how == "as_completed":
            assert list(headway.as_completed([future], timeout=PATIENCE)) == [future]
        try:
            self.check(number, future.result(PATIENCE))
            assert not expired
        except CancelledError:
            assert how == "cancel"
        except headway.DeadlineExceeded:
            assert expired

    @rule(key=KEYS, priority=PRIORITIES)
    def callback(self, key: Any, priority: int) -> None:
        number, feed = self.feed()
        order = (key, priority)
        self.expected.setdefault(order, []).append(number)

        def called(results: Any, user_data: Any, err: str) -> None:
            self.called.setdefault(order, []).append(user_data)
            self.check(user_data, results)

        self.session.run_async(None, feed, called, number, stream=key, priority=priority)
        self.asked += 1

    @rule()
    def wrong(self) -> None:
        with pytest.raises(headway.InputError):
            self.session.submit({"x": np.zeros((1, 2), np.int64)})
        self.asked += 1

    @rule(count=st.integers(0, 9), limit=st.integers(1, 4))
    def parallel(self, count: int, limit: int) -> None:
        pairs = [self.feed() for _ in range(count)]
        results = self.session.run_parallel([feed for _, feed in pairs], max_concurrency=limit)
        for (number, _), outputs in zip(pairs, results, strict=True):
            self.check(number, outputs)
        self.asked += count

    @rule(target=pipes, depth=st.integers(1, 7))
    def pipeline(self, depth: int) -> Any:
        return self.session.pipeline(depth), deque[int]()

    @rule(pipe=pipes)
    def push_frame(self, pipe: Any) -> None:
        pipeline, inside = pipe
        number, feed = self.feed()
        frame = pipeline.push(feed, tag=number)
        self.asked += 1
        inside.append(number)
        assert (frame is None) == (len(inside) <= pipeline.depth)
        if frame is not None:
            assert frame.tag == inside.popleft()
            self.check(frame.tag, frame.outputs)

    @rule(pipe=consumes(pipes), how=st.sampled_from(["drain", "close", "reset"]))
    def leave_pipeline(self, pipe: Any, how: str) -> None:
        pipeline, inside = pipe
        if how == "drain":
            for frame in pipeline:
                assert frame.tag == inside.popleft()
                self.check(frame.tag, frame.outputs)
            assert not inside
        else:
            getattr(pipeline, how)()

    @rule(count=st.integers(0, 12), taken=st.integers(0, 12), ordered=st.booleans(), depth=st.integers(1, 6))
    def stream(self, count: int, taken: int, ordered: bool, depth: int) -> None:
        read: list[int] = []

        def feeds() -> Any:
            for _ in range(count):
                number, feed = self.feed()
                read.append(number)
                yield feed

        stream = self.session.stream(feeds(), ordered=ordered, depth=depth)
        got = [int(outputs[0][0, 0]) for outputs, _ in zip(stream, range(taken), strict=False)]
        stream.close()
        assert len(read) <= min(count, taken + 1 + depth)
        assert got == read[: len(got)] if ordered else set(got) <= set(read) and len(set(got)) == len(got)
        self.asked += len(read)

    @rule(
        target=runs,
        depth=st.integers(1, 4),
        policy=st.sampled_from(["block", "raise", "drop_oldest", "drop_newest"]),
    )
    def open(self, depth: int, policy: Any) -> Any:
        return self.session.open(queue_depth=depth, overflow=policy), {}

    @rule(run=runs, key=KEYS)
    def push(self, run: Any, key: Any) -> None:
        flow, pushed = run
        number, feed = self.feed()
        self.asked += 1
        before = flow.tally.pushed
        taken = flow.try_push(feed, stream_id=key, attributes={"number": number})
        assert 1 >= flow.tally.pushed - before >= taken
        if taken:
            pushed.setdefault(key, []).append(number)

    @rule(run=runs)
    def pull(self, run: Any) -> None:
        flow, pushed = run
        sample = flow.try_pull()
        if sample is None or sample.dropped:
            return
        number = sample.attributes["number"]
        self.check(number, [sample.data["y"]])
        mine = pushed[sample.stream_id]
        # In order; what the policy dropped is skipped.
        del mine[: mine.index(number) + 1]

    @rule(run=consumes(runs), how=st.sampled_from(["close", "stop"]))
    def leave_run(self, run: Any, how: str) -> None:
        flow, _ = run
        tally = getattr(flow, how)()
        assert tally.pushed == tally.pulled + tally.failed + tally.dropped + tally.expired + tally.cancelled
        with pytest.raises(headway.EndOfStream):
            flow.try_pull()

    @rule()
    def from_several_threads(self) -> None:
        """The session under everything else's feet: a burst of each convention at once."""
        pairs = [self.feed() for _ in range(12)]

        def burst(share: list[Any]) -> None:
            for place, (number, feed) in enumerate(share):
                if place % 3 == 0:
                    self.check(number, self.session.run(None, feed))
                elif place % 3 == 1:
                    self.check(number, self.session.submit(feed, stream="a").result(PATIENCE))
                else:
                    [outputs] = self.session.stream([feed])
                    self.check(number, outputs)

        threads = [threading.Thread(target=burst, args=(pairs[place::3],)) for place in range(3)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(PATIENCE)
            assert not thread.is_alive()
        self.asked += len(pairs)

    @invariant()
    def conserved(self) -> None:
        stats = self.session.stats()
        assert stats.submitted == accounted(stats), stats
        assert stats.submitted + stats.rejected <= self.asked
        assert not self.astray

    @invariant()
    def bounded(self) -> None:
        stats = self.session.stats()
        assert stats.running <= WORKERS
        assert self.engine.counts.running <= WORKERS

    def teardown(self) -> None:
        self.session.close()
        stats = assert_conserved(self.session)
        assert (stats.waiting, stats.running) == (0, 0)
        assert stats.submitted + stats.rejected == self.asked
        until(lambda: self.session.stats().undelivered == 0 or self.called == self.expected, "the callbacks")
        assert self.called == self.expected
        assert not self.astray


Mixes.TestCase.settings = settings(
    max_examples=200,
    stateful_step_count=40,
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.filter_too_much],
)
TestMixes = Mixes.TestCase
