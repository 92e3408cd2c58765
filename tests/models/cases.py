"""Models with inputs of the kind they were made for."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont

from headway import _demo

from . import built
from .files import ROOT, path
from .speech import RATE, recording

Feed = dict[str, Any]


class Case(NamedTuple):
    """A model and several feeds of different content, and where it can be of different shape."""

    name: str
    model: Callable[[], bytes | Path]
    feeds: Callable[[], list[Feed]]


def _rows(*counts: int) -> list[NDArray[np.float32]]:
    numbers = np.random.default_rng(7)
    return [numbers.standard_normal((count, 3), np.float32) for count in counts]


def _photographs() -> list[Feed]:
    """The demo's photographs as EfficientNet-Lite0 was trained to see them."""
    feeds = []
    for file in sorted(_demo.picture_folder().glob("*.jpg")):
        with Image.open(file) as picture:
            pixels = np.asarray(picture.convert("RGB").resize((224, 224)), np.float32)
        feeds.append({"input": ((pixels - 127) / 128).transpose(2, 0, 1)[None].copy()})
    return feeds


def _lines_of_text() -> list[Feed]:
    """Pictures of written lines, each as wide as its text."""
    feeds = []
    for text in (
        "go",
        "headway",
        "bit for bit",
        "every convention over one flow",
        "42",
        "The quick brown fox",
    ):
        font = ImageFont.load_default(32)
        width = 8 * (int(font.getlength(text)) // 8 + 3)
        picture = Image.new("RGB", (width, 48), "white")
        ImageDraw.Draw(picture).text((8, 4), text, "black", font)
        pixels = np.asarray(picture, np.float32) / 127.5 - 1
        feeds.append({"x": pixels.transpose(2, 0, 1)[None].copy()})
    return feeds


def _sentences() -> list[Feed]:
    """Word numbers of MiniLM's vocabulary between its start (101) and end (102), one sentence padded."""
    numbers = np.random.default_rng(11)
    feeds = []
    for length, padding in ((5, 0), (12, 0), (3, 4), (32, 0)):
        ids = np.zeros((1, length + padding + 2), np.int64)
        ids[0, : length + 2] = [101, *numbers.integers(1996, 28_000, length), 102]
        mask = (ids != 0).astype(np.int64)
        feeds.append({"input_ids": ids, "attention_mask": mask, "token_type_ids": np.zeros_like(ids)})
    return feeds


def _voices() -> list[Feed]:
    """Stretches of recorded speech, and the range of pitches to look for."""
    limits = {"fmin": np.array(46.875, np.float32), "fmax": np.array(2093.75, np.float32)}
    stretches = ((2.0, 1.0), (10.0, 0.5), (20.0, 1.5))
    samples = [recording()[int(start * RATE) : int((start + length) * RATE)] for start, length in stretches]
    return [{"audio": one[None], **limits} for one in samples]


def _beginnings_and_ends() -> list[Feed]:
    """The first and last 1,024 bytes of files of this repository, filled up with 256."""
    feeds = []
    for name in ("pyproject.toml", "Cargo.lock", "tests/models/cases.py", "rustfmt.toml"):
        content = np.frombuffer((ROOT / name).read_bytes().strip(), np.uint8)
        values = np.full((1, 2048), 256, np.int32)
        head, tail = content[:1024], content[-1024:]
        values[0, : len(head)] = head
        values[0, 2048 - len(tail) :] = tail
        feeds.append({"bytes": values})
    return feeds


def _words() -> list[Feed]:
    pairs = [
        (["cat"], ["s"]),
        (["dog", "grüße", ""], ["", "n", "empty"]),
        (["none", "", "cat"], ["日本", "\U0001f431", "x"]),
    ]
    return [{"left": np.array(left, object), "right": np.array(right, object)} for left, right in pairs]


def _doubles() -> list[Feed]:
    numbers = np.random.default_rng(5)
    return [{"x": numbers.standard_normal((rows, 8))} for rows in (1, 3, 17)]


CASES = (
    Case("tiny", built.tiny, lambda: [{"x": rows} for rows in _rows(1, 4, 0, 33)]),
    Case("lite0", _demo.model_file, _photographs),
    Case("ocr", lambda: path("ocr_recognition.onnx"), _lines_of_text),
    Case("minilm", lambda: path("minilm_int8.onnx"), _sentences),
    Case("swift_f0", lambda: path("swift_f0.onnx"), _voices),
    Case("magika", lambda: path("magika.onnx"), _beginnings_and_ends),
    Case("words", built.words, _words),
    Case("doubles", built.doubles, _doubles),
)
