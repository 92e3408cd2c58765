"""A process that may start no more threads."""

from __future__ import annotations

from pathlib import Path

import pytest

from .process import INTERPRETERS, run

pytestmark = pytest.mark.timeout(60)

#: `with exhausted():` leaves no room for a thread's stack.
EXHAUSTED = """
import contextlib, resource

@contextlib.contextmanager
def exhausted():
    with open("/proc/self/statm") as file:
        size = int(file.read().split()[0]) * resource.getpagesize()
    before = resource.getrlimit(resource.RLIMIT_AS)
    resource.setrlimit(resource.RLIMIT_AS, (size + (1 << 20), before[1]))
    try:
        # Stacks of threads that have ended are used again.
        try:
            while True:
                spawn(threading.Event().wait)
        except RuntimeError:
            pass
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_AS, before)
"""


@pytest.mark.parametrize("python", INTERPRETERS)
def test_a_session_has_what_its_deadlines_need(python: str, models: Path) -> None:
    script = """
engine = FakeEngine(held=True)
with headway.InferenceSession(engine, workers=1) as session:
    with exhausted():
        future = session.submit(X, timeout=0.05)
        try:
            future.result(timeout=20)
        except headway.DeadlineExceeded:
            print("expired")
    engine.open()
"""
    ended = run(python, EXHAUSTED + script, models)
    assert (ended.status, ended.out.split()) == (0, ["expired"]), ended.err


@pytest.mark.parametrize("python", INTERPRETERS)
@pytest.mark.parametrize(
    "model", ["FakeEngine(held=True)", "lambda feed: [feed['x']], inputs=['x'], outputs=['y']"]
)
def test_a_session_that_cannot_have_it_is_refused_and_the_next_tries_again(
    model: str, python: str, models: Path
) -> None:
    script = f"""
with exhausted():
    try:
        headway.InferenceSession({model}, workers=1)
    except headway.LoadError as error:
        print(error)
engine = FakeEngine(held=True)
with headway.InferenceSession(engine, workers=1) as session:
    try:
        session.run(None, X, timeout=0.05)
    except headway.DeadlineExceeded:
        print("expired")
    engine.open()
"""
    ended = run(python, EXHAUSTED + script, models)
    said, last = ended.out.splitlines()
    assert (ended.status, last) == (0, "expired"), ended.err
    assert said.startswith("no thread for deadlines: ")
    assert said.endswith("end some, or raise the limit")
