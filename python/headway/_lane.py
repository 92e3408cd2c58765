"""The program of a lane's process: ``python -m headway._lane``, started by a session with ``isolation="process"``.

What it inherits is one socket, its standard input. Over it comes what to load; it never runs the program that started
it.
"""

from __future__ import annotations

import faulthandler
import json
import os
import signal
import sys
import traceback
import warnings
from typing import Any

import numpy as np

from headway import _core
from headway._engines.isolated import find, options_from
from headway._engines.words import Asked, Loaded, Source, Wanted
from headway._errors import InputError
from headway._lanes import Lanes, answers
from headway._load import load, source_of
from headway._threads import Plan


def main() -> int:
    """Loads what it is told and runs requests until the session closes. The exit status."""
    # Ctrl-C is for the program, which then decides about its lanes.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    lane = _core.ServedLane.inherit()
    faulthandler.enable()
    told = json.loads(lane.description())
    if os.getppid() != told["parent"]:
        return 1
    sys.path[:] = told["path"]
    if told["pythonpath"] is None:
        os.environ.pop("PYTHONPATH", None)
    else:
        os.environ["PYTHONPATH"] = told["pythonpath"]
    try:
        loaded, facts = _load(told, lane)
    except Exception as error:
        _fail(lane, error)
        return 1
    if loaded.lanes is None:
        lane.serve(loaded.model, facts)
    else:
        _serve(lane, loaded.model, loaded.lanes, facts)
    return 0


def _load(told: dict[str, Any], lane: _core.ServedLane) -> tuple[Loaded, str]:
    """The model, and what the session is to know of it."""
    _core.set_thread_budget(told["threads"])
    model = lane.model()
    if told["callable"] is not None:
        model = find(*told["callable"])
    elif model is None:
        model = told["model"]
    source = Source(told["engine"], model, told["label"])
    if told["plugin"] is not None:
        source = source_of(
            model, told["plugin"] if isinstance(told["plugin"], str) else find(*told["plugin"])
        )
    asked = Asked(
        source,
        options_from(told["options"]),
        Plan(1, 0, told["threads"], told["spinning"]),
        Wanted(
            _pairs(told["providers"]),
            told["provider_options"],
            told["on_missing"],
            told["disabled_optimizers"],
            told["config_from_model"],
        ),
        told["inputs"],
        told["outputs"],
        told["engine_options"],
        True,
        "latency",
    )
    with warnings.catch_warnings(record=True) as given:
        warnings.simplefilter("always")
        loaded = load(asked)
    facts = {
        "device": loaded.device,
        "providers": list(loaded.providers),
        "provider_options": {name: dict(pairs) for name, pairs in loaded.provider_options.items()},
        "report": [tuple(one) for one in loaded.report],
        "threads": loaded.threads,
        "warnings": [str(one.message) for one in given],
    }
    return loaded, json.dumps(facts)


def _pairs(providers: list[Any] | None) -> list[Any] | None:
    """JSON has no tuples."""
    if providers is None:
        return None
    return [one if isinstance(one, str) else tuple(one) for one in providers]


def _fail(lane: _core.ServedLane, error: BaseException) -> None:
    from headway._errors import HeadwayError

    if isinstance(error, HeadwayError):
        kind = "input" if isinstance(error, InputError) else "load"
        lane.fail(kind, str(error), getattr(error, "code", None))
    else:
        lane.fail("load", f"{type(error).__name__}: {error}", None)
        traceback.print_exception(error)


def _serve(lane: _core.ServedLane, model: _core.Model, lanes: Lanes, facts: str) -> None:
    """A Python engine's loop: Python frames that call into Rust, not the other way round."""
    engine, names = lanes.engine, [spec.name for spec in lanes.outputs]
    assert engine is not None
    try:
        running = engine.open_lane(0)
        lane.open(model, facts)
    except Exception as error:
        _fail(lane, error)
        return
    try:
        while (batch := lane.take()) is not None:
            results: list[tuple[bool, Any]] = []
            feed: Any
            answer: Any
            for feed, wanted in batch:
                if isinstance(feed, Exception):
                    results.append((False, (feed, "")))
                    continue
                try:
                    answer = answers(running.run(feed, wanted or names), lanes.outputs, names, wanted)
                    results.append((True, [_array(one) for one in answer]))
                except BaseException as raised:
                    results.append((False, (raised, traceback.format_exc())))
                # Whoever keeps the feed keeps its memory: the session then goes on elsewhere.
                feed = answer = None
            batch = None
            lane.complete(results)
    finally:
        running.close()
        lanes.discard()


def _array(value: object) -> Any:
    array = np.asanyarray(value)
    # Strings are objects too.
    if array.dtype == object and not all(isinstance(one, str) for one in array.flat):
        raise TypeError(
            f"a process lane gives arrays of numbers or strings, and the callable gave {type(value).__name__}"
        )
    return array


if __name__ == "__main__":
    sys.exit(main())
