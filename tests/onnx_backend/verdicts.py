"""What becomes of a case: it passes, its answer is wrong, or an error with its class and words."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import closing
from typing import Any, NamedTuple

import numpy as np
import onnx
import onnxruntime
from onnx.backend.test.runner import Runner

import headway

from .cases import Case

PATIENCE = 60.0
"""Seconds after which an answer that must come did not come."""

Answer = list[Any]
Call = Callable[[dict[str, Any]], Answer]


class Verdict(NamedTuple):
    """How one package does on one case."""

    #: `pass`, `wrong` (an answer, but not the expected one), `load` or `run` (an error there).
    ending: str
    #: One for each data set.
    answers: list[Answer]
    error: Exception | None = None

    @property
    def words(self) -> str:
        return "" if self.error is None else f"{type(self.error).__name__}: {self.error}"


# ---- the two packages -----------------------------------------------------------------------------------------------


def _set(options: Any) -> Any:
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    options.log_severity_level = 4
    return options


def judge_onnxruntime(case: Case) -> Verdict:
    """onnxruntime's own `run`."""
    model = case.model
    try:
        session = onnxruntime.InferenceSession(
            model.SerializeToString(), _set(onnxruntime.SessionOptions()), providers=["CPUExecutionProvider"]
        )
    except Exception as error:
        return Verdict("load", [], error)
    names = [one.name for one in session.get_inputs()]
    return _judge(case, model, names, lambda feed: list(session.run(None, feed)))


def judge_headway(case: Case) -> dict[str, Verdict]:
    """Headway's `run` and `submit` on one session."""
    model = case.model
    try:
        session = headway.InferenceSession(
            model.SerializeToString(), _set(headway.SessionOptions()), workers=1
        )
    except Exception as error:
        return dict.fromkeys(("run", "submit"), Verdict("load", [], error))
    with closing(session):
        names = [one.name for one in session.get_inputs()]
        calls: dict[str, Call] = {
            "run": lambda feed: session.run(None, feed),
            "submit": lambda feed: session.submit(feed).result(PATIENCE),
        }
        return {way: _judge(case, model, names, call) for way, call in calls.items()}


def _judge(case: Case, model: onnx.ModelProto, names: list[str], call: Call) -> Verdict:
    answers: list[Answer] = []
    ending = "pass"
    for inputs, expected in case.data(model):
        # ONNX's own files of these tests hold tensors of rank 0 where the arrays here are numpy numbers.
        feed = {name: _tensor(value) for name, value in zip(names, inputs, strict=False)}
        try:
            answer = call(feed)
        except Exception as error:
            return Verdict("run", answers, error)
        answers.append(answer)
        if not _similar(case, answer, expected):
            ending = "wrong"
    return Verdict(ending, answers)


def _tensor(value: Any) -> Any:
    return np.asarray(value) if isinstance(value, np.generic) else value


# ---- comparing ------------------------------------------------------------------------------------------------------


def _similar(case: Case, answer: Answer, expected: Answer) -> bool:
    """By ONNX's own rule and the case's own tolerances."""
    if _form(answer) != _form(expected):
        return False
    try:
        Runner.assert_similar_outputs(
            _leaves(expected), _leaves(answer), case.given.rtol, case.given.atol, case.name
        )
    except AssertionError:
        return False
    return True


def _form(value: Any) -> Any:
    """Lists within lists, and the type and shape of each tensor in them."""
    if value is None or isinstance(value, list):
        return None if value is None else [_form(one) for one in value]
    array = np.asarray(value)
    return ("text" if array.dtype.kind in "UO" else array.dtype.name), array.shape


def _leaves(value: Any) -> list[Any]:
    """The tensors; small types as float32, because numpy has no tolerances for them."""
    if value is None or isinstance(value, list):
        return [leaf for one in value or () for leaf in _leaves(one)]
    array = np.asarray(value)
    if array.dtype.kind in "UO":
        return [array.astype(object)]
    return [array.astype(np.float32) if array.dtype.kind == "V" else array]


def same_bits(ours: Any, theirs: Any) -> bool:
    """The same structure of the same types and shapes, and the same bits in it."""
    if isinstance(theirs, list | tuple):
        return (
            isinstance(ours, type(theirs))
            and len(ours) == len(theirs)
            and all(same_bits(one, other) for one, other in zip(ours, theirs, strict=True))
        )
    if isinstance(theirs, dict):
        return isinstance(ours, dict) and list(ours.items()) == list(theirs.items())
    if not isinstance(theirs, np.ndarray):
        return type(ours) is type(theirs) and ours == theirs
    if not isinstance(ours, np.ndarray) or (ours.dtype, ours.shape) != (theirs.dtype, theirs.shape):
        return False
    if theirs.dtype == object:
        return bool(ours.tolist() == theirs.tolist())
    return ours.tobytes() == theirs.tobytes()
