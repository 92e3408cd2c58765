"""Every way to call a session, in one form: feeds in, the answers in the feeds' order."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable, Iterable
from typing import Any

import headway

Feed = dict[str, Any]
Answer = list[Any]
Convention = Callable[[headway.InferenceSession, Iterable[Feed]], list[Answer]]

PATIENCE = 60.0
"""Seconds after which an answer that must come did not come."""


def by_run(session: headway.InferenceSession, feeds: Iterable[Feed]) -> list[Answer]:
    return [session.run(None, feed) for feed in feeds]


def by_run_async(session: headway.InferenceSession, feeds: Iterable[Feed]) -> list[Answer]:
    """Two feeds are on their way at once, so that an answer can be mistaken for another's."""
    answers: dict[int, Answer] = {}
    errors: list[str] = []
    ended = threading.Semaphore(0)

    def callback(results: Answer, number: int, error: str) -> None:
        answers[number] = results
        if error:
            errors.append(error)
        ended.release()

    count = 0
    for count, feed in enumerate(feeds, 1):
        session.run_async(None, feed, callback, count)
        if count > 1:
            assert ended.acquire(timeout=PATIENCE)
    assert not count or ended.acquire(timeout=PATIENCE)
    assert not errors
    return [answers[number] for number in sorted(answers)]


def by_submit(session: headway.InferenceSession, feeds: Iterable[Feed]) -> list[Answer]:
    futures = [session.submit(feed) for feed in feeds]
    return [future.result(PATIENCE) for future in futures]


def by_await(session: headway.InferenceSession, feeds: Iterable[Feed]) -> list[Answer]:
    async def main() -> list[Answer]:
        return [await future for future in [await session.asubmit(feed) for feed in feeds]]

    return asyncio.run(main())


def by_arun(session: headway.InferenceSession, feeds: Iterable[Feed]) -> list[Answer]:
    async def main() -> list[Answer]:
        return await asyncio.gather(*(session.arun(None, feed) for feed in feeds))

    return asyncio.run(main())


def by_stream(session: headway.InferenceSession, feeds: Iterable[Feed]) -> list[Answer]:
    return list(session.stream(feeds))


def by_astream(session: headway.InferenceSession, feeds: Iterable[Feed]) -> list[Answer]:
    async def main() -> list[Answer]:
        return [answer async for answer in session.astream(feeds)]

    return asyncio.run(main())


CONVENTIONS: dict[str, Convention] = {
    "run": by_run,
    "run_async": by_run_async,
    "submit": by_submit,
    "await": by_await,
    "arun": by_arun,
    "stream": by_stream,
    "astream": by_astream,
}
