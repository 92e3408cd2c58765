"""Fixtures for every test of the Python behaviour."""

from __future__ import annotations

import gc
import os
import signal
from collections.abc import Callable, Iterator
from typing import Any

import pytest

import headway
from headway.testing import FakeEngine, ManualClock

from .support import X, descriptors, gather_model, loop_model, thread_ids, thread_name, tiny_model, until

# Headway says so by itself; the onnxruntime package beside it does not, and would report every test to its maker.
os.environ.setdefault("ORT_DISABLE_TELEMETRY", "1")

# Started in the background of a shell, this process ignores SIGINT, and so would the programs that the tests interrupt.
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)


#: The one thread of the process that outlives its sessions.
_PERMANENT = {"headway-timer"}

Make = Callable[..., tuple[headway.InferenceSession, FakeEngine]]


def pytest_collection_finish() -> None:
    """What collecting has made stays anyway (ONNX's two thousand models): looking for garbage in it would cost each test
    that does so a tenth of a second."""
    gc.collect()
    gc.freeze()


@pytest.fixture(scope="session")
def tiny() -> bytes:
    return tiny_model()


@pytest.fixture(scope="session")
def loop() -> bytes:
    return loop_model()


@pytest.fixture(scope="session")
def gather() -> bytes:
    return gather_model()


@pytest.fixture
def leaks(tiny: bytes) -> Iterator[None]:
    """No thread and no file descriptor is left after the test."""
    with headway.InferenceSession(tiny) as session:
        # What a process makes once (the timer, the engine's own environment) is no leak.
        session.submit(X, timeout=60).result()
    gc.collect()
    threads, files = thread_ids(), descriptors()
    yield
    gc.collect()

    def left() -> list[str]:
        return [
            name for name in map(thread_name, thread_ids() - threads) if name not in {*_PERMANENT, "gone"}
        ]

    until(lambda: not left(), f"the end of the threads {left()}")
    until(lambda: not descriptors() - files, f"the end of the descriptors {descriptors() - files}")


@pytest.fixture
def fake(leaks: None) -> Iterator[Make]:
    """Makes sessions on held fake engines; whatever a test leaves behind is closed without waiting for it."""
    made: list[tuple[headway.InferenceSession, FakeEngine]] = []

    def make(
        *, held: bool = True, can_cancel: bool = True, clock: ManualClock | None = None, **options: Any
    ) -> tuple[headway.InferenceSession, FakeEngine]:
        engine = FakeEngine(held=held, can_cancel=can_cancel, clock=clock)
        session = headway.InferenceSession(engine, **{"workers": 1, **options})
        made.append((session, engine))
        return session, engine

    yield make
    for session, engine in made:
        engine.open()
        session.close()
