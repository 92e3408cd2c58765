"""What a session's constructor is given: checked, in words that say what was expected."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from headway._batching import Batching
from headway._checks import at_least, at_least_one, one_of
from headway._options import OVERFLOWS, SessionOptions

if TYPE_CHECKING:
    from headway._engines.isolated import Isolation


def check_words(hint: str, overflow: str, isolation: str, on_missing_provider: str | None) -> None:
    one_of("hint", hint, ("latency", "throughput"))
    one_of("overflow", overflow, OVERFLOWS)
    one_of("isolation", isolation, ("thread", "process"))
    if on_missing_provider is not None:
        one_of("on_missing_provider", on_missing_provider, ("raise", "warn"))


def check_objects(on_drop: object, batching: object, engine_options: object) -> None:
    if on_drop is not None and not callable(on_drop):
        raise TypeError(f"on_drop: expected a callable, got {type(on_drop).__name__}")
    if batching is not None and not isinstance(batching, Batching):
        raise TypeError(f"batching: expected headway.Batching, got {type(batching).__name__}")
    if engine_options is not None and not isinstance(engine_options, Mapping):
        raise TypeError(f"engine_options: expected a dict by name, got {type(engine_options).__name__}")


def isolation_of(isolation: str, retries: int, engine_options: dict[str, Any]) -> Isolation | None:
    """What was said of process lanes; takes their options out of the engine's."""
    retries = at_least(0, "retries", retries)
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
        kind = type(given)
        # Somebody else's class of this name, as onnxruntime's own.
        whose = f" of {kind.__module__}" if kind.__name__ == "SessionOptions" else ""
        raise TypeError(f"sess_options: expected headway.SessionOptions, got {kind.__name__}{whose}")
    return given or SessionOptions()
