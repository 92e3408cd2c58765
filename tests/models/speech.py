"""A minute of recorded speech, and silero-vad's way of being called on it."""

from __future__ import annotations

import functools
import wave
from collections.abc import Generator
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .files import path

RATE = 16_000
SILERO = "silero_vad.onnx"
_CONTEXT, _CHUNK = 64, 512


@functools.cache
def recording() -> NDArray[np.float32]:
    """Recorded speech at 16 kHz, -1 to 1."""
    with wave.open(str(path("speech.wav"))) as file:
        assert (file.getframerate(), file.getnchannels(), file.getsampwidth()) == (RATE, 1, 2)
        samples = np.frombuffer(file.readframes(file.getnframes()), np.int16)
    return samples.astype(np.float32) / np.float32(32768)


def silero_feeds(chunks: int, start: float = 0.0) -> Generator[dict[str, Any], list[Any], None]:
    """The feeds of one recording as silero-vad's own code makes them: send each answer, get the next feed.

    The last 64 samples go in front of each 512 new ones, and the state that came out goes back in.
    """
    samples = recording()[int(start * RATE) :]
    rate = np.array(RATE, np.int64)
    state = np.zeros((2, 1, 128), np.float32)
    context = np.zeros((1, _CONTEXT), np.float32)
    for number in range(chunks):
        new = samples[None, number * _CHUNK : (number + 1) * _CHUNK]
        window = np.concatenate([context, new], axis=1)
        context = window[:, -_CONTEXT:]
        answer = yield {"input": window, "state": state, "sr": rate}
        state = answer[1]
