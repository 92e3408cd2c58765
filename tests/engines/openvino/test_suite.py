"""The conformance suite for Python on OpenVINO; the one for native engines is in Rust."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

import headway
from headway.testing import EngineSuite

from ...support import tiny_model


class TestOpenVino(EngineSuite):
    def open(self, **options: Any) -> headway.InferenceSession:
        return headway.InferenceSession(tiny_model(), engine="openvino", **options)

    def feeds(self) -> list[Any]:
        return [{"x": np.full((1, 3), number, np.float32)} for number in (1, 2)]

    def reference(self, feed: Mapping[str, Any]) -> dict[str, Any]:
        return {"y": feed["x"] * 2}
