"""The same program with the same mistake, run with either package: the same class and the same words."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime
import pytest

import headway.ort

from . import feeds, sessions, values
from .deviations import DEVIATIONS, TAKEN
from .kit import Kit, Mistake

# onnxruntime and Headway both warn of providers that are not there.
pytestmark = [pytest.mark.timeout(60), pytest.mark.filterwarnings("ignore")]

CATALOGUE = (*feeds.ALL, *sessions.ALL, *values.ALL)
DEVIANT = {name: expected for deviation in DEVIATIONS for name, expected in deviation.cases.items()}
SAME = [mistake for mistake in CATALOGUE if mistake.name not in DEVIANT]
BETTER = [mistake for mistake in CATALOGUE if mistake.name in DEVIANT]
PAGE = Path(__file__).parents[2] / "docs" / "onnxruntime.md"


class Pair:
    """The two packages."""

    def __init__(self, folder: Path) -> None:
        self.theirs, self.ours = Kit(onnxruntime, folder), Kit(headway.ort, folder)


@pytest.fixture(scope="module")
def pair(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Pair]:
    made = Pair(tmp_path_factory.mktemp("mistakes"))
    yield made
    made.theirs.close()
    made.ours.close()


def outcome(kit: Kit, mistake: Mistake) -> Any:
    """What is raised, or what it gives."""
    try:
        return mistake.make(kit)
    except Exception as error:
        # Else the traceback's frames would keep sessions and values beyond the test.
        return error.with_traceback(None)
    finally:
        kit.tidy()


def words(error: Exception) -> str:
    """The message without the names of classes, which are each package's own."""
    return re.sub(r"'[\w.]+' object", "an object", str(error)).rstrip(" .\n")


def same(ours: Any, theirs: Any) -> bool:
    """onnxruntime's class and its words, perhaps with more behind them; or the same answer."""
    if isinstance(ours, Exception) or isinstance(theirs, Exception):
        return isinstance(ours, type(theirs)) and words(ours).startswith(words(theirs))
    if not isinstance(theirs, list | np.ndarray):
        return True
    pairs = zip(ours, theirs, strict=True)
    return all(one.dtype == other.dtype and np.array_equal(one, other) for one, other in pairs)


def described(given: Any) -> str:
    return f"{type(given).__name__}: {given}" if isinstance(given, Exception) else TAKEN


@pytest.mark.parametrize("mistake", SAME, ids=lambda mistake: mistake.name)
def test_the_same_mistake_ends_the_same(pair: Pair, mistake: Mistake) -> None:
    theirs, ours = outcome(pair.theirs, mistake), outcome(pair.ours, mistake)
    assert same(ours, theirs), f"{described(theirs)}\nbecame\n{described(ours)}"


@pytest.mark.parametrize("mistake", BETTER, ids=lambda mistake: mistake.name)
def test_a_deviation_is_really_one(pair: Pair, mistake: Mistake) -> None:
    theirs, ours = outcome(pair.theirs, mistake), outcome(pair.ours, mistake)
    assert not same(ours, theirs), "not a deviation any more"
    if DEVIANT[mistake.name] == TAKEN:
        assert not isinstance(ours, Exception), described(ours)
        return
    kind, _, part = DEVIANT[mistake.name].partition(": ")
    assert kind in {each.__name__ for each in type(ours).__mro__}, described(ours)
    assert part in str(ours)


def test_the_catalogue_is_in_order() -> None:
    """No name twice, no deviation of a case that is not there."""
    assert [name for name, count in Counter(one.name for one in CATALOGUE).items() if count > 1] == []
    cases = [name for deviation in DEVIATIONS for name in deviation.cases]
    assert [name for name, count in Counter(cases).items() if count > 1] == []
    assert set(cases) <= {one.name for one in CATALOGUE}
    assert len(CATALOGUE) > 200


@pytest.mark.parametrize("name", [deviation.name for deviation in DEVIATIONS])
def test_every_deviation_is_documented(name: str) -> None:
    _, found, section = PAGE.read_text(encoding="utf-8").partition("## Deviations")
    assert found, "docs/onnxruntime.md has no heading `Deviations`"
    assert f"**{name}**" in section.partition("\n## ")[0]
