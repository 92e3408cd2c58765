"""One request at a time runs a binding, however it ends; what is bound lives until the engine has returned."""

from __future__ import annotations

import concurrent.futures
import gc
import threading
import weakref
from collections.abc import Callable

import numpy as np
import pytest

import headway
from headway import IOBinding

from ..conftest import Make
from ..support import PATIENCE, X, assert_conserved, until
from .test_iobinding import Y, bound
from .test_ortvalue import Frame

pytestmark = pytest.mark.timeout(60)


def test_while_one_runs_nobody_else_runs_changes_or_reads_it(fake: Make) -> None:
    session, engine = fake(queue_depth=8)
    binding, other = bound(session), bound(session)
    future = session.submit_with_iobinding(binding)
    engine.wait_running(1)
    for call in (
        lambda: session.run_with_iobinding(binding),
        lambda: session.submit_with_iobinding(binding),
        lambda: binding.bind_cpu_input("x", X),
        lambda: binding.bind_output("y"),
        binding.get_outputs,
        binding.copy_outputs_to_cpu,
        binding.clear_binding_inputs,
        binding.clear_binding_outputs,
        binding.synchronize_outputs,
    ):
        with pytest.raises(RuntimeError, match="in use") as caught:
            call()
        assert isinstance(caught.value, headway.InputError)
    # Another binding of the same session is nobody's business.
    waiting = session.submit_with_iobinding(other)
    engine.open()
    future.result()
    waiting.result()
    binding.bind_output("y")
    session.run_with_iobinding(binding)
    assert_conserved(session)


def test_two_threads_on_one_binding(tiny: bytes) -> None:
    with headway.InferenceSession(tiny, workers=2) as session:
        binding, barrier = bound(session), threading.Barrier(3)
        counts = {"ran": 0, "refused": 0}
        lock = threading.Lock()

        def work(step: Callable[[], object]) -> None:
            barrier.wait(PATIENCE)
            for _ in range(2_000):
                try:
                    step()
                    ended = "ran"
                except RuntimeError as error:
                    assert "in use" in str(error)
                    ended = "refused"
                with lock:
                    counts[ended] += 1

        steps = [
            lambda: session.run_with_iobinding(binding),
            lambda: session.submit_with_iobinding(binding).result(),
        ]
        with concurrent.futures.ThreadPoolExecutor(3) as pool:
            done = [pool.submit(work, step) for step in (*steps, lambda: binding.bind_cpu_input("x", X))]
            for one in done:
                one.result(PATIENCE)
        assert sum(counts.values()) == 6_000
        assert counts["ran"] > 0
        session.run_with_iobinding(binding)
        assert binding.copy_outputs_to_cpu()[0].tolist() == Y
        assert_conserved(session)


def test_the_turn_comes_back_however_it_ends(fake: Make) -> None:
    session, engine = fake(queue_depth=1)
    blocker, binding = bound(session), bound(session)
    running = session.submit_with_iobinding(blocker)
    engine.wait_running(1)

    cancelled = session.submit_with_iobinding(binding)
    assert cancelled.cancel()
    expired = session.submit_with_iobinding(binding, timeout=0.0)
    with pytest.raises(headway.DeadlineExceeded):
        expired.result()
    dropped = session.submit_with_iobinding(binding)
    third = bound(session)
    with pytest.raises(headway.QueueFull):
        session.submit_with_iobinding(third, block=False)
    third.bind_output("y")
    session.cancel_all()
    with pytest.raises(concurrent.futures.CancelledError):
        dropped.result()
    binding.bind_output("y")
    with pytest.raises(concurrent.futures.CancelledError):
        running.result()
    # Cancelled while it ran: the turn is the engine's until it has returned.
    engine.wait_finished(1)
    until(lambda: _at_rest(blocker), "the turn of what was running")
    engine.open()
    session.run_with_iobinding(binding)
    assert_conserved(session)


def _at_rest(binding: IOBinding) -> bool:
    try:
        binding.synchronize_outputs()
    except RuntimeError:
        return False
    return True


def test_a_cancelled_run_keeps_its_memory_until_the_engine_returns(fake: Make) -> None:
    session, engine = fake(can_cancel=False)
    array = X.copy().view(Frame)
    watch = weakref.ref(array)
    binding = bound(session, array)
    del array
    future = session.submit_with_iobinding(binding)
    engine.wait_running(1)
    assert future.cancel()
    del binding, future
    gc.collect()
    assert watch() is not None
    engine.open()
    engine.wait_finished(1)

    def released() -> bool:
        session.stats()
        return watch() is None

    until(released, "the release of the bound array")


def test_everything_may_be_dropped_at_once(tiny: bytes) -> None:
    with headway.InferenceSession(tiny, queue_depth=64) as session:
        futures = []
        for number in range(32):
            binding = bound(session, np.full((1, 3), number, np.float32))
            futures.append(session.submit_with_iobinding(binding))
            del binding
        gc.collect()
        for number, future in enumerate(futures):
            [value] = future.result()
            assert value.numpy().tolist() == [[2 * number] * 3]


def test_a_binding_lets_go_of_what_it_held(tiny: bytes) -> None:
    with headway.InferenceSession(tiny) as session:
        watches = []
        binding = session.io_binding()
        for _ in range(2):
            array = X.copy().view(Frame)
            watches.append(weakref.ref(array))
            binding.bind_cpu_input("x", array)
            del array
        binding.bind_output("y")
        session.run_with_iobinding(binding)
        assert watches[0]() is None
        assert watches[1]() is not None
        binding.clear_binding_inputs()
        # The lane's thread lets go of a request just after its answer is there.
        until(lambda: session.stats() and watches[1]() is None, "the release of what was bound")
        last = X.copy().view(Frame)
        watches.append(weakref.ref(last))
        binding.bind_cpu_input("x", last)
        del last
        del binding
        assert watches[2]() is None
