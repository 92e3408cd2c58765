"""Warnings that a program gets once."""

from __future__ import annotations

import warnings

_given: set[str] = set()


def once(text: str, stacklevel: int = 3) -> None:
    """Warns with ``text``, the first time only; ``stacklevel`` 1 is who calls this."""
    if text not in _given:
        _given.add(text)
        warnings.warn(text, stacklevel=stacklevel + 1)
