"""Inputs are copied or borrowed as promised, and live until the engine has returned from them."""

from __future__ import annotations

import threading
import weakref
from typing import Any

import numpy as np
import pytest

import headway
from headway.testing import ManualClock

from ..conftest import Make
from ..conventions.ways import BLOCKING
from ..support import PATIENCE, X, until

pytestmark = pytest.mark.timeout(60)


class Frame(np.ndarray[Any, Any]):
    """An array that a weak reference can watch."""


def frame(value: float = 1.0, shape: tuple[int, ...] = (1, 3)) -> Frame:
    return np.full(shape, value, np.float32).view(Frame)


def released(reference: weakref.ref[Any], session: headway.InferenceSession) -> bool:
    """True once nothing holds the object; who next comes through the door releases what native threads may not."""
    session.stats()
    return reference() is None


@pytest.mark.parametrize("shape", [(1, 3), (256, 257)], ids=["small", "large"])
def test_submitted_frames_may_be_refilled_at_once(shape: tuple[int, ...], fake: Make) -> None:
    session, engine = fake(queue_depth=16)
    buffer = frame(shape=shape)
    futures = []
    for number in range(8):
        buffer.fill(number)
        futures.append(session.submit(buffer))
    engine.open()
    for number, future in enumerate(futures):
        [output] = future.result()
        assert output.shape == shape
        assert (output == number).all()


def test_callback_and_stream_copy_too(fake: Make) -> None:
    session, engine = fake(queue_depth=16, workers=1)
    buffer = frame()
    seen: list[float] = []
    done = threading.Semaphore(0)

    def callback(results: Any, user_data: Any, err: str) -> None:
        seen.append(results[0][0, 0])
        done.release()

    for number in range(4):
        buffer.fill(number)
        session.run_async(None, buffer, callback)

    def feeds() -> Any:
        for number in range(4, 8):
            buffer.fill(number)
            yield buffer

    engine.open()
    assert [output[0, 0] for [output] in session.stream(feeds())] == [4, 5, 6, 7]
    for _ in range(4):
        assert done.acquire(timeout=PATIENCE)
    assert seen == [0, 1, 2, 3]


def test_borrowed_frames_are_read_when_they_run(fake: Make) -> None:
    session, engine = fake(copy_inputs=False)
    session.submit(frame())
    engine.wait_running(1)
    buffer = frame(1.0)
    future = session.submit(buffer)
    buffer.fill(7.0)
    engine.open()
    assert future.result()[0].tolist() == [[7.0] * 3]


def test_borrowed_frames_are_held_until_the_end(fake: Make) -> None:
    session, engine = fake(copy_inputs=False)
    buffer = frame(5.0)
    reference = weakref.ref(buffer)
    future = session.submit(buffer)
    del buffer
    engine.wait_running(1)
    assert not released(reference, session)
    engine.open()
    assert future.result()[0].tolist() == [[5.0] * 3]
    # The fake engine's outputs are its inputs.
    del future
    until(lambda: released(reference, session), "the frame's end")


@pytest.mark.parametrize("how", ["expires", "is cancelled"])
def test_frame_outlives_its_outcome(how: str, fake: Make) -> None:
    clock = ManualClock()
    session, engine = fake(copy_inputs=False, can_cancel=False, clock=clock)
    buffer = frame()
    reference = weakref.ref(buffer)
    future = session.submit(buffer, timeout=1.0)
    del buffer
    engine.wait_running(1)
    if how == "expires":
        clock.advance(2.0)
        assert isinstance(future.exception(), headway.DeadlineExceeded)
    else:
        assert future.cancel()
    del future
    assert [lane.state for lane in session.stats().lanes] == ["overrun"]
    assert not released(reference, session), "the engine still reads it"
    engine.open()
    until(lambda: released(reference, session), "the frame's end")


@pytest.mark.parametrize("how", ["is cancelled", "expires", "is dropped", "is closed away"])
def test_frame_of_a_request_that_never_ran_is_released(how: str, fake: Make) -> None:
    clock = ManualClock()
    session, engine = fake(copy_inputs=False, clock=clock, queue_depth=1, overflow="drop_oldest")
    blocker = session.submit(X)
    engine.wait_running(1)
    buffer = frame()
    reference = weakref.ref(buffer)
    future = session.submit(buffer, timeout=1.0)
    del buffer
    match how:
        case "is cancelled":
            future.cancel()
        case "expires":
            clock.advance(2.0)
        case "is dropped":
            session.submit(X)
        case "is closed away":
            session.close(drain=False)
    until(lambda: released(reference, session), "the frame's end")
    assert future.done()
    engine.open()
    del blocker


def test_many_frames_are_released_without_another_call(fake: Make) -> None:
    """More than 64 frames make the interpreter itself release them: a program that only waits gets its memory back."""
    session, _ = fake(held=False, copy_inputs=False, queue_depth=200)
    alive: list[weakref.ref[Frame]] = []

    def submit() -> Any:
        buffer = frame()
        alive.append(weakref.ref(buffer))
        return session.submit(buffer)

    for future in [submit() for _ in range(150)]:
        future.result()
    until(lambda: sum(one() is not None for one in alive) <= 64, "most frames' end")


@pytest.mark.parametrize("way", BLOCKING)
@pytest.mark.parametrize("feed", [{"x": X}, [X], (X,), X], ids=["dict", "list", "tuple", "array"])
def test_forms_of_a_feed(feed: Any, way: str, fake: Make) -> None:
    session, _ = fake(held=False)
    [output] = BLOCKING[way](session, feed)
    assert output.tolist() == X.tolist()


def test_a_feed_that_changes_while_it_is_read(fake: Make) -> None:
    session, _ = fake(held=False)

    class Mapping(dict[str, Any]):
        def items(self) -> Any:
            raise KeyError("mine")

    # A dict's own items are read, whatever a subclass says; a mapping's error is the caller's own.
    assert session.run(None, Mapping(x=X))[0].tolist() == X.tolist()

    class Odd:
        def keys(self) -> Any:
            raise KeyError("mine")

        def __getitem__(self, name: str) -> Any:
            raise KeyError("mine")

    with pytest.raises(Exception):  # noqa: B017
        session.run(None, Odd())
    assert session.stats().rejected == 1
