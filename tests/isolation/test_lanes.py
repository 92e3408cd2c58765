"""What works with threads works with processes: every convention, values, errors, flow control."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import ml_dtypes
import numpy as np
import pytest

import headway

from ..conventions.ways import BLOCKING, Call
from ..models import built
from ..support import X, assert_conserved
from . import calls
from .conftest import Make, pids

pytestmark = pytest.mark.timeout(60)


def floats(*numbers: float) -> Any:
    return np.array(numbers, np.float32)


@pytest.fixture(scope="module", params=["onnxruntime", "python"])
def session(request: pytest.FixtureRequest, tiny: bytes) -> Any:
    """``y = 2 x``, on either engine."""
    if request.param == "python":
        made = headway.InferenceSession(calls.double, inputs=["x"], outputs=["y"], isolation="process")
    else:
        made = headway.InferenceSession(tiny, isolation="process")
    with made:
        yield made


@pytest.mark.parametrize("way", BLOCKING)
def test_every_convention_answers(session: headway.InferenceSession, way: str) -> None:
    call: Call = BLOCKING[way]
    assert call(session, {"x": X})[0].tolist() == (2 * X).tolist()
    assert_conserved(session)


def test_lists_pipelines_and_runs(session: headway.InferenceSession) -> None:
    feeds = [{"x": X + number} for number in range(20)]
    expected = [(2 * feed["x"]).tolist() for feed in feeds]
    assert [outputs[0].tolist() for outputs in session.run_parallel(feeds)] == expected
    assert [outputs[0].tolist() for outputs in session.stream(feeds)] == expected
    given = [session.run_pipeline(feed) for feed in feeds]
    given += list(session.drain_pipeline())
    assert [outputs[0].tolist() for outputs in given if outputs is not None] == expected
    with session.open() as run:
        for feed in feeds[:3]:
            run.push(feed)
        run.close_input()
        assert [sample.data["y"].tolist() for sample in run] == expected[:3]


def test_a_lane_is_a_process_of_its_own(session: headway.InferenceSession) -> None:
    [pid] = pids(session)
    assert pid != os.getpid()
    assert session.engine_can_cancel
    assert [lane.pid for lane in session.health(probe=True, feed=[X]).lanes] == [pid]


def test_answers_equal_those_of_threads() -> None:
    numbers = np.random.default_rng(5).standard_normal((400, 3), np.float32)
    model = built.tiny()
    with (
        headway.InferenceSession(model) as threads,
        headway.InferenceSession(model, isolation="process") as processes,
    ):
        for rows in (0, 1, 400):
            feed = {"x": numbers[:rows]}
            ours, theirs = processes.run(None, feed)[0], threads.run(None, feed)[0]
            assert ours.dtype == theirs.dtype
            assert ours.shape == theirs.shape
            assert ours.tobytes() == theirs.tobytes()
        assert [one.name for one in processes.get_inputs()] == [one.name for one in threads.get_inputs()]
        assert [one.shape for one in processes.get_inputs()] == [one.shape for one in threads.get_inputs()]
        assert processes.get_modelmeta().graph_name == threads.get_modelmeta().graph_name
        assert processes.get_providers() == threads.get_providers()


def test_strings() -> None:
    with headway.InferenceSession(built.words(), isolation="process") as session:
        left, right = np.array(["cat", "grüße", ""], object), np.array(["s", "!", "x" * 1000], object)
        joined, number = session.run(None, {"left": left, "right": right})
        assert joined.tolist() == ["cats", "grüße!", "x" * 1000]
        assert number.tolist() == [1, 3, 4]


DTYPES = ["bool", "int8", "uint8", "int16", "uint16", "int32", "uint32", "int64", "uint64"]
DTYPES += ["float16", "float32", "float64", "complex64", "complex128"]


def test_a_callable_gets_and_gives_any_array() -> None:
    with headway.InferenceSession(calls.same, inputs=["x"], outputs=["y"], isolation="process") as session:
        for dtype in DTYPES:
            array = np.arange(6).reshape(2, 3).astype(dtype)
            for given in (array, array.T, array[:, ::2], array[:0], array[0, 0]):
                [answer] = session.run(None, {"x": given})
                assert (answer.dtype, answer.shape) == (array.dtype, np.shape(given))
                assert answer.tolist() == np.asarray(given).tolist()
        assert session.run(None, [[1, 2, 3]])[0].tolist() == [1, 2, 3]
        assert session.run(None, [["a", "ä"]])[0].tolist() == ["a", "ä"]


def test_several_inputs_and_chosen_outputs() -> None:
    with headway.InferenceSession(
        calls.several, inputs=["a", "b"], outputs=["sum", "difference", "text"], isolation="process"
    ) as session:
        feed = {"b": floats(1.0), "a": floats(3.0)}
        assert [one.tolist() for one in session.run(None, feed)] == [[4.0], [2.0], ["text", "größer"]]
        assert [one.tolist() for one in session.run(["difference", "sum"], feed)] == [[2.0], [4.0]]
        with pytest.raises(headway.InputError, match="missing"):
            session.run(None, {"a": floats(1.0)})
        with pytest.raises(headway.InputError, match="Invalid output name"):
            session.run(["other"], feed)


def test_large_outputs_live_where_the_process_put_them(unkind: Make) -> None:
    session = unkind()
    feeds = [np.full(100_000, number, np.float32) for number in range(1, 41)]
    # More than there are areas: the rest is copied.
    answers = [session.run(None, [feed])[0] for feed in feeds]
    for number, answer in enumerate(answers, 1):
        assert answer.min() == answer.max() == 2 * number
    del answers[::2]
    more = [session.run(None, [feed])[0] for feed in feeds]
    session.close()
    # They outlive the process and the session, and can be written to.
    for number, answer in enumerate(more, 1):
        assert answer.min() == answer.max() == 2 * number
        answer += 1
    assert answers[0].min() == 4


def test_large_outputs_live_where_the_engine_wrote_them() -> None:
    numbers = np.random.default_rng(3).standard_normal((30_000, 3), np.float32)
    with headway.InferenceSession(built.tiny(), isolation="process") as session:
        # More than can be held at once, of several sizes, some let go of in between.
        sizes = [30_000, 20_000, 30_000, 1, 25_000] * 6
        answers = [session.run(None, [numbers[:size] + at])[0] for at, size in enumerate(sizes)]
        expected = [(numbers[:size] + at) ** 2 + (numbers[:size] + at) for at, size in enumerate(sizes)]
        del answers[::3], expected[::3]
        for at in range(20):
            array = numbers - at
            answers.append(session.run(None, [array])[0])
            expected.append(array * array + array)
    # They outlive the process and the session, are writable, and no two are the same memory.
    for answer, right in zip(answers, expected, strict=True):
        np.testing.assert_allclose(answer, right, rtol=1e-5, atol=1e-5)
        answer += 1
    for answer, right in zip(answers, expected, strict=True):
        np.testing.assert_allclose(answer, right + 1, rtol=1e-5, atol=1e-5)


def test_a_large_output_that_is_wanted_twice_is_two_arrays() -> None:
    with headway.InferenceSession(built.tiny(), isolation="process") as session:
        [name] = [node.name for node in session.get_outputs()]
        one, two = session.run([name, name], [np.ones((30_000, 3), np.float32)])
        one += 1
        assert (one.min(), two.max()) == (3, 2)


def test_an_environment_of_any_bytes(tiny: bytes, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HEADWAY_TEST_BYTES", os.fsdecode(b"gr\xfc\xdfe"))
    with headway.InferenceSession(tiny, isolation="process") as session:
        [pid] = pids(session)
        assert b"HEADWAY_TEST_BYTES=gr\xfc\xdfe" in Path(f"/proc/{pid}/environ").read_bytes()


def test_requests_that_grow_and_shrink(unkind: Make) -> None:
    session = unkind()
    for size in (3, 30_000, 300_000, 3_000_000, 5, 1_000_000, 3):
        [answer] = session.run(None, [np.arange(1, size + 1, dtype=np.float32)])
        assert answer.shape == (size,)
        assert answer[-1] == 2 * np.float32(size)


def test_a_callable_may_keep_its_inputs(unkind: Make) -> None:
    session = unkind()
    for number in range(20):
        [answer] = session.run(None, [np.array([calls.KEEP, number] + [0.0] * 50_000)])
        assert answer.tolist() == list(range(number + 1))


def test_an_exception_is_told_with_its_traceback(unkind: Make) -> None:
    session = unkind()
    with pytest.raises(headway.EngineError, match="the callable raised KeyError: 'no'") as raised:
        session.run(None, [floats(calls.RAISE)])
    assert not isinstance(raised.value, headway.LaneCrashed)
    assert 'raise KeyError("no")' in raised.value.__notes__[0]
    assert session.run(None, [floats(1.0)])[0].tolist() == [2.0]
    assert session.health().lanes[0].restarts == 0


def test_a_feed_that_the_process_cannot_make_is_one_requests_error(
    unkind: Make, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "ml_dtypes.py").write_text("raise ImportError('hidden')")
    monkeypatch.syspath_prepend(tmp_path)
    session = unkind()
    for _ in range(7):
        with pytest.raises(headway.EngineError, match="ml_dtypes") as raised:
            session.run(None, [np.ones(2, ml_dtypes.bfloat16)])
        assert not isinstance(raised.value, headway.LaneCrashed)
    assert session.run(None, [floats(1.0)])[0].tolist() == [2.0]
    assert session.health().lanes[0].restarts == 0


def test_an_answer_that_has_no_bytes_is_refused() -> None:
    with (
        headway.InferenceSession(calls.lone, inputs=["x"], isolation="process") as session,
        pytest.raises(headway.EngineError, match="an output that cannot be given: element 0 is not UTF-8"),
    ):
        session.run(None, [X])


def test_an_answer_that_is_no_array_is_refused() -> None:
    with (
        headway.InferenceSession(calls.objects, inputs=["x"], isolation="process") as session,
        pytest.raises(headway.EngineError, match="gives arrays of numbers or strings"),
    ):
        session.run(None, [X])


def test_engine_errors_keep_their_class(gather: bytes) -> None:
    with headway.InferenceSession(gather, isolation="process") as session:
        with pytest.raises(headway.InvalidArgument, match="indices element out of data bounds"):
            session.run(None, [np.array([9])])
        with pytest.raises(headway.InvalidArgument, match="Unexpected input data type"):
            session.run(None, [floats(1.0)])
        assert session.run(None, [np.array([2])])[0].tolist() == [2.0]


def test_batches_are_joined_in_the_process() -> None:
    batching = headway.Batching(max_size=8, max_delay=0.05)
    with headway.InferenceSession(built.tiny(), isolation="process", batching=batching) as session:
        futures = [session.submit({"x": np.full((1, 3), number, np.float32)}) for number in range(64)]
        for number, future in enumerate(futures):
            assert future.result()[0].tolist() == [[number * number + number] * 3]
        stats = session.stats().batching
        assert stats is not None
        assert stats.runs < 64


def test_what_a_process_has_of_the_program(unkind: Make) -> None:
    with headway.InferenceSession(calls.pid, inputs=["x"], isolation="process") as session:
        pid, group, stdin, pytest_there = session.run(None, [X])[0].tolist()
    assert pid == group != os.getpgrp()
    assert (stdin, pytest_there) == (0, 0)


def test_an_engine_of_ones_own() -> None:
    options = {"factor": 5.0}
    with headway.InferenceSession(calls.Scaled, isolation="process", engine_options=options) as session:
        assert session.run(None, [floats(1.0, 2.0)])[0].tolist() == [5.0, 10.0]
        with pytest.raises(headway.InputError):
            session.run(None, [np.zeros(2)])
        with pytest.raises(headway.LaneCrashed) as raised:
            session.run(None, [floats(-1.0)])
        assert (raised.value.engine, raised.value.exit_code) == ("scaled", 3)
        assert session.run(None, [floats(1.0)])[0].tolist() == [5.0]
    with pytest.raises(TypeError, match="was made in this process; give its class"):
        headway.InferenceSession(calls.Scaled(), isolation="process")


def test_workers_are_processes(unkind: Make) -> None:
    session = unkind(workers=3)
    assert len(set(pids(session))) == 3
    feeds = [floats(float(number)) for number in range(50)]
    answers = session.run_parallel([[feed] for feed in feeds])
    assert [answer[0][0] for answer in answers] == [2.0 * number for number in range(50)]
