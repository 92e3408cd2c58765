"""A forked child has no lanes: what it inherited says so at once and is left alone; what it makes works."""

from __future__ import annotations

import pytest

from .conftest import Script

pytestmark = pytest.mark.timeout(60)

CHILD = """
def in_child(body):
    pid = os.fork()
    if pid == 0:
        status = 1
        try:
            body()
            status = 0
        except BaseException:
            import traceback
            traceback.print_exc()
        finally:
            sys.stdout.flush()
            sys.stderr.flush()
            os._exit(status)
    _, status = os.waitpid(pid, 0)
    assert os.waitstatus_to_exitcode(status) == 0, status
"""

BUSY = (
    CHILD
    + """
engine = FakeEngine(held=True)
session = headway.InferenceSession(engine, workers=2, queue_depth=8)
called = threading.Event()
session.run_async(None, X, lambda *answer: called.set())
futures = [session.submit(X, timeout=1000) for _ in range(4)]
engine.wait_running(2)
"""
)

PARENT_IS_FINE = """
engine.open()
assert [future.result()[0].tolist() for future in futures] == [X.tolist()] * 4
assert called.wait(10)
session.close()
print("fine")
"""

EVERY_CALL = """
import asyncio, gc
calls = [
    lambda: session.run(None, X),
    lambda: session.submit(X),
    lambda: session.try_submit(X),
    lambda: session.run_async(None, X, print),
    lambda: next(session.stream([X])),
    lambda: asyncio.run(session.arun(None, X)),
    lambda: asyncio.run(session.asubmit(X)),
    lambda: session.cancel_all(),
    lambda: session.stats(),
    lambda: session.close(),
    lambda: futures[0].result(),
    lambda: futures[0].cancel(),
    lambda: futures[0].running(),
    lambda: futures[0].add_done_callback(print),
    lambda: asyncio.run(awaited(futures[0])),
    lambda: headway.wait(futures),
    lambda: list(headway.as_completed(futures)),
    lambda: session.run_parallel([X]),
    lambda: session.run_batch(None, X),
    lambda: session.warmup(),
    lambda: session.run_pipeline(X),
    lambda: session._staff(),
    lambda: session._drop(futures[0]),
    lambda: session.prepare({"x": X}),
    lambda: session.open(),
]
async def awaited(future):
    return await future
def body():
    for number, call in enumerate(calls):
        try:
            call()
        except headway.SessionClosed as error:
            assert "another process" in str(error), error
        else:
            raise AssertionError(f"call {number} went through")
    assert "closed" in repr(session)
"""


def test_every_call_is_refused(script: Script) -> None:
    assert script(BUSY + EVERY_CALL + "in_child(body)" + PARENT_IS_FINE) == (0, "fine\n", "")


def test_deleting_does_nothing(script: Script) -> None:
    body = """
import gc
def body():
    global session, futures, engine
    del session, futures, engine
    gc.collect()
in_child(body)
"""
    assert script(BUSY + body + PARENT_IS_FINE) == (0, "fine\n", "")


def test_deleting_a_stream_does_nothing(script: Script) -> None:
    body = """
import gc
stream = session.stream([X] * 9)
reader = threading.Thread(target=lambda: next(stream))
reader.start()
while session.stats().submitted < 6:
    time.sleep(0.001)
def body():
    global stream
    stream.__del__()
in_child(body)
"""
    assert script(BUSY + body + PARENT_IS_FINE + "reader.join()") == (0, "fine\n", "")


@pytest.mark.parametrize("model", ["FakeEngine()", 'load("tiny")', 'lambda feed: [feed["x"] * 1]'])
def test_new_session_in_the_child(model: str, script: Script) -> None:
    names = ', inputs=["x"], outputs=["y"]' if "lambda" in model else ""
    body = f"""
def body():
    with headway.InferenceSession({model}{names}) as mine:
        called = threading.Event()
        expected = mine.run(None, X)[0].tolist()
        mine.run_async(None, X, lambda *answer: called.set())
        assert mine.submit(X, timeout=100).result()[0].tolist() == expected
        assert called.wait(10)
    try:
        slow = headway.InferenceSession(FakeEngine(held=True))
        slow.submit(X, timeout=0.01).result()
    except headway.DeadlineExceeded:
        slow.close(drain=False)
        print("expired")
in_child(body)
"""
    assert script(BUSY + body + PARENT_IS_FINE) == (0, "expired\nfine\n", "")


def test_child_that_ends_like_a_program(script: Script) -> None:
    body = """
pid = os.fork()
if pid == 0:
    sys.exit(5)
_, status = os.waitpid(pid, 0)
assert os.waitstatus_to_exitcode(status) == 5, status
"""
    assert script(BUSY + body + PARENT_IS_FINE) == (0, "fine\n", "")


def test_child_with_a_session_that_ends_like_a_program(script: Script) -> None:
    body = """
pid = os.fork()
if pid == 0:
    mine = headway.InferenceSession(FakeEngine(held=True), workers=1)
    pending = mine.submit(X)
    sys.exit(6)
_, status = os.waitpid(pid, 0)
assert os.waitstatus_to_exitcode(status) == 6, status
"""
    assert script(BUSY + body + PARENT_IS_FINE) == (0, "fine\n", "")


@pytest.mark.parametrize("own", ["", 'headway.InferenceSession(load("tiny")).run(None, X)'])
def test_child_of_a_parent_with_a_model_ends_like_a_program(own: str, script: Script) -> None:
    # The engine's threads are the parent's: waiting for them at the child's end would take for ever.
    body = f"""
session = headway.InferenceSession(load("tiny"), workers=1)
before = session.run(None, X)
pid = os.fork()
if pid == 0:
    {own or "pass"}
    print("child")
    sys.exit(3)
_, status = os.waitpid(pid, 0)
assert os.waitstatus_to_exitcode(status) == 3, status
assert (session.run(None, X)[0] == before[0]).all()
print("fine")
"""
    assert script(body, before="import warnings; warnings.simplefilter('ignore', ResourceWarning)\n") == (
        0,
        "child\nfine\n",
        "",
    )


def test_forked_inside_a_callback(script: Script) -> None:
    body = (
        CHILD
        + """
session = headway.InferenceSession(load("tiny"))
done = threading.Event()
def body():
    with headway.InferenceSession(load("tiny")) as mine:
        assert mine.run(None, X)[0].tolist() == (2 * X).tolist()
def callback(*answer):
    in_child(body)
    done.set()
session.run_async(None, X, callback)
assert done.wait(20)
session.close()
print("fine")
"""
    )
    assert script(body) == (0, "fine\n", "")


@pytest.mark.parametrize("method", ["fork", "spawn", "forkserver"])
def test_multiprocessing(method: str, script: Script) -> None:
    body = """
import multiprocessing
def work(number):
    with headway.InferenceSession(FakeEngine()) as mine:
        return mine.run(None, X + number)[0].tolist()
"""
    if method != "fork":
        # A `-c` script has no module to import in the child.
        body = body.replace("def work(number):", "def unused(number):") + "from operator import neg as work\n"
        check = "assert answers == [0, -1, -2]"
    else:
        check = "assert answers == [(X + number).tolist() for number in range(3)]"
    body += f"""
session = headway.InferenceSession(FakeEngine())
session.run(None, X)
with multiprocessing.get_context("{method}").Pool(2) as pool:
    answers = pool.map(work, range(3))
{check}
session.close()
print("fine")
"""
    assert script(body) == (0, "fine\n", "")
