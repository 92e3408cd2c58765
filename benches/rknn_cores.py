"""Uneven cores of the stand-in NPU: what a schedule gives of their sum, in real time; pinned for comparison.

``python -m benches.rknn_cores`` builds the stand-in with cargo. A run takes 8 ms on the fastest core.
"""

from __future__ import annotations

import argparse
import os
import time

import numpy as np
from tests.engines.rknn.standin import StandIn, echo

import headway

SPEEDS = [1.0, 0.7, 0.4]
LATENCY = 0.008


def throughput(standin: StandIn, requests: int, **options: object) -> float:
    """Requests a second."""
    standin.control(reset=True, cores=SPEEDS)
    engine_options = {"library": standin.path, "schedule": [0, 1, 2], **options}
    frames = [np.full((1, 4), number, np.float32) for number in range(requests)]
    with headway.InferenceSession(
        echo(latency=LATENCY), engine_options=engine_options, queue_depth=16
    ) as session:
        begin = time.perf_counter()
        for number, (answer,) in enumerate(session.stream(frames)):
            assert answer[0, 0] == number
        return requests / (time.perf_counter() - begin)


def main() -> None:
    """Print a line for each way."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--requests", type=int, default=600)
    requests = parser.parse_args().requests
    standin = StandIn()
    most = sum(SPEEDS) / LATENCY
    print(
        f"cores of speed {SPEEDS}, {LATENCY * 1e3:g} ms a run: {most:.0f}/s at most; {os.cpu_count()} host CPUs"
    )
    for name, options in (("first free", {}), ("zero copy", {"zero_copy": True}), ("pinned", {"pin": True})):
        rate = throughput(standin, requests, **options)
        print(f"{name:<12} {rate:7.1f}/s  {rate / most:.3f} of the sum")


if __name__ == "__main__":
    main()
