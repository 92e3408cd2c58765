"""What a session's constructor is given: checked, in words that say what was expected."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from headway._options import SessionOptions

if TYPE_CHECKING:
    from headway._engines.isolated import Isolation


def at_least_one(name: str, value: int | None) -> int | None:
    if value is not None and (isinstance(value, bool) or not isinstance(value, int) or value < 1):
        raise ValueError(f"{name}: expected a whole number of at least 1, got {value!r}")
    return value


def one_of(name: str, value: str, choices: tuple[str, ...]) -> None:
    if value not in choices:
        raise ValueError(f"{name}: expected one of {', '.join(map(repr, choices))}, got {value!r}")


def isolation_of(isolation: str, retries: int, engine_options: dict[str, Any]) -> Isolation | None:
    """What was said of process lanes; takes their options out of the engine's."""
    if isinstance(retries, bool) or not isinstance(retries, int) or retries < 0:
        raise ValueError(f"retries: expected a whole number of at least 0, got {retries!r}")
    if isolation == "thread":
        if retries:
            raise ValueError(
                'retries: only lanes that are processes can be run again; add isolation="process"'
            )
        return None
    from headway._engines.isolated import Isolation

    return Isolation(retries, at_least_one("memory_limit", engine_options.pop("memory_limit", None)))


def options_of(given: SessionOptions | None) -> SessionOptions:
    if given is not None and not isinstance(given, SessionOptions):
        raise TypeError(f"sess_options: expected headway.SessionOptions, got {type(given).__name__}")
    return given or SessionOptions()
