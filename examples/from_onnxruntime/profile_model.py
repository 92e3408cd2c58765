"""Which operators a model spends its time in: ONNX Runtime's profile, read back.

python profile_model.py MODEL [RUNS]
"""

import argparse
import collections
import json
import os
import sys
import tempfile

import numpy as np
import onnxruntime as ort

DTYPES = {"tensor(float)": np.float32, "tensor(int64)": np.int64}


def some_input(node):
    """Ones: any value will do, and every open dimension is 4."""
    shape = [size if isinstance(size, int) else 4 for size in node.shape]
    return np.ones(shape, DTYPES[node.type])


def main(model, runs):
    with tempfile.TemporaryDirectory() as folder:
        options = ort.SessionOptions()
        options.enable_profiling = True
        options.profile_file_prefix = os.path.join(folder, "profile")
        session = ort.InferenceSession(model, options, providers=["CPUExecutionProvider"])
        feed = {node.name: some_input(node) for node in session.get_inputs()}
        for _ in range(runs):
            session.run(None, feed)
        written = session.end_profiling()
        print("in the folder:", os.path.dirname(written) == folder, os.path.splitext(written)[1])
        with open(written, encoding="utf-8") as file:
            events = json.load(file)
        started = session.get_profiling_start_time_ns()
        del session

    print("started:", started > 0)
    print("runs:", sum(event["name"] == "model_run" for event in events))
    calls, spent = collections.Counter(), collections.Counter()
    for event in events:
        if event.get("cat") == "Node" and event["name"].endswith("_kernel_time"):
            calls[event["args"]["op_name"]] += 1
            spent[event["args"]["op_name"]] += event["dur"]
    for operator, count in sorted(calls.items()):
        print(f"{operator:24} {count:4} calls")
    print("time was measured:", sum(spent.values()) > 0)


if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    parser.add_argument("model")
    parser.add_argument("runs", type=int, nargs="?", default=3)
    try:
        main(**vars(parser.parse_args()))
    except Exception as error:
        # onnxruntime's errors have no base class of their own.
        sys.exit(f"[FAIL] {error}")
