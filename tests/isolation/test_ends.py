"""How it all ends: nothing is left of a session's processes, whoever goes first."""

from __future__ import annotations

import ctypes
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest

import headway

from ..lifecycle.process import ROOT, environment
from ..support import PATIENCE, X, descriptors, until
from . import calls
from .conftest import Make, children, gone, pids

pytestmark = pytest.mark.timeout(90)

PROGRAM = """
import os, signal, sys, threading, time
import numpy as np
import headway
from tests.isolation import calls
session = headway.InferenceSession(calls.unkind, inputs=["x"], outputs=["y"], workers=2, isolation="process")
for _ in range(4):
    session.run_parallel([[np.ones(3)]] * 4)
HANG = [np.array([calls.HANG])]
def patient():
    try:
        session.run(None, HANG)
    except BaseException:
        pass
print(*[lane.pid for lane in session.stats().lanes], flush=True)
"""


def start(script: str, models: Path) -> tuple[subprocess.Popen[str], list[int]]:
    """A program with two process lanes, and their processes."""
    found = {
        **environment(models),
        "PYTHONPATH": os.pathsep.join([environment(models)["PYTHONPATH"], str(ROOT)]),
    }
    program = subprocess.Popen(
        [sys.executable, "-W", "error::ResourceWarning", "-c", PROGRAM + script],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env=found,
        cwd=ROOT,
    )
    assert program.stdout is not None
    lanes = [int(one) for one in program.stdout.readline().split()]
    assert len(lanes) == 2, program.communicate()[1]
    return program, lanes


@pytest.fixture
def quiet() -> Iterator[None]:
    before = children()
    yield
    assert children() == before


ENDS = {
    "at its end": "",
    "closed": "session.close()",
    "by sys.exit": "sys.exit(3)",
    "with work pending": "futures = [session.submit(HANG) for _ in range(4)]",
    "with work pending on a daemon": "threading.Thread(target=patient, daemon=True).start()",
    "by os._exit": "session.submit(HANG); os._exit(3)",
    "by an exception": "raise SystemExit(3)",
    "by SIGKILL": "session.submit(HANG); os.kill(os.getpid(), signal.SIGKILL)",
    "by SIGKILL while idle": "os.kill(os.getpid(), signal.SIGKILL)",
    "by SIGTERM": "session.submit(HANG); os.kill(os.getpid(), signal.SIGTERM)",
}


@pytest.mark.parametrize("end", ENDS)
def test_the_processes_end_with_the_program(end: str, tmp_path: Path, quiet: None) -> None:
    program, lanes = start(ENDS[end], tmp_path)
    _, said = program.communicate(timeout=PATIENCE)
    expected = 3 if "exit" in ENDS[end] or "Exit" in ENDS[end] else 0
    if "KILL" in end or "TERM" in end:
        expected = -signal.SIGKILL if "KILL" in end else -signal.SIGTERM
    assert program.returncode == expected, said
    assert "Traceback" not in said, said
    until(lambda: all(gone(pid) for pid in lanes), "the end of the processes")


def test_a_stopped_process_dies_with_the_program(tmp_path: Path, quiet: None) -> None:
    program, lanes = start("time.sleep(600)", tmp_path)
    for pid in lanes:
        os.kill(pid, signal.SIGSTOP)
    program.kill()
    program.communicate(timeout=PATIENCE)
    until(lambda: all(gone(pid) for pid in lanes), "the end of the processes")


def test_an_interrupt_is_for_the_program(tmp_path: Path, quiet: None) -> None:
    # A session whose model is not known to be quick: the main thread leaves requests to the lane's own thread.
    script = """
session.close()
session = headway.InferenceSession(calls.unkind, inputs=["x"], outputs=["y"], workers=2, isolation="process")
lanes = [lane.pid for lane in session.stats().lanes]
try:
    print(*lanes, flush=True)
    session.run(None, HANG)
except KeyboardInterrupt:
    print("interrupted", session.run(None, [np.ones(1)])[0].tolist(), flush=True)
session.close()
"""
    program, lanes = start(script, tmp_path)
    assert program.stdout is not None
    # In `run` or just before it: to the lanes it is the same.
    lanes = [int(one) for one in program.stdout.readline().split()]
    # Sent to everybody, as a terminal would, the lanes too.
    for pid in (*lanes, program.pid):
        os.kill(pid, signal.SIGINT)
    out, said = program.communicate(timeout=PATIENCE)
    assert out == "interrupted [2.0]\n", said
    assert program.returncode == 0
    until(lambda: all(gone(pid) for pid in lanes))


def test_a_fork_of_the_program(tmp_path: Path, quiet: None) -> None:
    """The child has the session's memory and none of its processes: it may neither use nor end them."""
    script = """
import warnings
warnings.simplefilter("ignore", DeprecationWarning)
child = os.fork()
if child == 0:
    try:
        session.run(None, [np.ones(1)])
    except headway.SessionClosed:
        pass
    else:
        os._exit(9)
    del session
    sys.exit(5)
assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 5
print(session.run(None, [np.ones(1)])[0].tolist(), flush=True)
assert [lane.restarts for lane in session.health().lanes] == [0, 0]
session.close()
"""
    program, lanes = start(script, tmp_path)
    out, said = program.communicate(timeout=PATIENCE)
    assert (program.returncode, out) == (0, "[2.0]\n"), said
    until(lambda: all(gone(pid) for pid in lanes))


def test_a_forked_child_lets_go_of_its_own_copy_only(tmp_path: Path, quiet: None) -> None:
    """The memory of an answer is the program's as long as the program has it."""
    script = """
import warnings
warnings.simplefilter("ignore", DeprecationWarning)
kept = session.run(None, [np.full(100_000, 1.0, np.float32)])[0]
child = os.fork()
if child == 0:
    del kept
    os._exit(0)
os.waitpid(child, 0)
for number in range(2, 22):
    assert session.run(None, [np.full(100_000, number, np.float32)])[0].max() == 2 * number
print(kept.min(), kept.max(), flush=True)
session.close()
"""
    program, lanes = start(script, tmp_path)
    out, said = program.communicate(timeout=PATIENCE)
    assert (program.returncode, out) == (0, "2.0 2.0\n"), said
    until(lambda: all(gone(pid) for pid in lanes))


def test_a_forked_child_that_lives_on_keeps_no_process(tmp_path: Path, quiet: None) -> None:
    script = """
import warnings
warnings.simplefilter("ignore", DeprecationWarning)
if os.fork() == 0:
    os.close(1), os.close(2)
    sys.stdin.read()
    os._exit(0)
os.kill(os.getpid(), signal.SIGKILL)
"""
    program, lanes = start(script, tmp_path)
    program.wait(PATIENCE)
    until(lambda: all(gone(pid) for pid in lanes), "the end of the processes")
    program.communicate()


def test_close_leaves_nothing(unkind: Make) -> None:
    session = unkind(workers=2)
    lanes = pids(session)
    kept = session.run(None, [np.ones(100_000, np.float32)])[0]
    report = session.close()
    assert report.drained
    assert report.abandoned == ()
    assert all(gone(pid) for pid in lanes)
    assert not children() & set(lanes)
    assert kept.min() == 2
    with pytest.raises(headway.SessionClosed):
        session.run(None, [X])
    assert session.health().state == "closed"


def test_close_ends_what_hangs(unkind: Make) -> None:
    session = unkind(workers=2)
    lanes = pids(session)
    futures = [session.submit([np.array([calls.HANG])]) for _ in range(4)]
    report = session.close(timeout=0.2)
    assert (report.cancelled, report.abandoned) == (4, ())
    assert all(future.cancelled() for future in futures)
    assert all(gone(pid) for pid in lanes)


@pytest.fixture
def undying() -> Iterator[Callable[[int], None]]:
    """Keeps a process from ending, as a call of the system's does that nothing interrupts, until the test ends."""
    ptrace = ctypes.CDLL(None, use_errno=True).ptrace
    ptrace.argtypes, ptrace.restype = (
        [ctypes.c_long, ctypes.c_int, ctypes.c_void_p, ctypes.c_void_p],
        ctypes.c_long,
    )
    seize, detach, trace_exit = 0x4206, 17, 0x40
    held = []

    def hold(pid: int) -> None:
        assert ptrace(seize, pid, 0, trace_exit) == 0, os.strerror(ctypes.get_errno())
        held.append(pid)

    yield hold
    for pid in held:
        assert ptrace(detach, pid, 0, 0) == 0, os.strerror(ctypes.get_errno())
    until(lambda: all(gone(pid) for pid in held), "the end of the processes")


def test_close_leaves_a_process_that_does_not_end(unkind: Make, undying: Callable[[int], None]) -> None:
    session = unkind(workers=2)
    lanes = pids(session)
    undying(lanes[1])
    report = session.close(timeout=0.2)
    assert (report.drained, report.abandoned) == (True, (1,))
    assert (gone(lanes[0]), gone(lanes[1])) == (True, False)
    assert session.close() == report


def test_sessions_leave_no_descriptor(leaks: None, tiny: bytes) -> None:
    before = descriptors()
    for _ in range(5):
        with headway.InferenceSession(tiny, isolation="process") as session:
            session.run(None, [X])
    until(lambda: not descriptors() - before)


def test_a_dropped_session_ends_its_processes(leaks: None) -> None:
    session = headway.InferenceSession(calls.double, inputs=["x"], isolation="process")
    lanes = pids(session)
    with pytest.warns(ResourceWarning):
        del session
    until(lambda: all(gone(pid) for pid in lanes))


def test_other_processes_inherit_nothing(unkind: Make) -> None:
    """A program started meanwhile has no descriptor of the lanes."""
    unkind()
    script = "import os; print(*[os.readlink(f'/proc/self/fd/{n}') for n in (3, 4, 5) if os.path.exists(f'/proc/self/fd/{n}')])"
    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, close_fds=False, check=True
    )
    assert "memfd" not in done.stdout
    assert "socket" not in done.stdout
