"""From what the caller hands in to a loaded model: which engine, and its module."""

from __future__ import annotations

import os
from importlib import import_module

from headway._engines.words import Asked, Loaded, Source
from headway._errors import LoadError

_BY_SUFFIX = {
    ".onnx": "onnxruntime",
    ".ort": "onnxruntime",
    ".xml": "openvino",
    ".tflite": "openvino",
    ".rknn": "rknn",
}
#: Engines with a module of the same name in `headway._engines`.
_HERE = ("onnxruntime", "python", "rknn")
#: How the bytes of a model begin. RKNX is none that can be run here; its engine says so.
_BY_MAGIC = {b"RKNN": "rknn", b"RKNX": "rknn"}


def source_of(given: object, engine: str | None) -> Source:
    """The engine for a model: by ``engine=``, else by the file's suffix; a callable is a Python engine."""
    if hasattr(given, "_headway_load"):
        # A fake engine of headway.testing brings its own model.
        return Source("fake", given, "fake")
    if isinstance(given, bytes):
        found, label = _BY_MAGIC.get(given[:4], "onnxruntime"), f"{len(given)} bytes"
    elif isinstance(given, str | os.PathLike):
        path = os.fspath(given)
        if not isinstance(path, str):
            path = os.fsdecode(path)
        found = _BY_SUFFIX.get(os.path.splitext(path)[1].lower(), "onnxruntime")
        given, label = path, os.path.basename(path)
    elif callable(given):
        found, label = "python", getattr(given, "__name__", type(given).__name__)
    else:
        raise TypeError(f"expected a path, bytes or a callable, got {type(given).__name__}")
    chosen = engine or found
    if chosen not in _HERE:
        raise LoadError(f"{label}: there is no engine {chosen!r} here; engines: {', '.join(_HERE)}")
    if (chosen == "python") != callable(given):
        raise TypeError(f"engine={chosen!r} does not take {type(given).__name__}")
    return Source(chosen, given, label)


def load(asked: Asked) -> Loaded:
    """The model, on the engine that was chosen for it.

    Raises:
        LoadError: The model or the engine's library cannot be loaded.
        TypeError, ValueError: An option that the engine does not have, or a wrong value.
    """
    if asked.source.engine == "fake":
        fake: Loaded = asked.source.model._headway_load()
        return fake
    if asked.engine_options and asked.source.engine in ("onnxruntime", "python"):
        raise TypeError(
            f"engine_options: the {asked.source.engine} engine has none, got {sorted(asked.engine_options)}"
        )
    loaded: Loaded = import_module(f"headway._engines.{asked.source.engine}").load(asked)
    return loaded
