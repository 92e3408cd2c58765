"""The two modules of ``onnxruntime.capi`` that programs import from."""

from headway.ort.capi import onnxruntime_inference_collection, onnxruntime_pybind11_state

__all__ = ["onnxruntime_inference_collection", "onnxruntime_pybind11_state"]
