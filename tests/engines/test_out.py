"""``out=``: outputs written into arrays of the program's."""

from __future__ import annotations

import asyncio
import gc
import sys
import time
import weakref
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from onnx import TensorProto, helper

import headway
from headway.testing import FakeEngine

from ..models import built
from ..support import PATIENCE, loop_model
from .test_prepared import two

pytestmark = pytest.mark.timeout(60)

X = np.arange(6, dtype=np.float32).reshape(2, 3)
FEED = {"a": X, "b": 2 * X}

Way = Callable[..., Any]


def _arun(session: headway.InferenceSession, names: Any, feed: Any, **call: Any) -> Any:
    async def go() -> Any:
        return await session.arun(names, feed, **call)

    return asyncio.run(go())


def _asubmit(session: headway.InferenceSession, names: Any, feed: Any, **call: Any) -> Any:
    async def go() -> Any:
        return await (await session.asubmit(feed, names, **call))

    return asyncio.run(go())


WAYS: dict[str, Way] = {
    "run": lambda session, names, feed, **call: session.run(names, feed, **call),
    "submit": lambda session, names, feed, **call: session.submit(feed, names, **call).result(PATIENCE),
    "try_submit": lambda session, names, feed, **call: session.try_submit(feed, names, **call).result(
        PATIENCE
    ),
    "arun": _arun,
    "asubmit": _asubmit,
}


def _callable(feed: dict[str, Any]) -> dict[str, Any]:
    return {"s": feed["a"] + feed["b"], "d": feed["a"] - feed["b"]}


_FAKE: dict[str, Any] = {"a": ("float32", [None, 3]), "b": ("float32", [None, 3])}


def _model(kind: str) -> headway.InferenceSession:
    if kind == "python":
        return headway.InferenceSession(_callable, inputs=["a", "b"], outputs=["s", "d"])
    if kind == "fake":
        return headway.InferenceSession(FakeEngine(_FAKE, ["s", "d"]))
    return headway.InferenceSession(two())


KINDS = ["onnxruntime", "fake", "python"]


def _empty(rows: int = 2) -> Any:
    return np.full((rows, 3), np.nan, np.float32)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("form", [dict, list, tuple])
def test_the_same_arrays_with_the_same_numbers(kind: str, way: str, form: Any) -> None:
    with _model(kind) as session:
        expected = session.run(None, FEED)
        s, d = _empty(), _empty()
        where = (s.ctypes.data, d.ctypes.data)
        results = WAYS[way](session, None, FEED, out={"d": d, "s": s} if form is dict else form([s, d]))
        assert results[0] is s and results[1] is d
        assert where == (s.ctypes.data, d.ctypes.data)
        for array, plain in zip(results, expected, strict=True):
            np.testing.assert_array_equal(array, plain)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("way", WAYS)
def test_some_outputs_only(kind: str, way: str) -> None:
    with _model(kind) as session:
        expected = session.run(None, FEED)
        for out in ({"d": (d := _empty())}, [None, d], {"s": None, "d": d}):
            d.fill(0)
            results = WAYS[way](session, None, FEED, out=out)
            assert results[1] is d
            np.testing.assert_array_equal(results[0], expected[0])
            np.testing.assert_array_equal(d, expected[1])
        # One wanted output: the array by itself, in the order of the wanted names.
        assert WAYS[way](session, ["d"], FEED, out=d)[0] is d
        results = WAYS[way](session, ["d", "s"], FEED, out=[d, None])
        assert results[0] is d
        np.testing.assert_array_equal(results[1], expected[0])
        nothings: list[Any] = [None, [None, None], {}]
        for nothing in nothings:
            np.testing.assert_array_equal(WAYS[way](session, None, FEED, out=nothing)[1], expected[1])


def _frozen() -> Any:
    array = _empty()
    array.setflags(write=False)
    return array


WRONG: list[tuple[str, Any, str]] = [
    ("dtype", np.zeros((2, 3), np.float64), "float32.*float64"),
    ("rank", np.zeros(6, np.float32), r"shape.*\(?\[?6"),
    ("fixed dimension", np.zeros((2, 4), np.float32), r"shape.*2, 4"),
    ("rows", np.zeros((3, 3), np.float32), r"shape.*2, ?3.*3, ?3"),
    ("read-only", _frozen(), "writable.*read-only"),
    ("Fortran order", np.zeros((2, 3), np.float32, order="F"), "C-contiguous"),
    ("every other", np.zeros((2, 6), np.float32)[:, ::2], "C-contiguous"),
    ("big-endian", np.zeros((2, 3), ">f4"), "byte order|float32"),
    ("a list", [[0.0] * 3] * 2, "numpy array or None.*list"),
]


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize(("what", "array", "message"), WRONG, ids=[what for what, _, _ in WRONG])
def test_an_array_that_does_not_fit(kind: str, way: str, what: str, array: Any, message: str) -> None:
    with _model(kind) as session:
        with pytest.raises(headway.InputError, match=f"(?s)output '?d'?.*{message}"):
            WAYS[way](session, None, FEED, out={"d": array})
        # The session goes on.
        assert WAYS[way](session, None, FEED, out=[_empty(), None])[0].tolist()


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("way", WAYS)
def test_a_wrong_out(kind: str, way: str) -> None:
    with _model(kind) as session:
        with pytest.raises(headway.InputError, match=r"'e'.*not one of the wanted outputs"):
            WAYS[way](session, None, FEED, out={"e": _empty()})
        with pytest.raises(headway.InputError, match=r"'s'.*not one of the wanted outputs"):
            WAYS[way](session, ["d"], FEED, out={"s": _empty()})
        with pytest.raises(headway.InputError, match=r"2 wanted outputs.*got 1"):
            WAYS[way](session, None, FEED, out=[_empty()])
        with pytest.raises(headway.InputError, match="out is one array"):
            WAYS[way](session, None, FEED, out=_empty())
        with pytest.raises(TypeError, match="out: expected a dict"):
            WAYS[way](session, None, FEED, out=3)
        assert session.stats().rejected == 5


def test_shared_memory() -> None:
    x, both = X.copy(), np.zeros((4, 3), np.float32)
    with _model("onnxruntime") as session:
        with pytest.raises(headway.InputError, match=r"output 's'.*shares memory with input 'b'"):
            session.run(None, {"a": X, "b": x}, out=[x, None])
        with pytest.raises(headway.InputError, match=r"'s' and 'd'.*share memory"):
            session.run(None, FEED, out=[both[:2], both[1:3]])
        # Side by side is not the same place, and an input that is copied is no input of the engine's.
        session.run(None, FEED, out=[both[:2], both[2:]])
        np.testing.assert_array_equal(both, np.concatenate([3 * X, -X]))
        session.submit({"a": X, "b": x}, out=[x, None]).result(PATIENCE)
        np.testing.assert_array_equal(x, 2 * X)


def test_what_no_array_can_take() -> None:
    feed = {"left": np.array(["cat"]), "right": np.array(["s"])}
    with headway.InferenceSession(built.words()) as session:
        with pytest.raises(headway.InputError, match=r"output 'joined'.*string"):
            session.run(None, feed, out=[np.array(["no"]), None])
        number = np.zeros(1, np.int64)
        assert session.run(None, feed, out={"number": number})[1] is number
        assert number.tolist() == [1]


def test_an_output_that_is_an_input_and_one_that_is_a_constant() -> None:
    info = helper.make_tensor_value_info
    constant = helper.make_tensor("c", TensorProto.FLOAT, [2], [1, 2])
    rows = [info(name, TensorProto.FLOAT, ["N"]) for name in ("x", "k")]
    graph = helper.make_graph([helper.make_node("Identity", ["c"], ["k"])], "g", rows[:1], rows, [constant])
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    x, k = np.zeros(3, np.float32), np.zeros(2, np.float32)
    with headway.InferenceSession(model.SerializeToString()) as session:
        results = session.run(None, {"x": np.arange(3, dtype=np.float32)}, out=[x, k])
        assert results[0] is x and results[1] is k
        assert (x.tolist(), k.tolist()) == ([0, 1, 2], [1, 2])


def test_no_elements() -> None:
    nothing = np.zeros((0, 3), np.float32)
    with _model("onnxruntime") as session:
        s = nothing.copy()
        assert session.run(None, {"a": nothing, "b": nothing}, out=[s, None])[0] is s


@pytest.mark.parametrize("kind", KINDS)
def test_nothing_is_kept(kind: str) -> None:
    with _model(kind) as session:
        for way in ("run", "submit"):
            s = _empty()
            before = sys.getrefcount(s)
            WAYS[way](session, None, FEED, out=[s, None])
            # A lane's thread lets go of its request after it has told the outcome.
            until = time.monotonic() + PATIENCE
            while sys.getrefcount(s) != before and time.monotonic() < until:
                session.run(None, FEED)
            assert sys.getrefcount(s) == before, way


def test_held_until_the_engine_has_returned() -> None:
    """A request that timed out may still be written for: its array lives as long as that."""
    engine = FakeEngine(held=True, can_cancel=False)
    with headway.InferenceSession(engine, workers=1) as session:
        y = np.zeros((1, 3), np.float32)
        future = session.submit({"x": np.ones((1, 3), np.float32)}, out=y, timeout=0.01)
        with pytest.raises(headway.DeadlineExceeded):
            future.result(PATIENCE)
        engine.open()
        # Nobody takes that answer any more, so it goes nowhere.
        assert session.run(None, {"x": np.ones((1, 3), np.float32)})[0].tolist() == [[1, 1, 1]]
        assert not y.any()


def test_a_real_engine_that_runs_on_after_the_timeout() -> None:
    session = headway.InferenceSession(loop_model(), workers=1)
    y = np.zeros(1, np.float32)
    gone = weakref.ref(y)
    feed = {"n": np.array(2**60), "x": np.zeros(1, np.float32)}
    future = session.submit(feed, out=y, timeout=0.05)
    with pytest.raises(headway.DeadlineExceeded):
        future.result(PATIENCE)
    del y
    session.close()
    # Once the engine is gone, so is the array: its last holder was the request.
    with headway.InferenceSession(two()) as other:
        other.run(None, FEED)
    gc.collect()
    assert gone() is None


def test_batches_are_left_alone() -> None:
    """A request that brings its own memory runs by itself."""
    with headway.InferenceSession(built.tiny(), batching=headway.Batching(max_size=4)) as session:
        outs = [np.zeros((1, 3), np.float32) for _ in range(8)]
        futures = [session.submit(np.full((1, 3), at, np.float32), out=y) for at, y in enumerate(outs)]
        plain = [session.submit(np.full((1, 3), at, np.float32)) for at in range(8)]
        for at, (future, y) in enumerate(zip(futures, outs, strict=True)):
            assert future.result(PATIENCE)[0] is y
            assert y.tolist() == plain[at].result(PATIENCE)[0].tolist() == [[at * at + at] * 3]


@pytest.mark.parametrize("kind", KINDS)
def test_conventions_of_many_requests_refuse_it(kind: str) -> None:
    """One set of arrays for many requests would be written by all of them at once."""
    with _model(kind) as session:
        many: list[Any] = [
            lambda **call: list(session.stream([FEED], **call)),
            lambda **call: session.run_parallel([FEED], **call),
            lambda **call: session.run_batch(None, FEED, **call),
            lambda **call: session.run_pipeline(FEED, **call),
        ]
        for convention in many:
            with pytest.raises(TypeError, match="'out'"):
                convention(out=[_empty(), None])
