"""The interpreter exits with work pending: no crash, no hang, nothing on stderr, the exit code untouched."""

from __future__ import annotations

import pytest

from .conftest import Script

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
    "hammered callable": HAMMER.format(model='lambda feed: [feed["x"]], inputs=["x"], outputs=["y"], workers=2'),
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


@pytest.mark.timeout(120)
@pytest.mark.parametrize("often", [False, True], ids=["", "switching often"])
@pytest.mark.parametrize("name", [*PENDING, *STUCK])
def test_exit_with_work_pending(name: str, often: bool, script: Script) -> None:
    ended = script((SWITCH_OFTEN if often else "") + {**PENDING, **STUCK}[name])
    assert ended == (0, "", "")


@pytest.mark.timeout(120)
@pytest.mark.parametrize("name", [*PENDING, *STUCK])
def test_exit_code_is_untouched(name: str, script: Script) -> None:
    assert script({**PENDING, **STUCK}[name] + "sys.exit(3)\n") == (3, "", "")
