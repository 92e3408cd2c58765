"""``wait`` and ``as_completed`` for inference futures, as in ``concurrent.futures``, without a thread behind them."""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING, Literal, NamedTuple

from headway._checks import one_of, seconds
from headway._waiting import Waiter

if TYPE_CHECKING:
    from headway._core import InferenceFuture

FIRST_COMPLETED = "FIRST_COMPLETED"
FIRST_EXCEPTION = "FIRST_EXCEPTION"
ALL_COMPLETED = "ALL_COMPLETED"

ReturnWhen = Literal["FIRST_COMPLETED", "FIRST_EXCEPTION", "ALL_COMPLETED"]


class DoneAndNotDone(NamedTuple):
    """What ``wait`` gives."""

    #: Futures that have ended.
    done: set[InferenceFuture]
    #: Futures that have not.
    not_done: set[InferenceFuture]


def _all(fs: Iterable[InferenceFuture]) -> set[InferenceFuture]:
    from headway._core import InferenceFuture

    if not hasattr(fs, "__iter__"):
        raise TypeError(
            f"fs: expected futures of headway's sessions, got {type(fs).__name__}, not a collection"
        )
    futures = set(fs)
    future: object
    for future in futures:
        if not isinstance(future, InferenceFuture):
            kind = f"{type(future).__module__}.{type(future).__qualname__}"
            raise TypeError(f"fs: expected futures of headway's sessions, got {kind}")
    return futures


def _failed(future: InferenceFuture) -> bool:
    return not future.cancelled() and future.exception() is not None


def wait(
    fs: Iterable[InferenceFuture], timeout: float | None = None, return_when: ReturnWhen = "ALL_COMPLETED"
) -> DoneAndNotDone:
    """Wait for futures, of any sessions.

    Args:
        fs: The futures; duplicates count once.
        timeout: Seconds; None waits for ever.
        return_when: ``"ALL_COMPLETED"``, ``"FIRST_COMPLETED"`` or ``"FIRST_EXCEPTION"``.

    Returns:
        Which have ended and which have not when the condition or the timeout was met.
    """
    one_of("return_when", return_when, (FIRST_COMPLETED, FIRST_EXCEPTION, ALL_COMPLETED))
    timeout = seconds("timeout", timeout)
    futures = _all(fs)
    done = {future for future in futures if future.done()}
    pending = futures - done

    def satisfied(newly: Iterable[InferenceFuture]) -> bool:
        if return_when == FIRST_COMPLETED:
            return bool(done)
        return return_when == FIRST_EXCEPTION and any(map(_failed, newly))

    if pending and not satisfied(done):
        until = None if timeout is None else time.monotonic() + timeout
        with Waiter(pending) as waiter:
            while pending:
                newly = waiter.next(until)
                done |= newly
                pending -= newly
                if not newly or satisfied(newly):
                    break
    return DoneAndNotDone(done, pending)


def as_completed(fs: Iterable[InferenceFuture], timeout: float | None = None) -> Iterator[InferenceFuture]:
    """The futures in the order of their ends, each once.

    Args:
        fs: The futures; duplicates count once.
        timeout: Seconds for all of them, from this call on; None waits for ever.

    Raises:
        TimeoutError: Not all had ended in time.
    """
    # Here, not in the generator: that begins with the first iteration.
    timeout = seconds("timeout", timeout)
    until = None if timeout is None else time.monotonic() + timeout
    return _completed(_all(fs), until)


def _completed(futures: set[InferenceFuture], until: float | None) -> Iterator[InferenceFuture]:
    total = len(futures)
    done = {future for future in futures if future.done()}
    pending = futures - done
    yield from done
    if not pending:
        return
    with Waiter(pending) as waiter:
        while pending:
            newly = waiter.next(until)
            if not newly:
                raise TimeoutError(f"{len(pending)} (of {total}) futures unfinished")
            pending -= newly
            yield from newly
