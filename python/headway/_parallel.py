"""Lists of feeds at once, and one batch split over the lanes."""

from __future__ import annotations

import itertools
import time
from collections import deque
from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, Any

from headway._checks import at_least
from headway._errors import InputError

if TYPE_CHECKING:
    from headway._core import InferenceFuture

#: Submits a feed with a timeout in seconds (None: none); any lane may run it. The future goes to the last
#: argument first, before a signal's handler can raise.
Submit = Callable[[Any, "float | None", Callable[["InferenceFuture"], object]], "InferenceFuture"]


class Deadline:
    """One deadline for a whole list."""

    def __init__(self, timeout: float | None) -> None:
        self._until = None if timeout is None else time.monotonic() + timeout

    def left(self) -> float | None:
        """Seconds left; None without a deadline. A request submitted with 0 ends as expired, as in any convention."""
        return None if self._until is None else max(0.0, self._until - time.monotonic())


def window(max_concurrency: int | None, cores: int) -> int:
    """How many requests are in flight: a limit below the lanes is kept, else enough to keep the lanes busy."""
    if max_concurrency is None:
        return 2 * cores
    max_concurrency = at_least(1, "max_concurrency", max_concurrency)
    return max_concurrency if max_concurrency < cores else 2 * cores


def run_list(feeds: Iterable[Any], submit: Submit, timeout: float | None, ahead: int) -> list[list[Any]]:
    """The outputs of every feed, in order. The first error cancels the rest and is raised."""
    deadline = Deadline(timeout)
    flying: deque[InferenceFuture] = deque()
    results: list[list[Any]] = []
    try:
        for feed in feeds:
            if len(flying) >= ahead:
                results.append(flying[0].result())
                flying.popleft()
            submit(feed, deadline.left(), flying.append)
        while flying:
            # It stays among the flying until it has ended: an interrupt cancels it too.
            results.append(flying[0].result())
            flying.popleft()
    except BaseException:
        for future in flying:
            future.cancel()
        raise
    return results


async def arun_list(
    feeds: Iterable[Any], submit: Submit, timeout: float | None, ahead: int
) -> list[list[Any]]:
    """Like ``run_list``, without blocking the event loop."""
    deadline = Deadline(timeout)
    flying: deque[InferenceFuture] = deque()
    results: list[list[Any]] = []
    try:
        for feed in feeds:
            if len(flying) >= ahead:
                results.append(await flying[0])
                flying.popleft()
            submit(feed, deadline.left(), flying.append)
        while flying:
            results.append(await flying[0])
            flying.popleft()
    except BaseException:
        for future in flying:
            future.cancel()
        raise
    return results


def pieces(size: int, lanes: int, fixed: int | None) -> list[slice]:
    """How a batch of ``size`` is cut: evenly over the lanes, or in the model's own fixed batch size.

    Raises:
        InputError: The model's batch size does not divide the batch.
    """
    if fixed is not None:
        if size % fixed or not size:
            raise InputError(f"run_batch: the model takes batches of {fixed}; {size} is no multiple of it")
        return [slice(start, start + fixed) for start in range(0, size, fixed)]
    count = max(1, min(lanes, size))
    edges = [size * place // count for place in range(count + 1)]
    return [slice(start, stop) for start, stop in itertools.pairwise(edges)]
