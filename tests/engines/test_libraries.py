"""The conformance suite on the examples' engines, where their libraries are installed."""

from __future__ import annotations

import importlib.util
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from headway.testing import EngineSuite

from ..support import face_detection

pytestmark = pytest.mark.timeout(120)

EXAMPLES = Path(__file__).parent.parent.parent / "examples"


def example(name: str, *needed: str) -> Any:
    """An example as a module."""
    for package in needed:
        pytest.importorskip(
            package, reason=f"{package} is large, and needed by this example alone: run where it is installed"
        )
    found = importlib.util.spec_from_file_location(f"example_{name}", EXAMPLES / f"{name}.py")
    assert found is not None
    assert found.loader is not None
    module = importlib.util.module_from_spec(found)
    found.loader.exec_module(module)
    return module


class TestTorch(EngineSuite):
    atol = 1e-6

    def make(self) -> Any:
        made = example("torch_module", "torch")
        inputs, outputs = [("x", "float32", [None, 3, None, None])], [("y", "float32", [None, 10])]
        return made.TorchEngine(made.network(), inputs=inputs, outputs=outputs, threads=1)

    def feeds(self) -> list[Any]:
        random = np.random.default_rng(3)
        return [{"x": random.random((1, 3, size, size), np.float32)} for size in (24, 40, 24)]

    def faulty(self, **options: Any) -> Any:
        # Smaller than the first layer's window.
        return self.open(**options), {"x": np.zeros((1, 3, 1, 1), np.float32)}, self.feeds()[0]

    def reference(self, feed: Mapping[str, Any]) -> dict[str, Any]:
        made = example("torch_module", "torch")
        with made.torch.inference_mode():
            return {"y": made.network()(made.torch.tensor(feed["x"])).numpy()}


class TestScikitLearn(EngineSuite):
    def make(self) -> Any:
        return example("scikit_learn", "sklearn").PipelineEngine(self.pipeline())

    def pipeline(self) -> Any:
        made = example("scikit_learn", "sklearn")
        iris = made.load_iris()
        pipeline = made.make_pipeline(made.StandardScaler(), made.LogisticRegression(max_iter=200))
        return pipeline.fit(iris.data, iris.target)

    def feeds(self) -> list[Any]:
        return [{"x": np.full((rows, 4), rows, np.float64)} for rows in (1, 3, 2)]

    def faulty(self, **options: Any) -> Any:
        return self.open(**options), {"x": np.full((1, 4), np.nan)}, self.feeds()[0]

    def reference(self, feed: Mapping[str, Any]) -> dict[str, Any]:
        pipeline = self.pipeline()
        return {"label": pipeline.predict(feed["x"]), "probabilities": pipeline.predict_proba(feed["x"])}


class TestLiteRT(EngineSuite):
    def make(self) -> Any:
        return example("litert_model", "ai_edge_litert").LiteRTEngine(face_detection())

    def feeds(self) -> list[Any]:
        random = np.random.default_rng(3)
        return [{"input": random.random((1, 128, 128, 3), np.float32)} for _ in range(3)]

    def reference(self, feed: Mapping[str, Any]) -> dict[str, Any]:
        made = example("litert_model", "ai_edge_litert").Interpreter(model_path=face_detection())
        made.allocate_tensors()
        made.set_tensor(made.get_input_details()[0]["index"], feed["input"])
        made.invoke()
        return {one["name"]: made.get_tensor(one["index"]) for one in made.get_output_details()}
