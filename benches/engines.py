"""Which engine is faster for which model: onnxruntime and OpenVINO under the same session, the same queue and calls.

One request at a time on a session made for latency, then a window of requests on one made for throughput. OpenVINO
runs twice: as exactly as onnxruntime, and as it chooses itself (bfloat16, where the processor has instructions for it).
"""

from __future__ import annotations

from contextlib import ExitStack
from functools import partial
from typing import Any

import headway

from . import closed, real
from .figures import Figure, Point, Result, Sample
from .models import Model
from .rounds import Effort, collect, note, usable_cores

ENGINES: dict[str, dict[str, Any]] = {
    "onnxruntime": {"engine": "onnxruntime"},
    "OpenVINO f32": {"engine": "openvino", "engine_options": {"INFERENCE_PRECISION_HINT": "f32"}},
    "OpenVINO": {"engine": "openvino"},
}


def _sessions(
    model: Model, load: int, stack: ExitStack, result: Result
) -> dict[str, headway.InferenceSession]:
    options = headway.SessionOptions()
    # What a model's exporter left over is no news here.
    options.log_severity_level = 3
    made: dict[str, headway.InferenceSession] = {}
    for name, given in ENGINES.items():
        hint: Any = "latency" if load == 1 else "throughput"
        try:
            session = headway.InferenceSession(
                model.content, options, hint=hint, queue_depth=2 * load, **given
            )
        except headway.LoadError as error:
            reason = str(error).splitlines()[-1]
            result.settings[f"{model.name}: not on {name}"] = reason
            continue
        made[name] = stack.enter_context(session)
        session.run(None, model.feed)
    return made


def _of_model(model: Model, effort: Effort, result: Result) -> None:
    for load in (1, 2 * usable_cores()):
        with ExitStack() as stack:
            sessions = _sessions(model, load, stack, result)
            calls = {name: partial(session.submit, model.feed) for name, session in sessions.items()}
            alone = closed.window(calls["onnxruntime"], 1, effort.pick(1, 20) / 100).p50 or 0.0
            # A slow model gets more time: a few dozen requests at least.
            seconds = 0.05 if effort.quick else max(0.5, alone * 24 / 1e3)

            def measure(
                number: int, calls: Any = calls, load: int = load, seconds: float = seconds
            ) -> dict[str, Sample]:
                order = list(calls) if number % 2 else list(reversed(calls))
                return {name: closed.window(calls[name], load, seconds) for name in order}

            rounds = collect(effort, measure)
            note(rounds, result.settings)
        result.points += [
            Point(model.name, name, load, [one[name] for one in rounds.values]) for name in calls
        ]
        result.figures += [
            Figure(
                f"{model.name}: {name}, {load} in flight",
                [one[name].rate for one in rounds.values],
                [one["onnxruntime"].rate for one in rounds.values],
                "onnxruntime",
                "/s",
                at_least=True,
            )
            for name in calls
            if name != "onnxruntime"
        ]


def measure(effort: Effort) -> Result:
    """Every model on every engine that can read it."""
    result = Result("engines", settings={"cores": usable_cores()}, load="requests in flight")
    for model in real.all_models(effort.quick):
        _of_model(model, effort, result)
    return result
