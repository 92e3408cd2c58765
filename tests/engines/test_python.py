"""A Python callable is a model: what it is fed, what it may answer, and what happens when it goes wrong."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import pytest

import headway

from ..conventions.ways import BLOCKING, Told
from ..support import PATIENCE, X, assert_conserved, until

pytestmark = [pytest.mark.timeout(60), pytest.mark.usefixtures("leaks")]

Model = Callable[[dict[str, Any]], Any]
Make = Callable[..., headway.InferenceSession]


@pytest.fixture
def serve(leaks: None) -> Iterator[Make]:
    """Makes sessions on callables with the input `x`."""
    made: list[headway.InferenceSession] = []

    def make(
        model: Model, inputs: Any = ("x",), outputs: Any = ("y",), **options: Any
    ) -> headway.InferenceSession:
        made.append(headway.InferenceSession(model, inputs=inputs, outputs=outputs, **options))
        return made[-1]

    yield make
    for session in made:
        session.close()


ANSWERS: dict[str, Any] = {
    "dict": lambda feed: {"y": feed["x"] + 1},
    "dict with more": lambda feed: {"z": 0, "y": feed["x"] + 1},
    "list": lambda feed: [feed["x"] + 1],
    "tuple": lambda feed: (feed["x"] + 1,),
    "array": lambda feed: feed["x"] + 1,
}


@pytest.mark.parametrize("name", ANSWERS)
@pytest.mark.parametrize("way", BLOCKING)
def test_answers(name: str, way: str, serve: Make) -> None:
    [output] = BLOCKING[way](serve(ANSWERS[name]), {"x": X})
    assert output.tolist() == (X + 1).tolist()


WRONG: dict[str, tuple[Any, str]] = {
    "a name is missing": (lambda feed: {"q": 1}, "no output 'y'; it has \\['q'\\]"),
    "too many": (lambda feed: [1, 2], "has 2 outputs; the session has \\['y'\\]"),
    "too few": (lambda feed: [], "has 0 outputs"),
}


@pytest.mark.parametrize("name", WRONG)
def test_wrong_answers(name: str, serve: Make) -> None:
    model, message = WRONG[name]
    session = serve(model)
    for _ in range(2):
        with pytest.raises(headway.EngineError, match=message) as caught:
            session.run(None, X)
        assert isinstance(caught.value.__cause__, ValueError)
    assert assert_conserved(session).failed == 2


RAISED = [
    ValueError("mine"),
    KeyboardInterrupt(),
    SystemExit(3),
    headway.QueueFull("inner"),
    StopIteration(),
    GeneratorExit(),
]


@pytest.mark.parametrize("raised", RAISED, ids=lambda raised: type(raised).__name__)
@pytest.mark.parametrize("way", BLOCKING)
def test_raising(way: str, raised: BaseException, serve: Make) -> None:
    ill = True

    def model(feed: dict[str, Any]) -> Any:
        if ill:
            raise raised
        return feed["x"]

    session = serve(model)
    with pytest.raises((headway.EngineError, Told)) as caught:
        BLOCKING[way](session, X)
    assert type(raised).__name__ in str(caught.value)
    if isinstance(caught.value, headway.EngineError):
        assert type(caught.value) is headway.EngineError
        assert caught.value.__cause__ is raised
        assert (caught.value.engine, caught.value.code) == ("python", None)
    # The lane lives.
    ill = False
    [output] = session.run(None, X)
    assert output.tolist() == X.tolist()


def test_cause_has_its_traceback(serve: Make) -> None:
    def model(feed: dict[str, Any]) -> Any:
        return 1 / 0

    with pytest.raises(
        headway.EngineError, match="the callable raised ZeroDivisionError: division by zero"
    ) as caught:
        serve(model).run(None, X)
    cause = caught.value.__cause__
    names = []
    trace = cause.__traceback__ if cause else None
    while trace is not None:
        names.append(trace.tb_frame.f_code.co_name)
        trace = trace.tb_next
    assert names[-1] == "model"


def test_outputs_by_name(serve: Make) -> None:
    by_dict = serve(lambda feed: {"b": 2, "a": 1}, outputs=["a", "b"])
    by_list = serve(lambda feed: [1, 2], outputs=["a", "b"])
    for session in (by_dict, by_list):
        assert session.run(None, X) == [1, 2]
        assert session.run(["b", "a"], X) == [2, 1]
        assert session.run(["b"], X) == [2]
        assert session.submit(X, ["b"]).result() == [2]


BAD_FEEDS = [
    ({}, r"Required inputs \(\['x'\]\) are missing"),
    ({"x": X, "q": X}, "Invalid input name: q"),
    ([X, X], "the feed is a list of 2, but the model has 1 input"),
    ({"x": None}, "input 'x' is None: pass an array"),
]


@pytest.mark.parametrize(("feed", "message"), BAD_FEEDS)
@pytest.mark.parametrize("way", BLOCKING)
def test_bad_feed(feed: Any, message: str, way: str, serve: Make) -> None:
    session = serve(ANSWERS["list"])
    with pytest.raises(headway.InputError, match=message):
        BLOCKING[way](session, feed)
    stats = assert_conserved(session)
    assert (stats.submitted, stats.rejected) == (0, 1)


def test_bad_output_name(serve: Make) -> None:
    session = serve(ANSWERS["list"])
    with pytest.raises(headway.InputError, match="Invalid output name:q"):
        session.run(["q"], X)
    with pytest.raises(TypeError, match="output_names"):
        session.run("y", X)
    with pytest.raises(TypeError, match="run_options: a Python engine takes none"):
        session.run(None, X, headway.RunOptions())


@pytest.mark.parametrize("names", ["x", b"x"])
def test_bad_names(names: Any) -> None:
    with pytest.raises(TypeError):
        headway.InferenceSession(ANSWERS["list"], inputs=names, outputs=["y"])


def test_copied_or_borrowed(serve: Make) -> None:
    fed: list[Any] = []

    def model(feed: dict[str, Any]) -> Any:
        fed.append(feed["x"])
        return feed["x"].copy()

    for copy_inputs in (True, False):
        session = serve(model, copy_inputs=copy_inputs)
        frame = X.copy()
        session.submit(frame).result()
        assert np.shares_memory(fed[-1], frame) != copy_inputs
        session.run(None, frame)
        assert np.shares_memory(fed[-1], frame), "run borrows: its caller waits"


def test_copy_is_taken_at_submission(serve: Make) -> None:
    go_on = threading.Event()

    def model(feed: dict[str, Any]) -> Any:
        assert go_on.wait(PATIENCE)
        return feed["x"].copy()

    session = serve(model, queue_depth=8)
    frame = X.copy()
    futures = []
    for number in range(5):
        frame.fill(number)
        futures.append(session.submit(frame))
    go_on.set()
    assert [future.result()[0][0, 0] for future in futures] == [0, 1, 2, 3, 4]


def test_anything_may_be_fed(serve: Make) -> None:
    session = serve(lambda feed: [feed["x"]])
    assert session.run(None, [[1, 2], [3, 4]][:1])[0].tolist() == [1, 2]
    assert session.run(None, {"x": "text"})[0].item() == "text"
    subclass = np.ma.masked_array([1, 2], mask=[False, True])
    assert isinstance(session.run(None, {"x": subclass})[0], np.ma.MaskedArray)


def test_workers_run_side_by_side(serve: Make) -> None:
    everyone = threading.Barrier(3)

    def model(feed: dict[str, Any]) -> Any:
        everyone.wait(PATIENCE)
        return threading.get_ident()

    session = serve(model, workers=3)
    assert len({future.result()[0] for future in [session.submit(X) for _ in range(3)]}) == 3


def test_calls_its_own_session(serve: Make) -> None:
    def model(feed: dict[str, Any]) -> Any:
        n = int(feed["x"])
        return n if n == 0 else n + sessions[0].run(None, n - 1)[0]

    sessions = [serve(model, workers=5)]
    assert sessions[0].run(None, 4) == [10]


def test_cancelled_while_it_runs(serve: Make) -> None:
    inside, go_on = threading.Event(), threading.Event()

    def model(feed: dict[str, Any]) -> Any:
        inside.set()
        assert go_on.wait(PATIENCE)
        return feed["x"]

    session = serve(model)
    future = session.submit(X)
    assert inside.wait(PATIENCE)
    assert future.cancel()
    assert [lane.state for lane in session.stats().lanes] == ["overrun"]
    expired = session.submit(X, timeout=0.01)
    assert isinstance(expired.exception(PATIENCE), headway.DeadlineExceeded)
    go_on.set()
    assert session.run(None, X)[0].tolist() == X.tolist()
    stats = assert_conserved(session)
    assert (stats.done, stats.cancelled, stats.expired) == (1, 1, 1)


def test_nothing_is_kept(serve: Make) -> None:
    import gc
    import weakref

    class Tracked(np.ndarray):
        pass

    session = serve(lambda feed: [0], copy_inputs=False)
    frame = X.view(Tracked)
    reference = weakref.ref(frame)
    session.submit(frame).result()
    session.run(None, frame)
    del frame
    until(lambda: (session.stats(), gc.collect(), reference() is None)[2], "the frame's end")


def test_describes_itself(serve: Make) -> None:
    session = serve(ANSWERS["list"], inputs=["x"], outputs=["y"])
    assert [node.name for node in session.get_inputs()] == ["x"]
    assert [node.name for node in session.get_outputs()] == ["y"]
    assert repr(session).startswith("<InferenceSession <lambda> python/Python [1 lane: 0 running")
