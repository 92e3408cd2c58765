"""A source that does not wait: frames come at a fixed pace, the newest count, results go to a callback.

python examples/camera_callback.py model.onnx [frames]
"""

import argparse
import sys
import time
from typing import Any

import numpy as np

import headway

FRAME_SECONDS = 1 / 100


def show(results: list[Any], frame: int, err: str) -> None:
    """Runs on the session's delivery thread, in the order of the frames; a dropped frame has an ``err``."""
    print(f"frame {frame}: {err or results[0].shape}")


def main(model: str, frames: int) -> None:
    # Room for one frame: a frame that still waits when the next one comes is too old to be of use.
    with headway.InferenceSession(model, queue_depth=1, overflow="drop_oldest") as session:
        shape = [size if isinstance(size, int) else 1 for size in session.get_inputs()[0].shape]
        frame = np.zeros(shape, np.float32)
        start = time.monotonic()
        for number in range(frames):
            frame[:] = number  # the camera's own buffer, filled again and again
            session.run_async(None, frame, show, number)
            time.sleep(max(0.0, start + (number + 1) * FRAME_SECONDS - time.monotonic()))
    stats = session.stats()
    print(f"submitted={stats.submitted} done={stats.done} dropped={sum(stats.dropped.values())}")


if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    parser.add_argument("model")
    parser.add_argument("frames", type=int, nargs="?", default=20)
    try:
        main(**vars(parser.parse_args()))
    except (headway.HeadwayError, OSError) as error:
        sys.exit(f"[FAIL] {error}")
