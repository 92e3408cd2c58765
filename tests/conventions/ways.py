"""Every calling convention behind one face: start a request, ask later how it ended."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any

import headway

from ..support import PATIENCE


class Refusal(Exception):
    """`try_submit` gave a falsy `Refused`."""


class Told(Exception):
    """A callback was told of an error, of which it gets the text only."""


@dataclass
class Pending:
    """A call under way on a thread of its own."""

    thread: threading.Thread
    ended: list[Any]

    def outcome(self) -> Any:
        """The outputs, or the exception."""
        self.thread.join(PATIENCE)
        assert not self.thread.is_alive(), "the call hangs"
        return self.ended[0]


Call = Callable[..., Any]


def on_thread(call: Call) -> Callable[..., Pending]:
    """Starts a blocking call on a thread of its own."""

    def start(session: headway.InferenceSession, feed: Any, **options: Any) -> Pending:
        ended: list[Any] = []

        def work() -> None:
            try:
                ended.append(call(session, feed, **options))
            except BaseException as error:
                ended.append(error)

        thread = threading.Thread(target=work)
        thread.start()
        return Pending(thread, ended)

    return start


def in_loop(call: Callable[..., Awaitable[Any]]) -> Call:
    """Runs a coroutine in an event loop of its own."""

    def blocking(session: headway.InferenceSession, feed: Any, **options: Any) -> Any:
        async def main() -> Any:
            return await call(session, feed, **options)

        return asyncio.run(main())

    return blocking


def run(session: headway.InferenceSession, feed: Any, **options: Any) -> Any:
    return session.run(None, feed, **options)


def run_async(session: headway.InferenceSession, feed: Any, **options: Any) -> Any:
    answers: list[Any] = []
    called = threading.Event()

    def callback(results: Any, user_data: Any, err: str) -> None:
        answers.append((results, user_data, err))
        called.set()

    given = session.run_async(None, feed, callback, "user data", **options)
    assert given is None
    assert called.wait(PATIENCE)
    [(results, user_data, err)] = answers
    assert user_data == "user data"
    assert isinstance(err, str)
    if err:
        assert results == []
        raise Told(err)
    return results


def submit(session: headway.InferenceSession, feed: Any, **options: Any) -> Any:
    return session.submit(feed, **options).result()


def exception(session: headway.InferenceSession, feed: Any, **options: Any) -> Any:
    future = session.submit(feed, **options)
    error = future.exception()
    if error is not None:
        raise error
    return future.result()


def try_submit(session: headway.InferenceSession, feed: Any, **options: Any) -> Any:
    future = session.try_submit(feed, **options)
    if isinstance(future, headway.Refused):
        assert not future
        raise Refusal(future.reason)
    return future.result()


def stream(session: headway.InferenceSession, feed: Any, **options: Any) -> Any:
    [outputs] = session.stream([feed], **options)
    return outputs


def unordered(session: headway.InferenceSession, feed: Any, **options: Any) -> Any:
    [outputs] = session.stream([feed], ordered=False, **options)
    return outputs


def yielding(session: headway.InferenceSession, feed: Any, **options: Any) -> Any:
    [item] = session.stream([feed], on_error="yield", **options)
    if isinstance(item, BaseException):
        raise item
    return item


async def awaiting(session: headway.InferenceSession, feed: Any, **options: Any) -> Any:
    return await session.submit(feed, **options)


async def arun(session: headway.InferenceSession, feed: Any, **options: Any) -> Any:
    return await session.arun(None, feed, **options)


async def asubmit(session: headway.InferenceSession, feed: Any, **options: Any) -> Any:
    return await (await session.asubmit(feed, **options))


async def astream(session: headway.InferenceSession, feed: Any, **options: Any) -> Any:
    [outputs] = [item async for item in session.astream([feed], **options)]
    return outputs


BLOCKING: dict[str, Call] = {
    "run": run,
    "run_async": run_async,
    "submit": submit,
    "exception": exception,
    "try_submit": try_submit,
    "stream": stream,
    "stream unordered": unordered,
    "stream on_error=yield": yielding,
    "await": in_loop(awaiting),
    "arun": in_loop(arun),
    "asubmit": in_loop(asubmit),
    "astream": in_loop(astream),
}
"""The conventions as plain calls that give outputs or raise."""

WAYS = {name: on_thread(call) for name, call in BLOCKING.items()}

NEVER_WAIT = {"try_submit", "await"}
"""Ways that never wait for room: `submit` on an event loop's thread does not either."""
