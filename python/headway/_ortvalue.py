"""Devices and memory as programs for onnxruntime name them, beside ``OrtValue``."""

from __future__ import annotations

import enum
from collections.abc import Sequence
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from headway._core import OrtValue

#: Names of devices: ONNX Runtime's number of the type, and the vendor that the name stands for.
_DEVICES = {
    "cpu": (0, 0),
    "cuda": (1, 0x10DE),
    "dml": (1, 0x1414),
    "webgpu": (1, 0),
    "gpu": (1, 0),
    "npu": (3, 0),
    "cann": (3, 0x19E5),
}


def refuse(message: str) -> Exception:
    """An InputError that is a ``RuntimeError`` too, as where onnxruntime raises a bare one."""
    from headway._errors import from_core

    error = from_core("input", message, None, "onnxruntime", None, None, runtime=True)
    assert isinstance(error, Exception)
    return error


class OrtDeviceVendorId(enum.IntEnum):
    """Who made a device, by PCI vendor number."""

    NONE = 0x0000
    AMD = 0x1002
    NVIDIA = 0x10DE
    ARM = 0x13B5
    MICROSOFT = 0x1414
    HUAWEI = 0x19E5
    QUALCOMM = 0x5143
    INTEL = 0x8086


class OrtDevice:
    """A device: a type, a number, a vendor."""

    __slots__ = ("_id", "_name", "_type", "_vendor")

    def __init__(self, name: str, device_id: int = 0, vendor_id: int = -1) -> None:
        if name.lower() not in _DEVICES:
            raise refuse(f"Unsupported device type: {name}; expected one of {', '.join(_DEVICES)}")
        self._name = name.lower()
        self._type, vendor = _DEVICES[self._name]
        self._id = int(device_id)
        self._vendor = vendor if vendor_id < 0 else int(vendor_id)

    @staticmethod
    def make(ort_device_name: str, device_id: int, vendor_id: int = -1) -> OrtDevice:
        """The device with this name.

        Args:
            ort_device_name: ``cpu``, ``cuda``, ``dml``, ``webgpu``, ``cann``, ``gpu`` or ``npu``.
            device_id: Which of them, from 0.
            vendor_id: Its maker's PCI number, for ``gpu`` and ``npu``; -1: what the name stands for.

        Raises:
            InputError: There is no such name. It is a ``RuntimeError`` too.
        """
        return OrtDevice(ort_device_name, device_id, vendor_id)

    def device_id(self) -> int:
        """Which of its type."""
        return self._id

    def device_type(self) -> int:
        """ONNX Runtime's number of its type: 0 is the CPU, 1 a GPU, 3 an NPU."""
        return self._type

    def device_vendor_id(self) -> int:
        """Its maker's PCI number; 0 for none."""
        return self._vendor

    def device_mem_type(self) -> int:
        """ONNX Runtime's number of its kind of memory: 0, the default."""
        return 0

    def __repr__(self) -> str:
        return f"OrtDevice({self._name!r}, {self._id})"


def copy_tensors(src: Sequence[OrtValue], dst: Sequence[OrtValue], stream: object = None) -> None:
    """Write each source's elements into the destination in its place, as ``OrtValue.update_inplace`` does.

    Args:
        src: Tensors on the CPU.
        dst: As many, of the same types and shapes.
        stream: None: memory of the CPU has no streams.

    Raises:
        InputError: The numbers, types or shapes differ. It is a ``RuntimeError`` too.
    """
    if stream is not None:
        raise refuse("stream: memory of the CPU has no streams; expected None")
    if len(src) != len(dst):
        raise refuse(f"expected as many destinations as sources, got {len(src)} and {len(dst)}")
    for source, destination in zip(src, dst, strict=True):
        destination.update_inplace(source)
