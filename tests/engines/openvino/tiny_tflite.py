"""A TensorFlow Lite file by hand, since making one otherwise takes TensorFlow: ``y = x + x``, one row of three."""

from __future__ import annotations

from collections.abc import Sequence

import flatbuffers

# Fields of the schema's tables, by their numbers.
_MODEL = {"version": 0, "operator_codes": 1, "subgraphs": 2, "buffers": 4}
_ADD, _ADD_OPTIONS, _FLOAT32, _SCHEMA = 0, 11, 0, 3


def _vector(builder: flatbuffers.Builder, offsets: Sequence[int]) -> int:
    builder.StartVector(4, len(offsets), 4)
    for offset in reversed(offsets):
        builder.PrependUOffsetTRelative(offset)
    return int(builder.EndVector())


def _numbers(builder: flatbuffers.Builder, values: Sequence[int]) -> int:
    builder.StartVector(4, len(values), 4)
    for value in reversed(values):
        builder.PrependInt32(value)
    return int(builder.EndVector())


def _tensor(builder: flatbuffers.Builder, name: str) -> int:
    shape, text = _numbers(builder, [1, 3]), builder.CreateString(name)
    builder.StartObject(6)
    builder.PrependUOffsetTRelativeSlot(0, shape, 0)
    builder.PrependInt8Slot(1, _FLOAT32, 0)
    builder.PrependUOffsetTRelativeSlot(3, text, 0)
    return int(builder.EndObject())


def _operator(builder: flatbuffers.Builder) -> int:
    builder.StartObject(1)
    options = builder.EndObject()
    inputs, outputs = _numbers(builder, [0, 0]), _numbers(builder, [1])
    builder.StartObject(5)
    builder.PrependUOffsetTRelativeSlot(1, inputs, 0)
    builder.PrependUOffsetTRelativeSlot(2, outputs, 0)
    builder.PrependUint8Slot(3, _ADD_OPTIONS, 0)
    builder.PrependUOffsetTRelativeSlot(4, options, 0)
    return int(builder.EndObject())


def _graph(builder: flatbuffers.Builder) -> int:
    tensors = _vector(builder, [_tensor(builder, "x"), _tensor(builder, "y")])
    operators = _vector(builder, [_operator(builder)])
    inputs, outputs = _numbers(builder, [0]), _numbers(builder, [1])
    builder.StartObject(5)
    for field, offset in enumerate((tensors, inputs, outputs, operators)):
        builder.PrependUOffsetTRelativeSlot(field, offset, 0)
    return int(builder.EndObject())


def build() -> bytes:
    """The file's contents."""
    builder = flatbuffers.Builder(1024)
    builder.StartObject(4)
    builder.PrependInt32Slot(2, 1, 0)
    builder.PrependInt32Slot(3, _ADD, 0)
    code = builder.EndObject()
    # Buffer 0 is empty by custom: tensors without constants name it.
    builder.StartObject(1)
    nothing = builder.EndObject()
    fields = {
        "operator_codes": _vector(builder, [code]),
        "subgraphs": _vector(builder, [_graph(builder)]),
        "buffers": _vector(builder, [nothing]),
    }
    builder.StartObject(5)
    builder.PrependUint32Slot(_MODEL["version"], _SCHEMA, 0)
    for name, offset in fields.items():
        builder.PrependUOffsetTRelativeSlot(_MODEL[name], offset, 0)
    builder.Finish(builder.EndObject(), file_identifier=b"TFL3")
    return bytes(builder.Output())
