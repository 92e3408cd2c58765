"""A scikit-learn pipeline, as skl2onnx writes it: columns of several types in, a label and probabilities out.

    python classify_flowers.py PIPELINE DICTIONARIES

The second model starts with a DictVectorizer: its input is a dictionary.
"""

import argparse
import sys

import numpy as np
import onnxruntime as rt

MEASURED = np.array([[5.1, 3.5], [7.0, 3.2], [6.3, 3.3], [4.9, 2.4]], np.float32)
COLOURS = np.array([["blue"], ["violet"], ["white"], ["blue"]])


def describe(session):
    for kind, nodes in (("input", session.get_inputs()), ("output", session.get_outputs())):
        for node in nodes:
            print(f"{kind} {node.name}: {node.type} {node.shape}")


def main(pipeline, dictionaries):
    session = rt.InferenceSession(pipeline, providers=["CPUExecutionProvider"])
    describe(session)
    labels, probabilities = session.run(None, {"measured": MEASURED, "colour": COLOURS})
    print(type(labels).__name__, labels.dtype, labels.tolist())
    print(type(probabilities).__name__, type(probabilities[0]).__name__)
    for row in probabilities:
        print("  ".join(f"{name} {row[name]:.5f}" for name in sorted(row)))

    # Only the labels, one row at a time, as a service would.
    label = session.get_outputs()[0].name
    for measured, colour in zip(MEASURED, COLOURS, strict=True):
        (one,) = session.run([label], {"measured": measured[None], "colour": colour[None]})
        print(one[0])

    session = rt.InferenceSession(dictionaries, providers=["CPUExecutionProvider"])
    describe(session)
    for counts in ({"petal": 2.0, "sepal": 1.0}, {"sepal": 3.0}, {"thorn": 1.0}):
        (score,) = session.run(None, {"words": counts})
        print(score.shape, " ".join(f"{value:.3f}" for value in score.ravel()))


if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    parser.add_argument("pipeline")
    parser.add_argument("dictionaries")
    try:
        main(**vars(parser.parse_args()))
    except Exception as error:
        # onnxruntime's errors have no base class of their own.
        sys.exit(f"[FAIL] {error}")
