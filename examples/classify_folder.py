"""Classify every .jpg of a folder; the next pictures are read while the model runs.

python examples/classify_folder.py model.onnx folder/
"""

import argparse
import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np
from PIL import Image

import headway

MEAN = np.array([0.485, 0.456, 0.406], np.float32)
STD = np.array([0.229, 0.224, 0.225], np.float32)


def read(path: Path, height: int, width: int) -> np.ndarray:
    """The picture as one NCHW batch, normalised as ImageNet models want it."""
    with Image.open(path) as picture:
        pixels = np.asarray(picture.convert("RGB").resize((width, height)), np.float32) / 255
    return np.ascontiguousarray(((pixels - MEAN) / STD).transpose(2, 0, 1)[None])


def main(model: str, folder: str) -> None:
    paths = sorted(Path(folder).glob("*.jpg"))
    if not paths:
        raise FileNotFoundError(f"no .jpg in {folder}")
    with headway.InferenceSession(model, hint="throughput") as session:
        shape = session.get_inputs()[0].shape
        height, width = (size if isinstance(size, int) else 224 for size in shape[2:])

        def feeds() -> Iterator[np.ndarray]:
            for path in paths:
                yield read(path, height, width)

        for path, (scores,) in zip(paths, session.stream(feeds()), strict=True):
            print(f"{path.name}: class {int(scores.argmax())}")


if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    parser.add_argument("model")
    parser.add_argument("folder")
    try:
        main(**vars(parser.parse_args()))
    except (headway.HeadwayError, OSError) as error:
        sys.exit(f"[FAIL] {error}")
