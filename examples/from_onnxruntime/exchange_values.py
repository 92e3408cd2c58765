"""Values that stay where they are: OrtValue, DLPack both ways, updates in place, outputs made before.

    python exchange_values.py MODEL

The model adds two matrices of any equal shape: `x + y = z`.
"""

import argparse
import sys

import numpy as np
import onnxruntime as ort


def main(model):
    session = ort.InferenceSession(model, providers=["CPUExecutionProvider"])
    ones = np.ones((2, 3), np.float32)
    x = ort.OrtValue.ortvalue_from_numpy(ones)
    print(x.shape(), x.data_type(), x.element_type(), x.device_name(), x.is_tensor(), x.has_value())
    print("the array's memory:", x.data_ptr() == ones.ctypes.data, x.tensor_size_in_bytes())

    y = ort.OrtValue.ortvalue_from_shape_and_type([2, 3], np.float32)
    y.update_inplace(np.arange(6, dtype=np.float32).reshape(2, 3))
    (z,) = session.run_with_ort_values(["z"], {"x": x, "y": y})
    print(type(z).__name__, z.numpy().tolist())

    # What comes out goes in again; nothing is copied in between.
    for _ in range(3):
        (z,) = session.run_with_ort_values(None, {"x": z, "y": y})
    print(z.numpy().tolist())

    y.update_inplace(np.full((2, 3), 0.5, np.float32))
    print(session.run(None, {"x": x, "y": y})[0].tolist())

    # DLPack: from the session to numpy, and from numpy to the session.
    seen = np.from_dlpack(z)
    print("dlpack out:", seen.dtype, seen.tolist(), seen.ctypes.data == z.data_ptr())
    given = np.linspace(0, 1, 6, dtype=np.float32).reshape(2, 3)
    taken = ort.OrtValue.from_dlpack(given)
    print("dlpack in:", taken.shape(), taken.data_ptr() == given.ctypes.data)
    given[0, 0] = 7
    print(f"{taken.numpy()[0, 0]:.1f}")

    # An output made before, filled by every run.
    place = ort.OrtValue.ortvalue_from_shape_and_type([2, 3], np.float32, "cpu", 0)
    binding = session.io_binding()
    binding.bind_ortvalue_input("x", taken)
    binding.bind_ortvalue_input("y", y)
    binding.bind_ortvalue_output("z", place)
    for step in range(3):
        taken.update_inplace(np.full((2, 3), step, np.float32))
        session.run_with_iobinding(binding)
        print(place.numpy().tolist(), binding.copy_outputs_to_cpu()[0].sum())
    binding.clear_binding_outputs()
    binding.bind_output("z")
    session.run_with_iobinding(binding)
    print(binding.get_outputs()[0].shape())

    # Other element types, and what numpy has no name for.
    for array in (np.array([[True, False]]), np.array([2**40], np.int64), np.array(2.5, np.float16)):
        value = ort.OrtValue.ortvalue_from_numpy(array)
        print(value.data_type(), value.shape(), value.numpy().tolist())
    halves = ort.OrtValue.ortvalue_from_numpy_with_onnx_type(np.array([0x3F80, 0x4000], np.uint16), 16)
    print(halves.data_type(), halves.element_type(), halves.tensor_size_in_bytes())


if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    parser.add_argument("model")
    try:
        main(**vars(parser.parse_args()))
    except Exception as error:
        # onnxruntime's errors have no base class of their own.
        sys.exit(f"[FAIL] {error}")
