"""The conformance suite for Python on the stand-in for Rockchip's runtime; the one for native engines is in Rust."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import pytest

import headway
from headway.testing import EngineSuite

from . import standin

pytestmark = pytest.mark.usefixtures("standin")


class TestRknn(EngineSuite):
    def open(self, **options: Any) -> headway.InferenceSession:
        own = {"library": standin.library(), "schedule": [0, 1, 2]}
        if options.pop("workers", None) == 1:
            own["schedule"] = [0]
        return headway.InferenceSession(standin.echo(), engine_options=own, **options)

    def feeds(self) -> list[Any]:
        return [{"x": np.full((1, 4), number, np.float32)} for number in (1, 2)]

    def reference(self, feed: Mapping[str, Any]) -> dict[str, Any]:
        return {"y": feed["x"]}
