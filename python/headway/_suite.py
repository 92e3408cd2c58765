"""What every engine owes its session, as a class of tests for the author of one."""

from __future__ import annotations

import gc
import threading
import time
import weakref
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import CancelledError
from typing import Any

import numpy as np

from headway._engine import Engine
from headway._errors import DeadlineExceeded, EngineError, InputError, SessionClosed
from headway._metrics import Stats
from headway._suite_checks import Feed, fits, raises, skip, watch, wrong_feeds
from headway.session import InferenceSession


class EngineSuite:
    """Tests that every engine is to pass: subclass it in a test module, with a name that begins with ``Test``.

    It asks for what only the author knows: how a session on the engine is opened, feeds that it takes, and what is to
    come out. It needs no fixtures; pytest and ``unittest`` loaders that take plain classes can run it.

    Example::

        class TestDoubling(EngineSuite):
            def make(self):
                return Doubling()

            def feeds(self):
                return [{"x": np.full((n, 3), n, np.float32)} for n in (1, 2, 5)]

            def reference(self, feed):
                return {"y": feed["x"] * 2}
    """

    #: Largest differences from the reference; 0 for bit by bit.
    rtol: float = 0.0
    atol: float = 0.0
    #: Lanes in the test of many lanes.
    workers: int = 3
    #: Seconds after which something that must come did not come.
    patience: float = 20.0

    # ---- what the author gives --------------------------------------------------------------------------------

    def make(self) -> Any:
        """A fresh model: an engine, a callable, a path. Not needed where ``open`` is overridden."""
        raise NotImplementedError("an EngineSuite needs make() or open()")

    def open(self, **options: Any) -> InferenceSession:
        """A session on the engine; ``options`` are ``InferenceSession``'s."""
        return InferenceSession(self.make(), **options)

    def feeds(self) -> Sequence[Feed]:
        """Feeds by name, at least two with different answers; of several shapes where the engine takes several."""
        raise NotImplementedError("an EngineSuite needs feeds()")

    def reference(self, feed: Feed) -> Mapping[str, Any]:
        """Every output for a feed, computed without the engine."""
        raise NotImplementedError("an EngineSuite needs reference()")

    def slow(self, **options: Any) -> tuple[InferenceSession, Feed] | None:
        """A session with one lane, and a feed that keeps it busy: until it is stopped on an engine that can cancel, for
        half a second or so on one that cannot. The session answers ``feeds()`` too. None: there is none."""
        return None

    def faulty(self, **options: Any) -> tuple[InferenceSession, Feed, Feed] | None:
        """A session, a feed that passes every check and fails in the engine, and one that does not; or None."""
        return None

    # ---- answers ------------------------------------------------------------------------------------------------

    def test_answers_equal_the_reference(self) -> None:
        """Every feed, by ``run``, ``submit``, ``stream`` and a callback."""
        with self.open() as session:
            for feed in self.feeds():
                self._same(session, feed, session.run(None, feed))
                self._same(session, feed, session.submit(feed).result(self.patience))
                self._same(session, feed, self._called_back(session, feed))
            for feed, outputs in zip(self.feeds(), session.stream(self.feeds()), strict=True):
                self._same(session, feed, outputs)
            self._conserved(session)

    def test_outputs_by_name(self) -> None:
        """Outputs in the wanted order, some of them, one of them twice; none that is not there."""
        with self.open() as session:
            feed = self.feeds()[0]
            names = self._names(session)
            for wanted in (names[::-1], names[-1:], [names[0], names[0]]):
                self._same(session, feed, session.run(wanted, feed), wanted)
            raises(InputError, lambda: session.run(["no such output"], feed))

    def test_answers_are_as_declared(self) -> None:
        """Names, dtypes, ranks and fixed dimensions of ``get_outputs()``."""
        with self.open() as session:
            feed = self.feeds()[0]
            assert {node.name for node in session.get_inputs()} <= set(feed), "an input is in no feed"
            for node, value in zip(session.get_outputs(), session.run(None, feed), strict=True):
                if node.type != "object":
                    fits(node, np.asarray(value))

    def test_shapes_alternate(self) -> None:
        """Feeds of several shapes one after the other, twice: nothing of the last one is left."""
        with self.open() as session:
            for feed in [*self.feeds(), *self.feeds()[::-1]]:
                self._same(session, feed, session.run(None, feed))

    # ---- wrong requests -----------------------------------------------------------------------------------------

    def test_wrong_feeds_are_refused(self) -> None:
        """Each is an InputError before it is queued, in ``run`` and ``submit``; good ones among them are answered."""
        with self.open() as session:
            good = self.feeds()[0]
            wrong = wrong_feeds(session.get_inputs(), good)
            assert wrong, "the engine names no inputs"
            for what, feed in wrong.items():
                before = session.stats()
                raises(InputError, lambda feed=feed: session.run(None, feed), what)  # type: ignore[misc]
                raises(InputError, lambda feed=feed: session.submit(feed), what)  # type: ignore[misc]
                after = session.stats()
                assert after.submitted == before.submitted, f"{what}: it was queued"
                assert after.rejected == before.rejected + 2, f"{what}: it was not counted as rejected"
                self._same(session, good, session.run(None, good))

    def test_a_failing_request_fails_alone(self) -> None:
        """EngineError for it, answers for those around it."""
        made = self.faulty(workers=1)
        if made is None:
            raise skip("faulty() gives nothing")
        session, bad, good = made
        with session:
            futures = [session.submit(feed) for feed in (good, bad, good)]
            assert futures[0].exception(self.patience) is None
            error = futures[1].exception(self.patience)
            assert isinstance(error, EngineError), f"expected EngineError, got {error!r}"
            assert futures[2].exception(self.patience) is None
            raises(EngineError, lambda: session.run(None, bad))
            assert self._conserved(session).failed == 2

    # ---- many at once -------------------------------------------------------------------------------------------

    def test_lanes_never_mix_answers(self) -> None:
        """Requests from several threads on several lanes: each gets its own answer."""
        wrong: list[BaseException] = []
        feeds = list(self.feeds())
        # References may not be safe to ask on several threads.
        expected = [self.reference(feed) for feed in feeds]
        with self.open(**self._many()) as session:
            names = self._names(session)

            def ask(first: int) -> None:
                try:
                    for number in range(first, first + 40):
                        place = number % len(feeds)
                        future = session.submit(feeds[place])
                        self._compare(expected[place], future.result(self.patience), names)
                        self._compare(expected[place], session.run(None, feeds[place]), names)
                except BaseException as error:
                    wrong.append(error)

            threads = [threading.Thread(target=ask, args=(first,)) for first in range(4)]
            for thread in threads:
                thread.start()
            for thread in threads:
                thread.join()
            if wrong:
                raise wrong[0]
            assert self._conserved(session).done == 4 * 80

    def test_inputs_may_be_refilled(self) -> None:
        """What is written to an array after ``submit`` returned does not reach the engine."""
        feeds = self.feeds()
        with self.open(queue_depth=8) as session:
            futures = []
            for feed in (feeds[0], feeds[1]) * 3:
                frame = {name: np.array(value) for name, value in feed.items()}
                futures.append((feed, session.submit(frame)))
                for value in frame.values():
                    value.fill(0)
            for feed, future in futures:
                self._same(session, feed, future.result(self.patience))

    def test_answers_stay(self) -> None:
        """An answer is not written over by later requests, and outlives its session."""
        feeds = self.feeds()
        with self.open() as session:
            names = self._names(session)
            first = session.run(None, feeds[0])
            for feed in (*feeds, *feeds):
                session.run(None, feed)
        gc.collect()
        self._compare(self.reference(feeds[0]), first, names)

    # ---- stopping -------------------------------------------------------------------------------------------------

    def test_cancelling_what_runs(self) -> None:
        """The caller is free at once; the lane as soon as the engine can, and then it answers again."""
        session, feed = self._slow()
        with session:
            future = session.submit(feed)
            self._until(future.running, "the slow request did not start")
            assert future.cancel(), "a running request could not be cancelled"
            raises(CancelledError, lambda: future.result(self.patience))
            self._answers_again(session)
            assert self._conserved(session).cancelled == 1

    def test_a_deadline_passes(self) -> None:
        """DeadlineExceeded on time, although the engine computes; the late answer goes nowhere."""
        session, feed = self._slow()
        with session:
            began = time.monotonic()
            future = session.submit(feed, timeout=0.05)
            error = future.exception(self.patience)
            took = time.monotonic() - began
            assert isinstance(error, DeadlineExceeded), f"expected DeadlineExceeded, got {error!r}"
            assert took < self.patience / 4, f"the deadline of 0.05 s came after {took:.2f} s"
            self._answers_again(session)
            assert self._conserved(session).expired == 1

    def test_closing_stops_what_runs(self) -> None:
        """``close(drain=False)`` ends what runs and what waits, and comes back in time."""
        session, feed = self._slow()
        running, waiting = session.submit(feed), session.submit(feed)
        self._until(running.running, "the slow request did not start")
        report = session.close(drain=False, timeout=self.patience)
        for future in (running, waiting):
            raises(CancelledError, lambda future=future: future.result(0))  # type: ignore[misc]
        assert report.abandoned == (), f"close() left the lanes {report.abandoned} behind"
        self._conserved(session)

    # ---- the end --------------------------------------------------------------------------------------------------

    def test_closing_finishes_what_was_admitted(self) -> None:
        """Everything that was submitted is answered; later calls are refused; closing again changes nothing."""
        feeds = self.feeds()
        session = self.open(queue_depth=8)
        futures = [session.submit(feed) for feed in (*feeds[:2], *feeds[:2])]
        report = session.close(timeout=self.patience)
        assert report.drained, f"not everything was answered: {report}"
        assert report.abandoned == (), f"close() left the lanes {report.abandoned} behind"
        assert all(future.exception(0) is None for future in futures)
        assert session.close() == report
        raises(SessionClosed, lambda: session.run(None, feeds[0]))
        assert self._conserved(session).done == 4

    def test_nothing_is_kept(self) -> None:
        """Neither a feed nor an answer lives longer than its caller wants it."""
        with self.open(copy_inputs=False) as session:
            seen: list[weakref.ref[Any]] = []

            def ask(run: bool) -> None:
                feed = {name: np.array(value) for name, value in self.feeds()[0].items()}
                outputs = session.run(None, feed) if run else session.submit(feed).result(self.patience)
                held = (*feed.values(), *outputs)
                seen.extend(weakref.ref(value) for value in held if isinstance(value, np.ndarray))

            ask(run=True)
            ask(run=False)

            def gone() -> bool:
                # A call through the door releases what native threads left for Python.
                session.stats()
                gc.collect()
                return all(one() is None for one in seen)

            self._until(gone, "a feed or an answer is kept")

    def test_lanes_and_engine_are_closed_once(self) -> None:
        """Every lane that was opened, then the engine. Of others than a ``headway.Engine`` nothing is known."""
        engine = self.make() if type(self).make is not EngineSuite.make else None
        if not isinstance(engine, Engine):
            return
        events = watch(engine)
        session = InferenceSession(engine)
        session.run(None, self.feeds()[0])
        assert "closed" not in {what for what, _ in events}, "a lane was closed while the session was open"
        session.close(timeout=self.patience)
        session.close()
        opened = [number for what, number in events if what == "opened"]
        closed = [number for what, number in events if what == "closed"]
        assert sorted(opened) == sorted(closed), f"opened {opened}, closed {closed}"
        assert events.count(("engine closed", -1)) == 1, "the engine is to be closed once"
        assert events[-1] == ("engine closed", -1), "the engine was closed before its lanes"

    # ---- how it asks ----------------------------------------------------------------------------------------------

    def _called_back(self, session: InferenceSession, feed: Feed) -> list[Any]:
        told: list[Any] = []
        called = threading.Event()

        def callback(results: list[Any], user_data: Any, err: str) -> None:
            told.extend((results, err))
            called.set()

        session.run_async(None, feed, callback)
        assert called.wait(self.patience), "the callback was not called"
        assert told[1] == "", f"the callback was told {told[1]!r}"
        results: list[Any] = told[0]
        return results

    def _names(self, session: InferenceSession) -> list[str]:
        return [node.name for node in session.get_outputs()] or list(self.reference(self.feeds()[0]))

    def _same(
        self, session: InferenceSession, feed: Feed, outputs: list[Any], wanted: list[str] | None = None
    ) -> None:
        self._compare(self.reference(feed), outputs, wanted or self._names(session))

    def _compare(self, expected: Mapping[str, Any], outputs: list[Any], names: list[str]) -> None:
        assert len(outputs) == len(names), f"{len(outputs)} outputs for {names}"
        for name, output in zip(names, outputs, strict=True):
            np.testing.assert_allclose(
                output, expected[name], rtol=self.rtol, atol=self.atol, err_msg=f"output {name!r}"
            )

    def _many(self) -> dict[str, Any]:
        return {} if self.workers == 1 else {"workers": self.workers}

    def _slow(self) -> tuple[InferenceSession, Feed]:
        made = self.slow(workers=1)
        if made is None:
            raise skip("slow() gives nothing")
        return made

    def _answers_again(self, session: InferenceSession) -> None:
        feed = self.feeds()[0]
        self._same(session, feed, session.submit(feed).result(self.patience))

    def _until(self, condition: Callable[[], bool], what: str) -> None:
        end = time.monotonic() + self.patience
        while not condition():
            assert time.monotonic() < end, what
            time.sleep(0.002)

    def _conserved(self, session: InferenceSession) -> Stats:
        stats = session.stats()
        ended = stats.done + stats.failed + sum(stats.dropped.values()) + stats.expired + stats.cancelled
        held = stats.waiting + stats.running + stats.undelivered
        assert stats.submitted == ended + held, f"a request was lost: {stats}"
        return stats
