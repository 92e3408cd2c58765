"""The modules that are imported when they are first needed, all of them before a fork."""

from __future__ import annotations

from contextlib import suppress
from importlib import import_module

#: A module that another thread imports at the moment of a fork can never be imported in the child: its lock stays
#: locked. `asyncio` and `concurrent.futures` come with them.
LATE = (
    "_adapter",
    "_astream",
    "_batch",
    "_engine",
    "_engines.isolated",
    "_engines.openvino",
    "_engines.python",
    "_engines.rknn",
    "_futures",
    "_health",
    "_lanes",
    "_log",
    "_nodespec",
    "_ortvalue",
    "_out",
    "_parallel",
    "_pipeline",
    "_plugins",
    "_prepared",
    "_pyfeed",
    "_sample",
    "_sparse",
    "_stream",
    "_waiting",
    "_warmup",
    "run",
)

_imported = False


def import_all() -> None:
    """Imports them, and waits for those that other threads are importing. Nothing to do the second time."""
    global _imported
    if not _imported:
        for name in LATE:
            # As the interpreter ends nothing can be imported, and whoever forks then has nothing to fear.
            with suppress(ImportError):
                import_module(f"headway.{name}")
        _imported = True
