"""The names that programs import from ``onnxruntime.capi.onnxruntime_inference_collection``."""

from headway import IOBinding, OrtDevice, OrtDeviceVendorId, OrtValue, SparseTensor, copy_tensors
from headway.ort import InferenceSession

__all__ = [
    "IOBinding",
    "InferenceSession",
    "OrtDevice",
    "OrtDeviceVendorId",
    "OrtValue",
    "SparseTensor",
    "copy_tensors",
]
