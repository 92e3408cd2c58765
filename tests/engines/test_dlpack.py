"""`OrtValue` and other libraries: memory shared through DLPack, both ways, for as long as anybody needs it."""

from __future__ import annotations

import gc
import weakref
from typing import Any

import ml_dtypes
import numpy as np
import pytest

from headway import OrtValue

from ..support import X
from .test_ortvalue import frame

pytestmark = pytest.mark.timeout(60)


@pytest.mark.parametrize("versioned", [False, True])
@pytest.mark.parametrize(
    "dtype", ["bool", "i1", "u1", "i2", "u2", "i4", "u4", "i8", "u8", "f2", "f4", "f8", "c8", "c16"]
)
def test_dlpack_shares_both_ways(dtype: str, versioned: bool) -> None:
    array = np.arange(6).reshape(2, 3).astype(dtype)
    value = OrtValue.from_dlpack(array)
    assert value.data_ptr() == array.ctypes.data
    assert value.numpy().dtype == array.dtype
    version = (1, 0) if versioned else None
    again = OrtValue.from_dlpack(value.__dlpack__(max_version=version))
    assert again.data_ptr() == array.ctypes.data
    assert again.numpy().tolist() == array.tolist()
    assert np.shares_memory(np.from_dlpack(value), array)


@pytest.mark.parametrize(
    "dtype",
    ["bfloat16", "float8_e4m3fn", "float8_e4m3fnuz", "float8_e5m2", "float8_e5m2fnuz", "float8_e8m0fnu"],
)
def test_dlpack_knows_narrow_floats(dtype: str) -> None:
    array = np.array([1, 2], getattr(ml_dtypes, dtype))
    value = OrtValue.from_dlpack(OrtValue.ortvalue_from_numpy(array))
    assert value.data_ptr() == array.ctypes.data
    assert value.numpy().dtype == array.dtype


def test_dlpack_keeps_memory_for_as_long_as_anybody_needs_it() -> None:
    array = frame(3)
    watch = weakref.ref(array)
    capsules: list[Any] = [OrtValue.ortvalue_from_numpy(array).__dlpack__() for _ in range(2)]
    imported = OrtValue.from_dlpack(capsules.pop())
    del array
    gc.collect()
    assert imported.numpy().tolist() == [[3, 3, 3]]
    del imported
    gc.collect()
    assert watch() is not None
    # A capsule that nobody took gives back what it holds.
    capsules.clear()
    OrtValue.ortvalue_from_numpy(X)
    gc.collect()
    assert watch() is None


def test_a_capsule_is_used_once() -> None:
    capsule: Any = X.__dlpack__()
    assert OrtValue.from_dlpack(capsule).shape() == [1, 3]
    for used in (capsule, 3):
        with pytest.raises(TypeError, match="DLPack capsule that nobody has used"):
            OrtValue.from_dlpack(used)


def test_dlpack_says_what_may_not_be_written() -> None:
    array = X.copy()
    array.flags.writeable = False
    value = OrtValue.from_dlpack(array)
    assert not value.numpy().flags.writeable
    with pytest.raises(BufferError, match=r"max_version=\(1, 0\)"):
        value.__dlpack__()
    assert not OrtValue.from_dlpack(value.__dlpack__(max_version=(1, 0))).numpy().flags.writeable
    copied = OrtValue.from_dlpack(value.__dlpack__(copy=True))
    assert copied.data_ptr() != array.ctypes.data
    copied.update_inplace(X)


def test_dlpack_refuses_what_it_cannot_say() -> None:
    with pytest.raises(RuntimeError, match="contiguous"):
        OrtValue.from_dlpack(np.ones((2, 3), np.float32).T)
    for array in (np.array(["a"], object), np.zeros(2, ml_dtypes.int4)):
        with pytest.raises(BufferError, match="DLPack has no type"):
            OrtValue.ortvalue_from_numpy(array).__dlpack__()
    with pytest.raises(BufferError, match="on the CPU"):
        OrtValue.ortvalue_from_numpy(X).__dlpack__(dl_device=(2, 0))


class Elsewhere:
    """What a library on another device would give."""

    def __dlpack_device__(self) -> tuple[int, int]:
        return 2, 0

    def __dlpack__(self, **_: Any) -> Any:
        raise AssertionError("asked for its memory all the same")


def test_dlpack_of_another_device_is_refused_before_it_is_asked() -> None:
    with pytest.raises(RuntimeError, match=r"another device \(DLPack device type 2"):
        OrtValue.from_dlpack(Elsewhere())
