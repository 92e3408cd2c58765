"""A child of `instructions`: the same calls again and again, on its own under callgrind.

    python counted_process.py MODEL CALLS

A line of the output is the name of what was counted. `os.getppid()` is the mark between two parts: nothing else here
calls it, and callgrind writes down what it has counted whenever it is entered. Imports as little as it can: under
callgrind everything takes fifty times as long.
"""

from __future__ import annotations

import os
import sys
import threading
from collections import deque
from collections.abc import Callable
from functools import partial
from itertools import repeat
from typing import Any

import numpy as np

import headway

WINDOW = 32
BURST = 100


def _each(count: int, call: Callable[[], object]) -> None:
    for _ in repeat(None, count):
        call()


def _window(count: int, submit: Callable[[], Any]) -> None:
    window = deque(submit() for _ in range(WINDOW))
    for _ in range(count - WINDOW):
        window.popleft().result()
        window.append(submit())
    while window:
        window.popleft().result()


def _bursts(count: int, start: Callable[[Callable[..., None]], object]) -> None:
    for _ in range(count // BURST):
        arrived, ended = 0, threading.Event()

        def callback(*_: object) -> None:
            nonlocal arrived
            arrived += 1
            if arrived == BURST:
                ended.set()  # noqa: B023 - the burst ends before the next is made

        for _ in range(BURST):
            start(callback)
        ended.wait()


def main(model: str, calls: str) -> None:
    count = int(calls)
    feed = {"x": np.ones((1, 3), np.float32)}
    threads = headway.SessionOptions()
    threads.intra_op_num_threads = threads.inter_op_num_threads = 1
    with headway.InferenceSession(model, threads, workers=1, queue_depth=2 * BURST) as session:
        submit = partial(session.submit, feed)
        parts: dict[str, Callable[[int], None]] = {
            "run()": lambda count: _each(count, partial(session.run, None, feed)),
            "submit().result()": lambda count: _each(count, lambda: submit().result()),
            f"submit(), window {WINDOW}": lambda count: _window(count, submit),
            "prepare(): call.run()": lambda count: _each(count, session.prepare(feed).run),
            f"run_async(), bursts of {BURST}": lambda count: _bursts(
                count, partial(session.run_async, None, feed)
            ),
        }
        for name, part in parts.items():
            part(100)
            os.getppid()
            part(count)
            os.getppid()
            print(name)


if __name__ == "__main__":
    main(*sys.argv[1:])
