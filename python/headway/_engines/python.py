"""A Python callable as a model."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from headway import _core
from headway._engines.words import Asked, Loaded


def load(asked: Asked) -> Loaded:
    """A callable with the names that its session was given."""
    clock = getattr(asked.source.model, "_headway_clock", None)
    model = _core.Model.callable(_names(asked.inputs), _names(asked.outputs), clock)
    return Loaded(model, "Python")


def _names(given: Sequence[Any] | None) -> list[str]:
    if isinstance(given, str):
        raise TypeError(f"expected a list of names, got the str {given!r}; write [{given!r}]")
    return [one if isinstance(one, str) else str(one[0]) for one in given or ()]
