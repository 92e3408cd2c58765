"""The process ends, or is interrupted, in the middle of each convention: no crash, no hang, the exit code untouched."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from ..lifecycle.process import run

pytestmark = pytest.mark.timeout(60)

SETUP = """
import asyncio, itertools
sys.setswitchinterval({interval})
engine = FakeEngine(held=True)
session = headway.InferenceSession(engine, workers=1, queue_depth=4)
def drive(call):
    def work():
        try:
            call()
        except BaseException:
            pass
    spawn(work)
    engine.wait_running(1)
feeds = itertools.repeat(X)
async def consume(stream):
    async for _ in stream:
        pass
run = session.open()
def push_for_ever():
    while True:
        run.push(X)
def quietly():
    try:
        push_for_ever()
    except BaseException:
        pass
def pull_for_ever():
    spawn(quietly)
    for _ in run:
        pass
async def pull_in_a_loop():
    run.push(X)
    async for _ in run:
        pass
def pipeline():
    with session.pipeline() as pipe:
        while True:
            pipe.push(X)
def futures():
    headway.wait([session.submit(X) for _ in range(3)])
def completed():
    for _ in headway.as_completed([session.submit(X) for _ in range(3)]):
        pass
"""

CALLS = {
    "run_pipeline": "lambda: [session.run_pipeline(X) for _ in feeds]",
    "pipeline": "pipeline",
    "stream": "lambda: list(session.stream(feeds))",
    "stream unordered": "lambda: list(session.stream(feeds, ordered=False))",
    "astream": "lambda: asyncio.run(consume(session.astream(feeds)))",
    "run_parallel": "lambda: session.run_parallel(feeds)",
    "arun_parallel": "lambda: asyncio.run(session.arun_parallel(feeds))",
    "run_batch": "lambda: session.run_batch(None, np.repeat(X, 9, axis=0))",
    "wait": "futures",
    "as_completed": "completed",
    "push": "push_for_ever",
    "pull": "pull_for_ever",
    "apull": "lambda: asyncio.run(pull_in_a_loop())",
}

#: The main thread is the one that calls; a timer of the system interrupts it.
INTERRUPTED = """
over = threading.Event()
def interrupt():
    engine.wait_running(1)
    signal.pthread_kill(threading.main_thread().ident, signal.SIGINT)
    # asyncio sleeps without a wake-up descriptor for signals: one that comes just before it sleeps is seen with the next.
    while {in_a_loop} and not over.wait(3):
        signal.pthread_kill(threading.main_thread().ident, signal.SIGINT)
spawn(interrupt)
try:
    ({call})()
except KeyboardInterrupt:
    over.set()
    print("interrupted")
run.stop()
session.close(drain=False)
stats = session.stats()
ended = stats.done + stats.cancelled + sum(stats.dropped.values())
assert stats.submitted == ended + stats.waiting + stats.running + stats.undelivered, stats
"""


def ended(script: str, tmp_path: Path) -> tuple[int, str, str]:
    done = run(sys.executable, script, tmp_path)
    return done.status, done.out, done.err


@pytest.mark.parametrize("interval", ["0.005", "1e-6"])
@pytest.mark.parametrize("name", CALLS)
def test_exit_during(name: str, interval: str, tmp_path: Path) -> None:
    script = SETUP.replace("{interval}", interval) + f"drive({CALLS[name]})\nsys.exit(3)\n"
    assert ended(script, tmp_path) == (3, "", "")


@pytest.mark.parametrize("name", CALLS)
def test_interrupted(name: str, tmp_path: Path) -> None:
    script = SETUP.replace("{interval}", "0.005") + INTERRUPTED.replace("{call}", CALLS[name])
    script = script.replace("{in_a_loop}", str("asyncio" in CALLS[name]))
    assert ended(script, tmp_path) == (0, "interrupted\n", "")
