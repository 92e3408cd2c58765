"""A session with settings of its own: threads, graph optimisations, fixed dimensions, logging, config entries.

    python configure_session.py MODEL

The model has an input of shape `[batch, 3, height, width]`.
"""

import argparse
import os
import sys
import tempfile

import numpy as np
import onnxruntime as ort


def configured(folder):
    options = ort.SessionOptions()
    options.graph_optimization_level = ort.GraphOptimizationLevel.ORT_ENABLE_EXTENDED
    options.execution_mode = ort.ExecutionMode.ORT_SEQUENTIAL
    options.optimized_model_filepath = os.path.join(folder, "optimized.onnx")
    options.intra_op_num_threads = 2
    options.inter_op_num_threads = 1
    options.enable_cpu_mem_arena = False
    options.enable_mem_pattern = False
    options.logid = "configured"
    options.log_severity_level = 3
    options.add_free_dimension_override_by_name("batch", 2)
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    options.add_session_config_entry("session.set_denormal_as_zero", "1")
    return options


def main(model):
    ort.set_default_logger_severity(3)
    print("providers:", "CPUExecutionProvider" in ort.get_available_providers(), ort.get_device())
    print("version:", ort.get_version_string())
    plain = ort.InferenceSession(model, providers=["CPUExecutionProvider"])
    print("before:", plain.get_inputs()[0].shape, plain.get_outputs()[0].shape)

    with tempfile.TemporaryDirectory() as folder:
        options = configured(folder)
        print(options.graph_optimization_level == ort.GraphOptimizationLevel.ORT_ENABLE_EXTENDED)
        print(options.get_session_config_entry("session.intra_op.allow_spinning"))
        try:
            options.get_session_config_entry("session.none")
        except RuntimeError as error:
            print(error)
        session = ort.InferenceSession(model, options, providers=[("CPUExecutionProvider", {})])
        print("after:", session.get_inputs()[0].shape, session.get_outputs()[0].shape)
        print("given:", session.get_session_options().logid, session.get_provider_options())

        values = np.linspace(-1, 1, 2 * 3 * 16 * 16, dtype=np.float32).reshape(2, 3, 16, 16)
        name = session.get_inputs()[0].name
        (expected,), (found,) = plain.run(None, {name: values}), session.run(None, {name: values})
        print("equal:", np.allclose(expected, found, atol=1e-5), f"{found.mean():.5f}")

        # A file that is optimised already loads without doing it again.
        options = ort.SessionOptions()
        options.graph_optimization_level = ort.GraphOptimizationLevel.ORT_DISABLE_ALL
        optimized = ort.InferenceSession(os.path.join(folder, "optimized.onnx"), options)
        print("from the file:", np.allclose(optimized.run(None, {name: values})[0], found, atol=1e-5))

        run = ort.RunOptions()
        run.log_verbosity_level = 0
        run.add_run_config_entry("memory.enable_memory_arena_shrinkage", "cpu:0")
        print(run.get_run_config_entry("memory.enable_memory_arena_shrinkage"))
        print(plain.run(None, {name: values}, run_options=run)[0].shape)
        try:
            session.run(None, {name: values[:1]})
        except Exception as error:
            print(f"{type(error).__name__}: {error}")


if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    parser.add_argument("model")
    try:
        main(**vars(parser.parse_args()))
    except Exception as error:
        # onnxruntime's errors have no base class of their own.
        sys.exit(f"[FAIL] {error}")
