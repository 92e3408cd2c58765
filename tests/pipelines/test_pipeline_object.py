"""`session.pipeline(...)`: tags, several at once, iteration, and what leaving it does."""

from __future__ import annotations

import concurrent.futures
import signal
import threading

import pytest

import headway

from ..conftest import Make
from ..support import PATIENCE, X, assert_conserved, until

pytestmark = pytest.mark.timeout(30)


def test_tags_come_back_with_their_frames(fake: Make) -> None:
    session, _ = fake(held=False)
    with session.pipeline(depth=2) as pipe:
        assert pipe.push(X, tag="a") is None
        assert pipe.push(X + 1, tag="b") is None
        assert len(pipe) == pipe.depth == 2
        frame = pipe.push(X + 2)
        assert frame is not None
        assert (frame.tag, frame.outputs[0].tolist()) == ("a", X.tolist())
        assert [(frame.tag, float(frame.outputs[0][0, 0])) for frame in pipe] == [("b", 1.0), (None, 2.0)]
        assert len(pipe) == 0


def test_several_on_one_session_do_not_mix(fake: Make) -> None:
    session, _ = fake(held=False, workers=2)
    wrong: list[object] = []

    def drive(base: int) -> None:
        with session.pipeline(depth=1 + base % 4) as pipe:
            frames = [pipe.push(X + base + number, tag=base + number) for number in range(100)]
            frames += list(pipe)
        got = [(frame.tag, int(frame.outputs[0][0, 0])) for frame in frames if frame is not None]
        if got != [(base + number, base + number) for number in range(100)]:
            wrong.append(got)

    threads = [threading.Thread(target=drive, args=(1000 * place,)) for place in range(5)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(PATIENCE)
    assert not wrong
    session.close()
    assert assert_conserved(session).done == 500


def test_leaving_it_cancels_what_is_left(fake: Make) -> None:
    session, engine = fake()
    with session.pipeline(depth=3) as pipe:
        pipe.push(X)
        pipe.push(X)
        engine.wait_running(1)
    assert assert_conserved(session).cancelled == 2
    assert len(pipe) == 0
    engine.open()
    assert session.run(None, X)[0].tolist() == X.tolist()


def test_an_exception_inside_cancels_too(fake: Make) -> None:
    session, _ = fake()

    def body() -> None:
        with session.pipeline() as pipe:
            pipe.push(X)
            raise KeyError("mine")

    with pytest.raises(KeyError, match="mine"):
        body()
    assert assert_conserved(session).cancelled == 1


def test_reset_with_a_new_depth(fake: Make) -> None:
    session, engine = fake()
    pipe = session.pipeline(depth=1)
    pipe.push(X)
    pipe.reset(depth=2)
    assert (pipe.depth, len(pipe)) == (2, 0)
    assert session.stats().dropped == {"pipeline_reset": 1}
    engine.open()
    assert [pipe.push(X + number) for number in range(2)] == [None, None]
    pipe.close()


def test_a_larger_depth_lets_more_be_in_flight(fake: Make) -> None:
    session, engine = fake(queue_depth=4)
    pipe = session.pipeline(depth=1)
    pipe.reset(depth=4)
    # Held: the push would wait for its own oldest for ever.
    assert [pipe.push(X + number) for number in range(4)] == [None] * 4
    engine.open()
    assert [float(frame.outputs[0][0, 0]) for frame in pipe] == [0, 1, 2, 3]


def test_reset_keeps_what_had_ended(fake: Make) -> None:
    session, _ = fake(held=False)
    pipe = session.pipeline()
    pipe.push(X)
    until(lambda: session.stats().done == 1, "the frame's end")
    pipe.reset()
    stats = assert_conserved(session)
    assert (stats.done, stats.dropped) == (1, {})


def test_what_a_signals_handler_raises_loses_no_frame(fake: Make) -> None:
    session, engine = fake()

    class Alarm(Exception):
        pass

    def raising(*_: object) -> None:
        raise Alarm

    before = signal.signal(signal.SIGALRM, raising)
    try:
        with session.pipeline(depth=1) as pipe:
            pipe.push(X, tag="a")
            # By then the push waits for "a", which never comes.
            signal.setitimer(signal.ITIMER_REAL, 0.2)
            with pytest.raises(Alarm):
                pipe.push(X, tag="b")
            engine.open()
            assert [frame.tag for frame in pipe] == ["a", "b"]
    finally:
        signal.signal(signal.SIGALRM, before)


def test_a_cancelled_frame_is_raised_in_its_place(fake: Make) -> None:
    session, engine = fake()
    pipe = session.pipeline(depth=1)
    pipe.push(X)
    session.cancel_all()
    engine.open()
    with pytest.raises(concurrent.futures.CancelledError):
        pipe.push(X + 1)
    [frame] = pipe
    assert frame.outputs[0].tolist() == (X + 1).tolist()


@pytest.mark.parametrize("overflow", ["raise", "drop_oldest", "drop_newest"])
def test_a_full_queue_of_others_is_met_by_the_policy(overflow: str, fake: Make) -> None:
    session, engine = fake(queue_depth=1, overflow=overflow)
    blockers = [session.submit(X)]
    engine.wait_running(1)
    blockers.append(session.submit(X))
    pipe = session.pipeline(depth=1)
    if overflow == "raise":
        with pytest.raises(headway.QueueFull):
            pipe.push(X + 1)
        assert len(pipe) == 0
    else:
        assert pipe.push(X + 1) is None
    engine.open()
    if overflow == "drop_oldest":
        assert [float(frame.outputs[0][0, 0]) for frame in pipe] == [1.0]
        assert isinstance(blockers[1].exception(), headway.Dropped)
    elif overflow == "drop_newest":
        with pytest.raises(headway.Dropped):
            list(pipe)
    session.close()
    assert_conserved(session)
