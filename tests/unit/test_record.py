"""Records behave as frozen dataclasses with slots do."""

from __future__ import annotations

import copy
import dataclasses
import pickle

import pytest

from headway._metrics import Counters, Histogram, Stats
from headway._nodes import NodeArg
from headway._record import Record


class Point(Record):
    """A record."""

    x: int
    y: int


class Place(Point):
    """With a field of its own."""

    name: str


HERE = Place(1, 2, "here")


def test_fields_by_place_and_by_name() -> None:
    assert Place(1, y=2, name="here") == HERE == Place(name="here", y=2, x=1)
    assert (HERE.x, HERE.y, HERE.name) == (1, 2, "here")
    assert repr(HERE) == "Place(x=1, y=2, name='here')"


@pytest.mark.parametrize("given", [(1,), (1, 2, 3)])
def test_wrong_count(given: tuple[int, ...]) -> None:
    with pytest.raises(TypeError, match=r"Point\(\) takes the fields x, y, each once"):
        Point(*given)


@pytest.mark.parametrize("named", [{"x": 1, "z": 2}, {"x": 1, "y": 2, "z": 3}])
def test_unknown_field(named: dict[str, int]) -> None:
    with pytest.raises(TypeError, match="each once"):
        Point(**named)
    with pytest.raises(TypeError, match="each once"):
        Point(1, 2, x=1)  # type: ignore[misc]


def test_frozen() -> None:
    with pytest.raises(dataclasses.FrozenInstanceError):
        HERE.x = 3  # type: ignore[misc]
    with pytest.raises(dataclasses.FrozenInstanceError):
        del HERE.x
    with pytest.raises(AttributeError):
        HERE.z = 3  # type: ignore[attr-defined]
    assert not hasattr(HERE, "__dict__")


def test_equality_is_of_one_class() -> None:
    assert Point(1, 2) != HERE
    assert Point(1, 2) != (1, 2)
    assert hash(Point(1, 2)) == hash(Point(1, 2))
    assert len({Point(1, 2), Point(1, 2), Point(2, 1)}) == 2
    with pytest.raises(TypeError, match="unhashable"):
        hash(Point([1], 2))
    assert len({NodeArg("x", "tensor(float)", [1]), NodeArg("x", "tensor(float)", [1])}) == 1


def test_copies() -> None:
    assert pickle.loads(pickle.dumps(HERE)) == copy.copy(HERE) == copy.deepcopy(HERE) == HERE


def test_functions_of_dataclasses() -> None:
    assert dataclasses.is_dataclass(HERE)
    assert [field.name for field in dataclasses.fields(Stats)][: len(Counters._fields)] == list(
        Counters._fields
    )
    assert dataclasses.replace(HERE, y=5) == Place(1, 5, "here")
    nested = Place(1, 2, [Histogram(*range(7))])  # type: ignore[arg-type]
    assert dataclasses.asdict(nested)["name"][0]["p999"] == 5


def test_matching() -> None:
    match HERE:
        case Place(x, y, name=name):
            assert (x, y, name) == (1, 2, "here")
        case _:
            pytest.fail("no match")
