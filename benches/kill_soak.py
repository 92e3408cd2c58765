"""`python -m benches.kill_soak [--kills N]`: kills process lanes under load; nothing else may be lost, nothing left."""

from __future__ import annotations

import argparse
import gc
import os
import random
import signal
import statistics
import sys
import threading
from pathlib import Path
from time import perf_counter, sleep
from typing import NamedTuple

import numpy as np
import psutil

import headway

from . import models

PATIENCE = 20.0
"""Seconds after which a lane that did not come back will not."""


class Left(NamedTuple):
    """What the process holds."""

    processes: int
    descriptors: int
    mappings: int
    memory: float


def _held() -> Left:
    gc.collect()
    process = psutil.Process()
    shared = Path("/proc/self/maps").read_text().count("headway-lane")
    return Left(len(process.children(True)), process.num_fds(), shared, process.memory_info().rss / 2**20)


class Load:
    """Threads that ask and compare."""

    def __init__(self, session: headway.InferenceSession, threads: int) -> None:
        self.session, self.stop = session, threading.Event()
        self.answered, self.crashed, self.wrong = 0, 0, 0
        self._lock = threading.Lock()
        self._threads = [threading.Thread(target=self._ask, args=(number,)) for number in range(threads)]
        for thread in self._threads:
            thread.start()

    def _ask(self, number: int) -> None:
        feed = {"x": np.full((1, 3), float(number), np.float32)}
        answered = crashed = wrong = 0
        while not self.stop.is_set():
            try:
                [answer] = self.session.run(None, feed)
            except headway.LaneCrashed:
                crashed += 1
            else:
                answered += 1
                wrong += bool((answer != 2 * number).any())
            if answered % 64 == 0:
                # The killer wants a turn too.
                sleep(0)
        with self._lock:
            self.answered += answered
            self.crashed += crashed
            self.wrong += wrong

    def end(self) -> None:
        """Waits for the threads."""
        self.stop.set()
        for thread in self._threads:
            thread.join()


def _kill_one(session: headway.InferenceSession, chance: random.Random) -> float:
    """Kills a lane's process at a moment of no meaning; seconds until every lane serves again."""
    sleep(chance.random() * 0.02)
    lane = chance.choice(session.stats().lanes)
    if lane.pid is None:
        return 0.0
    start = perf_counter()
    os.kill(lane.pid, signal.SIGKILL)
    while True:
        lanes = session.health().lanes
        if all(one.pid not in (None, lane.pid) or one.id != lane.id for one in lanes) and all(
            one.state in ("idle", "running") for one in lanes
        ):
            return perf_counter() - start
        if perf_counter() - start > PATIENCE:
            raise SystemExit(f"no service {PATIENCE} s after a kill: {session.health()}")
        sleep(0.001)


def soak(kills: int, lanes: int, seed: int) -> list[tuple[str, str, bool]]:
    """What is to hold, what was found, and whether it holds."""
    chance, model = random.Random(seed), models.tiny()
    with headway.InferenceSession(model.content, isolation="process", workers=lanes) as warm:
        warm.run(None, model.feed)
    before = _held()
    session = headway.InferenceSession(model.content, isolation="process", workers=lanes)
    load = Load(session, lanes + 1)
    gaps, middle = [], before
    for number in range(kills):
        gaps.append(_kill_one(session, chance))
        if number + 1 == max(kills // 10, 1):
            middle = _held()
    during = _held()
    load.end()
    stats, restarts = session.stats(), sum(lane.restarts for lane in session.health().lanes)
    session.close()
    del session, load.session
    after = _held()
    ended = stats.done + stats.failed + stats.expired + stats.cancelled
    slowest, usual, grown = max(gaps), statistics.median(gaps), during.memory - middle.memory
    return [
        ("kills", f"{kills}; lanes restarted {restarts} times", restarts == kills),
        ("requests", f"{stats.submitted} asked, {stats.done} answered", stats.submitted == ended),
        ("lost to kills", f"{stats.failed}, at most one a kill", stats.failed == load.crashed <= kills),
        ("wrong answers", f"{load.wrong}", load.wrong == 0),
        ("service back", f"after {usual:.3f} s, at most {slowest:.3f} s", slowest < 1),
        ("processes while it runs", f"{during.processes}", during.processes == lanes),
        ("processes left", f"{after.processes}", after.processes == before.processes),
        (
            "descriptors left",
            f"{after.descriptors - before.descriptors}",
            after.descriptors == before.descriptors,
        ),
        (
            "descriptors and mappings more than after a tenth",
            f"{during.descriptors - middle.descriptors}, {during.mappings - middle.mappings}",
            during.descriptors <= middle.descriptors and during.mappings <= middle.mappings + 2 * lanes,
        ),
        ("shared memory left", f"{after.mappings} mappings", after.mappings == before.mappings),
        (
            "memory since a tenth of the kills",
            f"{grown:+.1f} MB",
            grown < 8,
        ),
    ]


def main(arguments: list[str]) -> int:
    parser = argparse.ArgumentParser("python -m benches.kill_soak", description=__doc__)
    parser.add_argument("--kills", type=int, default=1000)
    parser.add_argument("--lanes", type=int, default=2)
    parser.add_argument("--seed", type=int, default=1)
    given = parser.parse_args(arguments)
    found = soak(given.kills, given.lanes, given.seed)
    for name, value, met in found:
        print(f"{'ok  ' if met else 'FAIL'} {name}: {value}")
    return 0 if all(met for _, _, met in found) else 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
