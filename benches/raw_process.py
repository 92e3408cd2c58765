"""A child of `saturation`: plain onnxruntime with one thread, in a process of its own.

    python -m benches.raw_process MODEL FEED.npz SECONDS

Says `ready`, waits for a line, runs for so long, and prints how many runs a second it made.
"""

from __future__ import annotations

import sys
from pathlib import Path
from time import perf_counter

import numpy as np

from . import models


def main(model: str, feed: str, seconds: str) -> None:
    with np.load(feed) as file:
        inputs = {name: file[key] for key, name in zip(file.files[1:], file["names"], strict=True)}
    session = models.theirs(models.Model("", Path(model), inputs))
    for _ in range(3):
        session.run(None, inputs)
    print("ready", flush=True)
    sys.stdin.readline()
    count, start = 0, perf_counter()
    while (now := perf_counter()) < start + float(seconds):
        session.run(None, inputs)
        count += 1
    print(count / (now - start))


if __name__ == "__main__":
    main(*sys.argv[1:])
