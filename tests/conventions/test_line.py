"""Futures in the line for room: their caller holds them before they have a ticket."""

from __future__ import annotations

import concurrent.futures
import threading

import pytest

import headway
from headway.testing import FakeEngine

from ..support import X

pytestmark = pytest.mark.timeout(60)


def test_done_callback_of_a_future_refused_in_the_line(leaks: None) -> None:
    engine = FakeEngine(held=True)
    session = headway.InferenceSession(engine, queue_depth=1)
    running = session.submit(X)
    engine.wait_running(1)
    waiting = session.submit(X)
    lined = session._line_up(X, bounded=False)
    ended: list[headway.InferenceFuture] = []
    called = threading.Event()
    lined.add_done_callback(lambda future: (ended.append(future), called.set()))
    session.close(drain=False)
    assert called.wait(10)
    assert ended == [lined]
    cancelled = concurrent.futures.CancelledError
    for future, error in ((lined, headway.SessionClosed), (waiting, cancelled), (running, cancelled)):
        with pytest.raises(error):
            future.result()
    assert session.stats().rejected == 1
