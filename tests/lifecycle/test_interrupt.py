"""Ctrl-C ends a wait soon, and the session stays usable."""

from __future__ import annotations

import pytest

from .conftest import Script

# The process presses Ctrl-C on itself once the call under test is under way, and measures how long it takes.
FRAME = """
pressed = []
def press(ready):
    ready()
    pressed.append(time.monotonic())
    os.kill(os.getpid(), signal.SIGINT)

{setup}
try:
    # Inside: the key may be pressed before the call has begun.
    spawn(press, ready)
    {call}
except KeyboardInterrupt:
    print("interrupted" if time.monotonic() - pressed[0] < 20.0 else "late")
{after}
"""

FAKE = """
engine = FakeEngine(held=True)
session = headway.InferenceSession(engine, workers=1, queue_depth=1, submit_timeout=None)
"""

READY_FAKE = "ready = lambda: engine.wait_running(1)"
USABLE = """
engine.open()
assert session.run(None, X)[0].tolist() == X.tolist()
report = session.close()
stats = session.stats()
assert stats.submitted == stats.done + stats.cancelled, stats
print("usable")
"""

CALLS = {
    "run": FRAME.format(setup=FAKE + READY_FAKE, call="session.run(None, X)", after=USABLE),
    "result": FRAME.format(
        setup=FAKE + READY_FAKE + "\nfuture = session.submit(X)", call="future.result()", after=USABLE
    ),
    "result with a timeout": FRAME.format(
        setup=FAKE + READY_FAKE + "\nfuture = session.submit(X)",
        call="future.result(timeout=100)",
        after=USABLE,
    ),
    "submit": FRAME.format(
        setup=FAKE + READY_FAKE + "\nfuture = session.submit(X)\nengine.wait_running(1)\nsession.submit(X)",
        call="session.submit(X)",
        after=USABLE,
    ),
    "run_async": FRAME.format(
        setup=FAKE + READY_FAKE + "\nfuture = session.submit(X)\nengine.wait_running(1)\nsession.submit(X)",
        call="session.run_async(None, X, print)",
        after=USABLE,
    ),
    "stream": FRAME.format(setup=FAKE + READY_FAKE, call="list(session.stream([X] * 10))", after=USABLE),
    "the fake engine": FRAME.format(
        setup=FAKE
        + """
main = threading.get_ident()
def ready():
    while sys._current_frames()[main].f_code.co_name != "wait_finished":
        time.sleep(0.001)
""",
        call="engine.wait_finished(1)",
        after=USABLE,
    ),
    "a long model": FRAME.format(
        setup="""
session = headway.InferenceSession(load("loop"))
def ready():
    while not session.stats().running:
        time.sleep(0.001)
""",
        call="session.run(None, LONG)",
        after="""
assert session.run(None, SHORT)[0].tolist() == [3.0]
session.close()
print("usable")
""",
    ),
    "a callable": FRAME.format(
        setup="""
go_on, inside = threading.Event(), threading.Event()
def model(feed):
    inside.set()
    go_on.wait()
    return [feed["x"]]
session = headway.InferenceSession(model, inputs=["x"], outputs=["y"])
ready = inside.wait
""",
        call="session.run(None, X)",
        after="""
go_on.set()
assert session.run(None, X)[0].tolist() == X.tolist()
session.close()
print("usable")
""",
    ),
    "arun": """
import asyncio
engine = FakeEngine(held=True)
session = headway.InferenceSession(engine, workers=1)
over = threading.Event()
def press():
    engine.wait_running(1)
    os.kill(os.getpid(), signal.SIGINT)
    # asyncio sleeps without a wake-up descriptor for signals: one that comes just before it sleeps is seen with the next.
    while not over.wait(3):
        os.kill(os.getpid(), signal.SIGINT)
async def main():
    spawn(press)
    await session.arun(None, X)
try:
    asyncio.run(main())
except KeyboardInterrupt:
    over.set()
    print("interrupted")
engine.open()
assert session.run(None, X)[0].tolist() == X.tolist()
session.close()
print("usable")
""",
}


@pytest.mark.timeout(60)
@pytest.mark.parametrize("name", CALLS)
def test_interrupted(name: str, script: Script) -> None:
    assert script(CALLS[name]) == (0, "interrupted\nusable\n", "")


@pytest.mark.timeout(60)
def test_interrupt_that_nobody_catches(script: Script) -> None:
    ended = script(
        FRAME.format(setup=FAKE + READY_FAKE, call="session.run(None, X)", after="").replace(
            "except KeyboardInterrupt", "except ZeroDivisionError"
        )
    )
    assert ended.status == -2
    assert ended.err.rstrip().endswith("KeyboardInterrupt")


def test_pressed_before_the_first_call_waits(script: Script) -> None:
    # The call asks which thread it is on. No Python code runs between the key and that, so it meets the key.
    text = """
import _thread
session = headway.InferenceSession(load("tiny"), workers=1)
try:
    list(map(session.run, map(_thread.interrupt_main, [signal.SIGINT]), [X]))
except KeyboardInterrupt:
    print("interrupted")
session.close()
"""
    assert script(text) == (0, "interrupted\n", "")
