"""ONNX's own backend tests give the same verdict through Headway as through onnxruntime, or a better one."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any, NamedTuple

import numpy as np
import pytest

from .cases import Case, cases
from .verdicts import Verdict, judge_headway, judge_onnxruntime, same_bits

pytestmark = pytest.mark.timeout(60)

CANNOT_FEED = re.compile(r"Numpy_type \d+ can't be converted to MLDataType|No corresponding Numpy type")
"""What onnxruntime's Python says of bfloat16, float8 and the types of 4 and 2 bits: its engine can do them."""


class Judged(NamedTuple):
    case: Case
    theirs: Verdict
    ours: dict[str, Verdict]


@pytest.fixture(scope="module")
def coming_opset() -> Iterator[None]:
    """ONNX tests its coming opset too; onnxruntime loads such a model only when it is told to."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("ALLOW_RELEASED_ONNX_OPSET_ONLY", "0")
        yield


@pytest.fixture(scope="module", params=cases(), ids=lambda case: case.name)
def judged(request: pytest.FixtureRequest, coming_opset: None) -> Judged:
    case: Case = request.param
    return Judged(case, judge_onnxruntime(case), judge_headway(case))


def _shortened(words: str) -> str:
    """The reason, without the engine's source lines and the names that differ from model to model."""
    words = re.sub(r"\S*/onnxruntime_src/\S+ .*?\) (?=[A-Z])", "", " ".join(words.split()))
    words = re.sub(r"Exception during initialization: ", "", words)
    words = re.sub(r"[Nn]ode:? ?\(?'[^']*'|\(node:'' .*|with name '[^']*'", "", words)
    return words[:140]


def _typed(theirs: Verdict, ours: Verdict) -> bool:
    """Whether ours has types where onnxruntime gives the bytes of a small type as uint8, and the same bytes."""
    pairs = [
        (np.asarray(one), np.asarray(other))
        for answer, answered in zip(theirs.answers, ours.answers, strict=True)
        for one, other in zip(answer, answered, strict=True)
    ]
    return any(other.dtype.kind == "V" for _, other in pairs) and all(
        one.tobytes() == other.tobytes() and (one.dtype == other.dtype or one.dtype == np.uint8)
        for one, other in pairs
    )


@pytest.mark.parametrize("way", ["run", "submit"])
def test_verdict(judged: Judged, way: str, record_property: Any) -> None:
    case, theirs, ours = judged.case, judged.theirs, judged.ours[way]
    better = theirs.ending == "run" and CANNOT_FEED.search(str(theirs.error)) is not None
    better = better or (theirs.ending == "wrong" and ours.error is None and _typed(theirs, ours))
    verdict = "better" if better else f"same ({theirs.ending})"
    reason = _shortened(theirs.words) if theirs.error is not None and not better else ""
    record_property("onnx_backend", (case.name, way, verdict, reason))
    if better:
        assert ours.ending == "pass", ours.words or "not what ONNX expects"
        return
    assert ours.ending == theirs.ending, f"{theirs.words!r} became {ours.words!r}"
    if theirs.error is not None:
        assert isinstance(ours.error, type(theirs.error))
        assert str(ours.error).startswith(str(theirs.error))
    assert same_bits(ours.answers, theirs.answers)


def test_there_are_many() -> None:
    """Else a changed layout of ONNX's package would pass unseen."""
    assert len(cases()) > 1800
