"""Frames through a pipeline of depth 3 over three cores, and its end.

python pipeline.py MODEL IMAGE
"""

import argparse
import sys

import numpy as np
import ztu_somemodelruntime_ez_rknn_async as ort
from PIL import Image

DEPTH, FRAMES = 3, 12


def main(model, image):
    session = ort.InferenceSession(model, provider_options={"schedule": [0, 1, 2]})
    node = session.get_inputs()[0]
    height, width = node.shape[2:]
    pixels = np.asarray(Image.open(image).convert("RGB").resize((width, height)), np.float32)
    picture = ((pixels - 127.0) / 128.0).transpose(2, 0, 1)[None]

    answers = []
    for number in range(FRAMES + DEPTH):
        # The last frames only push out the answers before them.
        frame = np.roll(picture, 4 * min(number, FRAMES - 1), axis=3)
        results = session.run_pipeline([np.ascontiguousarray(frame)], depth=DEPTH)
        if results is None:
            print(f"frame {number}: filling")
        else:
            answers.append(int(results[0].argmax()))
    print(f"{len(answers)} answers, top1 of the first: {answers[0]}")


if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    parser.add_argument("model")
    parser.add_argument("image")
    try:
        main(**vars(parser.parse_args()))
    except Exception as error:
        sys.exit(f"[FAIL] {error}")
