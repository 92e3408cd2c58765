"""Where somebody speaks in a recording: a voice activity detector that keeps a state between its calls.

    python detect_speech.py MODEL RECORDING

The recording is a 16-bit mono WAV file at 16 kHz.
"""

import argparse
import sys
import wave

import numpy as np
import onnxruntime as ort

RATE, STEP, CONTEXT = 16_000, 512, 64


class Detector:
    """silero-vad: hands the state that came out of a call to the next one, and the last samples with it."""

    def __init__(self, model):
        options = ort.SessionOptions()
        options.inter_op_num_threads = 1
        options.intra_op_num_threads = 1
        self.session = ort.InferenceSession(model, sess_options=options, providers=["CPUExecutionProvider"])
        self.reset()

    def reset(self):
        self.state = np.zeros((2, 1, 128), np.float32)
        self.context = np.zeros((1, CONTEXT), np.float32)

    def __call__(self, samples):
        window = np.concatenate([self.context, samples[None]], axis=1)
        feed = {"input": window, "state": self.state, "sr": np.array(RATE, np.int64)}
        chance, self.state = self.session.run(None, feed)
        self.context = window[:, -CONTEXT:]
        return float(chance[0, 0])


def main(model, path):
    with wave.open(path) as file:
        samples = np.frombuffer(file.readframes(RATE * 20), np.int16).astype(np.float32) / 32768
    detector = Detector(model)
    chances = [detector(samples[place : place + STEP]) for place in range(0, len(samples) - STEP, STEP)]

    speaking, since = False, 0
    for number, chance in enumerate(chances):
        if chance >= (0.35 if speaking else 0.5):
            since = since if speaking else number
            speaking = True
        elif speaking:
            print(f"speech {since * STEP / RATE:6.2f} s to {number * STEP / RATE:6.2f} s")
            speaking = False
    print(f"{len(chances)} windows, mean {np.mean(chances):.6f}, highest {max(chances):.6f}")

    first = chances[:40]
    detector.reset()
    again = [detector(samples[place * STEP : (place + 1) * STEP]) for place in range(len(first))]
    print("the same after a reset:", first == again)


if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    parser.add_argument("model")
    parser.add_argument("path", metavar="recording")
    try:
        main(**vars(parser.parse_args()))
    except Exception as error:
        # onnxruntime's errors have no base class of their own.
        sys.exit(f"[FAIL] {error}")
