"""`output_names` in every convention: read once, whatever they are; what is no list of names is refused alike."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import pytest

import headway
from headway.testing import FakeEngine

from ..support import PATIENCE, X, until

pytestmark = pytest.mark.timeout(30)

ROWS = np.arange(12, dtype=np.float32).reshape(4, 3)

Session = headway.InferenceSession


async def listed(results: Any) -> list[Any]:
    return [result async for result in results]


def pipelined(session: Session, names: Any) -> list[Any]:
    with session.pipeline(1, output_names=names) as pipe:
        pipe.push([X, X])
        pipe.push([X, X])
        return [frame.outputs for frame in pipe]


def pushed(session: Session, names: Any) -> list[Any]:
    with session.open(output_names=names) as run:
        for _ in range(3):
            run.push([X, X])
        return [list(run.pull().data.values()) for _ in range(3)]


def called_back(session: Session, names: Any) -> list[Any]:
    got: list[Any] = []
    session.run_async(names, [X, X], lambda results, user_data, err: got.append(results))
    until(lambda: got, "the callback")
    return got


#: Each gives the outputs of one request or more.
WAYS: dict[str, Callable[[Session, Any], list[Any]]] = {
    "run": lambda session, names: [session.run(names, [X, X])],
    "submit": lambda session, names: [session.submit([X, X], names).result()],
    "run_async": called_back,
    "arun": lambda session, names: [asyncio.run(session.arun(names, [X, X]))],
    "stream": lambda session, names: list(session.stream([[X, X]] * 3, output_names=names)),
    "astream": lambda session, names: asyncio.run(listed(session.astream([[X, X]] * 3, output_names=names))),
    "pipeline": pipelined,
    "run_pipeline": lambda session, names: [
        session.run_pipeline([X, X], 1, True, names),
        *session.drain_pipeline(),
    ][1:],
    "run_parallel": lambda session, names: session.run_parallel([[X, X]] * 3, names),
    "arun_parallel": lambda session, names: asyncio.run(session.arun_parallel([[X, X]] * 3, names)),
    "run_batch": lambda session, names: [session.run_batch(names, [ROWS, ROWS])],
    "open": pushed,
}


@pytest.fixture
def two(leaks: None) -> Iterator[Session]:
    """Two inputs, two outputs."""
    engine = FakeEngine({"a": ("float32", [None, 3]), "b": ("float32", [None, 3])}, ["y", "z"])
    with headway.InferenceSession(engine, workers=2) as session:
        yield session


@pytest.mark.parametrize("way", WAYS)
def test_a_generator_holds_for_every_request(way: str, two: Session) -> None:
    results = WAYS[way](two, (name for name in ["z"]))
    assert results
    assert [len(outputs) for outputs in results] == [1] * len(results)


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("names", ["z", 3])
def test_what_is_no_list_of_names_is_refused_alike(way: str, names: Any, two: Session) -> None:
    with pytest.raises(TypeError, match="output_names must be None or a list of str"):
        WAYS[way](two, names)
    assert two.stats().submitted == 0


def test_a_generator_while_every_lane_is_busy(leaks: None) -> None:
    engine = FakeEngine({"a": ("float32", [1, 3]), "b": ("float32", [1, 3])}, ["y", "z"], held=True)
    with headway.InferenceSession(engine, workers=1) as session:
        first = session.submit([X, X])
        engine.wait_running(1)
        got: list[Any] = []
        caller = threading.Thread(target=lambda: got.append(session.run(iter(["z"]), [X, X + 1])))  # type: ignore[arg-type]
        caller.start()
        until(lambda: session.stats().waiting == 1, "the caller waits")
        engine.open()
        caller.join(PATIENCE)
        first.result()
    assert [[output.tolist() for output in outputs] for outputs in got] == [[(X + 1).tolist()]]


@pytest.mark.parametrize("native", [True, False])
def test_a_generator_beside_out(native: bool, leaks: None) -> None:
    def model(feed: dict[str, Any]) -> dict[str, Any]:
        return {"y": feed["a"], "z": feed["a"] + 1}

    engine = FakeEngine({"a": ("float32", [1, 3]), "b": ("float32", [1, 3])}, ["y", "z"])
    given = {"path_or_bytes": engine} if native else {"path_or_bytes": model, "inputs": ["a", "b"]}
    with headway.InferenceSession(**given, outputs=None if native else ["y", "z"]) as session:
        for call in (
            lambda names, out: session.run(names, [X, X + 1], out=out),
            lambda names, out: session.submit([X, X + 1], names, out=out).result(),
        ):
            out = np.empty((1, 3), np.float32)
            [answer] = call(iter(["z"]), [out])
            assert answer is out
            assert out.tolist() == (X + 1).tolist()


@pytest.mark.parametrize("way", ["stream", "astream", "run_parallel", "arun_parallel"])
def test_one_feed_is_no_list_of_feeds(way: str, two: Session) -> None:
    feed = {"a": X, "b": X}
    calls: dict[str, Callable[[], Any]] = {
        "stream": lambda: list(two.stream(feed)),
        "astream": lambda: asyncio.run(listed(two.astream(feed))),
        "run_parallel": lambda: two.run_parallel(feed),
        "arun_parallel": lambda: asyncio.run(two.arun_parallel(feed)),
    }
    with pytest.raises(TypeError, match="got a dict, which is one feed"):
        calls[way]()
    assert two.stats().submitted == two.stats().rejected == 0


def test_an_iterator_that_raises_is_a_rejected_call(two: Session) -> None:
    def names() -> Iterator[str]:
        yield "y"
        raise KeyError("mine")

    with pytest.raises(KeyError, match="mine"):
        two.run(names(), [X, X])  # type: ignore[arg-type]
    assert two.stats().rejected == 1
