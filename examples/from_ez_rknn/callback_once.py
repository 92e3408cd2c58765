"""One picture, its answer in a callback, an event that says so.

python callback_once.py MODEL IMAGE
"""

import argparse
import sys
import threading

import numpy as np
import ztu_somemodelruntime_ez_rknn_async as ort
from PIL import Image


def main(model, image):
    session = ort.InferenceSession(model)
    node = session.get_inputs()[0]
    height, width = node.shape[2:]
    pixels = np.asarray(Image.open(image).convert("RGB").resize((width, height)), np.float32)
    frame = np.ascontiguousarray(((pixels - 127.0) / 128.0).transpose(2, 0, 1)[None])

    there = threading.Event()

    def callback(results, name, error):
        if results is None:
            print(f"{name}: {error}")
        else:
            print(f"{name}: top1={int(results[0].argmax())}")
        there.set()

    session.run_async(None, {node.name: frame}, callback, user_data="picture")
    there.wait()


if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    parser.add_argument("model")
    parser.add_argument("image")
    try:
        main(**vars(parser.parse_args()))
    except Exception as error:
        sys.exit(f"[FAIL] {error}")
