"""What onnxruntime's programs hand to ``create_and_register_allocator``: kept as it was given, and without effect."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from headway._fields import Named
from headway._record import Record


class OrtMemType(Named):
    """Who may touch a value's memory."""

    CPU_INPUT = -2
    CPU_OUTPUT = -1
    CPU = -1
    DEFAULT = 0


class OrtAllocatorType(Named):
    """How memory is allocated."""

    INVALID = -1
    ORT_DEVICE_ALLOCATOR = 0
    ORT_ARENA_ALLOCATOR = 1


class OrtDeviceMemoryType(Named):
    """Whether a device's memory can be read from the CPU."""

    DEFAULT = 0
    HOST_ACCESSIBLE = 5


class OrtMemoryInfoDeviceType(Named):
    """What a piece of memory belongs to."""

    CPU = 0
    GPU = 1
    FPGA = 2
    NPU = 3


class OrtMemoryInfo(Record):
    """Which memory is meant."""

    #: The device: ``"Cpu"``.
    name: str
    #: The kind of allocator.
    allocator_type: OrtAllocatorType
    #: The device's number.
    device_id: int
    #: Who may touch it.
    mem_type: OrtMemType


class OrtArenaCfg(Record):
    """Settings of an arena; -1 (0 for ``max_mem``) leaves the choice to onnxruntime."""

    #: Largest size in bytes.
    max_mem: int
    #: 0: to the next power of two. 1: by what is asked for.
    arena_extend_strategy: int
    #: Bytes of the first chunk.
    initial_chunk_size_bytes: int
    #: Bytes that a chunk may have unused.
    max_dead_bytes_per_chunk: int
    #: Bytes of the first chunk after the first one.
    initial_growth_chunk_size_bytes: int
    #: Largest step in bytes when powers of two are used.
    max_power_of_two_extend_bytes: int

    def __init__(self, *given: Any) -> None:
        """Four numbers in the order of the first four fields, or one dict with any of them.

        Raises:
            RuntimeError: The dict has another key.
        """
        fields = type(self)._fields
        values = dict.fromkeys(fields, -1) | {"max_mem": 0}
        pairs = dict(zip(fields, given, strict=False))
        if len(given) == 1 and isinstance(given[0], Mapping):
            pairs = dict(given[0])
        elif len(given) not in (4, 6):
            raise TypeError(f"OrtArenaCfg: expected four numbers or a dict, got {len(given)} arguments")
        for name in pairs:
            if name not in values:
                raise RuntimeError(f"Invalid OrtArenaCfg option: {name}")
        super().__init__(**(values | pairs))
