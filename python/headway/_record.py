"""Frozen records: what a frozen dataclass with slots gives, without the time that making one takes at import."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NoReturn, Self, dataclass_transform


class _DataclassFields:
    """Makes the functions of ``dataclasses`` (``fields``, ``asdict``, ``replace``) take a record, on first use."""

    def __get__(self, record: Record | None, kind: type[Record]) -> dict[str, Any]:
        import dataclasses

        made = dataclasses.make_dataclass(kind.__name__, kind._fields)
        return {field.name: field for field in dataclasses.fields(made)}


@dataclass_transform(frozen_default=True)
class _RecordType(type):
    """Turns a class's annotations into slots, in their order, behind those of its base."""

    #: The names of all fields.
    _fields: tuple[str, ...]
    #: The slots' own setters: they do not ask ``__setattr__``, which refuses.
    _puts: tuple[Callable[[object, object], None], ...]

    def __new__(kind, name: str, bases: tuple[type, ...], body: dict[str, Any]) -> _RecordType:
        own = tuple(body.get("__annotations__", ()))
        inherited: tuple[str, ...] = getattr(bases[0], "_fields", ()) if bases else ()
        fields = inherited + own
        made = super().__new__(kind, name, bases, {"__slots__": own, "__match_args__": fields, **body})
        made._fields = fields
        made._puts = tuple([getattr(made, field).__set__ for field in fields])
        return made


class Record(metaclass=_RecordType):
    """Base of the frozen records; a subclass lists its fields as annotations. Fields have no defaults."""

    __dataclass_fields__ = _DataclassFields()

    def __init__(self, *values: Any, **named: Any) -> None:
        fields = type(self)._fields
        if named:
            values += tuple([named.pop(field) for field in fields[len(values) :] if field in named])
        if named or len(values) != len(fields):
            raise TypeError(f"{type(self).__name__}() takes the fields {', '.join(fields)}, each once")
        for put, value in zip(type(self)._puts, values, strict=True):
            put(self, value)

    def _values(self) -> tuple[Any, ...]:
        return tuple([getattr(self, field) for field in type(self)._fields])

    def __repr__(self) -> str:
        fields = [f"{field}={getattr(self, field)!r}" for field in type(self)._fields]
        return f"{type(self).__qualname__}({', '.join(fields)})"

    def __eq__(self, other: object) -> bool:
        if type(other) is not type(self):
            return NotImplemented
        return self._values() == other._values()

    def __hash__(self) -> int:
        return hash(self._values())

    def __setattr__(self, name: str, value: object) -> NoReturn:
        from dataclasses import FrozenInstanceError

        raise FrozenInstanceError(f"cannot assign to field {name!r}")

    def __delattr__(self, name: str) -> NoReturn:
        from dataclasses import FrozenInstanceError

        raise FrozenInstanceError(f"cannot delete field {name!r}")

    def __reduce__(self) -> tuple[type[Self], tuple[Any, ...]]:
        return type(self), self._values()
