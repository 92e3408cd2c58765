"""The interpreter exits with work pending: no crash, no hang, nothing on stderr, the exit code untouched."""

from __future__ import annotations

import pytest

from .conftest import Script

pytestmark = pytest.mark.timeout(60)

SWITCH_OFTEN = "sys.setswitchinterval(1e-6)\n"

FUTURES = """
engine = FakeEngine(held=True)
session = headway.InferenceSession(engine, workers=1)
futures = [session.submit(X) for _ in range(3)]
engine.wait_running(1)
"""

CALLBACKS = """
engine = FakeEngine(held=True)
session = headway.InferenceSession(engine, workers=1)
seen = []
for _ in range(3):
    session.run_async(None, X, lambda *answer: seen.append(answer))
engine.wait_running(1)
# Registered after headway's own hook was: runs before it. The callbacks come while the hook runs.
"""

CALLBACK_RUNNING = """
session = headway.InferenceSession(FakeEngine(), workers=1)
inside, never = threading.Event(), threading.Event()
def callback(*answer):
    inside.set()
    never.wait()
session.run_async(None, X, callback)
inside.wait()
"""

BLOCKED_IN_RUN = """
engine = FakeEngine(held=True)
session = headway.InferenceSession(engine, workers=1)
def wait():
    try:
        session.run(None, X)
    except BaseException:
        pass
spawn(wait)
engine.wait_running(1)
"""

BLOCKED_IN_RESULT = """
engine = FakeEngine(held=True)
session = headway.InferenceSession(engine, workers=1)
futures = [session.submit(X) for _ in range(3)]
def wait(future):
    try:
        future.result()
    except BaseException:
        pass
for future in futures:
    spawn(wait, future)
engine.wait_running(1)
"""

BLOCKED_FOR_ROOM = """
engine = FakeEngine(held=True)
session = headway.InferenceSession(engine, workers=1, queue_depth=1, submit_timeout=None)
futures = [session.submit(X), session.submit(X)]
def wait():
    try:
        session.submit(X)
    except BaseException:
        pass
spawn(wait)
engine.wait_running(1)
"""

CANNOT_CANCEL = """
engine = FakeEngine(held=True, can_cancel=False)
session = headway.InferenceSession(engine, workers=1)
future = session.submit(X)
engine.wait_running(1)
"""

SLEEPING_CALLABLE = """
inside = threading.Event()
def model(feed):
    inside.set()
    time.sleep(3600)
session = headway.InferenceSession(model, inputs=["x"], outputs=["y"])
future = session.submit(X)
inside.wait()
"""

LOCKED_CALLABLE = """
inside, lock = threading.Event(), threading.Lock()
lock.acquire()
def model(feed):
    inside.set()
    lock.acquire()
session = headway.InferenceSession(model, inputs=["x"], outputs=["y"], workers=2)
def wait():
    try:
        session.run(None, X)
    except BaseException:
        pass
spawn(wait)
future = session.submit(X)
inside.wait()
"""

COMPUTING_CALLABLE = """
inside = threading.Event()
def model(feed):
    inside.set()
    while True:
        sum(range(100))
session = headway.InferenceSession(model, inputs=["x"], outputs=["y"])
future = session.submit(X)
inside.wait()
"""

LONG_MODEL = """
session = headway.InferenceSession(load("loop"))
future = session.submit(LONG)
def wait():
    try:
        session.run(None, LONG)
    except BaseException:
        pass
spawn(wait)
"""

LOOP = """
import asyncio
session = headway.InferenceSession(load("tiny"))
def loop():
    async def main():
        while True:
            await session.arun(None, X)
    try:
        asyncio.run(main())
    except BaseException:
        pass
spawn(loop)
session.run(None, X)
"""

# Threads that know nothing of the exit and go on calling.
HAMMER = """
session = headway.InferenceSession({model})
started = threading.Semaphore(0)
def hammer(call):
    started.release()
    while True:
        try:
            call()
        except Exception:
            pass
calls = [
    lambda: session.run(None, X),
    lambda: session.submit(X).result(),
    lambda: session.run_async(None, X, lambda *answer: None),
    lambda: session.stats(),
]
for call in calls:
    spawn(hammer, call)
for call in calls:
    started.acquire()
"""

PENDING = {
    "futures": FUTURES,
    "callbacks": CALLBACKS,
    "blocked in run": BLOCKED_IN_RUN,
    "blocked in result": BLOCKED_IN_RESULT,
    "blocked for room": BLOCKED_FOR_ROOM,
    "long model": LONG_MODEL,
    "event loop": LOOP,
    "hammered tiny model": HAMMER.format(model='load("tiny"), hint="throughput"'),
    "hammered fake": HAMMER.format(model="FakeEngine()"),
    "hammered callable": HAMMER.format(
        model='lambda feed: [feed["x"]], inputs=["x"], outputs=["y"], workers=2'
    ),
}
"""Ends as soon as it is told to."""

STUCK = {
    "callback": CALLBACK_RUNNING,
    "engine that cannot cancel": CANNOT_CANCEL,
    "sleeping callable": SLEEPING_CALLABLE,
    "locked callable": LOCKED_CALLABLE,
    "computing callable": COMPUTING_CALLABLE,
}
"""Never ends: the exit waits for a moment and goes on."""


@pytest.mark.parametrize("name", PENDING)
def test_exit_with_work_pending(name: str, script: Script) -> None:
    assert script(PENDING[name]) == (0, "", "")


@pytest.mark.parametrize("name", [*PENDING, *STUCK])
def test_exit_code_is_untouched(name: str, script: Script) -> None:
    assert script(SWITCH_OFTEN + {**PENDING, **STUCK}[name] + "sys.exit(3)\n") == (3, "", "")


@pytest.mark.timeout(120)
@pytest.mark.parametrize("name", [name for name in PENDING if name.startswith(("hammered", "blocked"))])
def test_exit_races(name: str, script: Script) -> None:
    for _ in range(20):
        assert script(SWITCH_OFTEN + PENDING[name]) == (0, "", "")


def test_pending_callbacks_are_called_at_exit(script: Script) -> None:
    text = """
engine = FakeEngine(held=True)
session = headway.InferenceSession(engine, workers=1)
for number in range(3):
    session.run_async(None, X, lambda results, user_data, err: print(user_data, results, bool(err)), number)
engine.wait_running(1)
"""
    assert script(text) == (0, "0 [] True\n1 [] True\n2 [] True\n", "")


def test_exit_by_an_exception(script: Script) -> None:
    ended = script(FUTURES + "raise ValueError('mine')\n")
    assert ended.status == 1
    assert ended.err.rstrip().endswith("ValueError: mine")


def test_exit_inside_with(script: Script) -> None:
    text = """
engine = FakeEngine(held=True)
with headway.InferenceSession(engine, workers=1) as session:
    future = session.submit(X)
    sys.exit(3)
"""
    assert script(text) == (3, "", "")


def test_os_exit(script: Script) -> None:
    assert script(BLOCKED_IN_RUN + "os._exit(4)\n") == (4, "", "")


def test_threads_of_the_program_are_joined_first(script: Script) -> None:
    text = """
session = headway.InferenceSession(load("tiny"))
main = threading.main_thread()
def work():
    main.join()
    print(session.run(None, X)[0].tolist(), session.submit(X).result()[0].tolist())
threading.Thread(target=work).start()
"""
    assert script(text) == (0, "[[0.0, 2.0, 4.0]] [[0.0, 2.0, 4.0]]\n", "")


YOUNGER_HANDLER = """
session = headway.InferenceSession(load("tiny"))
other = headway.InferenceSession(FakeEngine(held=True))
pending = other.submit(X)
@atexit.register
def handler():
    print(session.run(None, X)[0].tolist())
    session.close()
"""

#: Registered before headway was imported: runs after its hook.
OLDER_HANDLER = """
import atexit
@atexit.register
def handler():
    for number, call in enumerate(calls):
        try:
            call()
        except headway.SessionClosed:
            print("closed", end=" ")
        else:
            print(number, end=" ")
"""

OLDER_CALLS = """
import asyncio
session = headway.InferenceSession(load("tiny"))
engine = FakeEngine(held=True)
other = headway.InferenceSession(engine, workers=1)
ended, pending = session.submit(X), other.submit(X)
ended.result()
calls = [
    lambda: session.run(None, X),
    lambda: session.submit(X),
    lambda: session.run_async(None, X, print),
    lambda: asyncio.run(session.arun(None, X)),
    lambda: next(session.stream([X])),
    lambda: session.cancel_all(),
    lambda: session.stats(),
    lambda: headway.InferenceSession(load("tiny")),
    lambda: headway.InferenceSession(FakeEngine()),
]
"""

OLDER_USES = (
    OLDER_CALLS.split("calls = [")[0]
    + """
def handler_body():
    assert ended.result()[0].tolist() == (2 * X).tolist()
    assert pending.done() and pending.cancelled() and not pending.running()
    assert pending.cancel()
    pending.add_done_callback(lambda future: print("called", end=" "))
    repr(session), repr(pending), pending.timing, session.get_inputs()
    session.close()
calls = [handler_body]
"""
)


#: What values hold may be freed by Python code, which gives up the GIL, while the interpreter ends.
VALUES_DROPPED = """
import ctypes
class Slow(np.ndarray):
    def __del__(self):
        time.sleep(0)
def drop_values(at_it):
    while True:
        value = headway.OrtValue.ortvalue_from_numpy(np.zeros(4, np.float32).view(Slow))
        del value
        at_it.set()
busy = [threading.Event() for _ in range(4)]
for at_it in busy:
    spawn(drop_values, at_it)
assert all(at_it.wait(10) for at_it in busy)
"""


def test_values_dropped_while_the_interpreter_ends(script: Script) -> None:
    for _ in range(3):
        assert script(SWITCH_OFTEN + VALUES_DROPPED) == (0, "", "")


def test_younger_atexit_handler_still_works(script: Script) -> None:
    assert script(YOUNGER_HANDLER) == (0, "[[0.0, 2.0, 4.0]]\n", "")


def test_older_atexit_handler_is_refused(script: Script) -> None:
    assert script(OLDER_CALLS, before=OLDER_HANDLER) == (0, "closed " * 9, "")


def test_older_atexit_handler_may_look_and_close(script: Script) -> None:
    assert script(OLDER_USES, before=OLDER_HANDLER) == (0, "called 0 ", "")


def test_module_globals_are_torn_down_quietly(script: Script) -> None:
    text = """
class Holder:
    def __init__(self):
        self.session = headway.InferenceSession(FakeEngine())
        self.future = self.session.submit(X)
        self.me = self
    def __del__(self):
        del self.session, self.future
holder = Holder()
"""
    assert script(text) == (0, "", "")
