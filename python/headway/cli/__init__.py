"""The command line: `headway run` classifies pictures, `headway demo` shows it on an embedded model."""

import os
import sys
from collections.abc import Sequence
from contextlib import suppress
from importlib.util import find_spec

#: The exit status after Ctrl-C, as shells give it.
INTERRUPTED = 130


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command line with these arguments (None: the process's own) and return the exit status."""
    # Checked before anything of the extra is imported, so that its absence is one line and no traceback.
    needed = {"click": "click", "rich": "rich", "PIL": "pillow"}
    missing = [package for module, package in needed.items() if find_spec(module) is None]
    if missing:
        names = ", ".join(missing)
        print(f'headway: error: the command line needs {names}: pip install "headway[cli]"', file=sys.stderr)
        return 1
    from ._app import run_app

    status = run_app(argv)
    if argv is None and status == INTERRUPTED:
        _leave(status)
    return status


def _leave(status: int) -> None:
    """Ends the process without waiting for threads: after a Ctrl-C some may never end, see `_run.classify`."""
    for stream in (sys.stdout, sys.stderr):
        with suppress(OSError, ValueError):
            stream.flush()
    os._exit(status)
