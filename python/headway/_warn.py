"""Warnings that a program gets once."""

from __future__ import annotations

import sys
import warnings

_given: set[str] = set()


def once(text: str) -> None:
    """Warns with ``text``, the first time only, of the program's line that got here."""
    if text in _given:
        return
    _given.add(text)
    level, frame = 1, sys._getframe()
    while frame.f_back is not None and _is_ours(frame.f_globals.get("__name__", "")):
        level, frame = level + 1, frame.f_back
    warnings.warn(text, stacklevel=level)


def _is_ours(module: str) -> bool:
    return module == "headway" or module.startswith("headway.")
