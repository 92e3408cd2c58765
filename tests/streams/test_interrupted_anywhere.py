"""Whatever a signal's handler raises, and wherever: nothing that a stream or a pipeline submitted runs for nobody."""

from __future__ import annotations

import asyncio
import sys
import traceback
from collections.abc import AsyncIterator, Callable
from contextlib import aclosing
from functools import partial
from pathlib import Path
from types import FrameType
from typing import Any

import pytest

import headway
from headway.testing import FakeEngine

from ..support import X, assert_conserved, until

pytestmark = pytest.mark.timeout(300)

PACKAGE = str(Path(headway.__file__).parent)


class Alarm(Exception):
    """What the handler raises that is no Ctrl-C."""


class Press:
    """Raises before the instruction of this number that the package's own Python code executes."""

    def __init__(self, number: int, error: type[BaseException], names: tuple[str, ...]) -> None:
        self._left, self._error, self._names = number, error, names
        self.pressed = False

    def __call__(self, frame: FrameType, event: str, _: Any) -> Press | None:
        code = frame.f_code
        if not code.co_filename.startswith(PACKAGE) or code.co_name == "__del__":
            # What is raised in the latter goes nowhere.
            return None
        if self._names and code.co_name not in self._names:
            return None
        frame.f_trace_opcodes, frame.f_trace_lines = True, False
        if event == "opcode":
            self._left -= 1
            if self._left < 0 and not self.pressed:
                self.pressed = True
                raise self._error
        return self


def stream(session: headway.InferenceSession, engine: FakeEngine, ordered: bool) -> None:
    items = session.stream([X] * 5, depth=3, ordered=ordered)
    for _ in range(2):
        engine.release()
        next(items)
    items.close()


def pipeline(session: headway.InferenceSession, engine: FakeEngine) -> None:
    with session.pipeline(depth=2) as pipe:
        pipe.push(X), pipe.push(X)
        for tag in range(2):
            engine.release()
            pipe.push(X, tag)


def run_pipeline(session: headway.InferenceSession, engine: FakeEngine) -> None:
    session.run_pipeline(X, 1)
    engine.release()
    for depth in (1, 2, 2):
        session.run_pipeline(X, depth)


async def source() -> AsyncIterator[Any]:
    for _ in range(5):
        yield X


def astream(session: headway.InferenceSession, engine: FakeEngine, ordered: bool) -> None:
    async def consume() -> None:
        async with aclosing(session.astream(source(), depth=3, ordered=ordered)) as items:
            for _ in range(2):
                engine.release()
                await anext(items)

    asyncio.run(consume())


def run_parallel(session: headway.InferenceSession, engine: FakeEngine) -> None:
    engine.release(2)
    session.run_parallel([X] * 2)


USES: dict[str, Callable[[headway.InferenceSession, FakeEngine], None]] = {
    "stream": partial(stream, ordered=True),
    "unordered stream": partial(stream, ordered=False),
    "astream": partial(astream, ordered=True),
    "unordered astream": partial(astream, ordered=False),
    "pipeline": pipeline,
    "run_pipeline": run_pipeline,
    "run_parallel": run_parallel,
}


def use(name: str, session: headway.InferenceSession, engine: FakeEngine, press: Press) -> None:
    try:
        sys.settrace(press)
        try:
            USES[name](session, engine)
        finally:
            sys.settrace(None)
    except (Alarm, KeyboardInterrupt, RuntimeError) as raised:
        # As when the program goes on after its handler. RuntimeError: an asynchronous generator that was interrupted is
        # said to be running still when it is closed.
        traceback.clear_frames(raised.__traceback__)


# An interrupt between a coroutine and the task that would await it.
@pytest.mark.filterwarnings("ignore:coroutine 'await_future' was never awaited:RuntimeWarning")
@pytest.mark.parametrize("error", [KeyboardInterrupt, Alarm])
@pytest.mark.parametrize("name", USES)
def test_nothing_runs_for_nobody(name: str, error: type[BaseException]) -> None:
    # Elsewhere an asynchronous generator is interrupted, or a callback of the loop's, which asyncio makes nothing of.
    names = ("_enter", "_task", "submit") if "astream" in name else ()
    number, press = 0, Press(sys.maxsize, error, names)
    while True:
        engine = FakeEngine(held=True)
        with headway.InferenceSession(engine) as session:
            # A request lasts until it is cancelled, but for those whose results are taken.
            use(name, session, engine, press)
            kept = 0
            if name == "run_pipeline":
                # Its frames are the session's, which drops them, and no others, for this one.
                session.run_pipeline(X, 7)
                kept = 1

            def in_flight(session: headway.InferenceSession = session, kept: int = kept) -> bool:
                stats = assert_conserved(session)
                return stats.waiting + stats.running <= kept

            until(in_flight, f"the end of what was submitted, interrupted at instruction {number}")
            session.close(drain=False)
        if number and not press.pressed:
            break
        press = Press(number, error, names)
        number += 1
    assert number > 50
