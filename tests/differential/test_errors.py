"""The same mistake gives onnxruntime's own class name and words, in every convention."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import onnx
import onnxruntime
import pytest
from onnx import TensorProto, helper

import headway

from ..support import gather_model
from .conventions import PATIENCE

X = np.ones((2, 3), np.float32)
BOTH = {"x": X, "y": X}


def product(ir_version: int = 8, opset: int = 17, operator: str = "Mul") -> bytes:
    """`z = x * y`, rows of three, the same number of them."""
    row = [helper.make_tensor_value_info(name, TensorProto.FLOAT, ["N", 3]) for name in "xyz"]
    graph = helper.make_graph([helper.make_node(operator, ["x", "y"], ["z"])], "product", row[:2], row[2:])
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", opset)], ir_version=ir_version)
    content: bytes = model.SerializeToString()
    return content


# ---- every way to ask ------------------------------------------------------------------------------------------------


def _run_async(session: headway.InferenceSession, names: Any, feed: Any, **call: Any) -> None:
    """What the submitting call does not raise, the callback gets as a message: compared there, not here."""
    ended = threading.Event()
    session.run_async(names, feed, lambda results, data, error: ended.set(), **call)
    assert ended.wait(PATIENCE)
    raise AssertionError("run_async took it")


async def _awaited(session: headway.InferenceSession, names: Any, feed: Any, **call: Any) -> Any:
    return await (await session.asubmit(feed, names, **call))


async def _streamed(session: headway.InferenceSession, names: Any, feed: Any, **call: Any) -> Any:
    return [answer async for answer in session.astream([feed], output_names=names, **call)]


Way = Callable[..., Any]

LATE: dict[str, Way] = {
    "run": lambda session, names, feed, **call: session.run(names, feed, **call),
    "submit": lambda session, names, feed, **call: session.submit(feed, names, **call).result(PATIENCE),
    "await": lambda session, names, feed, **call: asyncio.run(_awaited(session, names, feed, **call)),
    "arun": lambda session, names, feed, **call: asyncio.run(session.arun(names, feed, **call)),
    "stream": lambda session, names, feed, **call: list(session.stream([feed], output_names=names, **call)),
    "astream": lambda session, names, feed, **call: asyncio.run(_streamed(session, names, feed, **call)),
}
"""They raise what the engine says of a running request."""

WAYS: dict[str, Way] = {**LATE, "run_async": _run_async}
"""They raise what is wrong with the call itself."""


def error_of(call: Callable[[], Any]) -> BaseException:
    with pytest.raises(Exception) as caught:
        call()
    return caught.value


def assert_theirs(ours: BaseException, theirs: BaseException) -> None:
    """onnxruntime's class, its name, and its words; ours may go on where onnxruntime's end."""
    assert isinstance(ours, headway.HeadwayError)
    assert isinstance(ours, type(theirs))
    assert str(ours).startswith(str(theirs).rstrip())
    if not isinstance(theirs, ValueError):  # a bare ValueError is no class of onnxruntime's
        assert type(ours).__name__ == type(theirs).__name__


@pytest.fixture(scope="module")
def sessions() -> Any:
    theirs = onnxruntime.InferenceSession(product(), providers=["CPUExecutionProvider"])
    with headway.InferenceSession(product()) as ours:
        yield ours, theirs


# ---- wrong calls -----------------------------------------------------------------------------------------------------


class Mistake(NamedTuple):
    name: str
    names: Any
    feed: Any


SAME = (
    Mistake("missing input", None, {"x": X}),
    Mistake("nothing fed", None, {}),
    Mistake("missing and extra", None, {"x": X, "q": X}),
    Mistake("extra input", None, {**BOTH, "q": X}),
    Mistake("key is bytes", None, {b"x": X, "y": X}),
    Mistake("unknown output", ["nope"], BOTH),
    Mistake("double", None, {**BOTH, "x": X.astype(np.float64)}),
    Mistake("int8", None, {**BOTH, "x": X.astype(np.int8)}),
    Mistake("strings", None, {**BOTH, "x": np.array([["a"] * 3])}),
    Mistake("objects", None, {**BOTH, "x": np.array([[object()] * 3])}),
    Mistake("rank", None, {**BOTH, "x": X[0]}),
    Mistake("dimension", None, {**BOTH, "x": np.ones((2, 4), np.float32)}),
    Mistake("rank before dimension", None, {**BOTH, "x": np.ones((1, 4, 2), np.float32)}),
)


class Deviation(NamedTuple):
    """Where a mistake ends differently from onnxruntime, and why that is better."""

    mistake: Mistake
    #: The class of onnxruntime's error; None when it takes the call.
    theirs: str | None
    #: The class of ours; None when the call is taken.
    ours: type[Exception] | None
    words: str
    why: str


DEVIATIONS = (
    Deviation(
        Mistake("lengths of one dimension differ", None, {**BOTH, "x": np.ones((3, 3), np.float32)}),
        "Fail",
        headway.InvalidArgument,
        "dimension 'N': input 'x' has 3 at index 0, input 'y' has 2",
        "found before a ticket is given, not by whichever kernel trips over it",
    ),
    Deviation(
        Mistake("None", None, {**BOTH, "x": None}),
        "Fail",
        headway.InputError,
        "input 'x' is None",
        "the caller's mistake, not the engine's",
    ),
    Deviation(
        Mistake("number of rank 0", None, {**BOTH, "x": 1.0}),
        "RuntimeError",
        headway.InvalidArgument,
        "Invalid rank for input: x Got: 0 Expected: 2",
        "numbers are taken as 0-d tensors",
    ),
    Deviation(
        Mistake("numpy number", None, {**BOTH, "x": np.float32(1)}),
        "RuntimeError",
        headway.InvalidArgument,
        "Invalid rank for input: x Got: 0 Expected: 2",
        "numbers are taken as 0-d tensors",
    ),
    Deviation(
        Mistake("no array", None, {**BOTH, "x": object()}),
        "RuntimeError",
        headway.InputError,
        "input 'x': cannot read an object of type <class 'object'>",
        "the message names the input",
    ),
    Deviation(
        Mistake("complex", None, {**BOTH, "x": X.astype(np.complex64)}),
        "RuntimeError",
        headway.InvalidArgument,
        "Unexpected input data type. Actual: (tensor(complex64)) , expected: (tensor(float))",
        "a wrong dtype like every other",
    ),
    Deviation(
        Mistake("feed is a number", None, 5),
        "AttributeError",
        headway.InputError,
        "the feed must be a dict by name or a list in input order",
        "the message says what a feed is",
    ),
    Deviation(
        Mistake("feed is None", None, None),
        "AttributeError",
        headway.InputError,
        "the feed must be a dict by name or a list in input order",
        "the message says what a feed is",
    ),
    Deviation(
        Mistake("feed is a list", None, [X, X]),
        "AttributeError",
        None,
        "",
        "feeds may be lists in input order",
    ),
    Deviation(
        Mistake("output names are a str", "z", BOTH),
        "TypeError",
        TypeError,
        "output_names must be None or a list of str",
        "onnxruntime prints the feed's contents",
    ),
    Deviation(
        Mistake("output names are numbers", [1], BOTH),
        "TypeError",
        TypeError,
        "output_names must hold str only",
        "onnxruntime prints the feed's contents",
    ),
)


@pytest.mark.parametrize("way", WAYS.values(), ids=WAYS)
@pytest.mark.parametrize("mistake", SAME, ids=lambda mistake: mistake.name)
def test_wrong_calls_raise_what_onnxruntime_raises(sessions: Any, mistake: Mistake, way: Way) -> None:
    ours, theirs = sessions
    before = ours.stats()
    expected = error_of(lambda: theirs.run(mistake.names, mistake.feed))
    assert_theirs(error_of(lambda: way(ours, mistake.names, mistake.feed)), expected)
    after = ours.stats()
    assert (after.rejected, after.submitted) == (before.rejected + 1, before.submitted)


@pytest.mark.parametrize("way", WAYS.values(), ids=WAYS)
@pytest.mark.parametrize("deviation", DEVIATIONS, ids=lambda deviation: deviation.mistake.name)
def test_deviations_are_the_documented_ones(sessions: Any, deviation: Deviation, way: Way) -> None:
    ours, theirs = sessions
    _, names, feed = deviation.mistake
    error = error_of(lambda: theirs.run(names, feed))
    assert type(error).__name__ == deviation.theirs
    if deviation.ours is None:
        if way is not _run_async:
            way(ours, names, feed)
        return
    raised = error_of(lambda: way(ours, names, feed))
    assert isinstance(raised, deviation.ours)
    assert deviation.words in str(raised)


@pytest.mark.parametrize("way", LATE.values(), ids=LATE)
def test_byte_order_is_read_where_onnxruntime_misreads(sessions: Any, way: Way) -> None:
    ours, theirs = sessions
    feed = {"x": X.astype(">f4"), "y": X}
    (misread,) = theirs.run(None, feed)
    assert not np.array_equal(misread, X)
    answer = np.asarray(way(ours, None, feed))
    assert np.array_equal(answer.reshape(X.shape), X)


@pytest.mark.parametrize("way", WAYS.values(), ids=WAYS)
def test_run_options_of_a_wrong_type_are_a_type_error(sessions: Any, way: Way) -> None:
    ours, theirs = sessions
    assert isinstance(error_of(lambda: theirs.run(None, BOTH, 5)), TypeError)
    raised = error_of(lambda: way(ours, None, BOTH, run_options=5))
    assert isinstance(raised, TypeError)
    assert "run_options" in str(raised)


# ---- the engine fails ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("way", LATE.values(), ids=LATE)
def test_a_failing_kernel_says_what_onnxruntime_says(way: Way) -> None:
    feed = {"i": np.array([9], np.int64)}
    theirs = onnxruntime.InferenceSession(gather_model(), providers=["CPUExecutionProvider"])
    expected = error_of(lambda: theirs.run(None, feed))
    with headway.InferenceSession(gather_model()) as session:
        raised = error_of(lambda: way(session, None, feed))
        assert_theirs(raised, expected)
        assert str(raised) == str(expected)
        assert session.stats().failed == 1
        assert session.run(None, {"i": np.array([2], np.int64)})[0] == [2.0], "the session goes on"


def test_a_callback_gets_a_failing_kernels_words() -> None:
    feed = {"i": np.array([9], np.int64)}
    theirs = onnxruntime.InferenceSession(gather_model(), providers=["CPUExecutionProvider"])
    expected = str(error_of(lambda: theirs.run(None, feed)))
    got: list[tuple[Any, ...]] = []
    ended = threading.Event()

    def callback(*arguments: Any) -> None:
        got.append(arguments)
        ended.set()

    with headway.InferenceSession(gather_model()) as session:
        session.run_async(None, feed, callback, "mine")
        assert ended.wait(PATIENCE)
    assert got == [([], "mine", expected)]


@pytest.mark.parametrize("way", LATE.values(), ids=LATE)
def test_a_terminated_request_says_what_onnxruntime_says(sessions: Any, way: Way) -> None:
    ours, theirs = sessions
    our_options, their_options = headway.RunOptions(), onnxruntime.RunOptions()
    our_options.terminate = their_options.terminate = True
    expected = error_of(lambda: theirs.run(None, BOTH, their_options))
    assert_theirs(error_of(lambda: way(ours, None, BOTH, run_options=our_options)), expected)


# ---- loading ---------------------------------------------------------------------------------------------------------


@pytest.fixture
def files(tmp_path: Path) -> Path:
    (tmp_path / "junk.onnx").write_bytes(b"not a model at all" * 9)
    (tmp_path / "empty.onnx").touch()
    return tmp_path


UNLOADABLE: dict[str, Callable[[Path], Any]] = {
    "no file": lambda files: str(files / "absent.onnx"),
    "no file, a Path": lambda files: files / "absent.onnx",
    "junk file": lambda files: str(files / "junk.onnx"),
    "empty file": lambda files: str(files / "empty.onnx"),
    "junk bytes": lambda files: b"not a model" * 9,
    "no bytes": lambda files: b"",
    "half a model": lambda files: product()[:40],
    "unknown operator": lambda files: product(operator="Nope"),
    "IR version": lambda files: product(ir_version=99),
    "opset": lambda files: product(opset=99),
}


@pytest.mark.parametrize("given", UNLOADABLE.values(), ids=UNLOADABLE)
def test_models_that_do_not_load(files: Path, given: Callable[[Path], Any]) -> None:
    model = given(files)
    expected = error_of(lambda: onnxruntime.InferenceSession(model, providers=["CPUExecutionProvider"]))
    raised = error_of(lambda: headway.InferenceSession(model))
    assert_theirs(raised, expected)
    assert isinstance(raised, headway.LoadError)
    assert str(raised) == str(expected)


def test_a_directory_is_refused_as_a_load_error(files: Path) -> None:
    """A deviation: the C library says why it refuses; onnxruntime says `Protobuf parsing failed`."""
    expected = error_of(lambda: onnxruntime.InferenceSession(files, providers=["CPUExecutionProvider"]))
    assert type(expected).__name__ == "InvalidProtobuf"
    raised = error_of(lambda: headway.InferenceSession(files))
    assert isinstance(raised, headway.LoadError)
    assert "directory" in str(raised)


@pytest.mark.parametrize(
    "model", [bytearray(product()), memoryview(product()), onnx.ModelProto(), 5, None], ids=type
)
def test_things_that_are_no_model(model: Any) -> None:
    expected = error_of(lambda: onnxruntime.InferenceSession(model, providers=["CPUExecutionProvider"]))
    raised = error_of(lambda: headway.InferenceSession(model))
    assert type(expected) is type(raised) is TypeError
    assert type(model).__name__ in str(raised)


def test_a_provider_that_is_not_there_is_never_replaced_in_silence() -> None:
    """A deviation: onnxruntime prints, falls back to the CPU, and goes on."""
    raised = error_of(lambda: headway.InferenceSession(product(), providers=["CUDAExecutionProvider"]))
    assert isinstance(raised, headway.LoadError)
    assert "CUDAExecutionProvider" in str(raised)
