"""Finding an engine's shared library without importing the package that carries it."""

from __future__ import annotations

import functools
import os
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from importlib.machinery import ModuleSpec

#: How a wheel's C library is called on each platform: how it starts, and what stands in it.
_Names = tuple[tuple[str, str], ...]
_ONNXRUNTIME: _Names = (("libonnxruntime.so", ""), ("libonnxruntime", ".dylib"), ("onnxruntime.dll", ""))
_OPENVINO: _Names = (("libopenvino_c.so", ""), ("libopenvino_c", ".dylib"), ("openvino_c.dll", ""))


def _installed_spec(package: str) -> ModuleSpec | None:
    """Where a package is, whatever stands in ``sys.modules`` under its name.

    A program may have put ``headway.ort`` there for packages that import onnxruntime; ``find_spec`` would give that.
    """
    import importlib.machinery

    if (spec := importlib.machinery.PathFinder.find_spec(package)) is not None:
        return spec
    # It may come from another finder than that of the import path.
    import importlib.util

    try:
        return importlib.util.find_spec(package)
    except (ImportError, ValueError):
        return None


def _candidates(package: str, folder: str, names: _Names) -> tuple[str, ...]:
    spec = _installed_spec(package)
    if spec is None:
        return ()
    found: list[str] = []
    for place in spec.submodule_search_locations or ():
        # Not pathlib, which alone would be half the time of importing headway.
        inside = os.path.join(place, folder)
        files = os.listdir(inside) if os.path.isdir(inside) else []
        found += sorted(
            os.path.join(inside, file)
            for file in files
            if any(file.startswith(start) and part in file for start, part in names)
        )
        if not found:
            # Named all the same, so that the error says where it should have been.
            found.append(os.path.join(inside, names[0][0]))
    return tuple(found)


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
    return _candidates("onnxruntime", "capi", _ONNXRUNTIME)


@functools.cache
def openvino_candidates() -> tuple[str, ...]:
    """Paths of the OpenVINO C library inside the installed wheel; empty when the package is not installed."""
    return _candidates("openvino", "libs", _OPENVINO)
