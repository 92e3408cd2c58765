"""A fork while other threads are in the middle of something: the child finds no lock that nobody will open."""

from __future__ import annotations

import pytest

from .conftest import Script
from .test_fork import CHILD

pytestmark = pytest.mark.timeout(60)


def test_forks_under_load(script: Script) -> None:
    body = (
        CHILD
        + """
session = headway.InferenceSession(load("tiny"), workers=2)
stop = False
def hammer():
    while not stop:
        session.submit(X).result()
threads = [spawn(hammer) for _ in range(2)]
def body():
    with headway.InferenceSession(load("tiny"), workers=1) as mine:
        assert mine.submit(X).result()[0].tolist() == (2 * X).tolist()
        mine.run(None, X)
for _ in range(20):
    in_child(body)
stop = True
for thread in threads:
    thread.join()
session.close()
stats = session.stats()
assert stats.submitted == stats.done
print("fine")
"""
    )
    assert script(body, timeout=50) == (0, "fine\n", "")


def test_forked_by_another_thread_while_the_first_call_imports(script: Script) -> None:
    # What a call looks up once is looked up by Python code, and another thread may fork in the middle of it.
    body = (
        CHILD
        + """
import builtins
real, forked = builtins.__import__, []
def body():
    with headway.InferenceSession(load("tiny"), workers=1) as mine:
        assert mine.submit(X).result()[0].tolist() == (2 * X).tolist()
        assert mine.run(None, {"x": X.astype(">f4").astype("<f4")})[0].tolist() == (2 * X).tolist()
def importing(name, *rest):
    # The call's own imports: the fork's may not wait for another fork.
    if name not in forked and threading.current_thread() is threading.main_thread():
        forked.append(name)
        spawn(in_child, body).join()
    return real(name, *rest)
with headway.InferenceSession(load("tiny"), workers=1) as session:
    builtins.__import__ = importing
    session.submit(X).result()
    session.run(None, X)
    builtins.__import__ = real
print("fine")
"""
    )
    assert script(body, timeout=50) == (0, "fine\n", "")


def test_forked_while_another_thread_loads(script: Script) -> None:
    body = (
        CHILD
        + """
started = threading.Barrier(3)
def first():
    started.wait()
    with headway.InferenceSession(load("tiny"), workers=1) as session:
        session.run(None, X)
def body():
    with headway.InferenceSession(load("tiny"), workers=1) as mine:
        assert mine.submit(X).result()[0].tolist() == (2 * X).tolist()
threads = [spawn(first) for _ in range(2)]
started.wait()
while any(thread.is_alive() for thread in threads):
    in_child(body)
print("fine")
"""
    )
    assert script(body, timeout=50) == (0, "fine\n", "")


# Hooks run last registered first: this one runs after headway's, and gives the GIL away as any hook in Python may.
HOOK = """
import os, time
turns = []
def give_way():
    for turn in turns:
        turn()
os.register_at_fork(before=give_way)
"""


@pytest.mark.parametrize(
    "call",
    ["get_thread_budget()", "set_thread_budget(2)", "set_default_logger_severity(2)", "_core.engine_log()"],
)
def test_another_thread_asks_for_a_lock_of_the_process_that_forks(call: str, script: Script) -> None:
    body = (
        CHILD
        + f"""
asking = threading.Event()
def ask():
    asking.wait()
    headway.{call}
thread = spawn(ask)
def turn():
    asking.set()
    # It has the GIL in turns, and comes to the lock.
    for _ in range(20):
        time.sleep(0.001)
turns.append(turn)
in_child(lambda: headway.InferenceSession(load("tiny")).close())
thread.join()
print("fine")
"""
    )
    assert script(body, before=HOOK) == (0, "fine\n", "")


def test_two_threads_fork_at_once(script: Script) -> None:
    body = (
        CHILD
        + """
both = threading.Barrier(2)
def body():
    headway.InferenceSession(load("tiny")).close()
def fork():
    both.wait()
    for _ in range(3):
        in_child(body)
turns.append(lambda: time.sleep(0.001))
threads = [spawn(fork) for _ in range(2)]
for thread in threads:
    thread.join()
print("fine")
"""
    )
    assert script(body, before=HOOK) == (0, "fine\n", "")


def test_two_threads_fork_while_others_use_the_processes_locks(script: Script) -> None:
    # The thread that forks holds them. Who waits for one must not keep it from forking: with a GIL by holding that,
    # without one by never stopping.
    body = (
        CHILD
        + """
stop = False
def budget():
    while not stop:
        headway.set_thread_budget(2)
        headway.get_thread_budget()
def body():
    headway.set_thread_budget(1)
def fork():
    for _ in range(20):
        in_child(body)
others = [spawn(budget) for _ in range(2)]
forks = [spawn(fork) for _ in range(2)]
for thread in forks:
    thread.join()
stop = True
for thread in others:
    thread.join()
print("fine")
"""
    )
    assert script(body, timeout=50) == (0, "fine\n", "")


# Each needs a module that is imported when it is first needed.
LATE = {
    "_stream": "assert len(list(mine.stream([X] * 3))) == 3",
    "_pipeline": "mine.pipeline().push(X)",
    "_parallel": "mine.run_parallel([X])",
    "run": "mine.open().close()",
    "_health": "mine.health()",
    "_waiting": "headway.wait([mine.submit(X)])",
}


@pytest.mark.parametrize("module", LATE)
def test_forked_while_another_thread_imports_what_is_imported_late(module: str, script: Script) -> None:
    body = (
        CHILD
        + f"""
importing, forking, forked = threading.Event(), threading.Event(), threading.Event()
class Slow:
    @staticmethod
    def find_spec(name, path=None, target=None):
        if name == "headway.{module}" and threading.current_thread() is thread:
            importing.set()
            assert forking.wait(10)
            # In the middle of it as long as nobody waits for it.
            forked.wait(0.5)
sys.meta_path.insert(0, Slow)
os.register_at_fork(before=forking.set, after_in_parent=forked.set)
def body():
    with headway.InferenceSession(load("tiny"), workers=1) as mine:
        {LATE[module]}
def use():
    body()
thread = threading.Thread(target=use)
thread.start()
assert importing.wait(10)
in_child(body)
thread.join()
print("fine")
"""
    )
    assert script(body, timeout=50) == (0, "fine\n", "")


def test_nothing_is_imported_before_a_fork_without_other_threads(script: Script) -> None:
    body = (
        CHILD
        + """
with headway.InferenceSession(load("tiny"), workers=2) as session:
    session.submit(X).result()
    in_child(lambda: None)
assert "headway._late" not in sys.modules
print("fine")
"""
    )
    assert script(body) == (0, "fine\n", "")


def test_every_module_that_is_imported_late_is_known(script: Script) -> None:
    # A program names the others itself, or they belong to a program of their own.
    body = """
from headway._late import LATE, import_all
from pathlib import Path
import_all()
own = {"__main__", "_demo", "_lane", "_pictures", "_suite", "_suite_checks", "cli", "ez_rknn", "ort", "testing"}
folder = Path(headway.__file__).parent
files = {str(path.relative_to(folder).with_suffix("")).replace(os.sep, ".") for path in folder.rglob("*.py")}
files = {name.removesuffix(".__init__") for name in files if name.split(".")[0] not in own}
known = {name.removeprefix("headway.") for name in sys.modules if name.startswith("headway.")}
print(sorted(files - known - {"__init__"}))
"""
    assert script(body) == (0, "[]\n", "")
