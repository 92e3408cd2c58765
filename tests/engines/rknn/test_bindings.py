"""Prepared calls and IO bindings in the CPU's memory, on the NPU."""

from __future__ import annotations

import numpy as np
import pytest

import headway

from .conftest import Open
from .standin import StandIn, affine, echo, model, tensor

WAYS = pytest.mark.parametrize("zero_copy", [False, True], ids=["copied", "bound"])


@WAYS
def test_a_prepared_call(open_session: Open, zero_copy: bool) -> None:
    session = open_session(echo(), zero_copy=zero_copy)
    frame = np.zeros((1, 4), np.float32)
    call = session.prepare({"x": frame})
    for number in range(3):
        call.inputs["x"][:] = number
        (first,) = call.run()
        (second,) = call.run()
        assert first.tolist() == [[number] * 4]
        assert first is second


@WAYS
def test_a_binding(open_session: Open, zero_copy: bool) -> None:
    dims = [1, 2, 2, 3]
    made = model(
        "identity",
        [tensor("x", dims, "NHWC", "int8", **affine(0, 0.5))],
        [tensor("y", dims, "NHWC", "int8", **affine(0, 0.5))],
    )
    session = open_session(made, zero_copy=zero_copy, layout="nhwc")
    x = np.arange(12, dtype=np.int8).reshape(dims)
    place = headway.OrtValue.ortvalue_from_shape_and_type(dims, np.float32)
    binding = session.io_binding()
    binding.bind_cpu_input("x", x)
    binding.bind_ortvalue_output("y", place)
    session.run_with_iobinding(binding)
    np.testing.assert_array_equal(place.numpy(), x * np.float32(0.5))
    fresh = session.io_binding()
    fresh.bind_cpu_input("x", x)
    fresh.bind_output("y")
    session.run_with_iobinding(fresh)
    np.testing.assert_array_equal(fresh.copy_outputs_to_cpu()[0], x * np.float32(0.5))


def test_a_binding_whose_run_fails_can_run_again(open_session: Open, standin: StandIn) -> None:
    session = open_session(echo())
    binding = session.io_binding()
    binding.bind_cpu_input("x", np.ones((1, 4), np.float32))
    binding.bind_output("y")
    standin.fault("rknn_run", 1, code=-2)
    with pytest.raises(headway.EngineError, match="RKNN_ERR_TIMEOUT"):
        session.run_with_iobinding(binding)
    session.run_with_iobinding(binding)
    assert binding.copy_outputs_to_cpu()[0].tolist() == [[1] * 4]


def test_places_that_do_not_fit(open_session: Open) -> None:
    session = open_session(echo())
    for dims, kind in (([1, 3], np.float32), ([1, 4], np.int32)):
        binding = session.io_binding()
        binding.bind_cpu_input("x", np.ones((1, 4), np.float32))
        binding.bind_ortvalue_output("y", headway.OrtValue.ortvalue_from_shape_and_type(dims, kind))
        with pytest.raises(headway.HeadwayError):
            session.run_with_iobinding(binding)
    assert session.run(None, [np.ones((1, 4), np.float32)])[0].tolist() == [[1] * 4]
