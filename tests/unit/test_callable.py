"""What a callable is fed, and how its answers are read."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from headway._callable import outputs_of, read_feed

A, B = np.zeros(1), np.ones(2)


@pytest.mark.parametrize(
    ("feed", "inputs", "names"),
    [
        ({"a": A}, ["a"], {"a"}),
        ({"b": B, "a": A}, ["a", "b"], {"a", "b"}),
        ([A, B], ["a", "b"], {"a", "b"}),
        ((A,), ["a"], {"a"}),
        (A, ["a"], {"a"}),
        ({"anything": A}, [], {"anything"}),
    ],
)
def test_read_feed(feed: Any, inputs: list[str], names: set[str]) -> None:
    made = read_feed(feed, None, inputs, [], False)
    assert not isinstance(made, str)
    assert set(made[0]) == names
    assert made[1] is None


@pytest.mark.parametrize(
    ("feed", "inputs", "message"),
    [
        ({}, ["a"], "Required inputs (['a']) are missing"),
        ({"a": A, "q": A}, ["a"], "Invalid input name: q"),
        ([A], ["a", "b"], "expected 2 inputs"),
        (A, ["a", "b"], "expected 2 inputs"),
        (A, [], "must be a dict by name"),
        ({"a": None}, ["a"], "expected an array, got None"),
    ],
)
def test_what_is_wrong_with_a_feed(feed: Any, inputs: list[str], message: str) -> None:
    wrong = read_feed(feed, None, inputs, [], False)
    assert isinstance(wrong, str)
    assert message in wrong


@pytest.mark.parametrize("copy", [True, False])
def test_copies(copy: bool) -> None:
    made = read_feed([A], None, ["a"], [], copy)
    assert not isinstance(made, str)
    assert (made[0]["a"] is A) != copy


@pytest.mark.parametrize("wanted", [None, [], ()])
def test_all_outputs(wanted: Any) -> None:
    made = read_feed([A], wanted, ["a"], ["y"], False)
    assert not isinstance(made, str)
    assert made[1] is None


def test_wanted_outputs() -> None:
    assert read_feed([A], ("z", "y"), ["a"], ["y", "z"], False)[1] == ["z", "y"]
    assert read_feed([A], ["q"], ["a"], ["y"], False) == "Invalid output name:q; the session has ['y']"
    with pytest.raises(TypeError, match="output_names"):
        read_feed([A], "y", ["a"], ["y"], False)


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
