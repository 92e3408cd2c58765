"""LoRA adapters."""

from __future__ import annotations

import os

from headway import _core
from headway._library import onnxruntime_candidates


class LoraAdapter:
    """Parameters that a request adds to its model: ``Load`` a file, then ``RunOptions.add_active_adapter``."""

    __slots__ = ("_loaded",)

    def __init__(self) -> None:
        self._loaded: _core.LoraAdapter | None = None

    def Load(self, file_path: str | os.PathLike[str]) -> None:  # the name that onnxruntime has for it
        """Load an adapter file.

        Raises:
            LoadError: It cannot be read, or the onnxruntime library is older than 1.20.
        """
        self._loaded = _core.LoraAdapter.load(file_path, list(onnxruntime_candidates()))

    def _native(self) -> _core.LoraAdapter:
        if self._loaded is None:
            raise ValueError("this adapter has not been loaded: call Load(path) first")
        return self._loaded
