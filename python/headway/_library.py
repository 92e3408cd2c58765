"""Finding an engine's shared library without importing the package that carries it."""

from __future__ import annotations

import functools
import importlib.util
import os
from pathlib import Path

#: Where the onnxruntime wheel keeps its C library, on each platform.
_PATTERNS = ("libonnxruntime.so*", "libonnxruntime*.dylib", "onnxruntime.dll")


@functools.cache
def onnxruntime_candidates() -> tuple[str, ...]:
    """Paths of the onnxruntime C library inside the installed wheel; empty when the package is not installed."""
    try:
        spec = importlib.util.find_spec("onnxruntime")
    except (ImportError, ValueError):
        return ()
    if spec is None:
        return ()
    found: list[str] = []
    for folder in spec.submodule_search_locations or ():
        for pattern in _PATTERNS:
            found += sorted(str(path) for path in Path(folder, "capi").glob(pattern))
        if not found:
            # Named all the same, so that the error says where it should have been.
            found.append(os.path.join(folder, "capi", _PATTERNS[0].rstrip("*")))
    return tuple(found)
