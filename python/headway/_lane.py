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
from headway._callable import outputs_of
from headway._engines.isolated import find, options_from
from headway._engines.words import Asked, Loaded, Source, Wanted
from headway._errors import InputError
from headway._load import load
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
    if told["callable"] is None:
        lane.serve(loaded.model, facts)
    else:
        _serve(lane, loaded, told, facts)
    return 0


def _load(told: dict[str, Any], lane: _core.ServedLane) -> tuple[Loaded, str]:
    """The model, and what the session is to know of it."""
    _core.set_thread_budget(told["threads"])
    model = lane.model()
    if told["callable"] is not None:
        model = find(*told["callable"])
    elif model is None:
        model = told["model"]
    asked = Asked(
        Source(told["engine"], model, told["label"]),
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
        False,
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


def _fail(lane: _core.ServedLane, error: Exception) -> None:
    from headway._errors import HeadwayError

    if isinstance(error, HeadwayError):
        kind = "input" if isinstance(error, InputError) else "load"
        lane.fail(kind, str(error), getattr(error, "code", None))
    else:
        lane.fail("load", f"{type(error).__name__}: {error}", None)
        traceback.print_exception(error)


def _serve(lane: _core.ServedLane, loaded: Loaded, told: dict[str, Any], facts: str) -> None:
    """A callable's loop: Python frames that call into Rust, not the other way round."""
    call = find(*told["callable"])
    names = [one if isinstance(one, str) else str(one[0]) for one in told["outputs"] or ()]
    inputs = [one if isinstance(one, str) else str(one[0]) for one in told["inputs"] or ()]
    lane.open(inputs, names, facts)
    while (batch := lane.take()) is not None:
        results: list[tuple[bool, Any]] = []
        feed: Any
        for feed, wanted in batch:
            try:
                results.append((True, [_array(one) for one in outputs_of(call(feed), names, wanted)]))
            except BaseException as raised:
                results.append((False, (raised, traceback.format_exc())))
            # Whoever keeps the feed keeps its memory: the session then goes on elsewhere.
            feed = None
        batch = None
        lane.complete(results)


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
