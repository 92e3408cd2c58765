"""What several threads share without a lock of their own: feeds that change while they are read, one future, one session."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np
import pytest

import headway
from headway.testing import FakeEngine

from ..support import PATIENCE, X, assert_conserved

pytestmark = [pytest.mark.timeout(60), pytest.mark.usefixtures("leaks")]

SECONDS = 0.5
Feed = Any


def swap_and_add(feed: Feed) -> None:
    feed["x"] = X + 1
    feed["stranger"] = X
    del feed["stranger"]


def take_out(feed: Feed) -> None:
    del feed["x"]
    feed["x"] = X + 1


def fill_and_clear(feed: Feed) -> None:
    feed.append(X)
    feed.append(X)
    feed.clear()


def together(*bodies: Callable[[], None]) -> list[BaseException]:
    """Runs each again and again on a thread of its own; what they raised."""
    until = time.monotonic() + SECONDS
    start = threading.Barrier(len(bodies))
    raised: list[BaseException] = []

    def repeat(body: Callable[[], None]) -> None:
        start.wait()
        try:
            while time.monotonic() < until:
                body()
        except BaseException as error:
            raised.append(error)

    threads = [threading.Thread(target=repeat, args=(body,)) for body in bodies]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(PATIENCE)
    return raised


@pytest.mark.parametrize(
    ("feed", "change"), [({"x": X}, swap_and_add), ({"x": X}, take_out), ([X], fill_and_clear)]
)
def test_a_feed_that_changes_while_it_is_read(
    tiny: bytes, feed: Feed, change: Callable[[Feed], None]
) -> None:
    """Whichever state of the feed a call has seen, it answers that, or says what is wrong with it."""
    allowed = [(2 * X).tolist(), (2 * X + 2).tolist()]

    with headway.InferenceSession(tiny, workers=1) as session:

        def call() -> None:
            for way in (lambda: session.run(None, feed), lambda: session.submit(feed).result(PATIENCE)):
                try:
                    answer = way()[0]
                except headway.InputError:
                    continue
                assert answer.tolist() in allowed

        assert together(call, call, lambda: change(feed)) == []
        assert_conserved(session)


def asked_at_once(ask: Callable[[], Any]) -> list[Any]:
    """What each of four threads is told that ask at the same moment."""
    start = threading.Barrier(4)
    told: list[Any] = []

    def body() -> None:
        start.wait()
        told.append(ask())

    threads = [threading.Thread(target=body) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(PATIENCE)
    assert len(told) == 4
    return told


def test_one_exception_for_all_threads(
    fake: Callable[..., tuple[headway.InferenceSession, FakeEngine]],
) -> None:
    """A future raises the same exception on every thread, also when all ask at the same moment."""
    session, _ = fake(workers=1)
    for _ in range(200):
        future = session.submit(X, timeout=0)
        seen = asked_at_once(partial(future.exception, PATIENCE))
        assert isinstance(seen[0], headway.DeadlineExceeded)
        assert all(error is seen[0] for error in seen)


def test_one_answer_for_all_threads(tiny: bytes) -> None:
    with headway.InferenceSession(tiny, workers=1) as session:
        for number in range(100):
            future = session.submit(X + np.float32(number))
            seen = asked_at_once(partial(future.result, PATIENCE))
            assert all(answer[0] is seen[0][0] for answer in seen)
