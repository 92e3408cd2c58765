"""What a session takes of the processor while nobody asks it for anything."""

from __future__ import annotations

import time
from typing import Any

import headway

from . import models
from .figures import Check, Result
from .rounds import Effort, usable_cores

SETTLE = 0.5
"""Seconds until whoever spins after work, the engine's threads too, has gone to sleep."""

BOUND = 1.0
"""Milliseconds of processor time: what the sleeping thread's own clocks and switches may take, and far under one tick
of a scheduler's clock."""


LOOKS = 3
"""The best of so many: who polls does so in each, who was late to go to sleep only in one."""


def _used_ms(seconds: float) -> float:
    """Processor time of the whole process, every thread of it, in milliseconds."""
    time.sleep(SETTLE)
    before = time.process_time()
    time.sleep(seconds)
    return (time.process_time() - before) * 1e3


def measure(effort: Effort) -> Result:
    """Sessions as `hint` makes them, after work has been through all of their lanes."""
    seconds, model = effort.pick(1, 10) / 2, models.tiny()
    result = Result("idle", settings={"seconds": seconds, "cores": usable_cores()})
    result.settings["without a session, ms"] = round(_used_ms(seconds), 3)
    kinds: list[dict[str, Any]] = [{"hint": "latency"}, {"hint": "throughput"}]
    kinds += [{"wait": wait} for wait in ("park", "spin", 0.01)]
    for kind in kinds:
        with headway.InferenceSession(model.content, queue_depth=100, **kind) as session:
            headway.wait([session.submit(model.feed) for _ in range(100)])
            session.run(None, model.feed)
            used = min(_used_ms(seconds) for _ in range(LOOKS))
        words = ", ".join(f"{key}={value!r}".replace("'", '"') for key, value in kind.items())
        name = f"processor time of an idle session, {words}"
        result.checks.append(Check(name, f"{used:.2f} ms in {seconds:g} s", f"< {BOUND:g} ms", used < BOUND))
    return result
