"""Ten pictures at once, collected under a lock, in the order of submission or as they are done.

python ten_callbacks.py MODEL IMAGE
"""

import argparse
import sys
import threading

import numpy as np
import ztu_somemodelruntime_ez_rknn_async as ort
from PIL import Image

COUNT = 10


def collect(model, image, sequential):
    options = ort.make_provider_options(schedule=[0, 1, 2], sequential_callbacks=sequential)
    session = ort.InferenceSession(model, provider_options=options)
    node = session.get_inputs()[0]
    height, width = node.shape[2:]
    pixels = np.asarray(Image.open(image).convert("RGB").resize((width, height)), np.float32)
    frame = np.ascontiguousarray(((pixels - 127.0) / 128.0).transpose(2, 0, 1)[None])

    lock, there, found = threading.Lock(), threading.Event(), []

    def callback(results, number, error):
        with lock:
            found.append((number, error or int(results[0].argmax())))
            if len(found) == COUNT:
                there.set()

    for number in range(COUNT):
        # Every second picture is mirrored.
        shown = frame[..., ::-1] if number % 2 else frame
        session.run_async(None, [np.ascontiguousarray(shown)], callback, number)
    there.wait()
    return found


def main(model, image):
    in_order = collect(model, image, True)
    print("in order:", in_order == sorted(in_order))
    as_done = collect(model, image, False)
    print("the same answers:", sorted(as_done) == in_order)
    print("top1:", [top for _, top in in_order])


if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    parser.add_argument("model")
    parser.add_argument("image")
    try:
        main(**vars(parser.parse_args()))
    except Exception as error:
        sys.exit(f"[FAIL] {error}")
