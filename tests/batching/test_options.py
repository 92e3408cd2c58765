"""`Batching(...)` checks its values, and a session checks them against its model before it runs anything."""

from __future__ import annotations

import pickle
from typing import Any

import numpy as np
import pytest

import headway
from headway import Batching

from .models import perceptron, scaled


def test_it_is_a_record() -> None:
    assert Batching() == Batching(8, 0.002, None)
    given = Batching(max_size=4, max_delay=1, axes={"x": 1, "y": None})
    assert (given.max_size, given.max_delay, given.axes) == (4, 1.0, {"x": 1, "y": None})
    assert pickle.loads(pickle.dumps(given)) == given
    assert len({given, Batching(4, 1, {"y": None, "x": 1}), Batching()}) == 2
    assert repr(Batching(2)) == "Batching(max_size=2, max_delay=0.002, axes=None)"
    with pytest.raises(AttributeError):
        given.max_size = 5  # type: ignore[misc]


@pytest.mark.parametrize(
    ("given", "kind", "text"),
    [
        ({"max_size": 0}, ValueError, "max_size: expected 1 to 65536 rows, got 0"),
        ({"max_size": True}, TypeError, "max_size: expected a whole number, got bool"),
        ({"max_size": 2.0}, TypeError, "max_size: expected a whole number"),
        ({"max_delay": -1}, ValueError, "max_delay: expected 0 to 3600 seconds, got -1"),
        ({"max_delay": float("nan")}, ValueError, "max_delay: expected 0 to 3600"),
        ({"max_delay": "1"}, TypeError, "max_delay: expected seconds, got str"),
        ({"axes": ["x"]}, TypeError, "axes: expected a dict of name to axis, got list"),
        ({"axes": {1: 0}}, TypeError, "axes: expected names, got 1"),
        ({"axes": {"x": -1}}, ValueError, "axes['x']: expected an axis from 0 on, got -1"),
        ({"axes": {"x": 0.0}}, TypeError, "axes['x']: expected an axis or None, got 0.0"),
    ],
)
def test_wrong_values(given: dict[str, Any], kind: type[Exception], text: str) -> None:
    with pytest.raises(kind) as raised:
        Batching(**given)
    assert text in str(raised.value)


@pytest.mark.parametrize(
    ("model", "axes", "text"),
    [
        (
            "tiny",
            None,
            'axis 0 of input "x" is fixed to 1 by the model, so requests cannot be joined along it',
        ),
        ("tiny", {"x": 0}, 'axis 0 of input "x" is fixed to 1'),
        ("scaled", None, 'axis 0 of input "x" is fixed to 2 by the model'),
        ("scaled", {"x": 3}, 'input "x" has no axis 3: it has 3 dimensions'),
        ("scaled", {"x": 1, "factor": 0}, 'input "factor" has no axis 0: it has 0 dimensions'),
        ("scaled", {"x": 1, "z": 0}, 'there is no input or output "z"; the model has x, factor, y'),
        ("scaled", {"x": None}, "no input of the model is batched"),
    ],
)
def test_axes_against_the_model(model: str, axes: Any, text: str, tiny: bytes) -> None:
    with pytest.raises(ValueError, match=r"^batching: ") as raised:
        headway.InferenceSession(tiny if model == "tiny" else scaled(), batching=Batching(axes=axes))
    assert text in str(raised.value)


def test_only_where_there_is_something_to_join() -> None:
    with pytest.raises(ValueError, match=r"a Python engine does not batch"):
        headway.InferenceSession(lambda feed: feed, inputs=["x"], outputs=["x"], batching=Batching())
    with pytest.raises(TypeError, match=r"batching: expected headway.Batching, got bool"):
        headway.InferenceSession(perceptron(), batching=True)  # type: ignore[arg-type]


def test_stats_say_nothing_without_it(tiny: bytes) -> None:
    with headway.InferenceSession(tiny) as session:
        session.run(None, {"x": np.ones((1, 3), np.float32)})
        assert session.stats().batching is None
