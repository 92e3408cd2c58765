"""`warmup`: every input made up from what the model says, or given."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import headway
from headway.testing import FakeEngine

from ..support import X, assert_conserved

pytestmark = pytest.mark.timeout(30)


def test_zeros_of_every_input(leaks: None) -> None:
    fed: list[Any] = []

    def model(feed: dict[str, Any]) -> list[Any]:
        fed.append(feed)
        return list(feed.values())

    with headway.InferenceSession(model, inputs=["x"], outputs=["y"], workers=2) as session:
        session.warmup(n=3, feeds=[{"x": X}])
        assert len(fed) == 6
        assert all(feed["x"].tolist() == X.tolist() for feed in fed)


def test_open_dimensions_count_as_one(leaks: None) -> None:
    specs = {"x": ("float32", [None, 3]), "n": ("int64", []), "b": ("bool", [2])}
    with headway.InferenceSession(FakeEngine(inputs=specs), workers=1) as session:
        session.warmup()
        assert assert_conserved(session).done == 1


def test_a_real_model(tiny: bytes, leaks: None) -> None:
    with headway.InferenceSession(tiny, hint="throughput") as session:
        session.warmup(n=2)
        stats = assert_conserved(session)
        assert stats.done == 2 * len([lane for lane in stats.lanes if lane.worker])


@pytest.mark.parametrize("n", [0, -1, 1.0, True])
def test_rounds_that_make_no_sense(n: Any, leaks: None) -> None:
    with headway.InferenceSession(FakeEngine()) as session, pytest.raises(ValueError, match="n:"):
        session.warmup(n)


def test_the_models_own_error(leaks: None) -> None:
    engine = FakeEngine()
    engine.fail_nth(0, "told to fail")
    with (
        headway.InferenceSession(engine) as session,
        pytest.raises(headway.EngineError, match="told to fail"),
    ):
        session.warmup(feeds=[X])


def test_inputs_that_cannot_be_made_up(leaks: None) -> None:
    with headway.InferenceSession(lambda feed: [feed["x"]], inputs=["x"], outputs=["y"]) as session:
        with pytest.raises(headway.InputError, match="feeds="):
            session.warmup()
        session.warmup(feeds=[{"x": np.zeros(3)}])
