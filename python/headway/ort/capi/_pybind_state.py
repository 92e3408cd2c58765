"""The names of ``onnxruntime_pybind11_state``, under the other name that programs import them by."""

from headway.ort.capi.onnxruntime_pybind11_state import *  # noqa: F403
from headway.ort.capi.onnxruntime_pybind11_state import __all__ as __all__
