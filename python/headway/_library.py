"""Finding an engine's shared library without importing the package that carries it."""

from __future__ import annotations

import functools
import os

#: How the onnxruntime wheel's C library is called on each platform: how it starts, and what stands in it.
_NAMES = (("libonnxruntime.so", ""), ("libonnxruntime", ".dylib"), ("onnxruntime.dll", ""))


def _is_library(name: str) -> bool:
    return any(name.startswith(start) and part in name for start, part in _NAMES)


@functools.cache
def onnxruntime_candidates() -> tuple[str, ...]:
    """Paths of the onnxruntime C library inside the installed wheel; empty when the package is not installed."""
    import importlib.util

    try:
        spec = importlib.util.find_spec("onnxruntime")
    except (ImportError, ValueError):
        return ()
    if spec is None:
        return ()
    found: list[str] = []
    for package in spec.submodule_search_locations or ():
        # Not pathlib, which alone would be half the time of importing headway.
        folder = os.path.join(package, "capi")
        names = os.listdir(folder) if os.path.isdir(folder) else []
        found += sorted(os.path.join(folder, name) for name in names if _is_library(name))
        if not found:
            # Named all the same, so that the error says where it should have been.
            found.append(os.path.join(folder, _NAMES[0][0]))
    return tuple(found)
