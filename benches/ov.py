"""OpenVINO on the same models, where it is installed: sync, AsyncInferQueue, and its own benchmark_app."""

from __future__ import annotations

import re
import subprocess
import sys
from collections.abc import Callable
from functools import partial
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from . import closed
from .figures import Sample
from .models import Model

Drive = Callable[[int, float], Sample]
"""Keeps so many requests in flight for so many seconds."""

INSTALLED = find_spec("openvino") is not None


def compiled(model: Model, streams: int) -> Any:
    """A compiled model with as many streams of one thread each. Raises what OpenVINO raises where it cannot read it."""
    import openvino

    core = openvino.Core()
    config = {
        "NUM_STREAMS": streams,
        "INFERENCE_NUM_THREADS": streams,
        # As the others compute: no bfloat16 where the processor has it.
        "INFERENCE_PRECISION_HINT": "f32",
    }
    read = core.read_model(model.content if isinstance(model.content, Path) else bytes(model.content))
    # A model of unknown shape would be compiled anew in its first call.
    read.reshape({name: list(value.shape) for name, value in model.feed.items()})
    return core.compile_model(read, "CPU", config)


def _sync(made: Any, feed: Any, in_flight: int, seconds: float) -> Sample:
    requests = [made.create_infer_request() for _ in range(in_flight)]
    calls = [partial(one.infer, feed, share_inputs=True, share_outputs=True) for one in requests]
    return closed.threads(calls, seconds)


def _queue(made: Any, feed: Any, in_flight: int, seconds: float) -> Sample:
    import openvino

    queue = openvino.AsyncInferQueue(made, in_flight)
    queue.set_callback(lambda _request, done: done())
    found = closed.callbacks(
        lambda done: queue.start_async(feed, done, share_inputs=True), in_flight, seconds
    )
    queue.wait_all()
    return found


def callback_queue(model: Model, jobs: int) -> Any:
    """An AsyncInferQueue of so many requests on one stream, whose callback looks at the answer where it lies."""
    import openvino

    queue = openvino.AsyncInferQueue(compiled(model, 1), jobs)
    queue.set_callback(lambda request, _: request.get_output_tensor(0).data)
    return queue


def drives(model: Model, streams: int) -> dict[str, Drive]:
    """By the contender's name."""
    made = compiled(model, streams)
    made.create_infer_request().infer(model.feed)
    return {
        "OpenVINO infer, threads": partial(_sync, made, model.feed),
        "OpenVINO AsyncInferQueue": partial(_queue, made, model.feed),
    }


def benchmark_app(model: Model, streams: int, in_flight: int, seconds: float) -> Sample:
    """The package's own program, in a process of its own: whole seconds, inputs filled once, no p90 or p99."""
    given = {
        "m": str(model.content),
        "d": "CPU",
        "hint": "none",
        "api": "async",
        "nstreams": streams,
        "nthreads": streams,
        "nireq": in_flight,
        "infer_precision": "f32",
        "shape": ",".join(f"{name}{[*value.shape]}".replace(" ", "") for name, value in model.feed.items()),
        "t": max(1, round(seconds)),
    }
    # The console script's file may lie anywhere; its function is the package's.
    program = "import sys; from openvino.tools.benchmark.main import main; sys.exit(main())"
    command = [sys.executable, "-c", program]
    for name, value in given.items():
        command += [f"-{name}", str(value)]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    rate = re.search(r"Throughput:\s+([\d.]+) FPS", done.stdout)
    median = re.search(r"Median:\s+([\d.]+) ms", done.stdout)
    assert rate and median, done.stdout
    return Sample(float(rate[1]), float(median[1]), None, None)
