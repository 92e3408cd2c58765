"""A lane's process dies, hangs or leaks: one request pays for it, and the next is answered."""

from __future__ import annotations

import logging
import os
import signal
import threading
from concurrent.futures import CancelledError
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import psutil
import pytest
from onnx import TensorProto, helper

import headway

from ..support import PATIENCE, X, assert_conserved, until
from . import calls
from .conftest import Make, children, gone, pids, serving

pytestmark = pytest.mark.timeout(60)

GOOD = np.array([3.0], np.float32)


def ask(what: float) -> Any:
    return [np.array([what, 0.0], np.float32)]


def assert_answers(session: headway.InferenceSession) -> None:
    assert session.run(None, [GOOD])[0].tolist() == [6.0]


def test_a_segmentation_fault_is_one_requests_error(unkind: Make) -> None:
    session = unkind()
    [before] = pids(session)
    with pytest.raises(
        headway.LaneCrashed, match=f"process {before} of lane 0 was killed by SIGSEGV"
    ) as raised:
        session.run(None, ask(calls.SEGFAULT))
    error = raised.value
    assert (error.lane, error.pid, error.signal, error.exit_code) == (0, before, signal.SIGSEGV, None)
    assert error.engine == "python"
    assert_answers(session)
    health = session.health()
    assert (health.state, health.lanes[0].restarts) == ("ok", 1)
    assert health.last_error is not None
    assert "SIGSEGV" in health.last_error
    assert pids(session) != [before]
    stats = assert_conserved(session)
    assert (stats.done, stats.failed) == (1, 1)


def test_an_exit_is_told_with_its_status(unkind: Make) -> None:
    session = unkind()
    with pytest.raises(headway.LaneCrashed, match="ended with exit status 7") as raised:
        session.submit(ask(calls.EXIT)).result()
    assert (raised.value.signal, raised.value.exit_code) == (None, 7)
    assert_answers(session)


def test_an_abort_of_the_engine(leaks: None) -> None:
    """ONNX Runtime 1.31 aborts its process when it joins shapes (0,) and (1, 3); 1.32 calls it an error."""
    info = helper.make_tensor_value_info
    graph = helper.make_graph(
        [helper.make_node("Concat", ["a", "b"], ["y"], axis=0)],
        "join",
        [info("a", TensorProto.FLOAT, None), info("b", TensorProto.FLOAT, None)],
        [info("y", TensorProto.FLOAT, None)],
    )
    model: onnx.ModelProto = helper.make_model(
        graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8
    )
    with headway.InferenceSession(model.SerializeToString(), isolation="process") as session:
        bad = {"a": np.zeros(0, np.float32), "b": np.zeros((1, 3), np.float32)}
        futures = [session.submit({"a": X, "b": X}) for _ in range(2)]
        doomed = session.submit(bad)
        futures += [session.submit({"a": X, "b": X}) for _ in range(2)]
        assert all(future.result()[0].shape == (2, 3) for future in futures)
        aborts = tuple(map(int, headway.get_version_string().split(".")[:2])) < (1, 32)
        with pytest.raises(
            headway.LaneCrashed if aborts else headway.EngineError, match="SIGABRT" if aborts else "FAIL"
        ):
            doomed.result()


def test_what_the_process_said_is_logged(unkind: Make, caplog: pytest.LogCaptureFixture) -> None:
    session = unkind()
    with pytest.raises(headway.LaneCrashed):
        session.run(None, ask(calls.SEGFAULT))

    def logged(text: str) -> bool:
        # Whoever comes through the door hands on what there is.
        assert_answers(session)
        return text in caplog.text

    with caplog.at_level(logging.DEBUG, "headway"):
        until(lambda: logged("lane 0: Fatal Python error: Segmentation fault"))
        until(lambda: logged("was killed by SIGSEGV"))


def test_retries_run_it_again_and_no_more_than_allowed(unkind: Make) -> None:
    session = unkind(retries=2)
    with pytest.raises(headway.LaneCrashed, match="as did the 2 before it"):
        session.run(None, ask(calls.EXIT))
    assert session.health().lanes[0].restarts >= 2
    assert_answers(session)


def test_a_retry_can_succeed(unkind: Make) -> None:
    session = unkind(retries=1)
    [pid] = pids(session)
    future = session.submit(ask(calls.HANG), timeout=None)
    until(future.running)
    # The process has taken it, and this kill is what a machine out of memory does.
    until(lambda: session.health().lanes[0].running_for)
    os.kill(pid, signal.SIGKILL)
    until(lambda: pids(session) not in ([], [pid]))
    assert not future.done()
    future.cancel()
    assert_answers(session)


def test_a_file_that_has_become_another_model_is_not_loaded(
    tmp_path: Path, tiny: bytes, gather: bytes
) -> None:
    path = tmp_path / "model.onnx"
    path.write_bytes(tiny)
    with headway.InferenceSession(path, isolation="process") as session:
        path.write_bytes(gather)
        os.kill(pids(session)[0], signal.SIGKILL)
        with pytest.raises(headway.LaneCrashed, match="the file has been replaced"):
            session.run(None, [X])
        path.write_bytes(tiny)
        until(lambda: _answers(session))
        assert_conserved(session)


def _answers(session: headway.InferenceSession) -> bool:
    try:
        return bool((session.run(None, [X])[0] == 2 * X).all())
    except headway.LaneCrashed:
        return False


def test_a_death_while_idle_costs_nothing(unkind: Make) -> None:
    session = unkind()
    for _ in range(5):
        assert_answers(session)
        [pid] = pids(session)
        os.kill(pid, signal.SIGKILL)
        # At once: whether or not its death has been seen.
        assert_answers(session)
    assert session.stats().failed == 0


def test_a_hang_ends_with_its_deadline(unkind: Make) -> None:
    session = unkind()
    [before] = pids(session)
    with pytest.raises(headway.DeadlineExceeded):
        session.run(None, ask(calls.HANG), timeout=0.2)
    assert_answers(session)
    until(lambda: gone(before))
    assert session.health().last_error is None


def test_cancelling_ends_a_hang(unkind: Make) -> None:
    session = unkind()
    future = session.submit(ask(calls.HANG))
    until(lambda: session.health().lanes[0].running_for)
    assert future.cancel()
    with pytest.raises(CancelledError):
        future.result()
    assert_answers(session)
    stuck = [session.submit(ask(calls.HANG)) for _ in range(3)]
    session.cancel_all()
    for one in stuck:
        with pytest.raises(CancelledError):
            one.result()
    assert_answers(session)
    assert_conserved(session)


def test_what_a_callable_has_started_ends_with_its_process(unkind: Make) -> None:
    session = unkind()
    [pid] = pids(session)
    future = session.submit(ask(calls.START))
    started: list[int] = []

    def has_started() -> bool:
        started[:] = [one.pid for one in psutil.Process(pid).children() if one.name() == "sleep"]
        return bool(started)

    until(has_started, "the program that the callable runs")
    future.cancel()
    until(lambda: all(gone(one) for one in started), "its end")
    assert_answers(session)


def test_requests_that_are_stopped_open_no_breaker(unkind: Make) -> None:
    session = unkind()
    for _ in range(7):
        with pytest.raises(headway.DeadlineExceeded):
            session.run(None, ask(calls.HANG), timeout=0.05)
    assert_answers(session)


def test_processes_that_only_crash_are_held_back(unkind: Make) -> None:
    session = unkind()
    for _ in range(5):
        with pytest.raises(headway.LaneCrashed, match="exit status 7"):
            session.run(None, ask(calls.EXIT))
    until(lambda: session.health().state == "failed")
    with pytest.raises(
        headway.LaneCrashed, match=r"crashed 5 times without an answer in between.*none is started for"
    ):
        session.run(None, [GOOD])
    health = session.health()
    assert not health
    assert health.lanes[0].state == "stopped"
    assert not children() or pids(session) == []

    def answers() -> bool:
        try:
            assert_answers(session)
        except headway.LaneCrashed:
            return False
        return True

    until(answers, "the breaker's end")
    assert session.health().state == "ok"


def test_kills_under_load(unkind: Make) -> None:
    """Nothing is lost but the requests that the killed processes ran, and service is back (``benches.kill_soak`` says when)."""
    session = unkind(workers=2)
    crashes: list[headway.LaneCrashed] = []
    answered = [0, 0, 0]
    stop = threading.Event()

    def load(number: int) -> None:
        feed = np.full(1000, float(number + 1), np.float32)
        while not stop.is_set():
            try:
                [answer] = session.run(None, [feed])
            except headway.LaneCrashed as error:
                crashes.append(error)
            else:
                assert answer.min() == answer.max() == 2 * (number + 1)
                answered[number] += 1

    threads = [threading.Thread(target=load, args=(number,)) for number in range(3)]
    for thread in threads:
        thread.start()
    killed = []
    for number in range(10):
        until(lambda: serving(session))
        before = sum(answered)
        pid = pids(session)[number % 2]
        os.kill(pid, signal.SIGKILL)
        killed.append(pid)
        until(lambda pid=pid: gone(pid) and pid not in pids(session) and serving(session))  # type: ignore[misc]
        assert sum(answered) > before
    stop.set()
    for thread in threads:
        thread.join(PATIENCE)
    assert len(crashes) <= len(killed)
    assert {error.pid for error in crashes} <= set(killed)
    stats = assert_conserved(session)
    assert (stats.done, stats.failed) == (sum(answered), len(crashes))
    assert sum(lane.restarts for lane in session.health().lanes) == len(killed)


def test_callbacks_keep_their_order_over_a_crash(unkind: Make) -> None:
    session = unkind(queue_depth=64)
    told: list[tuple[int, bool]] = []
    last = threading.Event()

    def callback(results: list[Any], number: int, err: str) -> None:
        told.append((number, bool(err)))
        if number == 19:
            last.set()

    for number in range(20):
        feed = ask(calls.EXIT) if number == 9 else [GOOD]
        session.run_async(None, feed, callback, number)
    assert last.wait(PATIENCE)
    assert told == [(number, number == 9) for number in range(20)]


def test_memory_is_bounded_by_replacement(unkind: Make) -> None:
    session = unkind(engine_options={"memory_limit": 200})
    [before] = pids(session)
    for _ in range(8):
        session.run(None, ask(calls.GROW))
    until(lambda: pids(session) not in ([], [before]), "another process")
    assert_answers(session)
    until(lambda: gone(before))
    health = session.health()
    assert health.lanes[0].restarts == 1
    assert health.last_error is None
    assert session.stats().failed == 0


def test_a_stopped_process_is_stalled_in_health(unkind: Make) -> None:
    session = unkind()
    future = session.submit(ask(calls.HANG))
    until(lambda: session.health(stall_after=0.05).lanes[0].state == "stalled")
    health = session.health(stall_after=0.05)
    assert (health.state, bool(health)) == ("failed", False)
    assert session.health().state == "ok"
    # The canary waits behind it.
    assert session.health(probe=True, feed=[GOOD], timeout=0.1).last_error is not None
    future.cancel()
    assert session.health(probe=True, feed=[GOOD]).canary is not None


def test_a_process_that_forks(unkind: Make) -> None:
    session = unkind()
    session.run(None, ask(calls.FORK))
    assert_answers(session)
