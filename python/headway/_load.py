"""From what the caller hands in to a loaded model: which engine, and its module."""

from __future__ import annotations

import os
from importlib import import_module
from typing import TYPE_CHECKING

# The default engine with this module, not with the first session: a fork while another thread imports a module leaves
# the child waiting for it for ever, and programs fork beside a thread that makes its first session.
from headway._engines import onnxruntime as _onnxruntime  # noqa: F401
from headway._engines.words import Asked, Loaded, Source
from headway._errors import LoadError

if TYPE_CHECKING:
    from headway._engine import Engine
    from headway._engines.isolated import Isolation

_BY_SUFFIX = {
    ".onnx": "onnxruntime",
    ".ort": "onnxruntime",
    ".xml": "openvino",
    ".tflite": "openvino",
    ".pdmodel": "openvino",
    ".rknn": "rknn",
}
#: Engines with a module of the same name in `headway._engines`.
_HERE = ("onnxruntime", "openvino", "python", "rknn")
#: How the bytes of a model begin. RKNX is none that can be run here; its engine says so.
_BY_MAGIC = {b"RKNN": "rknn", b"RKNX": "rknn"}


def source_of(given: object, engine: str | type[Engine] | None) -> Source:
    """The engine for a model: by ``engine=``, else by the file's suffix; a callable is a Python engine."""
    if hasattr(given, "_headway_load"):
        # A fake engine of headway.testing brings its own model.
        return Source("fake", given, "fake")
    found, suffix, label = "onnxruntime", "", ""
    if isinstance(given, bytes):
        xml = given.lstrip()[:5].startswith((b"<?xml", b"<net"))
        found = "openvino" if xml else _BY_MAGIC.get(given[:4], found)
        label = f"{len(given)} bytes"
    elif isinstance(given, str | os.PathLike):
        path = os.fspath(given)
        if not isinstance(path, str):
            path = os.fsdecode(path)
        suffix = os.path.splitext(path)[1].lower()
        found = _BY_SUFFIX.get(suffix, found)
        given, label = path, os.path.basename(path)
    else:
        found, label = "python", getattr(given, "__name__", type(given).__name__)
    outside = _outside(given, engine, suffix, label)
    if outside is not None:
        return outside
    if found == "python" and not callable(given):
        kind, advice = type(given).__name__, _advice(given)
        raise TypeError(f"expected a path, bytes, a callable or a headway.Engine, got {kind}{advice}")
    if found == "python":
        _plain_function(given)
    chosen = engine if isinstance(engine, str) else found
    if chosen not in _HERE:
        raise LoadError(f"{label}: there is no engine {chosen!r} here; engines: {_known()}")
    if (chosen == "python") != callable(given):
        raise TypeError(f"engine={chosen!r} does not take {type(given).__name__}")
    return Source(chosen, given, label)


def _plain_function(given: object) -> None:
    """Refuses what would give a coroutine, which nobody awaits, as the answer."""
    from inspect import iscoroutinefunction

    called = None if isinstance(given, type) else getattr(given, "__call__", None)  # noqa: B004
    if iscoroutinefunction(given) or iscoroutinefunction(called):
        raise TypeError(
            "expected a plain function, got a coroutine function: lanes call it on threads of their own and await "
            "nothing; drop the `async`, or call asyncio.run in it"
        )


def _advice(given: object) -> str:
    """How the bytes of a model are got out of what has them."""
    if isinstance(given, bytearray | memoryview):
        return "; pass bytes(...) of it"
    for method in ("SerializeToString", "getvalue", "read"):
        if callable(getattr(given, method, None)):
            return f"; pass what its {method}() gives"
    return ""


def _outside(given: object, engine: str | type[Engine] | None, suffix: str, label: str) -> Source | None:
    """An engine that is not Headway's own, where one was asked for."""
    if engine is not None and not isinstance(engine, str):
        _one_of_ours(engine)
        return Source(engine.name, given, label, engine)
    if not isinstance(given, str | bytes):
        from headway._engine import Engine

        if isinstance(given, Engine) or (isinstance(given, type) and issubclass(given, Engine)):
            if engine is not None:
                raise TypeError(f"engine={engine!r}: the model is an engine itself")
            return Source(given.name, given, label, given)
    if (
        engine in _HERE
        or engine in _BY_SUFFIX.values()
        or (engine is None and (not suffix or suffix in _BY_SUFFIX))
    ):
        return None
    from headway._plugins import plugin

    named = plugin(engine or suffix, label)
    return None if named is None else Source(engine or suffix[1:], given, label, named)


def _one_of_ours(engine: object) -> None:
    from headway._engine import Engine

    if not (isinstance(engine, type) and issubclass(engine, Engine)):
        raise TypeError(f"engine: expected a name or a subclass of headway.Engine, got {engine!r}")


def _known() -> str:
    from headway._plugins import engine_names

    installed = engine_names()
    listed = ", ".join(_HERE)
    return (
        f"{listed}; installed ones: {', '.join(installed)}"
        if installed
        else f"{listed}; no others are installed"
    )


def load(asked: Asked, isolation: Isolation | None = None) -> Loaded:
    """The model, on the engine that was chosen for it; in processes of its own where that was asked.

    Raises:
        LoadError: The model or the engine's library cannot be loaded.
        TypeError, ValueError: An option that the engine does not have, or a wrong value.
    """
    source = asked.source
    for name, given in (("inputs", asked.inputs), ("outputs", asked.outputs)):
        # An engine written in Python may leave them to its user, and says so itself where it does not.
        if given is not None and source.plugin is None and source.engine != "python":
            raise TypeError(f"{name}: the {source.engine} engine names its own: leave {name} out")
    if isolation is not None:
        if asked.source.engine == "fake":
            raise TypeError('isolation="process": a fake engine is steered in this process')
        from headway._engines import isolated

        return isolated.load(asked, isolation)
    if asked.source.engine == "fake" and asked.source.plugin is None:
        fake: Loaded = asked.source.model._headway_load()
        return fake
    engine = asked.source.engine if asked.source.plugin is None else "python"
    if asked.engine_options and engine in ("onnxruntime", "python") and asked.source.plugin is None:
        raise TypeError(f"engine_options: the {engine} engine has none, got {sorted(asked.engine_options)}")
    loaded: Loaded = import_module(f"headway._engines.{engine}").load(asked)
    return loaded
