"""The threads of a Python engine's lanes: each opens its lane, runs its requests, and closes it.

A lane's thread waits detached for work. The engine is called from Python frames only: at interpreter exit, a thread
that wants the GIL is ended, which must not happen below a Rust frame.
"""

from __future__ import annotations

import sys
import threading
import time
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from headway._engine import Engine, Lane
from headway._errors import LoadError
from headway._nodespec import Spec, check_answers
from headway._pyfeed import outputs_of

if TYPE_CHECKING:
    from headway import _core

#: How long `close` waits at least for lanes and engine to put away what they have.
_GRACE = 1.0


def _report(raised: BaseException, said: str, of: object) -> None:
    """Nobody waits for what a `close` raises."""
    sys.unraisablehook(_Unraisable(type(raised), raised, raised.__traceback__, said, of))


class _Unraisable:
    """What `sys.unraisablehook` takes; its own class cannot be made."""

    def __init__(self, *fields: Any) -> None:
        self.exc_type, self.exc_value, self.exc_traceback, self.err_msg, self.object = fields


class Lanes:
    """The lanes of one session on one engine, from the first `open_lane` to the engine's `close`."""

    def __init__(self, engine: Engine, outputs: list[Spec] | None, given: bool) -> None:
        self.engine: Engine | None = engine
        self.outputs = outputs or []
        #: The caller made the engine, and keeps it where no session comes to be.
        self.given = given
        self.kept = False
        self._lock = threading.Lock()
        self._opening = threading.Lock()
        self._threads: dict[int, threading.Thread] = {}
        self._failures: list[BaseException] = []
        self._left = 0
        self._terminations: _core.Terminations | None = None
        self._ended: tuple[int, ...] | None = None
        #: Lanes that have a `terminate` of their own, by number.
        self.stoppable: dict[int, Stoppable] = {}

    def start(self, handle: Callable[[int], _core.Lane], count: int) -> None:
        """Opens every lane.

        Raises:
            LoadError: A lane could not be opened. The session is to be closed, which ends the others.
        """
        self._left = count
        opened = threading.Semaphore(0)
        handles = [handle(number) for number in range(count)]
        for number, native in enumerate(handles):
            thread = threading.Thread(
                target=_live, args=(self, native, number, opened), name=f"headway-lane-{number}", daemon=True
            )
            self._threads[number] = thread
            thread.start()
        for _ in range(count):
            opened.acquire()
        if self._failures:
            failure = self._failures[0]
            name = self.engine.name if self.engine else "?"
            raise LoadError(f"the {name} engine opened no lane: {_said(failure)}") from failure
        self.kept = True
        if self.stoppable:
            self._watch(handles[0].terminations())

    def _watch(self, terminations: _core.Terminations) -> None:
        threading.Thread(
            target=_watch, args=(self, terminations), name="headway-terminate", daemon=True
        ).start()
        with self._lock:
            self._terminations = terminations
            over = self._left == 0
        if over:
            terminations.close()

    def open(self, number: int) -> Lane | None:
        """One lane after the other, whichever thread comes first."""
        engine = self.engine
        try:
            with self._opening:
                if engine is None or self._failures:
                    return None
                lane = engine.open_lane(number)
                if not isinstance(lane, Lane):
                    raise TypeError(f"open_lane: expected a headway.Lane, got {type(lane).__name__}")
        except BaseException as raised:
            self._failures.append(raised)
            return None
        return lane

    def leave(self) -> None:
        """A lane has ended; the last one closes the engine."""
        with self._lock:
            self._left -= 1
            terminations = self._terminations
            if self._left > 0:
                return
        if terminations is not None:
            terminations.close()
        self.discard()

    def discard(self) -> None:
        """Closes the engine, unless it is the caller's and no session came to be on it."""
        with self._lock:
            engine, self.engine = self.engine, None
        if engine is None:
            return
        if self.given and not self.kept:
            engine._session = False
            return
        try:
            engine.close()
        except BaseException as raised:
            _report(raised, f"Exception ignored in close() of the {engine.name} engine", engine.close)

    def join(self, timeout: float | None, abandoned: tuple[int, ...]) -> tuple[int, ...]:
        """Waits for the lanes to close what they opened; says which have not ended in time."""
        if self._ended is not None:
            return self._ended
        until = None if timeout is None else time.monotonic() + max(timeout, _GRACE)
        here = threading.current_thread()
        for number, thread in self._threads.items():
            if number not in abandoned and thread is not here:
                thread.join(None if until is None else max(0.0, until - time.monotonic()))
        self._ended = tuple(
            number
            for number, thread in self._threads.items()
            if number in abandoned or (thread.is_alive() and thread is not here)
        )
        return self._ended


def _said(raised: BaseException) -> str:
    return f"{type(raised).__name__}: {raised}" if str(raised) else type(raised).__name__


class Stoppable:
    """Calls a lane's `terminate` while its `run` is being called, and at no other time."""

    def __init__(self, lane: Lane, handle: _core.Lane) -> None:
        self._lane, self._handle = lane, handle
        self._lock = threading.Lock()
        self._running = False

    def begin(self) -> bool:
        """False when the request is to stop before it has begun."""
        with self._lock:
            self._running = not self._handle.cancelled
            return self._running

    def end(self) -> None:
        """From here on nothing is terminated; one that is under way is waited for."""
        with self._lock:
            self._running = False

    def terminate(self) -> None:
        """The flag tells which request is meant: it goes down when that request completes, before the next begins."""
        with self._lock:
            if not (self._running and self._handle.cancelled):
                return
            try:
                self._lane.terminate()
            except BaseException as raised:
                _report(raised, "Exception ignored in a lane's terminate()", self._lane.terminate)


def _live(lanes: Lanes, handle: _core.Lane, number: int, opened: threading.Semaphore) -> None:
    """A lane's thread."""
    lane = lanes.open(number)
    stoppable = None
    if lane is not None:
        lane._handle = handle
        engine = lanes.engine
        if engine is not None and engine.can_cancel and type(lane).terminate is not Lane.terminate:
            stoppable = lanes.stoppable[number] = Stoppable(lane, handle)
    engine = None
    opened.release()
    try:
        _work(lane, handle, lanes.outputs, stoppable)
    finally:
        if lane is not None:
            _close(lane)
        lanes.leave()
        handle.leave()


def _close(lane: Lane) -> None:
    try:
        lane.close()
    except BaseException as raised:
        _report(raised, "Exception ignored in a lane's close()", lane.close)
    lane._handle = None


def _work(lane: Lane | None, handle: _core.Lane, outputs: list[Spec], stoppable: Stoppable | None) -> None:
    """Takes, runs, completes, until the lane is closed."""
    names = [spec.name for spec in outputs]
    while True:
        batch = handle.take()
        if batch is None:
            return
        results: list[tuple[bool, Any]] = []
        feed: Any
        for feed, wanted in batch:
            try:
                if lane is None:
                    raise RuntimeError("the lane is not open")
                answer = _run(lane, feed, wanted or names, stoppable)
                results.append((True, answers(answer, outputs, names, wanted)))
            except BaseException as raised:
                results.append((False, raised))
            # Neither the feed nor the answer is kept until the next request comes.
            feed = answer = None
        batch = None
        handle.complete(results)
        results = []


def _run(lane: Lane, feed: dict[str, Any], names: list[str], stoppable: Stoppable | None) -> Any:
    if stoppable is None:
        return lane.run(feed, names)
    if not stoppable.begin():
        raise RuntimeError("the request was to stop before it had begun")
    try:
        return lane.run(feed, names)
    finally:
        stoppable.end()


def answers(answer: Any, outputs: list[Spec], names: list[str], wanted: list[str] | None) -> list[Any]:
    """The wanted outputs in what a lane answered, checked where the engine says what they are."""
    values = outputs_of(answer, names, wanted)
    if not outputs:
        return values
    found = outputs if wanted is None else [outputs[names.index(name)] for name in wanted]
    return check_answers(values, found)


def _watch(lanes: Lanes, terminations: _core.Terminations) -> None:
    """The thread that tells lanes to terminate: whoever cancels may hold locks, or be no thread of Python's."""
    while True:
        number = terminations.next()
        if number is None:
            return
        stoppable = lanes.stoppable.get(number)
        if stoppable is not None:
            stoppable.terminate()
        stoppable = None
