"""What a process lane costs beside a lane in this process: a round trip, by the size of input and output.

All memory is warm on all sides: the caller's array, what the lanes hand out and take back, and both buffers of the bare
copies were used before, and the page faults that a request takes are counted, in the caller and in the process. The
copies are one thread's, on one core, of the same array; a request's cross from one core to another.
"""

from __future__ import annotations

import resource
import statistics
from collections.abc import Callable
from functools import partial
from pathlib import Path
from time import perf_counter
from typing import Any

import numpy as np
from onnx import TensorProto, helper

import headway

from .figures import Check, Figure, Result
from .rounds import Effort, collect, interleave, note

OVERHEAD_US = 60.0
"""What a round trip may take more than on a thread, beside one copy of the data each way."""

SIZES = {"12 bytes": 3, "1 MB": 2**18, "10 MB": 10 * 2**18}
"""Elements of the input, and of the output."""


def _run(session: headway.InferenceSession, array: Any) -> None:
    session.run(None, [array])


def _submit(session: headway.InferenceSession, array: Any) -> None:
    session.submit([array]).result()


WAYS = {"run": _run, "submit": _submit}


def relu() -> bytes:
    """`y = max(x, 0)`: as many numbers out as in."""
    ends = [helper.make_tensor_value_info(name, TensorProto.FLOAT, ["n"]) for name in ("x", "y")]
    graph = helper.make_graph([helper.make_node("Relu", ["x"], ["y"])], "relu", ends[:1], ends[1:])
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    content: bytes = model.SerializeToString()
    return content


def _p50(count: int, call: Callable[[], object]) -> float:
    times = []
    for _ in range(count):
        start = perf_counter()
        call()
        times.append(perf_counter() - start)
    return statistics.median(times) * 1e6


def _faults(pid: int) -> int:
    """Page faults of this process and of that one, since they began."""
    there = Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()
    return resource.getrusage(resource.RUSAGE_SELF).ru_minflt + int(there[7])


def _copies(array: Any) -> Callable[[], None]:
    """One copy each way, into memory that was used before."""
    there, back = np.empty_like(array), np.empty_like(array)

    def copy() -> None:
        np.copyto(there, array)
        np.copyto(back, there)

    return copy


def measure(effort: Effort) -> Result:
    """`run()` and `submit().result()` on one lane, the thread's and the process's interleaved."""
    model, result = relu(), Result("isolation")
    options: dict[str, Any] = {"workers": 1, "sess_options": headway.SessionOptions()}
    options["sess_options"].intra_op_num_threads = 1
    with (
        headway.InferenceSession(model, **options) as threads,
        headway.InferenceSession(model, isolation="process", **options) as processes,
    ):
        for size, elements in SIZES.items():
            array = np.random.default_rng(7).standard_normal(elements, np.float32)
            count = effort.pick(20, 2_000 if elements < 1000 else 60_000_000 // array.nbytes)
            contenders: dict[str, Callable[[], float]] = {
                f"{way} {name}": partial(_p50, count, partial(call, session, array))
                for way, call in WAYS.items()
                for name, session in (("process", processes), ("thread", threads))
            }
            contenders["copies"] = partial(_p50, count, _copies(array))
            found = collect(effort, partial(interleave, contenders))
            note(found, result.settings)
            copies = statistics.median(one["copies"] for one in found.values)
            [lane] = processes.stats().lanes
            assert lane.pid is not None
            before = _faults(lane.pid)
            _p50(100, partial(_run, processes, array))
            faults = (_faults(lane.pid) - before) / 100
            result.checks.append(
                Check(f"run, {size}: page faults a request", f"{faults:.2f}", "< 1: warm memory", faults < 1)
            )
            for way in WAYS:
                ours = [one[f"{way} process"] for one in found.values]
                base = [one[f"{way} thread"] for one in found.values]
                result.figures.append(Figure(f"{way}, {size}", ours, base, "a lane that is a thread"))
                more = statistics.median(a - b for a, b in zip(ours, base, strict=True))
                bound = OVERHEAD_US + copies
                result.checks.append(
                    Check(
                        f"{way}, {size}: p50 beyond a thread's",
                        f"{more:.1f} us",
                        f"< {OVERHEAD_US:.0f} us + {copies:.1f} us for two copies",
                        effort.quick or more < bound,
                    )
                )
    return result
