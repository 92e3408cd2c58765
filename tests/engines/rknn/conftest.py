"""Fixtures of the rknn tests: a clean stand-in before each, and nothing left of it after."""

from __future__ import annotations

import gc
from collections.abc import Callable, Iterator
from typing import Any

import pytest

import headway

from ...support import until
from .standin import StandIn

Open = Callable[..., headway.InferenceSession]


@pytest.fixture(scope="session")
def loaded_standin() -> StandIn:
    return StandIn()


@pytest.fixture
def standin(loaded_standin: StandIn) -> Iterator[StandIn]:
    """Reset before the test; afterwards nothing lives, and nothing was done that the runtime forbids."""
    loaded_standin.control(reset=True)
    yield loaded_standin
    loaded_standin.control(faults=[], release=True)
    gc.collect()
    until(lambda: loaded_standin.stats()["contexts"] == 0, "the end of all contexts")
    stats = loaded_standin.stats()
    assert (stats["memories"], stats["unreleased"], stats["hanging"]) == (0, 0, 0)
    assert stats["counts"]["violations"] == []
    assert (stats["counts"]["bad_contexts"], stats["counts"]["bad_memories"]) == (0, 0)


@pytest.fixture
def open_session(standin: StandIn) -> Iterator[Open]:
    """Makes sessions on the stand-in, and closes them."""
    made: list[headway.InferenceSession] = []

    def make(
        model: Any, *, session: dict[str, Any] | None = None, **options: Any
    ) -> headway.InferenceSession:
        engine_options = {"library": standin.path, **options}
        made.append(headway.InferenceSession(model, engine_options=engine_options, **(session or {})))
        return made[-1]

    yield make
    standin.control(release=True)
    for one in made:
        one.close()
