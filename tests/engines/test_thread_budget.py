"""Several sessions in a process share its threads."""

from __future__ import annotations

from pathlib import Path

import pytest

import headway
from tests.lifecycle.process import INTERPRETERS, run
from tests.support import tiny_model

TINY = """
def threads():
    return len(os.listdir("/proc/self/task"))

def check(session):
    assert (session.run(None, {"x": X})[0] == X + X).all()
    return session.stats().threads
"""


@pytest.fixture(scope="module")
def models(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("budget")
    (folder / "tiny.onnx").write_bytes(tiny_model())
    return folder


def _ends_well(script: str, models: Path) -> None:
    ended = run(INTERPRETERS[0], TINY + script, models)
    assert (ended.status, ended.out, ended.err) == (0, "", "")


def test_five_sessions_have_one_pool(models: Path) -> None:
    script = """
headway.set_thread_budget(4)
sessions = [headway.InferenceSession(load("tiny"))]
before = threads()
for _ in range(4):
    sessions.append(headway.InferenceSession(load("tiny")))
    # Its lane's own thread, and nothing else.
    assert threads() == before + len(sessions) - 1, (before, threads())
for session in sessions:
    used = check(session)
    assert (used.budget, used.intra_op, used.shared, used.lanes) == (4, 4, True, 4), used
own = headway.SessionOptions()
own.intra_op_num_threads = 4
before = threads()
with headway.InferenceSession(load("tiny"), own) as session:
    used = check(session)
    assert (used.intra_op, used.shared) == (4, False)
    assert threads() == before + 1 + 3
for session in sessions:
    session.close()
"""
    _ends_well(script, models)


def test_a_budget_of_one_makes_sessions_of_one_thread(models: Path) -> None:
    script = """
headway.set_thread_budget(1)
# Makes the environment, which may have a thread of its own.
headway.get_ep_devices()
# The first session starts the process's own: the timer.
headway.InferenceSession(load("tiny")).close()
before = threads()
with headway.InferenceSession(load("tiny")) as session:
    assert check(session) == headway.ThreadStats(1, 1, False, 1)
    assert threads() == before + 1
"""
    _ends_well(script, models)


def test_a_budget_set_later_holds_for_later_sessions(models: Path) -> None:
    script = """
headway.set_thread_budget(2)
with headway.InferenceSession(load("tiny")) as first:
    headway.set_thread_budget(3)
    assert headway.get_thread_budget() == 3
    with headway.InferenceSession(load("tiny")) as second:
        assert check(first) == headway.ThreadStats(2, 2, True, 2)
        # The pool has two threads: whoever wants three has its own.
        assert check(second) == headway.ThreadStats(3, 3, False, 3)
    headway.set_thread_budget(2)
    with headway.InferenceSession(load("tiny")) as third:
        assert check(third).shared
"""
    _ends_well(script, models)


def test_global_pool_sizes(models: Path) -> None:
    script = """
headway.get_available_providers(), headway.get_version_string(), headway.get_build_info()
headway.set_global_thread_pool_sizes(SIZE, 1)
options = headway.SessionOptions()
options.use_per_session_threads = False
with headway.InferenceSession(load("tiny"), options) as session:
    used = check(session)
    assert (used.intra_op, used.shared) == (SIZE, True)
    print(threads())
    for _ in range(2):
        try:
            headway.set_global_thread_pool_sizes(2, 1)
        except headway.Fail as error:
            assert "Global thread pools have already been created, cannot replace them" in str(error)
        else:
            raise AssertionError("accepted")
"""
    counts = []
    for size in (1, 3):
        ended = run(INTERPRETERS[0], TINY + script.replace("SIZE", str(size)), models)
        assert (ended.status, ended.err) == (0, "")
        counts.append(int(ended.out))
    # The thread that calls the engine is one of them.
    assert counts[1] - counts[0] == 2


def test_a_fork_uses_no_threads_of_its_parent(models: Path) -> None:
    script = """
headway.set_thread_budget(2)
shared = headway.SessionOptions()
shared.use_per_session_threads = False
parent = headway.InferenceSession(load("tiny"))
assert check(parent).shared
child = os.fork()
if child == 0:
    for options in (None, shared):
        with headway.InferenceSession(load("tiny"), options) as session:
            assert not check(session).shared
    os._exit(0)
assert os.waitpid(child, 0)[1] == 0
parent.close()
"""
    _ends_well(script, models)


@pytest.mark.parametrize("python", INTERPRETERS)
def test_exit_with_the_pool_alive(models: Path, python: str) -> None:
    script = """
headway.set_thread_budget(4)
sessions = [headway.InferenceSession(load("tiny"), hint="latency") for _ in range(3)]
for session in sessions:
    check(session)
    session.submit({"x": X})
sys.stdout.flush()
for session in sessions[1:]:
    session.close()
sessions[0].close()
"""
    for _ in range(20):
        ended = run(python, TINY + script, models)
        assert (ended.status, ended.out, ended.err) == (0, "", "")


def test_stats_say_which_threads() -> None:
    with headway.InferenceSession(tiny_model(), workers=2) as session:
        used = session.stats().threads
        assert (used.lanes, used.shared) == (2, False)
        assert used.budget == headway.get_thread_budget()
    with headway.InferenceSession(lambda feed: feed, inputs=["x"], outputs=["x"]) as python:
        assert python.stats().threads.intra_op == 1
