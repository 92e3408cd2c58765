"""The drop-in's conventions on an ONNX model: callbacks, pipeline, batch, pacing, errors."""

from __future__ import annotations

import threading
from typing import Any

import numpy as np
import pytest
from onnx import TensorProto, helper

import headway
from headway import ez_rknn
from headway.ez_rknn._pace import Pace
from headway.testing import FakeEngine

from ..support import PATIENCE, X, gather_model, tiny_model


class Calls:
    """A callback that remembers."""

    def __init__(self, expected: int) -> None:
        self.seen: list[tuple[Any, Any, str]] = []
        self._expected = expected
        self._all = threading.Event()

    def __call__(self, results: Any, user_data: Any, err: str) -> None:
        self.seen.append((results, user_data, err))
        if len(self.seen) == self._expected:
            self._all.set()

    def wait(self) -> list[tuple[Any, Any, str]]:
        assert self._all.wait(PATIENCE)
        return self.seen


def session_of(given: Any = None, **options: Any) -> ez_rknn.InferenceSession:
    return ez_rknn.InferenceSession(tiny_model() if given is None else given, provider_options=options)


def test_a_failed_request_gives_its_callback_none() -> None:
    calls = Calls(2)
    with session_of(gather_model()) as session:
        session.run_async(None, {"i": np.array([9])}, calls, "bad")
        session.run_async(None, {"i": np.array([0])}, calls, "good")
        seen = calls.wait()
    assert (seen[0][0], seen[0][1]) == (None, "bad")
    assert seen[0][2]
    assert seen[1][0] is not None
    assert seen[1][1:] == ("good", "")


def test_callbacks_come_in_order() -> None:
    calls = Calls(20)
    with session_of(schedule=[0, 1, 2]) as session:
        for place in range(20):
            session.run_async(None, {"x": X}, calls, place)
        assert [place for _, place, _ in calls.wait()] == list(range(20))


def test_the_queue_is_full_after_submit_timeout() -> None:
    engine = FakeEngine(held=True)
    session = session_of(engine, max_queue_size=1, submit_timeout_ms=1)
    with session:
        calls = Calls(2)
        for place in range(2):
            session.run_async(None, X, calls, place)
            engine.wait_running(1)
        with pytest.raises(RuntimeError) as raised:
            session.run_async(None, X, calls, 2)
        assert isinstance(raised.value, headway.QueueFull)
        engine.open()
        calls.wait()


@pytest.mark.parametrize(
    "wrong",
    [
        lambda session: session.run(None, {"z": X}),
        lambda session: session.run(None, {"x": X.astype(np.int64)}),
        lambda session: session.run(["nothing"], {"x": X}),
        lambda session: session.run_async(None, {"z": X}, lambda *_: None),
        lambda session: session.run_async(None, {"x": X}, "no callable"),
        lambda session: session.run_pipeline({"x": X}, depth=0),
        lambda session: session.submit({"z": X}),
        lambda session: session.submit({"x": X[:, :2]}),
    ],
)
def test_every_error_is_a_runtime_error(wrong: Any) -> None:
    with session_of() as session, pytest.raises(RuntimeError):
        wrong(session)


def test_every_ending_is_a_runtime_error() -> None:
    with session_of(gather_model()) as session:
        future = session.submit({"i": np.array([9])})
        with pytest.raises(RuntimeError) as raised:
            future.result()
        assert isinstance(raised.value, headway.EngineError | headway.InputError)
    with pytest.raises(RuntimeError) as closed:
        session.run(None, {"i": np.array([0])})
    assert isinstance(closed.value, headway.SessionClosed)
    engine = FakeEngine(held=True)
    with session_of(engine) as session:
        late = session.submit(X, timeout=1e-3)
        with pytest.raises(RuntimeError) as expired:
            late.result()
        assert isinstance(expired.value, TimeoutError)
        engine.open()


@pytest.mark.parametrize("path", ["nowhere.onnx", "nowhere.rknn"])
def test_a_model_that_does_not_load(path: str) -> None:
    with pytest.raises(RuntimeError) as raised:
        ez_rknn.InferenceSession(path)
    assert isinstance(raised.value, headway.LoadError)


def test_an_unknown_keyword() -> None:
    with pytest.raises(RuntimeError) as raised:
        ez_rknn.InferenceSession(tiny_model(), provider_option={})
    assert isinstance(raised.value, TypeError)


class Entry:
    """Run options as an object."""

    def __init__(self, value: str | None) -> None:
        self._value = value

    def get_run_config_entry(self, key: str) -> str:
        if self._value is None:
            raise RuntimeError("not set")
        return self._value


@pytest.mark.parametrize("options", [{"ztu_modelrt_dispatch_batch": True}, Entry("1")])
def test_a_batch_is_split_into_samples(options: Any) -> None:
    batch = np.arange(15, dtype=np.float32).reshape(5, 3)
    with session_of(schedule=[0, 1]) as session:
        (answer,) = session.run(None, {"x": batch}, options)
        np.testing.assert_array_equal(answer, batch + batch)
        assert session.stats().done == 5
        before = session.stats().submitted
        with pytest.raises(RuntimeError, match="run_async does not support"):
            session.run_async(None, {"x": batch}, lambda *_: None, None, options)
        with pytest.raises(RuntimeError, match="Batch size must be greater than 0"):
            session.run(None, {"x": batch[:0]}, options)
        assert session.stats().submitted == before


def test_a_number_goes_with_every_sample_of_a_batch() -> None:
    info = helper.make_tensor_value_info
    ends = [
        info("x", TensorProto.FLOAT, [1, 3]),
        info("s", TensorProto.FLOAT, []),
        info("y", TensorProto.FLOAT, None),
    ]
    graph = helper.make_graph([helper.make_node("Add", ["x", "s"], ["y"])], "add", ends[:2], ends[2:])
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    batch = np.arange(6, dtype=np.float32).reshape(2, 3)
    with session_of(model.SerializeToString()) as session:
        for number in (2.0, np.array(2, np.float32)):
            feed = {"x": batch, "s": number}
            (answer,) = session.run(None, feed, {"ztu_modelrt_dispatch_batch": True})
            np.testing.assert_array_equal(answer, batch + 2)


def test_without_the_run_option_a_batch_is_an_error() -> None:
    batch = np.zeros((5, 3), np.float32)
    for options in ({}, {"ztu_modelrt_dispatch_batch": "off"}, Entry(None), None):
        with session_of() as session, pytest.raises(RuntimeError):
            session.run(None, {"x": batch}, options)


@pytest.mark.parametrize("how", [{"reset": True}, {"depth": 2}, {"output_names": ["y"]}])
def test_a_refused_frame_resets_nothing(how: dict[str, Any]) -> None:
    with session_of() as session:
        for number in range(3):
            session.run_pipeline({"x": X + number}, depth=3)
        for wrong in ({"x": X.astype(np.int64)}, {"z": X}):
            with pytest.raises(RuntimeError):
                session.run_pipeline(wrong, **{"depth": 3, **how})
        assert session.stats().dropped == {}
        given = session.run_pipeline({"x": X + 3}, depth=3)
        assert given is not None
        rest = [given, *session.drain_pipeline()]
    assert [float(result[0][0, 0]) for result in rest] == [0, 2, 4, 6]


def test_the_pipeline_and_its_end() -> None:
    frames = [np.full((1, 3), place, np.float32) for place in range(7)]
    with session_of(schedule=[0, 1, 2]) as session:
        given = [session.run_pipeline({"x": frame}, depth=3) for frame in frames]
        assert given[:3] == [None] * 3
        rest = list(session.drain_pipeline())
        answers = [one[0] for one in [*given[3:], *rest] if one is not None]
    np.testing.assert_array_equal(np.concatenate(answers), 2 * np.concatenate(frames))


@pytest.mark.parametrize("providers", [None, "RKNPU2ExecutionProvider", ["RKNNExecutionProvider"]])
def test_providers_of_the_npu_change_nothing_on_another_engine(providers: Any) -> None:
    with ez_rknn.InferenceSession(tiny_model(), providers=providers) as session:
        np.testing.assert_array_equal(session.run(None, [X])[0], X + X)
        assert (session.input_names, session.output_names) == (["x"], ["y"])


def test_a_binding() -> None:
    with session_of() as session:
        binding = session.io_binding()
        binding.bind_cpu_input("x", X)
        session.run_with_iobinding(binding)
        np.testing.assert_array_equal(binding.copy_outputs_to_cpu()[0], X + X)
        given = ez_rknn.OrtValue.ortvalue_from_numpy(X, "cpu", 0, name="x", session=session, io_kind="input")
        assert isinstance(given, ez_rknn.OrtValue)
        kept = ez_rknn.OrtValue.ortvalue_from_shape_and_type([1, 3], np.float32)
        binding.clear_binding_outputs()
        binding.bind_ortvalue_input("x", given)
        binding.bind_ortvalue_output("y", kept)
        session.run_with_iobinding(binding)
        np.testing.assert_array_equal(kept.numpy(), X + X)
        with pytest.raises(RuntimeError, match="'cpu'"):
            binding.bind_output("y", "rknpu2")
        with pytest.raises(RuntimeError, match="NPU"):
            ez_rknn.OrtValue.ortvalue_from_dmabuf(3, [1], np.float32)


def test_pacing_spreads_the_turns() -> None:
    pace = Pace(2, lambda: 1.0, 0.4)
    # The first turn is now, the second half a second later, which is over the limit.
    assert pace.wait()
    assert not pace.wait()
    pace.end()


def test_pacing_lets_everything_through() -> None:
    with session_of(enable_pacing=True) as session:
        for _ in range(20):
            session.run(None, {"x": X})
        assert session.stats().done == 20
