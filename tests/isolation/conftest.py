"""Sessions of process lanes, and a look at what is left of their processes."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

import headway

from ..support import until
from . import calls

Make = Callable[..., headway.InferenceSession]


def children() -> set[int]:
    """Every process that this one has started and not waited for, zombies too."""
    found: set[int] = set()
    for task in Path("/proc/self/task").iterdir():
        try:
            found.update(int(one) for one in (task / "children").read_text().split())
        except OSError:
            continue
    return found


def gone(pid: int) -> bool:
    """True when there is no such process; a zombie is none that runs."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0] in "ZX"
    except OSError:
        return True


def pids(session: headway.InferenceSession) -> list[int]:
    """The processes of the session's lanes."""
    return [lane.pid for lane in session.stats().lanes if lane.pid is not None]


def serving(session: headway.InferenceSession) -> bool:
    """True when every lane has a process that takes requests."""
    lanes = session.health().lanes
    return all(lane.pid and lane.state in ("idle", "running") and not gone(lane.pid) for lane in lanes)


@pytest.fixture
def unkind(leaks: None) -> Iterator[Make]:
    """Makes sessions on the callable that does what it is asked; nothing of them may be left behind."""
    before = children()
    made: list[headway.InferenceSession] = []

    def make(**options: Any) -> headway.InferenceSession:
        session = headway.InferenceSession(
            calls.unkind, inputs=["x"], outputs=["y"], isolation="process", **options
        )
        made.append(session)
        return session

    yield make
    for session in made:
        session.close(drain=False)
    until(lambda: not children() - before, f"the end of the processes {children() - before}")
    assert os.getpid() not in children()
