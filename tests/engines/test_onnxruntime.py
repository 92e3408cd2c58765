"""What only a real engine shows: its own errors under its own names, its options, its models."""

from __future__ import annotations

import concurrent.futures
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import headway

from ..conventions.ways import BLOCKING, Told
from ..support import X, assert_conserved, until

pytestmark = [pytest.mark.timeout(60), pytest.mark.usefixtures("leaks")]

SHORT = {"n": np.array(3), "x": np.zeros(1, np.float32)}
LONG = {"n": np.array(10**15), "x": np.zeros(1, np.float32)}


@pytest.mark.parametrize("way", BLOCKING)
def test_answers(way: str, tiny: bytes) -> None:
    with headway.InferenceSession(tiny) as session:
        [output] = BLOCKING[way](session, {"x": X})
    assert output.tolist() == (2 * X).tolist()


@pytest.mark.parametrize("way", BLOCKING)
def test_engine_error_has_the_engines_name(way: str, gather: bytes) -> None:
    with headway.InferenceSession(gather) as session:
        with pytest.raises((headway.InputError, Told), match="indices element out of data bounds") as caught:
            BLOCKING[way](session, np.array([9]))
        assert str(caught.value).startswith("[ONNXRuntimeError] : 2 : INVALID_ARGUMENT : ")
        if way != "run_async":
            assert type(caught.value).__name__ == "InvalidArgument"
            assert caught.value.code == 2  # type: ignore[union-attr, attr-defined]
        [output] = BLOCKING[way](session, np.array([2]))
        assert output.tolist() == [2.0]
    stats = assert_conserved(session)
    assert (stats.done, stats.failed) == (1, 1)


BAD: dict[str, Any] = {
    "dtype": {"x": X.astype(np.float64)},
    "rank": {"x": X[0]},
    "dimension": {"x": np.zeros((1, 4), np.float32)},
    "name": {"q": X},
    "number": [X, X],
    "kind": {"x": "text"},
}


@pytest.mark.parametrize("kind", BAD)
def test_the_same_mistake_is_the_same_class_everywhere(kind: str, tiny: bytes) -> None:
    with headway.InferenceSession(tiny) as session:
        found = set()
        for call in BLOCKING.values():
            with pytest.raises(headway.InputError) as caught:
                call(session, BAD[kind])
            found.add((type(caught.value), str(caught.value)))
        assert len(found) == 1
        stats = assert_conserved(session)
        assert (stats.submitted, stats.rejected) == (0, len(BLOCKING))


def test_long_model_is_terminated(loop: bytes) -> None:
    with headway.InferenceSession(loop) as session:
        futures = [session.submit(LONG), session.submit(LONG, timeout=0.05)]
        until(lambda: session.stats().running, "the first")
        assert isinstance(futures[1].exception(), headway.DeadlineExceeded)
        assert futures[0].cancel()
        # Until the engine has obeyed there is no lane for the next to be running on.
        until(lambda: session.stats().lanes[0].state == "idle", "the lane to come back")
        with pytest.raises(headway.DeadlineExceeded) as caught:
            session.run(None, LONG, timeout=0.05)
        assert caught.value.running
        assert session.run(None, SHORT)[0].tolist() == [3.0]
        stats = assert_conserved(session)
        assert (stats.done, stats.expired, stats.cancelled) == (1, 2, 1)


def test_close_terminates_a_long_model(loop: bytes) -> None:
    session = headway.InferenceSession(loop)
    future = session.submit(LONG)
    until(lambda: session.stats().running, "the first")
    assert session.close(drain=False) == headway.CloseReport(False, 1, (), True)
    with pytest.raises(concurrent.futures.CancelledError):
        future.result()


def test_terminated_by_its_run_options(tiny: bytes, loop: bytes) -> None:
    options = headway.RunOptions()
    options.terminate = True
    with headway.InferenceSession(loop) as session:
        for call in (
            lambda: session.run(None, SHORT, options),
            lambda: session.submit(SHORT, run_options=options).result(),
        ):
            with pytest.raises(headway.EngineError, match="terminate"):
                call()
        assert session.run(None, SHORT)[0].tolist() == [3.0]


def test_path_bytes_and_pathlike(tiny: bytes, tmp_path: Path) -> None:
    path = tmp_path / "täst.onnx"
    path.write_bytes(tiny)
    for model in (tiny, path, str(path)):
        with headway.InferenceSession(model) as session:
            assert session.run(["y"], [X])[0].tolist() == (2 * X).tolist()


LOAD_ERRORS: dict[str, tuple[Any, str]] = {
    "missing file": ("nowhere.onnx", "nowhere.onnx"),
    "not a model": (b"certainly not a model", "."),
    "empty": (b"", "."),
    "a folder": (".", "."),
    "no such engine": ("model.rknn", "rknn"),
}


@pytest.mark.parametrize("name", LOAD_ERRORS)
def test_load_errors(name: str) -> None:
    model, message = LOAD_ERRORS[name]
    with pytest.raises(headway.LoadError, match=message):
        headway.InferenceSession(model)


def test_nothing_is_printed(gather: bytes, capfd: pytest.CaptureFixture[str]) -> None:
    with headway.InferenceSession(gather) as session:
        for _ in range(3):
            with pytest.raises(headway.InputError):
                session.run(None, np.array([9]))
    with pytest.raises(headway.LoadError):
        headway.InferenceSession(b"not a model")
    assert capfd.readouterr() == ("", "")


def test_engine_lines_reach_the_logger(gather: bytes, caplog: pytest.LogCaptureFixture) -> None:
    with headway.InferenceSession(gather) as session:
        with pytest.raises(headway.InputError):
            session.run(None, np.array([9]))
        session.run(None, np.array([1]))
    assert any(
        "out of data bounds" in record.getMessage() for record in caplog.records if record.name == "headway"
    )
