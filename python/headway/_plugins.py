"""Engines outside Headway: the entry points in the group ``headway.engines``.

Nothing is imported to look: what is installed is read from its metadata. Only the engine that was asked for is
imported, by its name or by a suffix that its entry point is named after (``.pt``).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from headway._errors import LoadError

if TYPE_CHECKING:
    from importlib.metadata import EntryPoint

    from headway._engine import Engine

_GROUP = "headway.engines"


class Plugin:
    """An engine that is installed and not imported."""

    def __init__(self, entry: EntryPoint) -> None:
        self._entry = entry

    def load(self) -> type[Engine]:
        """Imports it.

        Raises:
            LoadError: It cannot be imported, or is no engine.
        """
        from headway._engine import Engine

        entry = self._entry
        try:
            found: Any = entry.load()
        except Exception as raised:
            raise LoadError(
                f"the engine {entry.name!r} ({entry.value}) could not be imported: {type(raised).__name__}: {raised}"
            ) from raised
        if not (isinstance(found, type) and issubclass(found, Engine)):
            raise LoadError(
                f"the entry point {entry.name!r} ({entry.value}) is no subclass of headway.Engine"
            )
        return found


def engine_names() -> list[str]:
    """The names of the engines that are installed."""
    from importlib.metadata import entry_points

    return sorted({entry.name for entry in entry_points(group=_GROUP) if not entry.name.startswith(".")})


def plugin(name: str, label: str) -> Plugin | None:
    """The installed engine with this name, or with this suffix; None when there is none.

    Raises:
        LoadError: Two packages have one.
    """
    from importlib.metadata import entry_points

    found = {entry.value: entry for entry in entry_points(group=_GROUP, name=name)}
    if len(found) > 1:
        raise LoadError(
            f"{label}: several packages have an engine for {name!r} ({', '.join(sorted(found))}): "
            "give one of their classes, engine=..."
        )
    return Plugin(next(iter(found.values()))) if found else None
