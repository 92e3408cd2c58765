"""Reads a PyTorch checkpoint of the old (not zipped) form with numpy alone.

Such a file is a row of pickles followed by the raw storages. A pickle can run any code, so the unpickler here
knows the few names that a dictionary of tensors needs and refuses every other one.
"""

import collections
import io
import pickle
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import DTypeLike, NDArray

_MAGIC = 0x1950A86A20F9469CFC6C
_PROTOCOL = 1001
_STORAGES: dict[str, DTypeLike] = {"FloatStorage": np.dtype("<f4"), "LongStorage": np.dtype("<i8")}


class WeightsError(ValueError):
    """The file is not a checkpoint of the old form, is cut short, or asks for a name that is refused."""


@dataclass
class _Storage:
    dtype: np.dtype[Any]
    values: NDArray[Any] | None = None


@dataclass
class _Tensor:
    """A view on a storage whose bytes come later in the file."""

    storage: _Storage
    offset: int
    shape: Sequence[int]
    strides: Sequence[int]

    def array(self) -> NDArray[Any]:
        values = self.storage.values
        if values is None:
            raise WeightsError("a tensor's storage is missing from the checkpoint")
        reach = self.offset + 1 + sum((n - 1) * s for n, s in zip(self.shape, self.strides, strict=True))
        if min((self.offset, *self.shape, *self.strides)) < 0 or reach > values.size:
            raise WeightsError("a tensor reaches beyond its storage")
        steps = [stride * values.itemsize for stride in self.strides]
        return np.lib.stride_tricks.as_strided(values[self.offset :], self.shape, steps).copy()


def _rebuild_tensor(
    storage: _Storage, offset: int, shape: Sequence[int], strides: Sequence[int], *_: object
) -> _Tensor:
    return _Tensor(storage, offset, shape, strides)


class _Unpickler(pickle.Unpickler):
    def __init__(self, file: io.BytesIO) -> None:
        super().__init__(file)
        self.storages: dict[str, _Storage] = {}

    def find_class(self, module: str, name: str) -> Any:
        if (module, name) == ("collections", "OrderedDict"):
            return collections.OrderedDict
        if (module, name) == ("torch._utils", "_rebuild_tensor_v2"):
            return _rebuild_tensor
        if module == "torch" and name in _STORAGES:
            return _STORAGES[name]
        raise WeightsError(f"the checkpoint asks for {module}.{name}, which is refused")

    def persistent_load(self, pid: Any) -> _Storage:
        kind, dtype, key = pid[:3]
        if kind != "storage":
            raise WeightsError(f"the checkpoint holds a {kind!r}, which is not known")
        return self.storages.setdefault(key, _Storage(np.dtype(dtype)))


def read_weights(content: bytes) -> dict[str, NDArray[Any]]:
    """The tensors of a checkpoint by name."""
    file = io.BytesIO(content)
    try:
        if _Unpickler(file).load() != _MAGIC or _Unpickler(file).load() != _PROTOCOL:
            raise WeightsError("not a PyTorch checkpoint of the old form")
        _Unpickler(file).load()  # the writer's byte order and word sizes: always little-endian here
        unpickler = _Unpickler(file)
        tensors = unpickler.load()
        keys = _Unpickler(file).load()
        for key in keys:
            _fill(unpickler.storages[key], file)
    except (pickle.UnpicklingError, EOFError, KeyError, TypeError) as error:
        raise WeightsError(f"not a readable PyTorch checkpoint: {error}") from error
    return {name: tensor.array() for name, tensor in tensors.items()}


def _fill(storage: _Storage, file: io.BytesIO) -> None:
    count = int.from_bytes(file.read(8), "little")
    content = file.read(count * storage.dtype.itemsize)
    if len(content) != count * storage.dtype.itemsize:
        raise WeightsError("the checkpoint is cut short")
    storage.values = np.frombuffer(content, storage.dtype)
