"""What the docs promise of notebooks, whose cells run in an event loop: what waits there, and what does not."""

from __future__ import annotations

import asyncio
from typing import Any

import numpy as np
import pytest

import headway

from ..models.built import tiny

X = np.ones((1, 3), np.float32)
MANY = 64


def cell(code: str) -> Any:
    """The cell's ``answer``: code without an ``await``, in a running loop."""
    names: dict[str, Any] = {"x": X, "many": MANY}

    async def kernel() -> None:
        exec(code, names)

    with headway.InferenceSession(tiny(), workers=1, queue_depth=1) as session:
        names["session"] = session
        asyncio.run(kernel())
    return names["answer"]


@pytest.mark.parametrize(
    ("code", "answer"),
    [
        ("answer = len([session.run(None, x) for _ in range(many)])", MANY),
        ("answer = len(list(session.stream(x for _ in range(many))))", MANY),
        ("answer = len(session.run_parallel([x] * many))", MANY),
        ("answer = len(session.run_batch(None, x.repeat(many, axis=0))[0])", MANY),
        (
            "got = [session.run_pipeline(x, depth=8) for _ in range(many)]\n"
            "answer = len(list(session.drain_pipeline())) + sum(one is not None for one in got)",
            MANY,
        ),
        ("answer = session.submit(x).result()[0].tolist()", [[2.0, 2.0, 2.0]]),
    ],
    ids=["run", "stream", "run_parallel", "run_batch", "run_pipeline", "result"],
)
def test_it_works_in_a_cell(code: str, answer: object) -> None:
    assert cell(code) == answer


def test_a_cell_may_await_room() -> None:
    async def kernel() -> int:
        with headway.InferenceSession(tiny(), workers=1, queue_depth=1) as session:
            futures = [await session.asubmit(X) for _ in range(MANY)]
            return len([future.result() for future in futures])

    assert asyncio.run(kernel()) == MANY
