"""A scikit-learn pipeline as the model: single rows from many threads, each with its own answer and deadline.

python examples/scikit_learn.py

Needs scikit-learn.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from sklearn.datasets import load_iris
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import Pipeline, make_pipeline
from sklearn.preprocessing import StandardScaler

import headway


class PipelineLane(headway.Lane):
    """A fitted pipeline is only read: all lanes share it."""

    def __init__(self, pipeline: Pipeline) -> None:
        self.pipeline = pipeline

    def run(self, feed: dict[str, Any], output_names: list[str]) -> dict[str, Any]:
        probabilities = self.pipeline.predict_proba(feed["x"])
        return {"label": self.pipeline.classes_[probabilities.argmax(1)], "probabilities": probabilities}


class PipelineEngine(headway.Engine):
    """A fitted classifier. Feeds that do not fit it are refused before they are queued."""

    name = "scikit-learn"

    def __init__(self, pipeline: Pipeline) -> None:
        self.pipeline = pipeline
        classes = pipeline.classes_
        self.inputs = [("x", "float64", ["rows", pipeline.n_features_in_])]
        self.outputs = [
            ("label", classes.dtype, ["rows"]),
            ("probabilities", "float64", ["rows", len(classes)]),
        ]
        self.metadata = {"classes": ",".join(map(str, classes))}

    def open_lane(self, number: int) -> headway.Lane:
        return PipelineLane(self.pipeline)


def main() -> None:
    iris = load_iris()
    pipeline = make_pipeline(StandardScaler(), LogisticRegression(max_iter=200)).fit(iris.data, iris.target)
    with headway.InferenceSession(PipelineEngine(pipeline), workers=2, timeout=10.0) as session:
        futures = [session.submit({"x": row[None]}) for row in iris.data[::10]]
        labels = np.concatenate([future.result()[0] for future in futures])
        print(f"{(labels == iris.target[::10]).sum()} of {len(labels)} right")
        (probabilities,) = session.run(["probabilities"], iris.data)
        print(f"as predict_proba: {np.array_equal(probabilities, pipeline.predict_proba(iris.data))}")
        try:
            session.run(None, {"x": iris.data[:, :3]})
        except headway.InputError as error:
            print(str(error).splitlines()[1].strip())


if __name__ == "__main__":
    main()
