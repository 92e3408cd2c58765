"""Attributes of options that refuse a wrong type where it is set, and the config entries beside them."""

from __future__ import annotations

import enum
import operator
import os
from collections.abc import Callable
from typing import Any, Generic, TypeVar, overload

T = TypeVar("T")

#: Lengths that the engine accepts.
_LONGEST_KEY, _LONGEST_VALUE = 1024, 8192


class Named(enum.IntEnum):
    """A number with a name, which is what it is as text: `ExecutionMode.ORT_SEQUENTIAL`, as in ``onnxruntime``."""

    __str__ = enum.Enum.__str__

    def __format__(self, spec: str) -> str:
        return format(str(self), spec)


class Field(Generic[T]):
    """An attribute with a default, whose new values go through ``read``."""

    __slots__ = ("_default", "_name", "_read")

    def __init__(self, default: T, read: Callable[[object], T]) -> None:
        self._default = default
        self._read = read

    def __set_name__(self, owner: type, name: str) -> None:
        self._name = name

    @overload
    def __get__(self, options: None, owner: type) -> Field[T]: ...

    @overload
    def __get__(self, options: Entries, owner: type) -> T: ...

    def __get__(self, options: Entries | None, owner: type) -> Field[T] | T:
        if options is None:
            return self
        found: T = options._values.get(self._name, self._default)
        return found

    def __set__(self, options: Entries, value: object) -> None:
        try:
            options._values[self._name] = self._read(value)
        except TypeError as error:
            raise TypeError(f"{type(options).__name__}.{self._name}: {error}") from None


def whole(value: object) -> int:
    """A whole number of 32 bits."""
    try:
        # The ignore: whatever has no __index__ raises, which is what is asked for.
        number = operator.index(value)  # type: ignore[arg-type]
    except TypeError:
        raise TypeError(f"expected int, got {type(value).__name__} {value!r}") from None
    if not -(2**31) <= number < 2**31:
        raise TypeError(f"expected int of 32 bits, got {number}")
    return number


def truth(value: object) -> bool:
    """True or False; None and numbers count as what they are in a condition, text does not."""
    if value is not None and not hasattr(value, "__bool__"):
        raise TypeError(f"expected bool, got {type(value).__name__} {value!r}")
    return bool(value)


def text(value: object) -> str:
    """A str."""
    if not isinstance(value, str):
        raise TypeError(f"expected str, got {type(value).__name__} {value!r}")
    return value


def path(value: object) -> str:
    """A path as a str."""
    return text(os.fspath(value) if isinstance(value, os.PathLike) else value)


E = TypeVar("E", bound=int)


def member_of(kind: type[E]) -> Callable[[object], E]:
    """A member of an enumeration, or its number; ``onnxruntime``'s own members are taken too."""

    def read(value: object) -> E:
        convert = getattr(value, "__int__", None)
        if convert is None or isinstance(value, float):
            raise TypeError(f"expected {kind.__name__}, got {type(value).__name__} {value!r}")
        try:
            return kind(convert())
        except ValueError:
            raise TypeError(f"expected {kind.__name__}, got {value!r}, which is none") from None

    return read


class Entries:
    """Values of fields, and config entries: text keys and values that the engine reads."""

    # A misspelt option raises instead of being ignored.
    __slots__ = ("_entries", "_values")
    _owner = "SessionOptions"

    def __init__(self) -> None:
        self._entries: dict[str, str] = {}
        self._values: dict[str, Any] = {}

    def _add(self, key: str, value: str) -> None:
        if not isinstance(key, str) or not isinstance(value, str):
            raise TypeError(f"config entries are str, got {key!r}: {value!r}")
        if not 0 < len(key.encode()) <= _LONGEST_KEY:
            raise RuntimeError(f"Config key is empty or longer than maximum length {_LONGEST_KEY}")
        if len(value.encode()) > _LONGEST_VALUE:
            raise RuntimeError(f"Config value is longer than maximum length: {_LONGEST_VALUE}")
        self._entries[key] = value

    def _get(self, key: str) -> str:
        try:
            return self._entries[key]
        except KeyError:
            raise RuntimeError(f"{self._owner} does not have configuration with key: {key}") from None
