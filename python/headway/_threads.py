"""How many lanes and threads a session gets out of the process's budget."""

from __future__ import annotations

from typing import Literal, NamedTuple

from headway import _core
from headway._options import ExecutionMode, Hint, SessionOptions, Wait

#: Config entries that begin so are about the session's own threads.
_ABOUT_THREADS = (
    "session.intra_op",
    "session.inter_op",
    "session.dynamic_block_base",
    "session.force_spinning_stop",
)

#: Seconds that a thread spins before it parks. ``"auto"``: waking an idle core costs about as much. ``"spin"``: long
#: enough for a program that comes back with the next request at once.
_SPIN_SECONDS = {"auto": 30e-6, "park": 0.0, "spin": 1e-3}
#: A longer spin is a mistake in the unit.
_LONGEST_SPIN = 1.0


class Plan(NamedTuple):
    """How many lanes and threads a session gets."""

    #: Lanes with a worker thread.
    workers: int
    #: Further lanes for threads that wait in ``run()``.
    caller_lanes: int
    #: Threads that one request's operators may use.
    intra_op: int
    #: Whether the engine's threads spin while idle: only where one lane owns them.
    spinning: bool


def plan(hint: Hint, workers: int | None, budget: int, intra_op: int = 0, *, shared: bool = True) -> Plan:
    """Lanes and threads for a budget: explicit thread counts beat ``workers``, ``workers`` beats ``hint``.

    Lanes of one session share the engine's intra-op threads, so threads = lanes + intra_op - 1; where they do not
    (``shared``: lanes that are processes), threads = lanes * intra_op, and every lane has a worker.
    """
    if not shared:
        lanes = workers or (budget if hint == "throughput" else 1)
        return Plan(lanes, 0, intra_op or max(1, budget // lanes), lanes == 1)
    if workers is not None:
        chosen = Plan(workers, 0, max(1, budget - workers + 1), workers == 1)
    elif hint == "throughput":
        chosen = Plan(budget, 0, 1, budget == 1)
    else:
        chosen = Plan(1, budget - 1, budget, True)
    if intra_op > 0:
        chosen = Plan(chosen.workers, chosen.caller_lanes, intra_op, chosen.spinning)
    return chosen


def spin_seconds(wait: Wait, cores: int) -> float:
    """How long a thread of the session spins before it parks.

    The words spin on spare cores only: with one usable core, whoever spins keeps the thread that it waits for from
    running. A number is taken at its word.
    """
    if isinstance(wait, str):
        if wait not in _SPIN_SECONDS:
            words = ", ".join(map(repr, _SPIN_SECONDS))
            raise ValueError(f"wait: expected one of {words} or a number of seconds, got {wait!r}")
        return _SPIN_SECONDS[wait] if cores > 1 else 0.0
    if isinstance(wait, bool) or not isinstance(wait, int | float):
        words = ", ".join(map(repr, _SPIN_SECONDS))
        raise TypeError(f"wait: expected one of {words} or a number of seconds, got {type(wait).__name__}")
    if not 0 <= wait <= _LONGEST_SPIN:
        raise ValueError(f"wait: expected 0 to {_LONGEST_SPIN:g} seconds, got {wait!r}")
    return float(wait)


def pool_for(options: SessionOptions, plan: Plan) -> Literal["own", "shared_if_equal", "shared"]:
    """Whose threads run the operators: the process's shared pool, unless the options say how theirs should be.

    The shared pool spins, so it is not for lanes that must not.
    """
    if not options.use_per_session_threads:
        return "shared"
    explicit = (
        options.intra_op_num_threads > 0
        or options.inter_op_num_threads > 0
        or options.execution_mode == ExecutionMode.ORT_PARALLEL
        or any(key.startswith(_ABOUT_THREADS) for key in options._entries)
    )
    return "own" if explicit or not plan.spinning else "shared_if_equal"


def set_thread_budget(threads: int | None) -> None:
    """Set how many threads the process's sessions use in all; None is the usable cores, which is the default.

    Sessions made from now on plan with it; those that exist keep what they have. The first session makes a thread
    pool of this size, which every later session of the same width shares. A budget that is set after it gives later
    sessions pools of their own where their width differs from the pool's. A session of one thread needs no pool.

    Raises:
        TypeError: ``threads`` is not an int or None.
        ValueError: ``threads`` is less than 1.
    """
    if threads is not None and (isinstance(threads, bool) or not isinstance(threads, int)):
        raise TypeError(f"threads: expected a whole number or None, got {type(threads).__name__}")
    if threads is not None and threads < 1:
        raise ValueError(f"threads: expected at least 1, got {threads}")
    _core.set_thread_budget(threads)


def get_thread_budget() -> int:
    """How many threads the process's sessions use in all: what ``set_thread_budget`` said, or the usable cores."""
    return _core.thread_budget()
