"""Push / pull: a producer thread pushes frames, the main thread pulls one line each.

    python run_inference_async.py --model PATH [--image PATH] [--n 4]

Without --image every frame is a grey 224x224 picture. Ends with the tally and [OK], or with [FAIL] and status 1.
"""

from __future__ import annotations

import argparse
import sys
import threading

import numpy as np

import headway


def frame(image: str | None, size: int = 224) -> np.ndarray:
    """One NCHW float32 frame: the picture, stretched, or grey."""
    if image is None:
        return np.full((1, 3, size, size), 0.5, np.float32)
    from PIL import Image

    with Image.open(image) as opened:
        pixels = np.asarray(opened.convert("RGB").resize((size, size)), np.float32)
    return np.ascontiguousarray(((pixels - 127) / 128).transpose(2, 0, 1)[None])


def main() -> int:
    parser = argparse.ArgumentParser()
    parser.add_argument("--model", required=True)
    parser.add_argument("--image")
    parser.add_argument("--n", type=int, default=4)
    args = parser.parse_args()
    try:
        feed = frame(args.image)
        # `sample`: a feed that does not fit the model fails here, not later in the producer.
        with headway.InferenceSession(args.model) as session, session.open(queue_depth=4, sample=feed) as run:

            def produce() -> None:
                try:
                    for _ in range(args.n):
                        run.push(feed)
                except headway.SessionClosed:
                    pass  # the consumer has given up
                finally:
                    # Whatever happens here: without it the consumer would wait for ever.
                    run.close_input()

            producer = threading.Thread(target=produce)
            producer.start()
            for sample in run:
                scores = next(iter(sample.data.values()))
                print(f"frame {sample.frame_id}: top1={int(np.argmax(scores))}")
            producer.join()
            tally = run.tally
    except (headway.HeadwayError, OSError, ImportError) as error:
        print(f"[FAIL] {error}")
        return 1
    print(tally)
    print("[OK]" if tally.pushed == tally.pulled == args.n else "[FAIL] not every frame came back")
    return 0 if tally.pulled == args.n else 1


if __name__ == "__main__":
    sys.exit(main())
