"""Checks of what a public call is given, in words that say what was expected, what was got and what to do."""

from __future__ import annotations

import operator
from collections.abc import Callable, Iterable
from types import FunctionType
from typing import Any, TypeVar

_Part = TypeVar("_Part")

#: The keywords that every call which makes requests takes.
REQUEST = ("timeout", "priority", "stream", "run_options")


def at_least_one(name: str, value: int | None) -> int | None:
    """The whole number; None stays None."""
    return None if value is None else at_least(1, name, value)


def at_least(least: int, name: str, value: int) -> int:
    """The whole number, also one of NumPy's."""
    try:
        number = -1 if isinstance(value, bool) else operator.index(value)
    except TypeError:
        number = -1
    if number < least:
        raise ValueError(f"{name}: expected a whole number of at least {least}, got {value!r}")
    return number


def one_of(name: str, value: object, choices: Iterable[str]) -> None:
    """One of these words."""
    if not isinstance(value, str) or value not in choices:
        raise ValueError(f"{name}: expected one of {', '.join(map(repr, choices))}, got {value!r}")


def seconds(name: str, value: float | None) -> float | None:
    """A time; None stays None."""
    if value is None:
        return None
    try:
        number = None if isinstance(value, str | bytes | bytearray) else float(value)
    except TypeError:
        number = None
    if number is None:
        raise TypeError(f"{name}: expected seconds (a number) or None, got {type(value).__name__}")
    if number != number:
        raise ValueError(f"{name}: expected seconds (a number) or None, got {value!r}")
    return number


def as_session(part: type[_Part]) -> type[_Part]:
    """Names a part's methods as those of the native one, and of onnxruntime's: ``Session.run()`` takes no such ..."""
    for name, method in vars(part).items():
        if isinstance(method, FunctionType):
            method.__qualname__ = f"Session.{name}"
    return part


def known(method: Callable[..., object], given: Iterable[str], more: tuple[str, ...] = ()) -> None:
    """TypeError for a keyword that the method does not take, in its own name: it hands them on to another."""
    for name in given:
        if name not in REQUEST and name not in more:
            raise _unexpected(method, name, more)


def _unexpected(method: Any, name: str, more: tuple[str, ...]) -> TypeError:
    from difflib import get_close_matches

    code = method.__code__
    own = code.co_varnames[1 : code.co_argcount + code.co_kwonlyargcount]
    taken = [*own, *(one for one in (*REQUEST, *more) if one not in own)]
    close = get_close_matches(name, taken, 1)
    hint = f"did you mean {close[0]!r}?" if close else f"it takes {', '.join(taken)}"
    return TypeError(f"{method.__qualname__}() got an unexpected keyword argument {name!r}; {hint}")
