"""What ``stats()``, ``close()`` and ``future.timing`` give: frozen records."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from headway._record import Record


class Timing(Record):
    """Where a request spent its time, in seconds on its session's clock."""

    #: When it was submitted.
    submitted: float
    #: When a lane took it; None if none did.
    started: float | None
    #: When its outcome was known; None while it is not.
    ended: float | None


class Histogram(Record):
    """Durations in seconds; quantiles are right to about 6 %."""

    count: int
    mean: float
    p50: float
    p90: float
    p99: float
    p999: float
    max: float


class LaneStats(Record):
    """One lane."""

    #: Its number.
    id: int
    #: ``"idle"``, ``"running"``, ``"overrun"`` (its request ended before the engine returned), ``"hung"`` (it did
    #: not return for so long that it was given up) or ``"closed"``.
    state: str
    #: Requests (or batches) it has run.
    runs: int
    #: Share of the session's life that it was busy, 0 to 1.
    busy: float
    #: The process it lives in; None while a process lane has none.
    pid: int | None
    #: Seconds that it has been busy with what it runs now; None while it runs nothing.
    running_for: float | None
    #: False for a lane that only threads waiting in ``run()`` use.
    worker: bool
    #: Where it runs: ``"core 1"``; empty where the engine does not say.
    place: str


class Counters(Record):
    """How requests ended. At every instant ``submitted`` is the sum of all below it down to ``undelivered``."""

    #: Tickets given.
    submitted: int
    #: Ended well and handed over.
    done: int
    #: The engine failed on them.
    failed: int
    #: Dropped, by reason.
    dropped: dict[str, int]
    #: Their timeout passed.
    expired: int
    #: Cancelled.
    cancelled: int
    #: Waiting now.
    waiting: int
    #: Running now.
    running: int
    #: Ended, but their callback has not returned.
    undelivered: int
    #: Calls that raised before a ticket existed (not in the sum).
    rejected: int
    #: Callbacks that raised (not in the sum).
    callback_errors: int


class ThreadStats(Record):
    """Threads that a session may use."""

    #: Threads that the process's sessions were to use in all when this one was made.
    budget: int
    #: Threads of one operator, the lane's own included; 0 where the engine chose.
    intra_op: int
    #: True when they are the process's shared pool's, False when the session has its own.
    shared: bool
    #: Lanes: requests that may run at once.
    lanes: int


class BatchingStats(Record):
    """Dynamic batching: what it did, and what it knows of the group of requests that runs most."""

    #: False while requests are not joined because it does not pay, and while that is tried again.
    enabled: bool
    #: Runs that were started, those of one request included.
    runs: int
    #: Requests a run, on average.
    mean_size: float
    #: Runs by why they started with what they had: ``"full"``, ``"delay"``, ``"deadline"``, ``"idle"`` (nobody else was
    #: expected in the time that a larger batch saves), ``"closing"``, ``"alone"``, ``"off"``, ``"shared"`` (a lane took
    #: its share, the rest is for the others).
    released: dict[str, int]
    #: Seconds that a run takes by its size in rows: 1, 2, 4, 8, ...; where that is known.
    cost: dict[int, float]
    #: Why requests are not joined; None while they are.
    off_reason: str | None


class Stats(Counters):
    """A session's state, taken in one look."""

    #: Each lane.
    lanes: tuple[LaneStats, ...]
    #: From submission to start.
    queue: Histogram
    #: On the lane.
    run: Histogram
    #: From the end to the callback's return.
    delivery: Histogram
    #: From submission to the end (to the callback's return, where there is one).
    total: Histogram
    #: Counters of each stream key.
    streams: dict[str | int, Counters]
    #: Totals of stream keys that were idle and made room.
    folded: Counters
    #: Dynamic batching; None on a session without it.
    batching: BatchingStats | None
    #: Threads that it may use.
    threads: ThreadStats


class NodeTiming(Record):
    """What one node of a model took in one request."""

    #: The node's name.
    node: str
    #: Its operation: ``"Convolution"``.
    kind: str
    #: How the device ran it: ``"jit_avx512_f32"``.
    execution: str
    #: ``"NOT_RUN"``, ``"OPTIMIZED_OUT"`` or ``"EXECUTED"``.
    status: str
    #: Microseconds from its begin to its end.
    real_us: int
    #: Microseconds of the host's CPU.
    cpu_us: int


class CloseReport(Record):
    """What ``close()`` did."""

    #: True when everything that was admitted ran to its own end.
    drained: bool
    #: Requests that were cancelled.
    cancelled: int
    #: Lanes whose engine did not return in time, or whose process did not end; they are left to themselves.
    abandoned: tuple[int, ...]
    #: False when callbacks had not all returned in time, or when ``close()`` was called by one of them.
    delivered: bool


def stats_from(raw: Mapping[str, Any], threads: ThreadStats, places: Sequence[str] = ()) -> Stats:
    """The record of what the native core counted."""
    values = dict(raw)
    values["lanes"] = tuple(
        LaneStats(**lane, place=places[at] if at < len(places) else "")
        for at, lane in enumerate(values["lanes"])
    )
    for name in ("queue", "run", "delivery", "total"):
        values[name] = Histogram(**values[name])
    values["streams"] = {key: Counters(**counters) for key, counters in values["streams"].items()}
    values["folded"] = Counters(**values["folded"])
    values["batching"] = values["batching"] and BatchingStats(**values["batching"])
    values["threads"] = threads
    return Stats(**values)
