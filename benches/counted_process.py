"""A child of `instructions`: the same calls again and again, on its own under callgrind.

    python counted_process.py MODEL CALLS

A line of the output is the name of what was counted. `os.getppid()` is the mark between two parts: nothing else here
calls it, and callgrind writes down what it has counted whenever it is entered. Imports as little as it can: under
callgrind everything takes fifty times as long.
"""

from __future__ import annotations

import os
import sys
from collections import deque
from collections.abc import Callable
from functools import partial
from itertools import repeat
from typing import Any

import numpy as np

import headway

WINDOW = 32


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


def main(model: str, calls: str) -> None:
    count = int(calls)
    feed = {"x": np.ones((1, 3), np.float32)}
    threads = headway.SessionOptions()
    threads.intra_op_num_threads = threads.inter_op_num_threads = 1
    with headway.InferenceSession(model, threads, workers=1, queue_depth=2 * WINDOW) as session:
        submit = partial(session.submit, feed)
        parts: dict[str, Callable[[int], None]] = {
            "run()": lambda count: _each(count, partial(session.run, None, feed)),
            "submit().result()": lambda count: _each(count, lambda: submit().result()),
            f"submit(), window {WINDOW}": lambda count: _window(count, submit),
        }
        for name, part in parts.items():
            part(100)
            os.getppid()
            part(count)
            os.getppid()
            print(name)


if __name__ == "__main__":
    main(*sys.argv[1:])
