"""What is written on a picture: one model finds the lines, another reads each of them.

python read_text.py DETECTION RECOGNITION PICTURE
"""

import argparse
import sys

import numpy as np
import onnxruntime as ort
from PIL import Image


def as_input(picture):
    """`[1, 3, height, width]`, blue first, -1 to 1."""
    pixels = np.asarray(picture.convert("RGB"), np.float32)[:, :, ::-1]
    return np.ascontiguousarray((pixels / 127.5 - 1).transpose(2, 0, 1)[None])


def find_lines(session, picture):
    """Boxes `(left, top, right, bottom)` of lines of text, from top to bottom."""
    sides = [max(32, round(2 * side / 32) * 32) for side in picture.size]
    grown = picture.resize(sides, Image.Resampling.BICUBIC)
    chances = session.run(None, {session.get_inputs()[0].name: as_input(grown)})[0][0, 0]
    across, down = (side / grown for side, grown in zip(picture.size, sides, strict=True))
    boxes = []
    for rows in stretches((chances > 0.3).any(axis=1)):
        if rows.stop - rows.start <= 3:
            continue
        # The map shows the middle of a line: the letters reach beyond it.
        margin = (rows.stop - rows.start) // 2
        top, bottom = (rows.start - margin) * down, (rows.stop + margin) * down
        for columns in stretches((chances[rows] > 0.3).any(axis=0), gap=24):
            boxes.append(((columns.start - margin) * across, top, (columns.stop + margin) * across, bottom))
    return boxes


def stretches(marked, gap=1):
    """Slices where `marked` is true, joined over gaps of fewer than `gap` places."""
    found = []
    for place in np.flatnonzero(marked):
        if found and place - found[-1].stop < gap:
            found[-1] = slice(found[-1].start, int(place) + 1)
        else:
            found.append(slice(int(place), int(place) + 1))
    return found


def read_line(session, picture, letters):
    """The text and how sure the model is of it."""
    width = max(48, round(48 * picture.width / picture.height / 8) * 8)
    line = as_input(picture.resize((width, 48), Image.Resampling.BICUBIC))
    chances = session.run(None, {session.get_inputs()[0].name: line})[0][0]
    best = chances.argmax(axis=1)
    # A letter that goes on is told apart from a double one by a blank (0) between the two.
    new = (best != 0) & (best != np.concatenate([[0], best[:-1]]))
    sure = chances.max(axis=1)[new].mean() if new.any() else 0.0
    return "".join(letters[number] for number in best[new]), sure


def main(detection, recognition, path):
    finder = ort.InferenceSession(detection, providers=["CPUExecutionProvider"])
    reader = ort.InferenceSession(recognition, providers=["CPUExecutionProvider"])
    alphabet = reader.get_modelmeta().custom_metadata_map["character"].splitlines()
    letters = ["", *alphabet, " "]
    print(f"{len(letters)} letters")

    picture = Image.open(path)
    for box in find_lines(finder, picture):
        text, sure = read_line(reader, picture.crop([round(edge) for edge in box]), letters)
        print(f"{sure:.4f}  {text}")


if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    parser.add_argument("detection")
    parser.add_argument("recognition")
    parser.add_argument("path", metavar="picture")
    try:
        main(**vars(parser.parse_args()))
    except Exception as error:
        # onnxruntime's errors have no base class of their own.
        sys.exit(f"[FAIL] {error}")
