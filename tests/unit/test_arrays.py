"""Every kind of array goes in and comes out right, or is refused in clear words, by every way in."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import pytest
from onnx import TensorProto, helper

import headway

from .array_cases import ACCEPTED, GRID, REFUSED, Case, Shape, model_bytes

Sessions = Callable[..., Any]


@pytest.fixture(scope="module")
def sessions() -> Iterator[Sessions]:
    """Gives the session for a type and shape, made once."""
    made: dict[Any, Any] = {}

    def session(dtype: int, shape: Shape | None, **options: Any) -> Any:
        key = (dtype, shape, *options.items())
        if key not in made:
            made[key] = headway.InferenceSession(model_bytes(dtype, shape), **options)
        return made[key]

    yield session
    for each in made.values():
        each.close()


def run(sessions: Sessions, case: Case, feed: Any) -> Any:
    return sessions(case.dtype, case.shape).run(None, feed)


def submit(sessions: Sessions, case: Case, feed: Any) -> Any:
    return sessions(case.dtype, case.shape).submit(feed).result(timeout=30)


def submit_borrowed(sessions: Sessions, case: Case, feed: Any) -> Any:
    return sessions(case.dtype, case.shape, copy_inputs=False).submit(feed).result(timeout=30)


ways = pytest.mark.parametrize("way", [run, submit, submit_borrowed])


@ways
@pytest.mark.filterwarnings("error")
@pytest.mark.parametrize("case", ACCEPTED, ids=str)
def test_accepted(case: Case, way: Callable[..., Any], sessions: Sessions) -> None:
    [output] = way(sessions, case, {"x": case.make()})
    case.check(output)


@ways
@pytest.mark.filterwarnings("error")
@pytest.mark.parametrize("case", REFUSED, ids=str)
def test_refused(case: Case, way: Callable[..., Any], sessions: Sessions) -> None:
    with pytest.raises(headway.InputError, match=case.pattern):
        way(sessions, case, {"x": case.make()})


FLOATS = Case("floats", TensorProto.FLOAT, ("rows", "columns"), GRID.copy, GRID)


@ways
@pytest.mark.parametrize("feed", [GRID, [GRID], (GRID,), {"x": GRID}], ids=["array", "list", "tuple", "dict"])
def test_forms_of_a_feed(feed: Any, way: Callable[..., Any], sessions: Sessions) -> None:
    [output] = way(sessions, FLOATS, feed)
    FLOATS.check(output)


def test_submitted_copy_may_be_refilled(sessions: Sessions) -> None:
    session = sessions(FLOATS.dtype, FLOATS.shape)
    frame = GRID.copy()
    futures = []
    for number in range(8):
        frame.fill(number)
        futures.append(session.submit({"x": frame}))
    assert [future.result(timeout=30)[0][0, 0] for future in futures] == list(range(8))


def test_output_outlives_its_session() -> None:
    with headway.InferenceSession(model_bytes(TensorProto.FLOAT, (None, None))) as session:
        [output] = session.run(None, {"x": GRID})
    output += 1
    assert np.array_equal(output, GRID + 1)


def two_inputs() -> bytes:
    """`z = x + y`, with a dimension that both share, and a default for `w`."""
    make = helper.make_tensor_value_info
    inputs = [make("x", TensorProto.FLOAT, ("n", 2)), make("y", TensorProto.FLOAT, ("n", 2))]
    inputs.append(make("w", TensorProto.FLOAT, (1,)))
    default = helper.make_tensor("w", TensorProto.FLOAT, (1,), [10.0])
    nodes = [helper.make_node("Add", ["x", "y"], ["s"]), helper.make_node("Add", ["s", "w"], ["z"])]
    outputs = [make("z", TensorProto.FLOAT, ("n", 2)), make("s", TensorProto.FLOAT, ("n", 2))]
    graph = helper.make_graph(nodes, "sum", inputs, outputs, [default])
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 21)], ir_version=10)
    data: bytes = model.SerializeToString()
    return data


@pytest.fixture(scope="module")
def adder() -> Iterator[Any]:
    with headway.InferenceSession(two_inputs()) as session:
        yield session


X = np.ones((3, 2), np.float32)


@pytest.mark.parametrize("feed", [{"y": X, "x": X}, [X, X], (X, X)], ids=["dict", "list", "tuple"])
def test_default_and_order(feed: Any, adder: Any) -> None:
    z, s = adder.run(None, feed)
    assert z.tolist() == (12 * X).tolist()
    assert s.tolist() == (2 * X).tolist()


def test_default_overridden(adder: Any) -> None:
    [z] = adder.run(["z"], {"x": X, "y": X, "w": np.zeros(1, np.float32)})
    assert z.tolist() == (2 * X).tolist()


def test_outputs_by_name(adder: Any) -> None:
    s, z, again = adder.run(["s", "z", "s"], [X, X])
    assert s.tolist() == again.tolist() == (2 * X).tolist()
    assert z.tolist() == (12 * X).tolist()
    assert len(adder.run([], [X, X])) == 2


BAD_FEEDS = [
    ({"x": X}, r"Required inputs \(\['y'\]\) are missing from input feed \(\['x'\]\)\."),
    ({"x": X, "q": X}, r"Required inputs \(\['y'\]\) are missing"),
    ({"x": X, "y": X, "q": X}, "Invalid input name: q"),
    ({"x": X, "y": None}, "input 'y' is None"),
    ([X], "a list of 1, but the model has"),
    ([X] * 4, "a list of 4, but the model has"),
    (X, "must be a dict by name or a list in input order"),
    ({"x": X, "y": X[:1]}, "dimension 'n': input 'x' has 3 at index 0, input 'y' has 1 at index 0"),
]


@pytest.mark.parametrize(("feed", "message"), BAD_FEEDS)
def test_bad_feed(feed: Any, message: str, adder: Any) -> None:
    with pytest.raises(headway.InputError, match=message):
        adder.run(None, feed)
    with pytest.raises(headway.InputError, match=message):
        adder.submit(feed)


def test_bad_output_names(adder: Any) -> None:
    with pytest.raises(headway.InputError, match="Invalid output name:nope"):
        adder.run(["nope"], [X, X])
    with pytest.raises(TypeError, match="output_names"):
        adder.run("z", [X, X])
