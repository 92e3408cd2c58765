"""Callables that a lane's process can import. What they do is chosen by the first number of their input."""

from __future__ import annotations

import ctypes
import os
import subprocess
import threading
from typing import Any

import numpy as np

import headway

SEGFAULT, EXIT, HANG, RAISE, KEEP, GROW, FORK, START = -1.0, -2.0, -3.0, -4.0, -5.0, -6.0, -7.0, -8.0

kept: list[Any] = []


def double(feed: dict[str, Any]) -> list[Any]:
    """``y = 2 x``."""
    return [feed["x"] * 2]


def same(feed: dict[str, Any]) -> dict[str, Any]:
    """The input itself: the very memory that the request came in."""
    return {"y": feed["x"]}


def unkind(feed: dict[str, Any]) -> list[Any]:
    """``y = 2 x``, or what the first number asks for."""
    what = float(feed["x"].ravel()[0])
    if what == SEGFAULT:
        ctypes.string_at(0)
    if what == EXIT:
        os._exit(7)
    if what == HANG:
        threading.Event().wait()
    if what == RAISE:
        raise KeyError("no")
    if what == KEEP:
        kept.append(feed["x"])
        return [np.array([one.ravel()[1] for one in kept])]
    if what == GROW:
        kept.append(np.ones(30 << 20, np.uint8))
    if what == FORK and os.fork() == 0:
        os._exit(0)
    if what == START:
        subprocess.run(["sleep", "600"], check=True)
    return [feed["x"] * 2]


def lone(feed: dict[str, Any]) -> list[Any]:
    """A text that has no bytes."""
    return [np.array(["\ud800"], object)]


def several(feed: dict[str, Any]) -> list[Any]:
    """Sum and difference of two inputs, and a text."""
    return [feed["a"] + feed["b"], feed["a"] - feed["b"], np.array(["text", "größer"])]


def objects(feed: dict[str, Any]) -> list[Any]:
    """Something that is no array."""
    return [{"x": feed["x"]}]


def pid(feed: dict[str, Any]) -> list[Any]:
    """Which process this is, and what it has of the program that started it."""
    import sys

    return [np.array([os.getpid(), os.getpgrp(), len(sys.stdin.read()), "pytest" in sys.modules])]


class Scaled(headway.Engine):
    """``y = factor x``, an engine with state for each lane."""

    name = "scaled"
    inputs = (("x", "float32", ["n"]),)
    outputs = (("y", "float32", ["n"]),)

    def __init__(self, factor: float = 3.0) -> None:
        self.factor = factor

    def open_lane(self, number: int) -> headway.Lane:
        """A lane that knows its process."""
        return ScaledLane(self.factor)


class ScaledLane(headway.Lane):
    """One lane."""

    def __init__(self, factor: float) -> None:
        self.factor = factor

    def run(self, feed: dict[str, Any], output_names: list[str]) -> Any:
        """The scaled input, or an exit for a negative one."""
        if feed["x"][0] < 0:
            os._exit(3)
        return [feed["x"] * np.float32(self.factor)]


class Once(headway.Engine):
    """An engine that only the first process can load; the others raise, or end."""

    name = "once"
    inputs = (("x", "float32", ["n"]),)
    outputs = (("y", "float32", ["n"]),)

    def __init__(self, path: str, status: int | None) -> None:
        try:
            os.close(os.open(path, os.O_CREAT | os.O_EXCL))
        except FileExistsError:
            if status is not None:
                os._exit(status)
            raise RuntimeError("there is room for one") from None

    def open_lane(self, number: int) -> headway.Lane:
        """A lane."""
        return ScaledLane(1.0)


class Names:
    """Something callable that cannot be imported by name, and a function that can."""

    @staticmethod
    def inner(feed: dict[str, Any]) -> list[Any]:
        """``y = x``."""
        return [feed["x"]]

    def method(self, feed: dict[str, Any]) -> list[Any]:
        """Bound to an object of this process."""
        return [feed["x"]]


def doubling(feed: dict[str, Any]) -> dict[str, Any]:
    """Twice `x` and its rows' sums; a first number of -1 fails, one of 1e6 takes a while."""
    first = float(feed["x"][0, 0])
    if first == -1.0:
        raise ValueError("ill")
    if first == 1e6:
        threading.Event().wait(5)
    return {"y": feed["x"] * 2, "sum": feed["x"].sum(1)}
