"""`IOBinding`: bound once, run many times; its errors are onnxruntime's."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable
from concurrent.futures import CancelledError
from typing import Any

import numpy as np
import onnxruntime
import pytest

import headway
from headway import IOBinding, OrtValue

from ..support import PATIENCE, X, assert_conserved

pytestmark = pytest.mark.timeout(60)

Y = (X + X).tolist()


def bound(session: headway.InferenceSession, array: Any = X) -> IOBinding:
    binding = session.io_binding()
    binding.bind_cpu_input("x", array)
    binding.bind_output("y")
    return binding


def test_bound_once_run_often(tiny: bytes) -> None:
    with headway.InferenceSession(tiny) as session:
        array = X.copy()
        binding = bound(session, array)
        values = []
        for number in range(3):
            array.fill(number)
            session.run_with_iobinding(binding)
            values += binding.get_outputs()
        assert [value.numpy().tolist() for value in values] == [[[2 * number] * 3] for number in range(3)]
        [copied] = binding.copy_outputs_to_cpu()
        assert copied.tolist() == [[4, 4, 4]]
        assert_conserved(session)


def test_every_way_to_bind(tiny: bytes) -> None:
    with headway.InferenceSession(tiny) as session:
        target, place = (
            OrtValue.ortvalue_from_shape_and_type([1, 3], np.float32),
            np.zeros((1, 3), np.float32),
        )
        inputs: list[Callable[[IOBinding], None]] = [
            lambda binding: binding.bind_cpu_input("x", X),
            lambda binding: binding.bind_cpu_input("x", np.asfortranarray(np.tile(X, (2, 1)))[:1]),
            lambda binding: binding.bind_ortvalue_input("x", OrtValue.ortvalue_from_numpy(X)),
            lambda binding: binding.bind_input("x", "cpu", 0, np.float32, X.shape, X.ctypes.data),
            lambda binding: binding.bind_input("x", "cpu", 0, 1, [1, 3], X.ctypes.data),
        ]
        outputs: list[Callable[[IOBinding], None]] = [
            lambda binding: binding.bind_output("y"),
            lambda binding: binding.bind_output("y", "cpu", 0),
            lambda binding: binding.bind_ortvalue_output("y", target),
            lambda binding: binding.bind_output("y", "cpu", 0, np.float32, [1, 3], place.ctypes.data),
        ]
        for bind_input in inputs:
            for bind_output in outputs:
                binding = session.io_binding()
                bind_input(binding)
                bind_output(binding)
                binding.synchronize_inputs()
                session.run_with_iobinding(binding)
                binding.synchronize_outputs()
                assert binding.get_outputs()[0].numpy().tolist() == Y
                assert binding.copy_outputs_to_cpu()[0].tolist() == Y
        assert (target.numpy().tolist(), place.tolist()) == (Y, Y)


def test_a_copied_output_is_not_written_to_again(tiny: bytes) -> None:
    with headway.InferenceSession(tiny) as session:
        array = X.copy()
        binding = bound(session, array)
        target = OrtValue.ortvalue_from_shape_and_type([1, 3], np.float32)
        binding.bind_ortvalue_output("y", target)
        session.run_with_iobinding(binding)
        [copied] = binding.copy_outputs_to_cpu()
        array.fill(9)
        session.run_with_iobinding(binding)
        assert copied.tolist() == Y
        assert target.numpy().tolist() == [[18] * 3]
        assert binding.get_outputs()[0].data_ptr() == target.data_ptr()


def test_an_output_on_a_device_that_is_not_there_stays_on_the_cpu(tiny: bytes) -> None:
    # As in onnxruntime: its CPU package takes the binding and leaves the output where it is.
    with headway.InferenceSession(tiny) as session:
        binding = bound(session)
        binding.bind_output("y", "cuda", 0)
        session.run_with_iobinding(binding)
        [value] = binding.get_outputs()
        assert (value.device_name(), value.shape(), value.data_type()) == ("cpu", [1, 3], "tensor(float)")
        assert value.numpy().tolist() == Y
        assert binding.copy_outputs_to_cpu()[0].tolist() == Y
        # It can be fed again, wherever it is.
        assert session.run(None, {"x": value})[0].tolist() == (X * 4).tolist()


def test_outputs_come_in_the_order_of_their_first_binding(gather: bytes) -> None:
    with headway.InferenceSession(gather) as session:
        binding = session.io_binding()
        assert binding.get_outputs() == []
        binding.bind_cpu_input("i", np.array([2]))
        binding.bind_output("y")
        binding.bind_output("y")
        [before] = binding.get_outputs()
        assert not before.has_value()
        session.run_with_iobinding(binding)
        assert binding.get_outputs_as_ortvaluevector()[0].numpy().tolist() == [2]
        binding.clear_binding_outputs()
        assert binding.get_outputs() == []
        binding.bind_output("y")
        assert not binding.get_outputs()[0].has_value()
        # An initializer takes the place of what is fed no more.
        binding.bind_cpu_input("i", np.array([7]))
        with pytest.raises(headway.EngineError):
            session.run_with_iobinding(binding)
        assert not binding.get_outputs()[0].has_value()


# ---- errors --------------------------------------------------------------------------------------------------------


def _no_output(session: Any, module: Any) -> None:
    binding = session.io_binding()
    binding.bind_cpu_input("x", X)
    session.run_with_iobinding(binding)


def _wrong_output(session: Any, module: Any) -> None:
    binding = session.io_binding()
    binding.bind_cpu_input("x", X)
    binding.bind_output("nope")
    session.run_with_iobinding(binding)


def _wrong_input(session: Any, module: Any) -> None:
    session.io_binding().bind_cpu_input("nope", X)


def _fed(array: Any) -> Callable[[Any, Any], None]:
    def run(session: Any, module: Any) -> None:
        binding = session.io_binding()
        binding.bind_cpu_input("x", array)
        binding.bind_output("y")
        session.run_with_iobinding(binding)

    return run


def _into(shape: list[int]) -> Callable[[Any, Any], None]:
    def run(session: Any, module: Any) -> None:
        binding = session.io_binding()
        binding.bind_cpu_input("x", X)
        binding.bind_ortvalue_output("y", module.OrtValue.ortvalue_from_shape_and_type(shape, np.float32))
        session.run_with_iobinding(binding)

    return run


def _terminated(session: Any, module: Any) -> None:
    binding = session.io_binding()
    binding.bind_cpu_input("x", X)
    binding.bind_output("y")
    options = module.RunOptions()
    options.terminate = True
    session.run_with_iobinding(binding, options)


ERRORS: dict[str, Callable[[Any, Any], None]] = {
    "no output": _no_output,
    "wrong output name": _wrong_output,
    "wrong input name": _wrong_input,
    "dtype": _fed(X.astype(np.float64)),
    "rank": _fed(X[0]),
    "dimension": _fed(np.zeros((1, 4), np.float32)),
    "output's rank": _into([3]),
    "output's dimension": _into([1, 4]),
    "terminated": _terminated,
}


@pytest.mark.parametrize("name", ERRORS)
def test_errors_are_onnxruntimes(name: str, tiny: bytes) -> None:
    theirs = onnxruntime.InferenceSession(tiny, providers=["CPUExecutionProvider"])
    with pytest.raises(RuntimeError) as expected:
        ERRORS[name](theirs, onnxruntime)
    with headway.InferenceSession(tiny) as session:
        with pytest.raises(RuntimeError) as got:
            ERRORS[name](session, headway)
        assert isinstance(got.value, headway.HeadwayError)
        assert str(got.value) == str(expected.value)
        assert_conserved(session)


def test_a_missing_input_is_named(tiny: bytes) -> None:
    with headway.InferenceSession(tiny) as session:
        binding = bound(session)
        binding.clear_binding_inputs()
        for call in (session.run_with_iobinding, lambda one: session.submit_with_iobinding(one).result()):
            with pytest.raises(
                RuntimeError, match=r"Error in execution: Required inputs \(\['x'\]\) are missing"
            ):
                call(binding)


def test_addresses_are_looked_at(tiny: bytes) -> None:
    with headway.InferenceSession(tiny) as session:
        binding = session.io_binding()
        for address in (0, X.ctypes.data + 1):
            with pytest.raises(RuntimeError, match=r"null|not a multiple of 4"):
                binding.bind_input("x", "cpu", 0, np.float32, [1, 3], address)
            with pytest.raises(RuntimeError, match=r"null|not a multiple of 4"):
                binding.bind_output("y", "cpu", 0, np.float32, [1, 3], address)
        with pytest.raises(ValueError, match="`element_type` and `shape` are to be provided"):
            binding.bind_output("y", buffer_ptr=X.ctypes.data)
        with pytest.raises(RuntimeError, match=r"the device .cuda."):
            binding.bind_input("x", "cuda", 0, np.float32, [1, 3], X.ctypes.data)
        with pytest.raises(RuntimeError, match="Unsupported device type: toaster"):
            binding.bind_output("y", "toaster")


def test_what_cannot_be_written_to_is_no_place_for_an_output(tiny: bytes) -> None:
    frozen = X.copy()
    frozen.flags.writeable = False
    with headway.InferenceSession(tiny) as session:
        binding = session.io_binding()
        for array, message in ((frozen, "read-only"), (np.array(["a"], object), "strings")):
            with pytest.raises(RuntimeError, match=message):
                binding.bind_ortvalue_output("y", OrtValue.ortvalue_from_numpy(array))
        for wrong in (X, None):
            with pytest.raises(TypeError, match=r"expected a headway\.OrtValue"):
                binding.bind_ortvalue_input("x", wrong)  # type: ignore[arg-type]


def test_a_binding_belongs_to_its_session(tiny: bytes) -> None:
    with headway.InferenceSession(tiny) as session, headway.InferenceSession(tiny) as other:
        for call in (other.run_with_iobinding, other.submit_with_iobinding):
            with pytest.raises(
                ValueError, match=r"^IOBinding must be used with the session that created it\.$"
            ):
                call(bound(session))
        with pytest.raises(TypeError):
            session.run_with_iobinding(3)  # type: ignore[arg-type]


def test_after_close(tiny: bytes) -> None:
    session = headway.InferenceSession(tiny)
    binding = bound(session)
    session.run_with_iobinding(binding)
    session.close()
    assert binding.get_outputs()[0].numpy().tolist() == Y
    with pytest.raises(headway.SessionClosed):
        session.run_with_iobinding(binding)


# ---- without blocking ----------------------------------------------------------------------------------------------


def test_awaited(tiny: bytes) -> None:
    async def main(session: headway.InferenceSession) -> None:
        bindings = [bound(session, np.full((1, 3), number, np.float32)) for number in range(4)]
        answers = await asyncio.gather(*map(session.arun_with_iobinding, bindings))
        assert [value.numpy().tolist() for [value] in answers] == [[[2 * number] * 3] for number in range(4)]
        wrong = bound(session, X[0])
        with pytest.raises(RuntimeError, match=r"^Error in execution: Invalid rank for input: x") as caught:
            await session.arun_with_iobinding(wrong)
        assert isinstance(caught.value, headway.InvalidArgument)

    with headway.InferenceSession(tiny) as session:
        asyncio.run(main(session))
        assert_conserved(session)


def test_awaited_twice_at_once(loop: bytes) -> None:
    async def main(session: headway.InferenceSession) -> None:
        binding = session.io_binding()
        binding.bind_cpu_input("n", np.array(10**15))
        binding.bind_cpu_input("x", np.zeros(1, np.float32))
        binding.bind_output(session.get_outputs()[0].name)
        first = asyncio.ensure_future(session.arun_with_iobinding(binding))
        await asyncio.sleep(0)
        # It runs until somebody stops it.
        with pytest.raises(RuntimeError, match="in use"):
            await session.arun_with_iobinding(binding)
        session.cancel_all()
        with pytest.raises(CancelledError):
            await first

    with headway.InferenceSession(loop) as session:
        asyncio.run(main(session))
        assert_conserved(session)


def test_callbacks_and_timing(tiny: bytes) -> None:
    with headway.InferenceSession(tiny) as session:
        seen: list[Any] = []
        done = threading.Event()

        def ended(future: Any) -> None:
            seen.append(future.result()[0].numpy().tolist())
            done.set()

        future = session.submit_with_iobinding(bound(session), priority=3, stream="camera")
        future.add_done_callback(ended)
        assert done.wait(PATIENCE)
        assert seen == [Y]
        assert future.timing.ended is not None
        assert session.stats().streams["camera"].submitted == 1
