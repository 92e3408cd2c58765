"""A model in float16 beside the same model in float32.

python half_precision.py HALF SINGLE
"""

import argparse
import sys

import numpy as np
import onnxruntime as ort


def main(half, single):
    options = ort.SessionOptions()
    options.graph_optimization_level = ort.GraphOptimizationLevel.ORT_ENABLE_ALL
    sessions = [ort.InferenceSession(path, options) for path in (half, single)]
    for session in sessions:
        node = session.get_inputs()[0]
        print(node.name, node.type, node.shape, session.get_outputs()[0].type)

    pixels = np.random.default_rng(3).random((2, 3, 16, 16), np.float32)
    name = sessions[0].get_inputs()[0].name
    (small,) = sessions[0].run(None, {name: pixels.astype(np.float16)})
    (large,) = sessions[1].run(None, {name: pixels})
    print(small.dtype, small.shape, large.dtype, large.shape)
    for row in small:
        print(" ".join(f"{value:.4f}" for value in row.astype(np.float32)))
    print("close:", np.allclose(small.astype(np.float32), large, atol=2e-2))
    print("same classes:", (small.argmax(axis=1) == large.argmax(axis=1)).all())

    # Nothing is converted on the way in.
    try:
        sessions[0].run(None, {name: pixels})
    except Exception as error:
        print(type(error).__name__, "tensor(float16)" in str(error))

    value = ort.OrtValue.ortvalue_from_numpy(pixels.astype(np.float16))
    binding = sessions[0].io_binding()
    binding.bind_ortvalue_input(name, value)
    binding.bind_output(sessions[0].get_outputs()[0].name, element_type=np.float16)
    sessions[0].run_with_iobinding(binding)
    (bound,) = binding.copy_outputs_to_cpu()
    print("bound:", value.data_type(), bound.dtype, (bound == small).all())


if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    parser.add_argument("half")
    parser.add_argument("single")
    try:
        main(**vars(parser.parse_args()))
    except Exception as error:
        # onnxruntime's errors have no base class of their own.
        sys.exit(f"[FAIL] {error}")
