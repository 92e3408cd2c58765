"""A long signal in overlapping windows: as many requests in flight as there is room for, results in order.

python examples/stream_windows.py model.onnx
"""

import argparse
import sys
from collections.abc import Iterator

import numpy as np

import headway


def windows(signal: np.ndarray, length: int, hop: int) -> Iterator[np.ndarray]:
    """Views of the signal; each is copied when it is submitted."""
    for start in range(0, len(signal) - length + 1, hop):
        yield signal[None, start : start + length]


def main(model: str) -> None:
    signal = np.sin(np.arange(3000, dtype=np.float32) / 10)
    with headway.InferenceSession(model, hint="throughput") as session:
        length = session.get_inputs()[0].shape[-1]
        assert isinstance(length, int), "the model's window length must be fixed"
        peaks = [float(y.max()) for (y,) in session.stream(windows(signal, length, hop=length // 2 or 1))]
        print(f"{len(peaks)} windows, highest {max(peaks):.3f}")
        run = session.stats().run
        print(f"the model took {run.p50 * 1e6:.0f} us (median) of {run.count} runs")


if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    parser.add_argument("model")
    try:
        main(**vars(parser.parse_args()))
    except (headway.HeadwayError, OSError) as error:
        sys.exit(f"[FAIL] {error}")
