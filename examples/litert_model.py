"""A TFLite model on `ai-edge-litert`: one interpreter a lane, since an interpreter runs one request at a time.

python examples/litert_model.py model.tflite

Needs ai-edge-litert.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import Any

import numpy as np
from ai_edge_litert.interpreter import Interpreter

import headway


class LiteRTLane(headway.Lane):
    """An interpreter of its own."""

    def __init__(self, content: bytes, threads: int) -> None:
        self.interpreter = Interpreter(model_content=content, num_threads=threads)
        self.interpreter.allocate_tensors()
        self.inputs = self.interpreter.get_input_details()
        self.outputs = self.interpreter.get_output_details()
        self.shapes = {one["index"]: tuple(one["shape"]) for one in self.inputs}

    def run(self, feed: dict[str, Any], output_names: list[str]) -> dict[str, Any]:
        resized = False
        for one in self.inputs:
            index, shape = one["index"], feed[one["name"]].shape
            if self.shapes[index] != shape:
                self.interpreter.resize_tensor_input(index, shape)
                self.shapes[index], resized = shape, True
        if resized:
            self.interpreter.allocate_tensors()
        for one in self.inputs:
            self.interpreter.set_tensor(one["index"], feed[one["name"]])
        self.interpreter.invoke()
        # `get_tensor` copies: the interpreter's own memory is written over by the next request.
        return {
            one["name"]: self.interpreter.get_tensor(one["index"])
            for one in self.outputs
            if one["name"] in output_names
        }

    def close(self) -> None:
        del self.interpreter


class LiteRTEngine(headway.Engine):
    """A `.tflite` file, or its bytes.

    Args:
        model: The path, or the bytes.
        threads: Threads of one interpreter.
    """

    name = "litert"
    suffixes = (".tflite",)

    def __init__(self, model: str | bytes, *, threads: int = 1) -> None:
        self.content = Path(model).read_bytes() if isinstance(model, str) else model
        self.threads = threads
        probe = Interpreter(model_content=self.content)
        self.inputs = [node(one) for one in probe.get_input_details()]
        self.outputs = [(one["name"], one["dtype"]) for one in probe.get_output_details()]

    def open_lane(self, number: int) -> headway.Lane:
        return LiteRTLane(self.content, self.threads)


def node(detail: dict[str, Any]) -> tuple[str, Any, list[int | None]]:
    """A length of -1 in the signature may be any."""
    shape = detail["shape_signature"] if len(detail["shape_signature"]) else detail["shape"]
    return detail["name"], detail["dtype"], [None if length < 0 else int(length) for length in shape]


def main(path: str) -> None:
    with headway.InferenceSession(path, engine=LiteRTEngine, workers=2) as session:
        print(session)
        random = np.random.default_rng(7)
        shapes = {
            one.name: [length if isinstance(length, int) else 1 for length in one.shape]
            for one in session.get_inputs()
        }
        feeds = [{name: random.random(shape, np.float32) for name, shape in shapes.items()} for _ in range(8)]
        expected = [session.run(None, feed) for feed in feeds]
        for outputs, alone in zip(session.stream(feeds), expected, strict=True):
            assert all(np.array_equal(one, other) for one, other in zip(outputs, alone, strict=True))
        for one in session.get_outputs():
            print(f"{one.name}: {one.type}")
        print(f"done={session.stats().done}")


if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    parser.add_argument("path", metavar="model")
    try:
        main(**vars(parser.parse_args()))
    except (headway.HeadwayError, OSError) as error:
        sys.exit(f"[FAIL] {error}")
