"""The conventions that are built on the native ones, as plain calls that give outputs or raise."""

from __future__ import annotations

from typing import Any

import headway

from ..conventions.ways import Call, in_loop, on_thread
from ..support import PATIENCE

Session = headway.InferenceSession


def run_pipeline(session: Session, feed: Any, **options: Any) -> Any:
    assert session.run_pipeline(feed, depth=1, **options) is None
    [outputs] = session.drain_pipeline()
    return outputs


def pipeline(session: Session, feed: Any, **options: Any) -> Any:
    with session.pipeline(depth=1, **options) as pipe:
        assert pipe.push(feed, tag="tag") is None
        [frame] = pipe
    assert frame.tag == "tag"
    return frame.outputs


def run_parallel(session: Session, feed: Any, **options: Any) -> Any:
    [outputs] = session.run_parallel([feed], **options)
    return outputs


async def arun_parallel(session: Session, feed: Any, **options: Any) -> Any:
    [outputs] = await session.arun_parallel([feed], **options)
    return outputs


def run_batch(session: Session, feed: Any, **options: Any) -> Any:
    return session.run_batch(None, feed, **options)


def wait(session: Session, feed: Any, **options: Any) -> Any:
    future = session.submit(feed, **options)
    done, not_done = headway.wait([future], timeout=PATIENCE)
    assert (done, not_done) == ({future}, set())
    return future.result(timeout=0)


def as_completed(session: Session, feed: Any, **options: Any) -> Any:
    [future] = headway.as_completed([session.submit(feed, **options)], timeout=PATIENCE)
    return future.result(timeout=0)


def one_by_one(session: Session, feed: Any, **options: Any) -> Any:
    [outputs] = session.stream(iter([feed]), depth=1, **options)
    return outputs


async def astream_unordered(session: Session, feed: Any, **options: Any) -> Any:
    [outputs] = [item async for item in session.astream([feed], ordered=False, **options)]
    return outputs


async def astream_yielding(session: Session, feed: Any, **options: Any) -> Any:
    async def feeds() -> Any:
        yield feed

    [item] = [item async for item in session.astream(feeds(), on_error="yield", **options)]
    if isinstance(item, BaseException):
        raise item
    return item


BUILT: dict[str, Call] = {
    "run_pipeline": run_pipeline,
    "pipeline": pipeline,
    "run_parallel": run_parallel,
    "arun_parallel": in_loop(arun_parallel),
    "run_batch": run_batch,
    "wait": wait,
    "as_completed": as_completed,
    "stream depth=1": one_by_one,
    "astream unordered": in_loop(astream_unordered),
    "astream on_error=yield": in_loop(astream_yielding),
}

BUILT_WAYS = {name: on_thread(call) for name, call in BUILT.items()}
