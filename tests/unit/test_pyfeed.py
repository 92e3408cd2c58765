"""What a Python engine is fed where it says nothing, and how its answers are read."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from headway._pyfeed import free_feed, free_names, outputs_of

A = np.zeros(1)


@pytest.mark.parametrize("copy", [True, False])
def test_free_feed(copy: bool) -> None:
    made = free_feed({"a": A, "b": [1, 2]}, copy)
    assert not isinstance(made, str)
    assert (made["a"] is A) != copy
    assert made["b"].tolist() == [1, 2]


@pytest.mark.parametrize(
    ("feed", "message"), [(A, "must be a dict by name"), ({"a": None}, "input 'a' is None: pass an array")]
)
def test_what_is_wrong_with_a_free_feed(feed: Any, message: str) -> None:
    wrong = free_feed(feed, False)
    assert isinstance(wrong, str)
    assert message in wrong


def test_free_names() -> None:
    assert free_names([]) is None
    assert free_names(("z", "y")) == ["z", "y"]
    with pytest.raises(TypeError, match="output_names"):
        free_names("y")


@pytest.mark.parametrize(
    ("answer", "outputs", "wanted", "expected"),
    [
        ({"y": 1, "z": 2}, ["z", "y"], None, [2, 1]),
        ({"y": 1, "z": 2}, [], None, [1, 2]),
        ({"y": 1, "z": 2}, [], ["z"], [2]),
        ([1, 2], ["y", "z"], None, [1, 2]),
        ((1, 2), ["y", "z"], ["z", "y", "z"], [2, 1, 2]),
        (5, ["y"], None, [5]),
        (None, [], None, [None]),
    ],
)
def test_outputs_of(answer: Any, outputs: list[str], wanted: list[str] | None, expected: list[Any]) -> None:
    assert outputs_of(answer, outputs, wanted) == expected


@pytest.mark.parametrize(
    ("answer", "outputs", "wanted"), [({"y": 1}, ["z"], None), ([1, 2], ["y"], None), ([1], [], ["y"])]
)
def test_wrong_answers(answer: Any, outputs: list[str], wanted: list[str] | None) -> None:
    with pytest.raises(ValueError):
        outputs_of(answer, outputs, wanted)
