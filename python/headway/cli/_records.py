"""The JSONL file: one record a picture, never written over what the run reads."""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TextIO

from headway._pictures import SUFFIXES

from ._errors import CliError, Unwritable


class Records:
    """Lines of a file that was opened for writing."""

    def __init__(self, path: str, file: TextIO) -> None:
        self._path = path
        self._file = file

    def start(self) -> None:
        """Makes room: what an earlier run left goes when this one begins, not when its model cannot be loaded."""
        if stat.S_ISREG(os.fstat(self._file.fileno()).st_mode):
            self._file.truncate(0)

    def write(self, line: str) -> None:
        """One more line, in the file when this returns."""
        try:
            self._file.write(line + "\n")
        except OSError as error:
            raise Unwritable(self._path, error) from error


@contextmanager
def open_records(path: str, read: Sequence[str | Path | None]) -> Iterator[Records]:
    """The file at `path`, to be started; a CliError when it cannot be written or is one of those that the run reads."""
    if path == "-":
        raise CliError("--jsonl writes a file: standard output has the results already", status=2)
    # A picture in one of the folders is known by its name only: they are searched as the run goes on.
    if os.path.splitext(path)[1].lower() in SUFFIXES:
        raise CliError(f"--jsonl {path} is a picture's name: name another file", status=2)
    if any(_same(path, other) for other in read if other):
        raise CliError(f"--jsonl {path} would overwrite what is read: name another file", status=2)
    try:
        file = open(path, "a", encoding="utf-8", buffering=1)  # noqa: SIM115 (only the opening is tried)
    except OSError as error:
        raise Unwritable(path, error, status=2) from error
    try:
        yield Records(path, file)
    finally:
        # What could not be written is still in the buffer, and was complained about.
        with suppress(OSError):
            file.close()


def _same(path: str, other: str | Path) -> bool:
    try:
        return os.path.samefile(path, other)
    except OSError:
        return False
