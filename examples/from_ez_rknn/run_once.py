"""One picture, one answer.

python run_once.py MODEL IMAGE
"""

import argparse
import sys

import numpy as np
import ztu_somemodelruntime_ez_rknn_async as ort
from PIL import Image


def main(model, image):
    session = ort.InferenceSession(model)
    node = session.get_inputs()[0]
    print(f"{node.name} {node.shape} -> {session.output_names}")
    height, width = node.shape[2:]
    pixels = np.asarray(Image.open(image).convert("RGB").resize((width, height)), np.float32)
    frame = np.ascontiguousarray(((pixels - 127.0) / 128.0).transpose(2, 0, 1)[None])
    scores = session.run(None, {node.name: frame})[0]
    print(f"top1={int(scores.argmax())}")


if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    parser.add_argument("model")
    parser.add_argument("image")
    try:
        main(**vars(parser.parse_args()))
    except Exception as error:
        sys.exit(f"[FAIL] {error}")
