"""Cores: the first free one wins, weights, pinned schedules, and what uneven cores give together."""

from __future__ import annotations

import threading
from typing import Any

import numpy as np
import pytest

from .conftest import Open
from .standin import StandIn, echo


def x(number: float) -> dict[str, Any]:
    return {"x": np.full((1, 4), number, np.float32)}


def runs(standin: StandIn) -> list[tuple[int, int]]:
    """(core, number that was fed) of every run, in the order of their start."""
    return [(core, int(number)) for core, number in standin.stats()["counts"]["runs"]]


@pytest.mark.parametrize("schedule", [[0, 1, 2], [0, 0, 1], [2, 1, 2, 0]])
@pytest.mark.parametrize("each", [1, 2])
def test_a_pinned_schedule_is_kept(
    open_session: Open, standin: StandIn, schedule: list[int], each: int
) -> None:
    session = open_session(echo(), schedule=schedule, pin=True, threads_per_core=each)
    futures = [session.submit(x(number)) for number in range(30)]
    assert [future.result(30)[0][0, 0] for future in futures] == list(range(30))
    assert [session.run(None, x(number))[0][0, 0] for number in range(30, 40)] == list(range(30, 40))
    assert sorted(runs(standin), key=lambda run: run[1]) == [
        (schedule[number % len(schedule)], number) for number in range(40)
    ]


def test_pinned_requests_of_one_core_keep_their_order(open_session: Open, standin: StandIn) -> None:
    standin.control(cores=[1.0, 0.2, 1.0])
    session = open_session(echo(latency=0.001), schedule=[0, 1, 2], pin=True, session={"queue_depth": 64})
    done: list[int] = []
    every = threading.Event()

    def callback(results: Any, number: Any, error: str) -> None:
        done.append(number)
        if len(done) == 30:
            every.set()

    for number in range(30):
        session.run_async(None, x(number), callback, number)
    assert every.wait(30)
    assert done == list(range(30))
    for core in range(3):
        assert [number for at, number in runs(standin) if at == core] == list(range(core, 30, 3))


def test_callbacks_come_in_order_whichever_core_was_first(open_session: Open, standin: StandIn) -> None:
    standin.control(cores=[1.0, 0.3, 0.6])
    session = open_session(echo(latency=0.001), schedule=[0, 1, 2], session={"queue_depth": 64})
    done: list[int] = []
    every = threading.Event()

    def callback(results: Any, number: Any, error: str) -> None:
        done.append(int(results[0][0, 0]))
        if len(done) == 60:
            every.set()

    for number in range(60):
        session.run_async(None, x(number), callback, number)
    assert every.wait(30)
    assert done == list(range(60))


def test_free_cores_are_used_by_their_weight(open_session: Open, standin: StandIn) -> None:
    session = open_session(echo(), schedule=[0, 0, 2])
    for number in range(30):
        session.run(None, x(number))
    cores = [core for core, _ in runs(standin)]
    assert (cores.count(0), cores.count(1), cores.count(2)) == (20, 0, 10)
    lanes = session.stats().lanes
    assert [(lane.place, lane.runs) for lane in lanes] == [("core 0", 20), ("core 2", 10)]


SPEEDS = [1.0, 0.5, 0.25]


def makespan(open_session: Open, standin: StandIn, **options: Any) -> float:
    """Simulated seconds for 210 requests of 1 s at speed 1."""
    standin.control(cores=SPEEDS, simulate=(3, 210))
    session = open_session(echo(latency=1.0), schedule=[0, 1, 2], session={"queue_depth": 256}, **options)
    futures = [session.submit(x(number)) for number in range(210)]
    assert [future.result(60)[0][0, 0] for future in futures] == list(range(210))
    taken: float = standin.stats()["now"]
    return taken


def test_uneven_cores_give_the_sum_of_them(open_session: Open, standin: StandIn) -> None:
    # 210 requests at 1.75 a second: 120 s when no core ever waits.
    assert 120 <= makespan(open_session, standin) <= 120 / 0.95
    cores = [core for core, _ in runs(standin)]
    assert [abs(cores.count(core) - share) <= 2 for core, share in enumerate((120, 60, 30))] == [True] * 3
    busy = standin.stats()["busy"]
    assert min(busy) >= 0.95 * max(busy)


def test_bound_memory_uses_all_cores_too(open_session: Open, standin: StandIn) -> None:
    assert 120 <= makespan(open_session, standin, zero_copy=True, outputs="native") <= 120 / 0.95


def test_busy_shares_are_the_cores(open_session: Open, standin: StandIn) -> None:
    session = open_session(echo(latency=0.02), schedule=[0, 1])
    for future in [session.submit(x(number)) for number in range(10)]:
        future.result(30)
    busy = {lane.place: lane.busy for lane in session.stats().lanes}
    assert set(busy) == {"core 0", "core 1"}
    assert all(0 < share <= 1 for share in busy.values())


def test_contexts_are_never_shared_by_threads(open_session: Open, standin: StandIn) -> None:
    session = open_session(echo(), schedule=[0, 1, 2], threads_per_core=2, session={"queue_depth": 64})

    def hammer(base: int) -> None:
        for number in range(40):
            assert session.run(None, x(base + number))[0][0, 0] == base + number

    threads = [threading.Thread(target=hammer, args=(1000 * at,)) for at in range(6)]
    [thread.start() for thread in threads]
    futures = [session.submit(x(number)) for number in range(100)]
    assert [future.result(30)[0][0, 0] for future in futures] == list(range(100))
    [thread.join() for thread in threads]
    # The fixture looks for two threads inside one context.
    assert len(runs(standin)) == 340
