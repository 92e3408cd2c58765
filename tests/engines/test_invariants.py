"""Invariants 2 and 6, seen from Python: native workers need no GIL, and inputs outlive their request's end."""

from __future__ import annotations

import gc
import sys
import threading
import time
import weakref
from typing import Any

import numpy as np
import pytest

import headway
from headway.testing import FakeEngine, ManualClock

from ..support import PATIENCE

pytestmark = pytest.mark.timeout(60)


def test_a_worker_needs_no_gil(leaks: None) -> None:
    # With this switch interval a thread that asked for the GIL would get it half a minute later at the soonest.
    interval = sys.getswitchinterval()
    with headway.InferenceSession(FakeEngine()) as session:
        feed = np.ones(3, np.float32)
        session.submit(feed).result()
        sys.setswitchinterval(1000)
        try:
            futures = [session.submit(feed) for _ in range(4)]
            until = time.monotonic() + PATIENCE
            while not all(future.done() for future in futures) and time.monotonic() < until:
                pass
            done = [future.done() for future in futures]
        finally:
            sys.setswitchinterval(interval)
        assert done == [True] * 4


@pytest.mark.parametrize("ending", ["expired", "cancelled"])
def test_a_borrowed_input_lives_until_the_engine_has_returned(ending: str, leaks: None) -> None:
    clock = ManualClock()
    engine = FakeEngine(held=True, can_cancel=False, clock=clock)
    with headway.InferenceSession(engine, copy_inputs=False, workers=1) as session:
        frame = np.ones(3, np.float32)
        alive = weakref.ref(frame)
        future = session.submit(frame, timeout=1.0)
        engine.wait_running(1)
        if ending == "expired":
            clock.advance(2.0)
        else:
            assert future.cancel()
        assert future.done()
        assert session.stats().lanes[0].state == "overrun"
        del frame, future
        gc.collect()
        assert alive() is not None, "the engine still reads it"
        engine.release()
        engine.open()
        engine.wait_finished(1)
        # The lane is free again once the engine has returned; the next call through the door releases the array.
        session.submit(np.ones(3, np.float32)).result()
        session.stats()
        gc.collect()
        assert alive() is None


@pytest.mark.parametrize("feed", [{"x": 0}, [0]])
def test_run_holds_what_its_feed_lets_go_of(feed: Any, leaks: None) -> None:
    engine = FakeEngine(held=True)
    with headway.InferenceSession(engine, workers=1) as session:
        frame = np.ones(3, np.float32)
        alive = weakref.ref(frame)
        feed = {"x": frame} if isinstance(feed, dict) else [frame]
        answers: list[Any] = []
        thread = threading.Thread(target=lambda: answers.extend(session.run(None, feed)))
        thread.start()
        engine.wait_running(1)
        del frame
        feed.clear()
        gc.collect()
        assert alive() is not None, "the engine still reads it"
        engine.open()
        thread.join()
        assert answers[0].tolist() == [1, 1, 1]
        answers.clear()
        session.stats()
        gc.collect()
        assert alive() is None
