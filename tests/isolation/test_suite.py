"""The conformance suite on process lanes."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import pytest

import headway
from headway.testing import EngineSuite

from ..engines import test_suite as threads
from ..engines.rknn import standin
from ..support import tiny_model
from . import calls

pytestmark = pytest.mark.timeout(120)


def rows(number: float, count: int) -> dict[str, Any]:
    return {"x": np.full((count, 3), number, np.float32)}


class TestCallable(EngineSuite):
    workers = 2

    def open(self, **options: Any) -> headway.InferenceSession:
        return headway.InferenceSession(
            calls.doubling, inputs=["x"], outputs=["y", "sum"], isolation="process", **options
        )

    def feeds(self) -> list[Any]:
        return [rows(number, count) for number, count in ((1, 1), (2, 4), (3, 2))]

    def reference(self, feed: Mapping[str, Any]) -> dict[str, Any]:
        return {"y": feed["x"] * 2, "sum": feed["x"].sum(1)}

    def slow(self, **options: Any) -> Any:
        return self.open(**options), rows(1e6, 1)

    def faulty(self, **options: Any) -> Any:
        return self.open(**options), rows(-1, 1), rows(1, 1)


class TestOpenVino(EngineSuite):
    workers = 2

    def open(self, **options: Any) -> headway.InferenceSession:
        return headway.InferenceSession(tiny_model(), engine="openvino", isolation="process", **options)

    def feeds(self) -> list[Any]:
        return [rows(number, 1) for number in (1, 2)]

    def reference(self, feed: Mapping[str, Any]) -> dict[str, Any]:
        return {"y": feed["x"] * 2}


class TestRknn(EngineSuite):
    def open(self, **options: Any) -> headway.InferenceSession:
        own = {"library": str(standin.library())}
        return headway.InferenceSession(standin.echo(), engine_options=own, isolation="process", **options)

    def feeds(self) -> list[Any]:
        return [{"x": np.full((1, 4), number, np.float32)} for number in (1, 2)]

    def reference(self, feed: Mapping[str, Any]) -> dict[str, Any]:
        return {"y": feed["x"]}

    def slow(self, **options: Any) -> Any:
        own = {"library": str(standin.library())}
        model = standin.echo(latency=0.5)
        session = headway.InferenceSession(model, engine_options=own, isolation="process", **options)
        return session, self.feeds()[0]


class TestOnnxruntime(threads.TestOnnxruntime):
    workers = 2

    def open(self, **options: Any) -> headway.InferenceSession:
        return super().open(isolation="process", **options)

    def faulty(self, **options: Any) -> Any:
        return super().faulty(isolation="process", **options)
