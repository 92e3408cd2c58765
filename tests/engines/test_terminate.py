"""`RunOptions.terminate`, set from another thread while requests run."""

from __future__ import annotations

import threading
from concurrent.futures import CancelledError
from queue import SimpleQueue
from typing import Any

import numpy as np
import onnxruntime
import pytest

import headway
from tests.support import PATIENCE, loop_model, until

LONG = {"n": np.array(10**15), "x": np.zeros(1, np.float32)}
SHORT = {"n": np.array(3), "x": np.zeros(1, np.float32)}
SAID = "Exiting due to terminate flag being set to true."


@pytest.fixture(scope="module")
def loop() -> bytes:
    return loop_model()


def _running(session: headway.InferenceSession, count: int) -> None:
    until(lambda: session.stats().running == count, f"{count} running")


def _ends_as_terminated(future: headway.InferenceFuture) -> None:
    error = future.exception(PATIENCE)
    assert isinstance(error, headway.Fail)
    assert isinstance(error, onnxruntime.capi.onnxruntime_pybind11_state.Fail)
    assert SAID in str(error)
    assert error.code == 1


def test_ends_what_was_submitted_with_it_and_nothing_else(loop: bytes) -> None:
    with headway.InferenceSession(loop, workers=2) as session:
        options, others = headway.RunOptions(), headway.RunOptions()
        # Two run, one waits: the flag reaches all that were made with it.
        mine = [session.submit(LONG, run_options=options), None, None]
        other = session.submit(LONG, run_options=others)
        mine[1:] = [session.submit(LONG, run_options=options) for _ in range(2)]
        _running(session, 2)
        options.terminate = True
        for future in mine:
            assert future is not None
            _ends_as_terminated(future)
        assert not other.done()
        others.terminate = True
        _ends_as_terminated(other)
        assert session.stats().failed == 4


def test_holds_for_later_requests_until_it_is_false_again(loop: bytes) -> None:
    with headway.InferenceSession(loop, workers=1) as session:
        options = headway.RunOptions()
        options.terminate = True
        _ends_as_terminated(session.submit(SHORT, run_options=options))
        with pytest.raises(headway.Fail, match="terminate flag"):
            session.run(None, SHORT, options)
        assert session.run(None, SHORT)[0] == 3
        options.terminate = False
        assert session.submit(SHORT, run_options=options).result()[0] == 3
        assert session.run(None, SHORT, options)[0] == 3


def test_ends_a_blocking_call(loop: bytes) -> None:
    with headway.InferenceSession(loop) as session:
        options = headway.RunOptions()

        def stop() -> None:
            _running(session, 1)
            options.terminate = True

        thread = threading.Thread(target=stop)
        thread.start()
        with pytest.raises(headway.Fail, match="terminate flag"):
            session.run(None, LONG, options)
        thread.join()


def test_ends_a_callback(loop: bytes) -> None:
    outcomes: SimpleQueue[tuple[Any, str]] = SimpleQueue()
    with headway.InferenceSession(loop) as session:
        options = headway.RunOptions()
        session.run_async(None, LONG, lambda results, _, error: outcomes.put((results, error)), None, options)
        _running(session, 1)
        options.terminate = True
        results, error = outcomes.get(timeout=PATIENCE)
        assert results == []
        assert SAID in error


def test_false_does_not_take_back_a_cancellation(loop: bytes) -> None:
    with headway.InferenceSession(loop, workers=1) as session:
        options = headway.RunOptions()
        future = session.submit(LONG, run_options=options)
        _running(session, 1)
        assert future.cancel()
        options.terminate = False
        with pytest.raises(CancelledError):
            future.result(PATIENCE)
        # The lane comes free, which it would not if the request ran on.
        assert session.run(None, SHORT, timeout=PATIENCE)[0] == 3


def test_one_object_for_requests_of_two_sessions(loop: bytes) -> None:
    with headway.InferenceSession(loop) as one, headway.InferenceSession(loop) as two:
        options = headway.RunOptions()
        futures = [session.submit(LONG, run_options=options) for session in (one, two)]
        _running(one, 1)
        _running(two, 1)
        options.terminate = True
        for future in futures:
            _ends_as_terminated(future)


def test_settings_are_taken_when_a_request_is_submitted(loop: bytes) -> None:
    with headway.InferenceSession(loop, workers=1) as session:
        first = session.submit(LONG)
        options = headway.RunOptions()
        waiting = session.submit(SHORT, run_options=options)
        # An entry that the engine refuses: too late for the request that waits, in time for the next.
        options._entries["k" * 2000] = "v"
        first.cancel()
        assert waiting.result(PATIENCE)[0] == 3
        with pytest.raises(headway.InputError):
            session.submit(SHORT, run_options=options)


def test_many_requests_and_no_leak_of_controls(loop: bytes) -> None:
    with headway.InferenceSession(loop, workers=1) as session:
        options = headway.RunOptions()
        for _ in range(2000):
            session.run(None, SHORT, options)
        options.terminate = True
        assert options.terminate
        _ends_as_terminated(session.submit(SHORT, run_options=options))
