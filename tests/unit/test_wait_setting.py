"""``wait=``: how long threads spin before they sleep."""

from __future__ import annotations

import threading
import time
from typing import Any

import pytest

import headway
from headway._options import SessionOptions
from headway._threads import plan, pool_for, spin_seconds
from headway.testing import FakeEngine

from ..support import PATIENCE, X

pytestmark = pytest.mark.timeout(60)

EVERY: list[Any] = ["auto", "park", "spin", 0, 0.002]


def test_seconds() -> None:
    assert spin_seconds("park", 4) == 0 < spin_seconds("auto", 4) < spin_seconds("spin", 4) < 0.01
    # Without a spare core, whoever spins keeps the thread that it waits for from running.
    assert [spin_seconds(word, 1) for word in ("auto", "park", "spin")] == [0, 0, 0]  # type: ignore[arg-type]
    assert [spin_seconds(number, 1) for number in (0, 0.5, 1)] == [0, 0.5, 1]


@pytest.mark.parametrize("wrong", ["sleep", "", "AUTO", -1, -0.001, 1.5, float("inf"), float("nan")])
def test_wrong_values(wrong: Any) -> None:
    with pytest.raises(ValueError, match=r"wait: expected .* got"):
        headway.InferenceSession(FakeEngine(), wait=wrong)


@pytest.mark.parametrize("wrong", [None, True, b"auto", ["auto"]])
def test_wrong_types(wrong: Any) -> None:
    with pytest.raises(
        TypeError, match="wait: expected one of 'auto', 'park', 'spin' or a number of seconds, got"
    ):
        headway.InferenceSession(FakeEngine(), wait=wrong)


@pytest.mark.parametrize("wait", EVERY)
@pytest.mark.parametrize("workers", [1, 3])
def test_a_sleeping_session_wakes(wait: Any, workers: int) -> None:
    """Requests after pauses of every length around the bounds: each finds its lane, asleep or on its way there."""
    with headway.InferenceSession(FakeEngine(), workers=workers, wait=wait) as session:
        for _ in range(3):
            for pause in (0, 10e-6, 30e-6, 100e-6, 1e-3, 3e-3):
                until = time.perf_counter() + pause
                while time.perf_counter() < until:
                    pass
                assert session.submit(X).result(PATIENCE)[0].tolist() == X.tolist()
                assert session.run(None, X)[0].tolist() == X.tolist()


@pytest.mark.parametrize("wait", [*EVERY, 1])
def test_waiting_ends_in_time(wait: Any) -> None:
    """Neither a timeout nor a close waits for a spin to end."""
    # The best of three: other programs may take the processor for as long as the longest spin.
    took = [timeout_and_close(wait) for _ in range(3)]
    assert min(timeout for timeout, _ in took) < 0.9, took
    assert min(close for _, close in took) < 0.9, took


def timeout_and_close(wait: Any) -> tuple[float, float]:
    """The seconds that a wait of ten milliseconds and the close of an idle session take."""
    engine = FakeEngine()
    session = headway.InferenceSession(engine, workers=1, wait=wait)
    session.run(None, X)
    engine.hold()
    future = session.submit(X)
    engine.wait_running(1)
    start = time.perf_counter()
    with pytest.raises(TimeoutError):
        future.result(0.01)
    timeout = time.perf_counter() - start
    engine.open()
    future.result(PATIENCE)
    start = time.perf_counter()
    assert session.close().drained
    return timeout, time.perf_counter() - start


def test_the_engines_own_threads_follow() -> None:
    options, one = SessionOptions(), plan("latency", 1, 4)
    assert pool_for(options, one) == "shared_if_equal"
    assert pool_for(options, one._replace(spinning=False)) == "own"


@pytest.mark.parametrize("wait", EVERY)
def test_on_a_real_engine(tiny: bytes, wait: Any) -> None:
    with headway.InferenceSession(tiny, wait=wait) as session:
        results: list[Any] = []

        def ask() -> None:
            results.extend(session.run(None, X)[0].tolist() for _ in range(50))

        threads = [threading.Thread(target=ask) for _ in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(PATIENCE)
        assert results == [(X + X).tolist()] * 200
