"""Random models, random requests: Headway answers what onnxruntime answers, bit for bit, or refuses what it refuses."""

from __future__ import annotations

import asyncio
import os
import threading
from collections.abc import Callable
from contextlib import closing
from typing import Any

import numpy as np
import onnxruntime
import pytest
from hypothesis import HealthCheck, event, given, settings
from hypothesis import strategies as st
from onnx import TensorProto as T

import headway

from .models import DTYPES, Model, models, serialized
from .requests import Request, requests

PATIENCE = 30.0

#: The same examples each time; `HEADWAY_FUZZ=10000` draws so many new ones.
EXAMPLES = int(os.environ.get("HEADWAY_FUZZ", "250"))


class HandedOver(Exception):
    """The message that a callback got."""


def _run_async(session: Any, names: Any, feed: Any) -> Any:
    got: list[Any] = []
    ended = threading.Event()

    def callback(*arguments: Any) -> None:
        got.append(arguments)
        ended.set()

    session.run_async(names, feed, callback, None)
    assert ended.wait(PATIENCE)
    results, _, error = got[0]
    if error:
        raise HandedOver(error)
    return results


WAYS: dict[str, Callable[[Any, Any, Any], Any]] = {
    "run": lambda session, names, feed: session.run(names, feed),
    "submit": lambda session, names, feed: session.submit(feed, names).result(PATIENCE),
    "run_async": _run_async,
    "arun": lambda session, names, feed: asyncio.run(session.arun(names, feed)),
    "stream": lambda session, names, feed: next(iter(session.stream([feed], output_names=names))),
}


def outcome(call: Callable[[], Any]) -> Any:
    """What it gives, or the error."""
    try:
        return call()
    except Exception as error:
        return error


def load_onnxruntime(content: bytes) -> Any:
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    options.log_severity_level = 4
    return onnxruntime.InferenceSession(content, options, providers=["CPUExecutionProvider"])


def load_headway(content: bytes) -> Any:
    options = headway.SessionOptions()
    options.log_severity_level = 4
    return headway.InferenceSession(content, options, workers=1)


def widened(values: dict[str, Any]) -> dict[str, Any]:
    """bfloat16 as float32."""
    small = DTYPES[T.BFLOAT16]
    return {
        name: value.astype(np.float32) if isinstance(value, np.ndarray) and value.dtype == small else value
        for name, value in values.items()
    }


def assert_same_answer(ours: Any, theirs: Any) -> None:
    assert isinstance(ours, list), ours
    assert len(ours) == len(theirs)
    for one, other in zip(widened(dict(enumerate(ours))).values(), theirs, strict=True):
        assert (one.dtype, one.shape) == (other.dtype, other.shape)
        assert one.tolist() == other.tolist() if other.dtype == object else one.tobytes() == other.tobytes()


def assert_refused(ours: Any, theirs: Any, request: Request, *, twin: bool) -> None:
    """With the same class and words; where there are several mistakes, as a wrong request."""
    assert isinstance(ours, Exception), f"{theirs!r} became {ours!r}"
    if isinstance(ours, HandedOver):
        assert twin or str(ours) == str(theirs)
        return
    if len(request.mistakes) > 1 or request.uneven or "none" in request.mistakes:
        assert isinstance(ours, headway.InputError | type(theirs))
        return
    assert isinstance(ours, type(theirs)), f"{theirs!r} became {ours!r}"
    # A twin's shapes and names differ inside.
    assert twin or str(ours).startswith(str(theirs).rstrip())


def check(model: Model, request: Request) -> None:
    small = any(one.dtype == T.BFLOAT16 for one in model.inputs) or T.BFLOAT16 in model.output_types
    content = serialized(model)
    reference = outcome(lambda: load_onnxruntime(serialized(model, wide=True) if small else content))
    session = outcome(lambda: load_headway(content))
    if isinstance(reference, Exception):
        event("no such model")
        assert isinstance(session, type(reference)), f"{reference!r} became {session!r}"
        return
    assert not isinstance(session, Exception), session
    with closing(session):
        theirs = outcome(lambda: reference.run(request.outputs, widened(request.plain)))
        event("refused" if isinstance(theirs, Exception) else "answered")
        for way, call in WAYS.items():
            ours = outcome(lambda call=call: call(session, request.outputs, request.feed))  # type: ignore[misc]
            if request.uneven and isinstance(ours, headway.InputError):
                # The documented deviation: Headway compares the lengths of a named dimension, onnxruntime does not.
                assert request.mistakes or "different lengths for the dimension" in str(ours)
            elif "none" in request.mistakes and "is None" in str(ours):
                # Another: None is refused where no node reads the input, too.
                assert isinstance(ours, headway.InputError)
            elif isinstance(theirs, Exception):
                assert_refused(ours, theirs, request, twin=small)
            else:
                assert_same_answer(ours, theirs)
            assert session.stats().waiting == session.stats().running == 0, way


@pytest.mark.timeout(100)
@settings(
    max_examples=EXAMPLES,
    derandomize="HEADWAY_FUZZ" not in os.environ,
    database=None,
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.filter_too_much, HealthCheck.data_too_large],
)
@given(st.data())
def test_random_models(data: st.DataObject) -> None:
    model = data.draw(models())
    check(model, data.draw(requests(model)))
