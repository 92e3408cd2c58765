"""``health()``: whether a session can answer, and what is wrong if it cannot."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, Literal

from headway import _core
from headway._checks import seconds
from headway._errors import InputError
from headway._record import Record

if TYPE_CHECKING:
    from headway.session import InferenceSession

State = Literal["ok", "degraded", "failed", "closed"]


class LaneHealth(Record):
    """One lane."""

    #: Its number.
    id: int
    #: ``"idle"``, ``"running"``, ``"stalled"`` (running for longer than ``stall_after``), ``"overrun"`` (its
    #: request has ended, its engine has not returned), ``"starting"`` (its process loads the model), ``"stopped"`` (its
    #: processes only crash, so none is started for a while), ``"closed"``.
    state: str
    #: The process it lives in; None while there is none.
    pid: int | None
    #: How often its process was replaced; 0 for a lane that is a thread.
    restarts: int
    #: Seconds that it has been busy with what it runs now; None while it runs nothing.
    running_for: float | None


class Health(Record):
    """What ``health()`` found. True where the session answers."""

    #: ``"ok"``; ``"degraded"``: some lanes cannot run a request now; ``"failed"``: none can, or the canary failed;
    #: ``"closed"``.
    state: State
    #: Each lane.
    lanes: tuple[LaneHealth, ...]
    #: What went wrong last with a lane's process, or the canary's error; None when nothing did.
    last_error: str | None
    #: Seconds that the canary took; None without one, and when it failed.
    canary: float | None

    def __bool__(self) -> bool:
        return self.state in ("ok", "degraded")


def _lane(
    line: Mapping[str, Any], process: tuple[str, int | None, int] | None, stall_after: float | None
) -> LaneHealth:
    state, busy = line["state"], line["running_for"]
    if state == "running" and busy is not None and stall_after is not None and busy > stall_after:
        state = "stalled"
    if process is not None and process[0] != "ready" and state != "closed":
        # A request may wait on the lane for its process: the lane runs, and cannot.
        state = process[0]
    return LaneHealth(
        id=line["id"],
        state=state,
        pid=line["pid"],
        restarts=0 if process is None else process[2],
        running_for=busy,
    )


def probe(session: InferenceSession, found: Health, feed: Any, timeout: float | None) -> Health:
    """The same, after a canary.

    Raises:
        InputError: The canary's feed is wrong, or none can be made up.
    """
    timeout = seconds("timeout", timeout)
    if feed is None:
        from headway._warmup import zeros

        feed = zeros(session.get_inputs())
    start = time.perf_counter()
    try:
        session.run(None, feed, timeout=timeout)
    except (InputError, TypeError):
        # The call is wrong, which says nothing of the session.
        raise
    except Exception as error:
        said = f"the canary failed: {type(error).__name__}: {error}"
        return Health(state="failed", lanes=found.lanes, last_error=said, canary=None)
    took = time.perf_counter() - start
    # It was answered, so whatever was seen before, some lane is able.
    state: State = "degraded" if found.state == "failed" else found.state
    return Health(state=state, lanes=found.lanes, last_error=found.last_error, canary=took)


def look(session: _core.Session, stall_after: float | None) -> Health:
    """What can be seen without running a request."""
    stall_after = seconds("stall_after", stall_after)
    here, closing = session._state()
    if not here or closing:
        return Health(state="closed", lanes=(), last_error=None, canary=None)
    lines = session._stats()["lanes"]
    found = _core.lane_processes(session) if hasattr(_core, "lane_processes") else None
    processes: Sequence[tuple[str, int | None, int] | None] = [None] * len(lines)
    trouble = None
    if found is not None:
        processes, trouble = found
    lanes = tuple(_lane(line, process, stall_after) for line, process in zip(lines, processes, strict=False))
    able = sum(lane.state in ("idle", "running") for lane in lanes)
    state: State = "ok" if able == len(lanes) else "degraded" if able else "failed"
    if state == "failed" and any(lane.state == "starting" for lane in lanes):
        # In a moment it answers.
        state = "degraded"
    return Health(state=state, lanes=lanes, last_error=trouble, canary=None)
