"""`OrtValue`: what it shares, what it says of itself, what it refuses, and the calls that take and give it."""

from __future__ import annotations

import asyncio
import concurrent.futures
import gc
import weakref
from collections.abc import Callable
from typing import Any

import ml_dtypes
import numpy as np
import onnxruntime
import pytest

import headway
from headway import OrtValue

from ..conftest import Make
from ..support import X, assert_conserved

pytestmark = pytest.mark.timeout(60)

Y = (X + X).tolist()


class Frame(np.ndarray[Any, Any]):
    """An array that a weak reference can watch."""


def frame(value: float = 1.0) -> Frame:
    made = Frame((1, 3), np.float32)
    made.fill(value)
    return made


# ---- over arrays ---------------------------------------------------------------------------------------------------


def test_it_shares_the_arrays_memory_and_keeps_it() -> None:
    array = frame()
    watch, address = weakref.ref(array), array.ctypes.data
    value = OrtValue.ortvalue_from_numpy(array)
    assert value.data_ptr() == address
    assert np.shares_memory(value.numpy(), array)
    array[0, 1] = 7
    seen = value.numpy()
    del array, value
    gc.collect()
    assert watch() is not None
    assert seen.tolist() == [[1, 7, 1]]
    del seen
    assert watch() is None


QUESTIONS = (
    *("shape", "data_type", "element_type", "device_name", "tensor_size_in_bytes", "has_value", "is_tensor"),
    *("is_sparse_tensor", "is_tensor_sequence", "__dlpack_device__"),
)


def test_what_it_says_of_itself_is_what_onnxruntimes_says() -> None:
    for array in (
        X,
        np.zeros((0, 2), np.int64),
        np.array(3.5),
        np.zeros((2, 1), bool),
        np.zeros(3, np.float16),
    ):
        ours, theirs = OrtValue.ortvalue_from_numpy(array), onnxruntime.OrtValue.ortvalue_from_numpy(array)
        for name in QUESTIONS:
            assert getattr(ours, name)() == getattr(theirs, name)(), name
        assert ours.numpy().tolist() == array.tolist()


@pytest.mark.parametrize(
    "array",
    [
        np.ones((2, 3)).T,
        np.arange(6, dtype=">i4"),
        np.asfortranarray(np.ones((2, 3))),
        np.frombuffer(bytearray(9), "f8", 1, 1),
    ],
    ids=["transposed", "other byte order", "Fortran", "misaligned"],
)
def test_what_an_engine_cannot_read_as_it_lies_is_copied(array: Any) -> None:
    value = OrtValue.ortvalue_from_numpy(array)
    assert not np.shares_memory(value.numpy(), array)
    assert value.numpy().tolist() == array.tolist()


def test_slices_that_lie_in_order_are_shared() -> None:
    array = np.arange(7, dtype=np.float32)
    value = OrtValue.ortvalue_from_numpy(array[1:])
    assert value.data_ptr() == array.ctypes.data + 4
    value.numpy()[0] = 9
    assert array[1] == 9


def test_a_read_only_array_stays_so() -> None:
    array = X.copy()
    array.flags.writeable = False
    value = OrtValue.ortvalue_from_numpy(array)
    assert np.shares_memory(value.numpy(), array)
    assert not value.numpy().flags.writeable
    with pytest.raises(RuntimeError, match="read-only"):
        value.update_inplace(X)


@pytest.mark.parametrize(
    "dtype",
    ["bfloat16", "float8_e4m3fn", "float8_e5m2", "int4", "uint4", "float4_e2m1fn", "float8_e8m0fnu"],
)
def test_types_of_ml_dtypes(dtype: str) -> None:
    array = np.array([4, 1, 2], getattr(ml_dtypes, dtype))
    value = OrtValue.ortvalue_from_numpy(array)
    assert value.numpy().dtype == array.dtype
    assert value.numpy().tolist() == array.tolist()
    value.update_inplace(array[::-1].copy())
    assert value.numpy().tolist() == [2, 1, 4]


def test_strings_are_copied() -> None:
    array = np.array(["a", "grüße"], object)
    value = OrtValue.ortvalue_from_numpy(array)
    assert (value.data_type(), value.element_type(), value.shape()) == ("tensor(string)", 8, [2])
    assert value.numpy().tolist() == ["a", "grüße"]
    for wrong in (value.data_ptr, value.tensor_size_in_bytes, lambda: value.update_inplace(array)):
        with pytest.raises(RuntimeError, match="strings"):
            wrong()


def test_bits_under_another_type() -> None:
    bits = np.array([0x3F80, 0x4000], np.uint16)
    value = OrtValue.ortvalue_from_numpy_with_onnx_type(bits, 16)
    assert (value.data_type(), value.data_ptr()) == ("tensor(bfloat16)", bits.ctypes.data)
    assert value.numpy().tolist() == [1, 2]
    with pytest.raises(RuntimeError, match="elements of 2 bytes"):
        OrtValue.ortvalue_from_numpy_with_onnx_type(np.zeros(2, np.uint8), 16)
    with pytest.raises(RuntimeError, match="tensor type 99 is not supported"):
        OrtValue.ortvalue_from_numpy_with_onnx_type(bits, 99)


@pytest.mark.parametrize("element_type", [np.float32, "float32", np.dtype("float32"), 1])
def test_new_memory_is_zero(element_type: Any) -> None:
    value = OrtValue.ortvalue_from_shape_and_type((2, 3), element_type)
    assert (value.shape(), value.data_type()) == ([2, 3], "tensor(float)")
    assert value.numpy().tolist() == [[0] * 3] * 2
    assert value.data_ptr() % 64 == 0


MISUSES: dict[str, Callable[[], Any]] = {
    "a list": lambda: OrtValue.ortvalue_from_numpy([1.0]),  # type: ignore[arg-type]
    "a type of no model": lambda: OrtValue.ortvalue_from_numpy(np.zeros(1, "m8[s]")),
    "objects": lambda: OrtValue.ortvalue_from_numpy(np.array([1], object)),
    "cuda": lambda: OrtValue.ortvalue_from_numpy(X, "cuda"),
    "no device": lambda: OrtValue.ortvalue_from_numpy(X, "toaster"),
    "negative": lambda: OrtValue.ortvalue_from_shape_and_type([-1], 1),
    "too large": lambda: OrtValue.ortvalue_from_shape_and_type([2**40, 2**40], 1),
    "cuda memory": lambda: OrtValue.ortvalue_from_shape_and_type([1], 1, "cuda"),
}


@pytest.mark.parametrize("name", MISUSES)
def test_misuses_are_told(name: str) -> None:
    with pytest.raises(headway.InputError):
        MISUSES[name]()


# ---- written to ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("element", [str, np.float32], ids=["str", "float32"])
@pytest.mark.parametrize("power", [44, 60])
def test_a_shape_that_no_memory_holds(element: type, power: int) -> None:
    with pytest.raises((MemoryError, RuntimeError)):
        OrtValue.ortvalue_from_shape_and_type([1 << power], element)


def test_update_inplace_writes_where_it_is() -> None:
    value = OrtValue.ortvalue_from_shape_and_type([2, 3], np.float32)
    address, view = value.data_ptr(), value.numpy()
    value.update_inplace(np.arange(6, dtype=np.float32).reshape(3, 2).T)
    assert view.tolist() == [[0, 2, 4], [1, 3, 5]]
    value.update_inplace(OrtValue.ortvalue_from_numpy(np.ones((2, 3), np.float32)))
    assert view.tolist() == [[1] * 3] * 2
    # Another shape of as many elements, in C order.
    value.update_inplace(np.arange(6, dtype=np.float32))
    assert view.tolist() == [[0, 1, 2], [3, 4, 5]]
    value.update_inplace(OrtValue.ortvalue_from_numpy(np.ones((3, 2), np.float32)))
    # Over itself, shifted: what numpy would do.
    value.update_inplace(view[::-1, ::-1])
    assert value.data_ptr() == address
    headway.copy_tensors([OrtValue.ortvalue_from_numpy(np.zeros((2, 3), np.float32))], [value])
    assert not view.any()


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (
            np.zeros((2, 2), np.float32),
            "The input size of numpy arrays does not match the size of the OrtValue.",
        ),
        (np.zeros((2, 3), np.int32), "of int32 and the OrtValue of float32"),
        (np.zeros((1, 3), np.float64), "of float64 and the OrtValue of float32"),
    ],
    ids=["size", "dtype", "dtype of the same bytes"],
)
def test_update_inplace_never_misreads(data: Any, message: str) -> None:
    value = OrtValue.ortvalue_from_numpy(np.ones((2, 3), np.float32))
    for given in (data, OrtValue.ortvalue_from_numpy(data)):
        with pytest.raises(RuntimeError) as caught:
            value.update_inplace(given)
        assert isinstance(caught.value, headway.InputError)
    with pytest.raises(RuntimeError, match=message):
        value.update_inplace(data)
    assert value.numpy().all()
    with pytest.raises(TypeError, match=r"numpy.ndarray or an OrtValue, got list"):
        value.update_inplace([1])  # type: ignore[arg-type]


def test_numpy_takes_it_for_an_array() -> None:
    array = np.arange(3, dtype=np.float32)
    value = OrtValue.ortvalue_from_numpy(array)
    assert np.shares_memory(np.asarray(value), array)
    assert np.asarray(value, dtype=np.float64).dtype == np.float64
    assert not np.shares_memory(np.array(value), array)
    assert (np.ones(3) + value).tolist() == [1, 2, 3]


# ---- calls ---------------------------------------------------------------------------------------------------------


def calls(session: headway.InferenceSession, feed: Any) -> list[list[OrtValue]]:
    return [
        session.run_with_ort_values(None, feed),
        session.run_with_ort_values(["y"], feed),
        session.submit_with_ort_values(None, feed).result(),
        asyncio.run(session.arun_with_ort_values(None, feed)),
    ]


def test_values_in_and_out(tiny: bytes) -> None:
    with headway.InferenceSession(tiny) as session:
        value = OrtValue.ortvalue_from_numpy(X)
        for outputs in calls(session, {"x": value}):
            [output] = outputs
            assert isinstance(output, OrtValue)
            assert output.numpy().tolist() == Y
        # What one run gave goes into the next as it is.
        [again] = session.run_with_ort_values(None, {"x": output})
        assert again.numpy().tolist() == (X * 4).tolist()
        assert session.run(None, {"x": value})[0].tolist() == Y
        assert session.submit(value).result()[0].tolist() == Y
        assert_conserved(session)
    assert output.numpy().tolist() == Y


def test_values_are_checked_as_arrays_are(tiny: bytes) -> None:
    with headway.InferenceSession(tiny) as session:
        for array in (
            np.zeros((1, 3)),
            np.zeros((1, 4), np.float32),
            np.zeros(3, np.float32),
            np.array([["a"] * 3]),
        ):
            given = OrtValue.ortvalue_from_numpy(array)
            with pytest.raises(headway.InvalidArgument) as for_value:
                session.run(None, {"x": given})
            with pytest.raises(headway.InvalidArgument) as for_array:
                session.run(None, {"x": array})
            assert str(for_value.value) == str(for_array.value)
            with pytest.raises(headway.InvalidArgument):
                session.submit_with_ort_values(None, {"x": given})


def test_submit_copies_a_value_and_submit_with_ort_values_holds_it(fake: Make) -> None:
    session, engine = fake(queue_depth=8)
    value = OrtValue.ortvalue_from_numpy(X.copy())
    copied, held = session.submit(value), session.submit_with_ort_values(None, {"x": value})
    value.update_inplace(X + 1)
    engine.open()
    assert copied.result()[0].tolist() == X.tolist()
    assert held.result()[0].numpy().tolist() == (X + 1).tolist()


def test_memory_lives_until_the_engine_has_returned(fake: Make) -> None:
    session, engine = fake(queue_depth=8)
    watches = []
    futures = []
    for number in range(4):
        array = frame(number)
        watches.append(weakref.ref(array))
        futures.append(session.submit_with_ort_values(None, {"x": OrtValue.ortvalue_from_numpy(array)}))
        del array
    gc.collect()
    assert all(watch() is not None for watch in watches)
    engine.open()
    for number, future in enumerate(futures):
        assert future.result()[0].numpy().tolist() == [[number] * 3]
    del future, futures
    gc.collect()
    session.stats()
    # Only what the lane had last may still be on its way.
    session.close()
    OrtValue.ortvalue_from_numpy(X)
    assert all(watch() is None for watch in watches)


def test_endings_are_those_of_every_request(fake: Make) -> None:
    session, engine = fake(queue_depth=2)
    feed = {"x": OrtValue.ortvalue_from_numpy(X)}
    running = session.submit_with_ort_values(None, feed)
    engine.wait_running(1)
    expired = session.submit_with_ort_values(None, feed, timeout=0.0)
    with pytest.raises(headway.DeadlineExceeded):
        expired.result()
    cancelled = session.submit_with_ort_values(None, feed)
    assert cancelled.cancel()
    with pytest.raises(concurrent.futures.CancelledError):
        cancelled.result()
    session.submit_with_ort_values(None, feed)
    session.submit_with_ort_values(None, feed)
    with pytest.raises(headway.QueueFull):
        session.submit_with_ort_values(None, feed, block=False)
    engine.open()
    assert running.result()[0].numpy().tolist() == X.tolist()
    assert_conserved(session)


def test_a_python_engine_takes_arrays_only() -> None:
    with headway.InferenceSession(lambda feed: feed, inputs=["x"], outputs=["x"]) as session:
        feed = {"x": OrtValue.ortvalue_from_numpy(X)}
        for call in (session.run_with_ort_values, session.submit_with_ort_values):
            with pytest.raises(TypeError, match="a Python engine takes arrays, not OrtValues"):
                call(None, feed)
        with pytest.raises(TypeError, match="a Python engine has no IOBinding"):
            session.io_binding()


def test_devices_are_numbered_as_onnxruntime_numbers_them() -> None:
    for name in ("cpu", "cuda", "dml", "webgpu", "cann", "gpu", "npu"):
        ours, theirs = headway.OrtDevice.make(name, 1), onnxruntime.OrtDevice.make(name, 1)
        for question in ("device_id", "device_type", "device_vendor_id", "device_mem_type"):
            assert getattr(ours, question)() == getattr(theirs, question)(), (name, question)
    with pytest.raises(headway.InputError, match="Unsupported device type: toaster"):
        headway.OrtDevice.make("toaster", 0)
