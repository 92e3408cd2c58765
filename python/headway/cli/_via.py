"""The calling conventions, one function each: the same items in, the same outcomes out, in the same order.

Each takes the items as futures, keeps at most `window` of them in the session, and gives every outcome to
`deliver` in the items' order. An item that could not be read goes past the model but keeps its place.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable, Iterator
from concurrent.futures import Future
from dataclasses import dataclass, field
from functools import partial
from queue import SimpleQueue
from threading import Thread
from time import perf_counter
from typing import TYPE_CHECKING, Any, Protocol

from numpy.typing import NDArray

import headway

from ._inputs import Item

if TYPE_CHECKING:
    from headway import Frame, InferenceSession

# Unreadable items wait behind the last good one until its result comes; so many in a row are held, no more.
_HELD = 1000


@dataclass(slots=True)
class Outcome:
    """An item with the model's outputs, or with the error that took their place."""

    item: Item
    outputs: list[NDArray[Any]] | None = None
    error: str | None = None
    infer_ms: float | None = None
    started: float = field(default_factory=perf_counter)

    def finish(self, outputs: list[NDArray[Any]] | None, error: str | None) -> Outcome:
        """Set the result; the time counts from the hand-over to the session."""
        self.outputs, self.error = outputs, error
        # Last, since it is what `ready` looks at, maybe from another thread.
        self.infer_ms = (perf_counter() - self.started) * 1e3
        return self

    @property
    def ready(self) -> bool:
        """Whether there is a result, or none to come."""
        return self.item.array is None or self.infer_ms is not None


Source = Iterator[Future[Item]]
Deliver = Callable[[Outcome], None]


class Via(Protocol):
    """A calling convention."""

    def __call__(self, session: InferenceSession, source: Source, deliver: Deliver, window: int) -> None: ...


def _outcome(item: Item) -> Outcome:
    return Outcome(item, error=item.problem)


def via_run(session: InferenceSession, source: Source, deliver: Deliver, window: int) -> None:
    """Blocking `run`, one after the other."""
    for future in source:
        outcome = _outcome(future.result())
        if not outcome.ready:
            try:
                outcome.finish(session.run(None, outcome.item.array), None)
            except headway.HeadwayError as error:
                outcome.finish(None, str(error))
        deliver(outcome)


def via_stream(session: InferenceSession, source: Source, deliver: Deliver, window: int) -> None:
    """`stream` pulls the items and yields the results."""
    waiting: deque[Outcome] = deque()
    more = True

    def feeds() -> Iterator[NDArray[Any]]:
        nonlocal more
        for future in source:
            outcome = _outcome(future.result())
            waiting.append(outcome)
            if outcome.item.array is not None:
                yield outcome.item.array
            if len(waiting) > _HELD:
                return
        more = False

    while more:
        for result in session.stream(feeds(), depth=window, on_error="yield"):
            _flush(waiting, deliver)
            outcome = waiting.popleft()
            if isinstance(result, Exception):
                deliver(outcome.finish(None, str(result)))
            else:
                deliver(outcome.finish(result, None))
        _flush(waiting, deliver)


def via_callback(session: InferenceSession, source: Source, deliver: Deliver, window: int) -> None:
    """`run_async`; the callback hands over and leaves the work to this thread."""
    waiting: deque[Outcome] = deque()
    rung: SimpleQueue[None] = SimpleQueue()

    def on_done(results: list[NDArray[Any]], outcome: Outcome, err: str) -> None:
        outcome.finish(None if err else results, err or None)
        rung.put(None)

    def wait_below(limit: int) -> None:
        _flush(waiting, deliver)
        while len(waiting) > limit:
            rung.get()
            _flush(waiting, deliver)

    for future in source:
        outcome = _outcome(future.result())
        waiting.append(outcome)
        if not outcome.ready:
            try:
                session.run_async(None, outcome.item.array, on_done, outcome)
            except headway.HeadwayError as error:
                outcome.finish(None, str(error))
        wait_below(window - 1)
    wait_below(0)


def via_future(session: InferenceSession, source: Source, deliver: Deliver, window: int) -> None:
    """`submit` with a window of futures, the oldest of which is waited for."""
    waiting: deque[tuple[Outcome, Any]] = deque()

    def take() -> None:
        outcome, pending = waiting.popleft()
        if pending is not None:
            try:
                outcome.finish(pending.result(), None)
            except headway.HeadwayError as error:
                outcome.finish(None, str(error))
        deliver(outcome)

    for future in source:
        outcome = _outcome(future.result())
        try:
            pending = None if outcome.ready else session.submit(outcome.item.array)
        except headway.HeadwayError as error:
            pending = None
            outcome.finish(None, str(error))
        waiting.append((outcome, pending))
        if len(waiting) >= window:
            take()
    while waiting:
        take()


def via_asyncio(session: InferenceSession, source: Source, deliver: Deliver, window: int) -> None:
    """`arun` in a bounded number of tasks."""

    async def one(future: Future[Item]) -> Outcome:
        outcome = _outcome(await asyncio.wrap_future(future))
        if not outcome.ready:
            try:
                outcome.finish(await session.arun(None, outcome.item.array), None)
            except headway.HeadwayError as error:
                outcome.finish(None, str(error))
        return outcome

    async def all_of_them() -> None:
        tasks: deque[asyncio.Task[Outcome]] = deque()
        for future in source:
            tasks.append(asyncio.create_task(one(future)))
            if len(tasks) >= window:
                deliver(await tasks.popleft())
        while tasks:
            deliver(await tasks.popleft())

    asyncio.run(all_of_them())


def via_pipeline(session: InferenceSession, source: Source, deliver: Deliver, window: int) -> None:
    """A pipeline: a picture in, the result of an earlier one out; the tag carries the picture along."""
    waiting: deque[Outcome] = deque()
    with session.pipeline(window) as pipe:

        def step(call: Callable[[], Frame | None]) -> bool:
            """False when nothing came out. A picture's error belongs to the oldest one in the pipeline."""
            oldest = next((outcome for outcome in waiting if not outcome.ready), None)
            try:
                frame = call()
            except headway.HeadwayError as error:
                if oldest is None:
                    raise
                oldest.finish(None, str(error))
                return True
            if frame is not None:
                frame.tag.finish(frame.outputs, None)
            return frame is not None

        def push(outcome: Outcome) -> Frame | None:
            return pipe.push(outcome.item.array, tag=outcome)

        for future in source:
            outcome = _outcome(future.result())
            waiting.append(outcome)
            if not outcome.ready:
                try:
                    step(partial(push, outcome))
                except headway.HeadwayError as error:
                    outcome.finish(None, str(error))
            _flush(waiting, deliver)
        while step(lambda: next(pipe.drain(), None)):
            _flush(waiting, deliver)
    _flush(waiting, deliver)


def via_pushpull(session: InferenceSession, source: Source, deliver: Deliver, window: int) -> None:
    """Push / pull: a producer thread pushes, this thread pulls; each sample carries its picture along."""
    waiting: deque[Outcome] = deque()
    with session.open(queue_depth=window) as run:

        def produce() -> None:
            try:
                for future in source:
                    if run.input_closed:
                        return
                    outcome = _outcome(future.result())
                    waiting.append(outcome)
                    if not outcome.ready:
                        try:
                            run.push(outcome.item.array, attributes={"outcome": outcome})
                        except headway.SessionClosed:
                            return
                        except headway.HeadwayError as error:
                            outcome.finish(None, str(error))
            finally:
                run.close_input()

        producer = Thread(target=produce, name="pictures")
        producer.start()
        try:
            for sample in run:
                outcome = sample.attributes["outcome"]
                if sample.error is None:
                    outcome.finish(list(sample.data.values()), None)
                else:
                    outcome.finish(None, str(sample.error))
                _flush(waiting, deliver)
        finally:
            # After an interruption, it must not read on from a pool that is being shut down.
            run.close_input()
            producer.join()
    _flush(waiting, deliver)


def _flush(waiting: deque[Outcome], deliver: Deliver) -> None:
    while waiting and waiting[0].ready:
        deliver(waiting.popleft())


VIAS: dict[str, Via] = {
    "run": via_run,
    "callback": via_callback,
    "future": via_future,
    "asyncio": via_asyncio,
    "stream": via_stream,
    "pipeline": via_pipeline,
    "pushpull": via_pushpull,
}
