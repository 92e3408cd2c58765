"""Custom operators that are installed where EZ RKNN Async looks for them."""

from __future__ import annotations

import ctypes
import sys
import warnings
from pathlib import Path

#: Where they lie; on Android, the first of these that is there.
_FOLDERS = ("/usr/lib/rknpu/op_plugins",)
_ON_ANDROID = ("/vendor/lib64", "/vendor/lib")
_PATTERN = "librkcst_*.so"
_ENTRY = "get_rknn_custom_op"


def installed() -> list[str]:
    """The libraries that can be used. What cannot is warned about, as is a folder that is not there."""
    folders = [Path(folder) for folder in (_ON_ANDROID if hasattr(sys, "getandroidapilevel") else _FOLDERS)]
    folder = next((folder for folder in folders if folder.is_dir()), None)
    if folder is None:
        _warn(f"there is no folder {folders[0]} with custom operators")
        return []
    return [str(path) for path in sorted(folder.glob(_PATTERN)) if _is_usable(path)]


def _is_usable(path: Path) -> bool:
    try:
        getattr(ctypes.CDLL(str(path)), _ENTRY)
    except (OSError, AttributeError) as error:
        _warn(f"custom operators of {path} are left out: {error}")
        return False
    return True


def _warn(text: str) -> None:
    warnings.warn(f"custom_op_default_path: {text}", UserWarning, stacklevel=5)
