"""OpenVINO's threads and the process: exit, fork, many sessions."""

from __future__ import annotations

import gc
import sys
import threading
from pathlib import Path

import pytest

import headway

from ...lifecycle.process import Ended, run
from ...support import X, thread_ids
from . import slow

pytestmark = pytest.mark.timeout(120)

OPEN = """
sessions = [headway.InferenceSession(load("slow"), engine="openvino", hint=hint) for hint in ("latency", "throughput")]
FEED = {"x": np.ones((1, 64, 1, 1), np.float32)}
"""

RUNNING = """
futures = [session.submit(FEED) for session in sessions for _ in range(3)]
while not all(session.stats().running for session in sessions):
    pass
"""

CALLBACKS = """
seen = []
for session in sessions:
    for _ in range(3):
        session.run_async(None, FEED, lambda *answer: seen.append(answer))
"""

IN_RUN = """
def whole(session):
    try:
        session.run(None, FEED)
    except BaseException:
        pass
for session in sessions:
    spawn(whole, session)
while not all(session.stats().running for session in sessions):
    pass
"""


@pytest.fixture(scope="module")
def models(tmp_path_factory: pytest.TempPathFactory, tiny: bytes) -> Path:
    folder = tmp_path_factory.mktemp("models")
    (folder / "tiny.onnx").write_bytes(tiny)
    (folder / "slow.onnx").write_bytes(slow.model())
    return folder


def _script(text: str, models: Path) -> Ended:
    return run(sys.executable, text, models, timeout=60)


@pytest.mark.parametrize(
    "left", ["", RUNNING, CALLBACKS, IN_RUN], ids=["idle", "running", "callbacks", "run"]
)
def test_a_process_exits_with_sessions_open(left: str, models: Path) -> None:
    for _ in range(5):
        ended = _script(OPEN + left + "sys.exit(7)\n", models)
        # Two sessions that nobody closed may say so.
        assert ended.status == 7, ended
        assert "Fatal" not in ended.err and "terminate" not in ended.err, ended.err


def test_a_child_is_told_that_openvino_did_not_come_with_it(models: Path) -> None:
    ended = _script(
        OPEN
        + """
child = os.fork()
if child == 0:
    try:
        sessions[0].run(None, FEED)
    except headway.SessionClosed as error:
        print(error, flush=True)
    try:
        headway.InferenceSession(load("tiny"), engine="openvino")
    except headway.LoadError as error:
        print(error, flush=True)
    # onnxruntime goes on in a child.
    print(headway.InferenceSession(load("tiny")).run(None, X)[0].tolist(), flush=True)
    os._exit(0)
_, status = os.waitpid(child, 0)
assert status == 0, status
print(sessions[0].run(None, FEED)[0].shape)
for session in sessions:
    session.close()
""",
        models,
    )
    assert ended.status == 0, ended
    lines = ended.out.splitlines()
    assert "created in another process" in lines[0]
    assert "loaded before this process was forked" in lines[1]
    assert lines[2:] == ["[[0.0, 2.0, 4.0]]", "(1, 64)"]


def test_sessions_one_after_the_other_leave_no_threads(tiny: bytes) -> None:
    def use(count: int) -> int:
        for _ in range(count):
            with headway.InferenceSession(tiny, engine="openvino", hint="throughput") as session:
                session.run_parallel([X] * 8)
        gc.collect()
        return len(thread_ids())

    before = use(5)
    assert use(25) <= before


def test_calling_threads_come_and_go(tiny: bytes) -> None:
    """`run()` runs on the calling thread: OpenVINO meets a new thread each time."""
    with headway.InferenceSession(tiny, engine="openvino") as session:
        failed: list[BaseException] = []

        def call() -> None:
            try:
                session.run(None, X)
            except BaseException as error:
                failed.append(error)

        for _ in range(40):
            threads = [threading.Thread(target=call) for _ in range(8)]
            for thread in threads:
                thread.start()
            for thread in threads:
                thread.join()
        assert not failed
        assert session.stats().done == 320
