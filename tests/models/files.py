"""Fetched model files: `scripts/fetch_models.py` puts them into a cache that git ignores."""

from __future__ import annotations

import functools
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
_FOLDER = ROOT / ".cache" / "models"


@functools.cache
def path(name: str) -> Path:
    """A fetched file; fetched now when it is not there yet, so that the tests need no step before them."""
    file = _FOLDER / name
    if not file.is_file():
        subprocess.run([sys.executable, str(ROOT / "scripts" / "fetch_models.py"), str(_FOLDER)], check=True)
    return file
