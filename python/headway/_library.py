"""Finding an engine's shared library without importing the package that carries it."""

from __future__ import annotations

import functools
import os
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from importlib.machinery import ModuleSpec

#: How the onnxruntime wheel's C library is called on each platform: how it starts, and what stands in it.
_NAMES = (("libonnxruntime.so", ""), ("libonnxruntime", ".dylib"), ("onnxruntime.dll", ""))


def _is_library(name: str) -> bool:
    return any(name.startswith(start) and part in name for start, part in _NAMES)


def _installed_spec() -> ModuleSpec | None:
    """Where the onnxruntime package is, whatever stands in ``sys.modules`` under its name.

    A program may have put ``headway.ort`` there for packages that import onnxruntime; ``find_spec`` would give that.
    """
    import importlib.machinery

    if (spec := importlib.machinery.PathFinder.find_spec("onnxruntime")) is not None:
        return spec
    # It may come from another finder than that of the import path.
    import importlib.util

    try:
        return importlib.util.find_spec("onnxruntime")
    except (ImportError, ValueError):
        return None


#: onnxruntime's own variable, which it reads when its library is used first, and never again.
TELEMETRY = "ORT_DISABLE_TELEMETRY"


@functools.cache
def onnxruntime_candidates() -> tuple[str, ...]:
    """Paths of the onnxruntime C library inside the installed wheel; empty when the package is not installed.

    Whoever asks is about to load it. From 1.29 on it reports to its maker over the network what is run, keeps a
    database of it in the user's cache, and holds events in memory meanwhile, unless this variable forbids it. Here it
    does so only where the user has set the variable.
    """
    os.environ.setdefault(TELEMETRY, "1")
    spec = _installed_spec()
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
