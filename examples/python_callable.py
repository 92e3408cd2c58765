"""A Python function in the place of a model: the same queue, deadlines and counters, and no model file.

python examples/python_callable.py
"""

import zlib
from concurrent.futures import CancelledError

import numpy as np

import headway


def compress(feed: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
    """Runs on one of the session's lanes. zlib releases the GIL, so that two lanes keep two cores busy."""
    return {"packed": np.frombuffer(zlib.compress(feed["raw"].tobytes(), 9), np.uint8)}


def main() -> None:
    random = np.random.default_rng(7)
    blocks = [random.integers(0, 4, 100_000, np.uint8) for _ in range(8)]
    with headway.InferenceSession(compress, inputs=["raw"], outputs=["packed"], workers=2) as session:
        futures = [session.submit(block, timeout=30.0) for block in blocks]
        futures[-1].cancel()
        for number, future in enumerate(futures):
            try:
                (packed,) = future.result()
                print(f"block {number}: {blocks[number].nbytes} -> {packed.nbytes} bytes")
            except CancelledError:
                print(f"block {number}: cancelled")
        stats = session.stats()
    print(f"submitted={stats.submitted} done={stats.done} cancelled={stats.cancelled}")


if __name__ == "__main__":
    main()
