"""The public names: each is in ``__all__``, documented, and says ``headway`` where it says where it is from."""

from __future__ import annotations

import inspect
import types

import pytest

import headway
import headway.testing


def test_all_public_names_are_exported() -> None:
    submodules = {name for name, value in vars(headway).items() if isinstance(value, types.ModuleType)}
    language = {"annotations", "TYPE_CHECKING"}
    public = {name for name in dir(headway) if not name.startswith("_")} - submodules - language
    assert public == set(headway.__all__)
    assert len(headway.__all__) == len(set(headway.__all__))


@pytest.mark.parametrize("name", headway.__all__)
def test_public_names_are_documented(name: str) -> None:
    value = getattr(headway, name)
    if inspect.isclass(value) or inspect.isroutine(value):
        assert inspect.getdoc(value)


@pytest.mark.parametrize("name", headway.testing.__all__)
def test_testing_names_are_documented(name: str) -> None:
    assert inspect.getdoc(getattr(headway.testing, name))


def test_public_methods_of_a_session_are_documented() -> None:
    for name, member in inspect.getmembers(headway.InferenceSession):
        if not name.startswith("_"):
            assert inspect.getdoc(member), name
