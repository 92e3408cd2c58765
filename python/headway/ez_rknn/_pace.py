"""Pacing: frames go in no faster than the lanes get through them."""

from __future__ import annotations

import threading
from collections.abc import Callable
from time import monotonic


class Pace:
    """Holds submitters back until their turn, which comes each (mean run time / lanes).

    Args:
        lanes: Lanes of the session.
        mean: The mean run time so far in seconds, 0 before the first.
        limit: Seconds that a submitter waits at most.
    """

    def __init__(self, lanes: int, mean: Callable[[], float], limit: float) -> None:
        self._lanes, self._mean, self._limit = lanes, mean, limit
        self._lock = threading.Lock()
        self._next = 0.0
        self._ended = threading.Event()

    def wait(self) -> bool:
        """Waits for the caller's turn. False, and no turn is taken, when it would come after the limit."""
        step = self._mean() / self._lanes
        with self._lock:
            now = monotonic()
            turn = max(now, self._next)
            if turn - now > self._limit:
                return False
            self._next = turn + step
        if turn > now:
            self._ended.wait(turn - now)
        return True

    def end(self) -> None:
        """Lets everybody go."""
        self._ended.set()
