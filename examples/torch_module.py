"""A PyTorch module as the model: asynchronous, with deadlines and several lanes; on a GPU each lane has its own stream.

python examples/torch_module.py [model.pt2]

Needs torch. Without a file it makes a small network of its own. A package of yours makes `InferenceSession("net.pt2")`
and `InferenceSession(module, engine="torch")` work with two lines in its pyproject.toml:

    [project.entry-points."headway.engines"]
    torch = "your_package:TorchEngine"
    ".pt2" = "your_package:TorchEngine"
"""

from __future__ import annotations

import argparse
import sys
from typing import Any

import numpy as np
import torch

import headway


class TorchLane(headway.Lane):
    """One stream on a GPU; on the CPU nothing of its own: PyTorch lets the GIL go while it computes."""

    def __init__(self, engine: TorchEngine) -> None:
        self.engine = engine
        self.stream = torch.cuda.Stream(engine.where) if engine.where.type == "cuda" else None

    def run(self, feed: dict[str, Any], output_names: list[str]) -> list[Any]:
        with torch.inference_mode():
            return self.compute(feed)

    def compute(self, feed: dict[str, Any]) -> list[Any]:
        if self.stream is None:
            answer = self.engine.module(*map(tensor_of, feed.values()))
            return [one.numpy() for one in listed(answer)]
        with torch.cuda.stream(self.stream):
            # From and to page-locked memory, a copy does not stop the thread: it waits once, for everything.
            inputs = [
                tensor_of(array).pin_memory().to(self.engine.where, non_blocking=True)
                for array in feed.values()
            ]
            outputs = [one.to("cpu", non_blocking=True) for one in listed(self.engine.module(*inputs))]
            self.stream.synchronize()
        return [one.numpy() for one in outputs]


class TorchEngine(headway.Engine):
    """A module, or a program that `torch.export.save` wrote.

    Args:
        model: A `torch.nn.Module`, or the path of a `.pt2` file.
        device: Where it computes; None is the GPU where there is one.
        threads: Threads of one operator on the CPU, for the whole process: 1 with a lane for each core.
    """

    name = "torch"
    suffixes = (".pt2",)

    def __init__(
        self,
        model: torch.nn.Module | str,
        *,
        inputs: list[Any] | None = None,
        outputs: list[Any] | None = None,
        device: str | None = None,
        threads: int | None = None,
    ) -> None:
        module = torch.export.load(model).module() if isinstance(model, str) else model.eval()
        self.where = torch.device(device or ("cuda" if torch.cuda.is_available() else "cpu"))
        self.device = self.where.type.upper()
        self.module = module.to(self.where)
        self.inputs, self.outputs = inputs, outputs
        if threads is not None:
            torch.set_num_threads(threads)

    def open_lane(self, number: int) -> headway.Lane:
        return TorchLane(self)


def tensor_of(array: Any) -> torch.Tensor:
    """Over the array's own memory; PyTorch knows no read-only tensors and warns of them."""
    return torch.from_numpy(array if array.flags.writeable else array.copy())


def listed(answer: Any) -> list[torch.Tensor]:
    """A module gives one tensor or several."""
    return list(answer) if isinstance(answer, tuple | list) else [answer]


def network() -> torch.nn.Module:
    """Ten numbers from a picture."""
    torch.manual_seed(7)
    return torch.nn.Sequential(
        torch.nn.Conv2d(3, 16, 3, stride=2),
        torch.nn.ReLU(),
        torch.nn.AdaptiveAvgPool2d(4),
        torch.nn.Flatten(),
        torch.nn.Linear(256, 10),
    )


def main(path: str | None) -> None:
    module = network()
    random = np.random.default_rng(7)
    frames = [random.random((1, 3, 64, 64), np.float32) for _ in range(16)]
    with torch.inference_mode():
        expected = [module(torch.from_numpy(frame)).numpy() for frame in frames]
    options: dict[str, Any] = {
        "inputs": [("picture", "float32", [None, 3, None, None])],
        "outputs": [("scores", "float32", [None, 10])],
        "threads": 1,
    }
    with headway.InferenceSession(
        path or module, engine=TorchEngine, engine_options=options, workers=2
    ) as session:
        print(session)
        answers = [scores for (scores,) in session.stream(frames)]
        if path is None:
            largest = max(float(abs(one - other).max()) for one, other in zip(answers, expected, strict=True))
            print(f"largest difference from the module itself: {largest:.0e}")
        try:
            session.submit(frames[0].astype(np.float64))
        except headway.InputError as error:
            print(type(error).__name__, str(error).rpartition(" : ")[2])
        print(f"done={session.stats().done}")


if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    parser.add_argument("path", metavar="program", nargs="?")
    try:
        main(**vars(parser.parse_args()))
    except (headway.HeadwayError, OSError) as error:
        sys.exit(f"[FAIL] {error}")
