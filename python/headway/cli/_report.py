"""What the user sees: lines on stdout, trouble and the progress bar on stderr, records in the JSONL file."""

import json
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn
from rich.table import Table
from rich.text import Text

from ._errors import Unwritable
from ._records import Records
from ._scores import Guess
from ._via import Outcome

_NAME_WIDTH = 28
#: No table needs more columns.
_WIDEST = 1000


@dataclass(slots=True)
class Tally:
    """How many pictures went in, and how each ended."""

    pushed: int = 0
    pulled: int = 0
    dropped: int = 0
    errors: int = 0

    @property
    def failed(self) -> int:
        """Those that ended in an error of their own; a dropped one has its own count."""
        return self.errors - self.dropped

    @property
    def cancelled(self) -> int:
        """Those that an interruption left without an outcome."""
        return self.pushed - self.pulled - self.errors

    def __str__(self) -> str:
        line = f"pushed={self.pushed} pulled={self.pulled} dropped={self.dropped} failed={self.failed}"
        return f"{line} cancelled={self.cancelled}" if self.cancelled else line


class Report:
    """Writes everything that a run has to say."""

    def __init__(self, jsonl: Records | None = None, names_below: Path | None = None) -> None:
        """Records go to `jsonl`; pictures in the folder `names_below` are named from there on."""
        self._out = Console(highlight=False, markup=False, emoji=False)
        self._err = Console(stderr=True, highlight=False, markup=False, emoji=False)
        self._jsonl = jsonl
        self._prefix = os.path.join(names_below, "") if names_below else ""
        self._bar: Progress | None = None
        self.tally = Tally()

    @property
    def animated(self) -> bool:
        """Whether stderr is a terminal, so that a progress bar makes sense."""
        return self._err.is_terminal

    @contextmanager
    def progress(self, total: int | None, things: str = "pictures") -> Iterator[None]:
        """Show a bar on stderr while things are classified, on a terminal only; it leaves no trace."""
        if not self.animated:
            yield
            return
        columns = BarColumn(), MofNCompleteColumn(), TextColumn("{task.description}"), TimeRemainingColumn()
        # Rich would send stdout to stderr's console, also when stdout is a file.
        with Progress(*columns, console=self._err, transient=True, redirect_stdout=False) as bar:
            bar.add_task(things, total=total)
            self._bar = bar
            try:
                yield
            finally:
                self._bar = None

    def start(self) -> None:
        """The run begins: records of an earlier one make room."""
        if self._jsonl is not None:
            self._jsonl.start()

    def line(self, text: Text | str = "") -> None:
        """One line on stdout, above the bar when both are on the same terminal."""
        if not self._out.is_terminal:
            try:
                print(text, flush=True)
            except BrokenPipeError:
                raise
            except OSError as error:
                raise Unwritable("standard output", error) from error
            return
        console = self._bar.console if self._bar else self._out
        console.print(text, soft_wrap=True)

    def table(self, table: Table) -> None:
        """A table on stdout, as wide as it needs to be: numbers that are cut off would be other numbers."""
        needed = self._out.measure(table, options=self._out.options.update(width=_WIDEST)).maximum
        if needed > self._out.width:
            self._out.width = needed
        self._out.print(table)

    def note(self, text: str) -> None:
        """A passing remark on stderr."""
        self._stderr(text, "dim")

    def error(self, text: str) -> None:
        """Trouble, one line on stderr."""
        self._stderr(text, "red")

    def _stderr(self, text: str, style: str) -> None:
        if self._err.is_terminal:
            self._err.print(Text(text, style), soft_wrap=True)
        else:
            print(text, file=sys.stderr)

    def picture(self, outcome: Outcome, guesses: list[Guess]) -> None:
        """A picture that was classified."""
        self.tally.pulled += 1
        self.line(_picture_line(self._name(outcome), guesses, short=self._out.is_terminal))
        self._record(outcome, guesses, None)

    def failure(self, outcome: Outcome, reason: str) -> None:
        """A picture that was not."""
        self.tally.errors += 1
        self.error(f"{self._name(outcome)}: {reason}")
        self._record(outcome, [], reason)

    def advance(self, steps: int = 1) -> None:
        """Move the bar, if there is one."""
        if self._bar:
            self._bar.advance(self._bar.task_ids[0], steps)

    def _name(self, outcome: Outcome) -> str:
        return printable(outcome.item.path.removeprefix(self._prefix))

    def _record(self, outcome: Outcome, guesses: list[Guess], error: str | None) -> None:
        self.advance()
        if self._jsonl is None:
            return
        infer_ms = None if outcome.infer_ms is None else round(outcome.infer_ms, 3)
        record = {
            "path": outcome.item.path,
            "top": [guess._asdict() for guess in guesses],
            "read_ms": round(outcome.item.read_ms, 3),
            "infer_ms": infer_ms,
            "error": error,
        }
        self._jsonl.write(json.dumps(record))


def printable(path: str) -> str:
    """The path with what a terminal would obey, or stdout could not encode, spelled out."""
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in path)


def _picture_line(name: str, guesses: list[Guess], *, short: bool) -> Text:
    if short and len(name) > _NAME_WIDTH:
        name = "…" + name[1 - _NAME_WIDTH :]
    line = Text(f"{name:<{_NAME_WIDTH}}  ")
    for position, guess in enumerate(guesses):
        line.append(", " if position else "")
        line.append(printable(guess.label), "bold" if position == 0 else "")
        line.append(f" {guess.probability:.1%}", "cyan" if position == 0 else "dim")
    return line
