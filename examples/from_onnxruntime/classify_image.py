"""What is on a picture: an ImageNet classifier such as EfficientNet-Lite0.

python classify_image.py MODEL PICTURE [LABELS]
"""

import argparse
import json
import sys

import numpy as np
import onnxruntime as ort
from PIL import Image


def preprocess(path, height, width):
    """The middle of the picture, as the model was trained to see it: `[1, 3, height, width]`, about -1 to 1."""
    picture = Image.open(path).convert("RGB")
    scale = 256 / min(picture.size)
    picture = picture.resize([round(side * scale) for side in picture.size], Image.Resampling.BILINEAR)
    left, top = (picture.width - width) // 2, (picture.height - height) // 2
    pixels = np.asarray(picture.crop((left, top, left + width, top + height)), np.float32)
    return np.ascontiguousarray(((pixels - 127) / 128).transpose(2, 0, 1)[None])


def softmax(scores):
    exponents = np.exp(scores - scores.max(axis=-1, keepdims=True))
    return exponents / exponents.sum(axis=-1, keepdims=True)


def main(model, picture, labels):
    session = ort.InferenceSession(model, providers=ort.get_available_providers())
    image, scores = session.get_inputs()[0], session.get_outputs()[0]
    print(f"input {image.name} {image.type} {image.shape[1:]}, output {scores.name} {scores.type}")
    print(f"producer {session.get_modelmeta().producer_name!r} on {session.get_providers()[-1]}")

    _, _, height, width = image.shape
    found = session.run([scores.name], {image.name: preprocess(picture, height, width)})[0][0]
    chances = found if np.isclose(found.sum(), 1, atol=1e-3) else softmax(found)
    names = {}
    if labels:
        with open(labels, encoding="utf-8") as file:
            names = dict(enumerate(json.load(file)))
    for place in np.argsort(chances)[::-1][:5]:
        print(f"{chances[place]:8.5f}  {names.get(int(place), f'class {place}')}")


if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    parser.add_argument("model")
    parser.add_argument("picture")
    parser.add_argument("labels", nargs="?")
    try:
        main(**vars(parser.parse_args()))
    except Exception as error:
        # onnxruntime's errors have no base class of their own.
        sys.exit(f"[FAIL] {error}")
