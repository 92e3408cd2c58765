"""`python -m benches.kill_soak [--kills N]`: kills process lanes under load; nothing else may be lost, nothing left."""

from __future__ import annotations

import argparse
import gc
import json
import os
import random
import signal
import sys
import threading
from collections import deque
from collections.abc import Callable
from pathlib import Path
from time import perf_counter, sleep
from typing import Any, NamedTuple

import numpy as np
import psutil

import headway

from . import machine
from .isolation import relu
from .mixed_soak import heap_that_gives_back
from .progress import Progress

PATIENCE = 20.0
"""Seconds after which a lane that did not come back will not."""

BOUND = 1.0
"""Seconds within which every lane is to serve again."""

LOOKS = 10
"""Looks at what the process holds, over all the kills."""

SIZES = (3, 300_000)
"""Numbers in a request: such as are copied out of shared memory, and such as stay in it while the caller has them."""

HELD = 4
"""Answers that each thread keeps, over later kills too."""


class Left(NamedTuple):
    """What the process holds."""

    kills: int
    processes: int
    descriptors: int
    mappings: int
    #: Of its shared memory, and of all, in MB.
    shared: float
    memory: float


def _held(kills: int, give_back: Callable[[], object]) -> Left:
    gc.collect()
    # Large answers come and go in the heaps of many threads: what malloc keeps of them is held by nobody.
    give_back()
    process = psutil.Process()
    lines = [line for line in Path("/proc/self/maps").read_text().splitlines() if "headway-lane" in line]
    ends = [[int(end, 16) for end in line.split()[0].split("-")] for line in lines]
    shared = sum(end - start for start, end in ends) / 2**20
    # Zombies are children too.
    children = len(process.children(recursive=True))
    return Left(kills, children, process.num_fds(), len(lines), shared, process.memory_info().rss / 2**20)


class Load:
    """Threads that ask, compare, and hold some answers for a while."""

    def __init__(self, session: headway.InferenceSession, threads: int) -> None:
        self.session, self.stop = session, threading.Event()
        self.answered, self.crashed, self.wrong = 0, 0, 0
        self._lock = threading.Lock()
        self._threads = [threading.Thread(target=self._ask, args=(number,)) for number in range(threads)]
        for thread in self._threads:
            thread.start()

    def _ask(self, number: int) -> None:
        feed = {"x": np.full(SIZES[number % len(SIZES)], float(number + 1), np.float32)}
        held: deque[Any] = deque()
        answered = crashed = wrong = 0
        while not self.stop.is_set():
            try:
                [answer] = self.session.run(None, feed)
            except headway.LaneCrashed:
                crashed += 1
            else:
                answered += 1
                held.append(answer)
            if len(held) > HELD:
                wrong += bool((held.popleft() != number + 1).any())
            if answered % 64 == 0:
                # The killer wants a turn too.
                sleep(0)
        wrong += sum(bool((answer != number + 1).any()) for answer in held)
        with self._lock:
            self.answered += answered
            self.crashed += crashed
            self.wrong += wrong

    def end(self) -> None:
        """Waits for the threads."""
        self.stop.set()
        for thread in self._threads:
            thread.join()


def _serves(lane: Any) -> bool:
    return lane.pid is not None and lane.state in ("idle", "running")


def _kill_one(session: headway.InferenceSession, chance: random.Random) -> tuple[int, float]:
    """Kills a lane's process at a moment of no meaning: its pid, and seconds until every lane serves again."""
    sleep(chance.random() * 0.02)
    lane = chance.choice(session.health().lanes)
    assert lane.pid is not None, "every lane serves before a kill"
    start = perf_counter()
    os.kill(lane.pid, signal.SIGKILL)
    while True:
        lanes = session.health().lanes
        if all(_serves(one) for one in lanes) and lane.pid not in {one.pid for one in lanes}:
            return lane.pid, perf_counter() - start
        if perf_counter() - start > PATIENCE:
            raise SystemExit(f"no service {PATIENCE} s after a kill: {session.health()}")
        sleep(0.001)


class Found(NamedTuple):
    """What there was to see."""

    gaps: list[float]
    looks: list[Left]
    #: What is to hold, what was found, and whether it holds.
    checks: list[tuple[str, str, bool]]


def _is_lane(pid: int) -> bool:
    """True for a lane's process, not for whatever has its number by now."""
    try:
        return "headway._lane" in psutil.Process(pid).cmdline()
    except (psutil.NoSuchProcess, psutil.ZombieProcess):
        return False


def _flat(looks: list[Left], lanes: int) -> tuple[str, bool]:
    """Whether the process holds no more than after the first look, beside what lies in the callers' hands just then."""
    first, last = looks[0], looks[-1]
    descriptors, mappings = last.descriptors - first.descriptors, last.mappings - first.mappings
    grown = last.memory - first.memory
    # A lane's mappings come as its answers do; none of a former process stays.
    flat = descriptors <= 0 and mappings <= 16 * lanes and grown < 12
    return f"{descriptors:+} descriptors, {mappings:+} mappings, {grown:+.1f} MB", flat


def soak(kills: int, lanes: int, seed: int, progress: Progress) -> Found:
    """Kills processes of a session under load."""
    chance, model, each = random.Random(seed), relu(), max(kills // LOOKS, 1)
    one, give_back = {"x": np.ones(3, np.float32)}, heap_that_gives_back()
    with headway.InferenceSession(model, isolation="process", workers=lanes) as warm:
        warm.run(None, one)
    before = _held(0, give_back)
    session = headway.InferenceSession(model, isolation="process", workers=lanes)
    load = Load(session, 2 * lanes)
    gaps: list[float] = []
    looks: list[Left] = []
    killed: list[int] = []
    for number in range(1, kills + 1):
        pid, gap = _kill_one(session, chance)
        killed.append(pid)
        gaps.append(gap)
        if number % each == 0:
            looks.append(_held(number, give_back))
        progress.tell(f"kill {number} of {kills}, {load.session.stats().done} answers")
    load.end()
    stats, restarts = session.stats(), sum(lane.restarts for lane in session.health().lanes)
    session.close()
    del session, load.session
    after = _held(kills, give_back)
    ended = stats.done + stats.failed + stats.expired + stats.cancelled
    p50, p99 = np.percentile(gaps, [50, 99])
    alive = [pid for pid in killed if _is_lane(pid)]
    flat, is_flat = _flat(looks, lanes)
    running = sorted({look.processes for look in looks})
    checks = [
        ("kills", f"{kills}; lanes restarted {restarts} times", restarts == kills),
        ("requests", f"{stats.submitted} asked, {stats.done} answered", stats.submitted == ended),
        ("lost to kills", f"{stats.failed}, at most one a kill", stats.failed == load.crashed <= kills),
        ("wrong answers", f"{load.wrong}", load.wrong == 0),
        ("service back", f"p50 {p50:.3f} s, p99 {p99:.3f} s, max {max(gaps):.3f} s", max(gaps) < BOUND),
        ("processes while it runs", f"{running}", running == [lanes]),
        ("killed processes left", f"{len(alive)}", not alive),
        ("processes left", f"{after.processes - before.processes}", after.processes == before.processes),
        (
            "descriptors left",
            f"{after.descriptors - before.descriptors}",
            after.descriptors == before.descriptors,
        ),
        ("shared memory left", f"{after.mappings} mappings", after.mappings == before.mappings == 0),
        (f"from kill {looks[0].kills} to {looks[-1].kills}", flat, is_flat),
    ]
    return Found(gaps, [before, *looks, after], checks)


def main(arguments: list[str]) -> int:
    parser = argparse.ArgumentParser("python -m benches.kill_soak", description=__doc__)
    parser.add_argument("--kills", type=int, default=1000)
    parser.add_argument("--lanes", type=int, default=2)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--record", type=Path, help="a JSON file for every kill and every look")
    given = parser.parse_args(arguments)
    about = machine.describe([]) | {"command": " ".join(["python -m benches.kill_soak", *arguments])}
    # By experience: starting Python, the engine and the model.
    progress = Progress({"kill_soak": 0.25 * given.kills})
    progress.begin("kill_soak")
    found = soak(given.kills, given.lanes, given.seed, progress)
    seconds = progress.end()
    for name, value, met in found.checks:
        print(f"{'[OK]  ' if met else '[FAIL]'} {name}: {value}")
    if given.record:
        record = {
            **about,
            "seconds": round(seconds, 1),
            "recovery": [round(gap, 4) for gap in found.gaps],
            "looks": [look._asdict() for look in found.looks],
            "checks": [{"name": name, "value": value, "met": met} for name, value, met in found.checks],
        }
        given.record.write_text(json.dumps(record, indent=1) + "\n")
    return 0 if all(met for _, _, met in found.checks) else 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
