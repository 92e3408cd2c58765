"""Which bench, which round, and how long it will take yet: lines on stderr while it runs."""

from __future__ import annotations

import sys
from collections.abc import Callable, Mapping
from time import perf_counter
from typing import TextIO

EVERY = 10.0
"""Seconds between two lines where they are kept (a file, a CI's log); a terminal's one line is written over."""


def minutes(seconds: float) -> str:
    """As people say it."""
    return f"{round(seconds)} s" if seconds < 90 else f"{round(seconds / 60)} min"


class Progress:
    """Speaks of benches in the order in which they run, and of what is left by their estimates, in seconds."""

    def __init__(
        self,
        estimates: Mapping[str, float],
        out: TextIO = sys.stderr,
        clock: Callable[[], float] = perf_counter,
    ) -> None:
        self._estimates, self._out, self._clock = estimates, out, clock
        self._names = list(estimates)
        self._bench, self._begun, self._told = "", 0.0, 0.0
        self._live = out.isatty()

    def begin(self, bench: str) -> None:
        """This one runs now."""
        self._bench, self._begun = bench, self._clock()
        self._told = 0.0
        self.tell("")

    def left(self) -> float:
        """Seconds: what the estimates leave of this bench, and those that come after it."""
        here = self._names.index(self._bench)
        own = max(0.0, self._estimates[self._bench] - (self._clock() - self._begun))
        return own + sum(self._estimates[name] for name in self._names[here + 1 :])

    def tell(self, what: str) -> None:
        """Where the bench is, if the last word is not too fresh."""
        now = self._clock()
        if self._told and not self._live and now - self._told < EVERY:
            return
        self._told = now
        place = f"{self._bench} ({self._names.index(self._bench) + 1} of {len(self._names)})"
        line = f"{place}{what and ', '}{what}; about {minutes(self.left())} left"
        # On a terminal: back to the line's beginning, and whatever was longer before is cleared.
        self._out.write(f"\r{line}\x1b[K" if self._live else f"{line}\n")
        self._out.flush()

    def end(self) -> float:
        """The bench is over: how long it took. What is printed next begins on a line of its own."""
        if self._live:
            self._out.write("\r\x1b[K")
            self._out.flush()
        return self._clock() - self._begun
