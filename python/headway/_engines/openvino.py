"""A model on OpenVINO: its properties, and how many lanes and threads it gets."""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import Any, NamedTuple

from headway import _core
from headway._engines.words import Asked, Loaded
from headway._library import openvino_candidates
from headway._log import logger
from headway._threads import Plan

#: What the engine takes beside OpenVINO's own properties.
_KNOWN = ("cache_dir", "device", "weights")

_HINTS = {"latency": "LATENCY", "throughput": "THROUGHPUT"}

_UNSEEN = (
    "OpenVINO's CPU device has one thread for this model: it then says nothing of inputs whose shapes do not fit one "
    "another, and gives its last answer or ends the process; allow two, or use isolation='process'"
)

#: What the compiled model is asked for.
_ASKED = ("OPTIMAL_NUMBER_OF_INFER_REQUESTS", "NUM_STREAMS", "INFERENCE_NUM_THREADS")


class _Own(NamedTuple):
    """The engine's own options."""

    device: str
    weights: bytes | None
    #: By OpenVINO's names, values in words.
    properties: dict[str, str]


def load(asked: Asked) -> Loaded:
    """The model compiled for its device, with as many lanes as ``workers`` or the device says.

    A lane is an infer request. On the CPU OpenVINO divides its threads into streams, and as many requests as there are
    streams run at once; one more would wait inside OpenVINO, where neither its deadline nor a cancellation reaches
    it. So without ``workers`` the lanes are those that OpenVINO calls optimal for what it has compiled, also for
    threads that wait in ``run()``.
    """
    own = _read(asked.engine_options)
    if asked.wanted.providers:
        raise TypeError(
            "providers: the openvino engine has none; choose a device by engine_options={'device': ...}"
        )
    properties = _planned(asked, own.device) | own.properties
    model, told, is_open = _core.load_openvino(
        asked.source.model,
        weights=own.weights,
        candidates=openvino_candidates(),
        device=own.device,
        properties=list(properties.items()),
        asked=_ASKED,
    )
    optimal, streams, threads = (_number(text) for text in told)
    if threads == 1 and is_open and own.device.upper() == "CPU":
        logger.warning(_UNSEEN)
    lanes = asked.plan.workers if asked.workers_given else max(1, optimal or 1)
    each = max(1, (threads or 1) // max(1, streams or 1))
    return Loaded(model, own.device, threads=(each, False), plan=Plan(lanes, 0, each, False))


def _planned(asked: Asked, device: str) -> dict[str, str]:
    """What the session's own options say in OpenVINO's words; properties that the caller gave come over them."""
    plan, workers = asked.plan, asked.workers_given
    found = {"PERFORMANCE_HINT": _HINTS[asked.hint]}
    if workers:
        found["PERFORMANCE_HINT_NUM_REQUESTS"] = str(plan.workers)
    if device.upper() != "CPU":
        # Streams and threads of other devices are not cores of this process.
        return found
    if workers:
        found["NUM_STREAMS"] = str(plan.workers)
    each = asked.options.intra_op_num_threads
    if each:
        # So many for each request, as on the other engines.
        found["INFERENCE_NUM_THREADS"] = str(each * plan.workers)
        found["NUM_STREAMS"] = str(plan.workers)
    else:
        # Lanes and threads out of the process's budget: threads = lanes + intra_op - 1.
        found["INFERENCE_NUM_THREADS"] = str(plan.workers + plan.intra_op - 1)
    return found


def _read(given: Mapping[str, Any]) -> _Own:
    left = dict(given)
    device = left.pop("device", "CPU")
    if not isinstance(device, str):
        raise TypeError(f"engine_options: device: expected a str such as 'CPU', got {device!r}")
    weights = left.pop("weights", None)
    if weights is not None and not isinstance(weights, bytes):
        raise TypeError(f"engine_options: weights: expected bytes, got {type(weights).__name__}")
    properties: dict[str, str] = {}
    if (folder := left.pop("cache_dir", None)) is not None:
        properties["CACHE_DIR"] = os.fspath(folder)
    for name, value in left.items():
        if not isinstance(name, str) or name != name.upper():
            raise TypeError(
                f"engine_options: the openvino engine has no option {name!r}; it has {', '.join(_KNOWN)}, and "
                "OpenVINO's properties by their names in capitals, such as INFERENCE_PRECISION_HINT"
            )
        properties[name] = _words(name, value)
    return _Own(device, weights, properties)


def _words(name: str, value: object) -> str:
    if isinstance(value, bool):
        return "YES" if value else "NO"
    if isinstance(value, str | int):
        return str(value)
    raise TypeError(f"engine_options: {name}: expected str, int or bool, got {type(value).__name__}")


def _number(text: str | None) -> int | None:
    return int(text) if text is not None and text.isdigit() else None
