"""Ending a run that takes too long, from another thread.

    python terminate_run.py MODEL

The model multiplies a square matrix by itself `count` times.
"""

import argparse
import sys
import threading
import time

import numpy as np
import onnxruntime as ort


def run_for(session, feed, seconds):
    """The outputs, or None when they were not there in time."""
    options = ort.RunOptions()
    options.logid = "limited"

    def terminate():
        options.terminate = True

    watch = threading.Timer(seconds, terminate)
    watch.start()
    try:
        return session.run(None, feed, options)
    except Exception as error:
        # onnxruntime's errors have no base class of their own.
        print(f"{type(error).__name__}: {error}")
        return None
    finally:
        watch.cancel()


def main(model):
    options = ort.SessionOptions()
    # Fatal only: a run that is ended on purpose is no error to report.
    options.log_severity_level = 4
    session = ort.InferenceSession(model, options, providers=["CPUExecutionProvider"])
    matrix = np.eye(64, dtype=np.float32)

    short = run_for(session, {"matrix": matrix, "count": np.array(3, np.int64)}, 60)
    print("a short one:", short[0].shape, f"{short[0].trace():.1f}")

    started = time.monotonic()
    long = run_for(session, {"matrix": matrix, "count": np.array(10**9, np.int64)}, 0.3)
    waited = time.monotonic() - started
    print("a long one:", long, "in time:", waited < 20)

    # The session goes on; a flag that is set stays set until it is taken back.
    options = ort.RunOptions()
    options.terminate = True
    try:
        session.run(None, {"matrix": matrix, "count": np.array(3, np.int64)}, options)
    except Exception as error:
        print(f"{type(error).__name__}: {error}")
    options.terminate = False
    (again,) = session.run(None, {"matrix": 2 * matrix, "count": np.array(2, np.int64)}, options)
    print("again:", f"{again.trace():.1f}")


if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    parser.add_argument("model")
    try:
        main(**vars(parser.parse_args()))
    except Exception as error:
        # onnxruntime's errors have no base class of their own.
        sys.exit(f"[FAIL] {error}")
