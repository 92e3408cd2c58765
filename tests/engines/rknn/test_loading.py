"""Loading: which engine, which cores, every option; what is refused, and that nothing is left of it."""

from __future__ import annotations

import re
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import headway

from .conftest import Open
from .standin import StandIn, echo, model, tensor

X = np.array([[1.0, 2.0, 3.0, 4.0]], np.float32)
HIGH, MEDIUM, LOW, PERF, SRAM, SHARE = 0, 1, 2, 8, 0x800, 0x20


def places(session: headway.InferenceSession) -> list[str]:
    return [lane.place for lane in session.stats().lanes]


def test_engine_by_the_file_and_by_the_bytes(open_session: Open, tmp_path: Path) -> None:
    path = tmp_path / "m.rknn"
    path.write_bytes(echo())
    for given in (path, str(path), echo()):
        session = open_session(given)
        np.testing.assert_array_equal(session.run(None, [X])[0], X)
        assert session.get_providers() == ["RKNPU2ExecutionProvider"]
    assert repr(open_session(path)).startswith("<InferenceSession m.rknn rknn/NPU [1 lane:")


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"RKNX" + bytes(60), "RKNX kind .RKNPU3., which librknnrt does not run; convert it"),
        (b"PK\3\4 something else", "does not start as an RKNN model does; make one with rknn-toolkit2"),
        (b"", "does not start as an RKNN model does"),
    ],
)
def test_files_that_are_no_rknn_model(standin: StandIn, tmp_path: Path, content: bytes, message: str) -> None:
    path = tmp_path / "m.rknn"
    path.write_bytes(content)
    with pytest.raises(headway.LoadError, match=message) as caught:
        headway.InferenceSession(path, engine_options={"library": standin.path})
    assert str(path) in str(caught.value)
    if content.startswith(b"RKN"):
        with pytest.raises(headway.LoadError, match=message):
            headway.InferenceSession(content, engine_options={"library": standin.path})


def test_a_file_that_is_not_there(standin: StandIn) -> None:
    with pytest.raises(headway.LoadError, match=r"nowhere\.rknn: the model cannot be read: No such file"):
        headway.InferenceSession("nowhere.rknn", engine_options={"library": standin.path})


def test_the_runtimes_own_refusal(standin: StandIn) -> None:
    with pytest.raises(headway.LoadError, match=r"rknn_init failed: RKNN_ERR_MODEL_INVALID \(-6\)") as caught:
        headway.InferenceSession(echo()[:40], engine_options={"library": standin.path})
    assert caught.value.code == -6


def test_a_machine_without_the_runtime(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.delenv("HEADWAY_RKNN_LIBRARY", raising=False)
    monkeypatch.setenv("LD_LIBRARY_PATH", str(tmp_path))
    with pytest.raises(headway.LoadError) as caught:
        headway.InferenceSession(echo())
    text = str(caught.value)
    assert "the RKNN runtime (librknnrt.so) cannot be loaded" in text
    assert f"{tmp_path}/librknnrt.so: no such file" in text
    assert "/usr/lib/librknnrt.so: no such file" in text
    assert "copy librknnrt.so" in text and "HEADWAY_RKNN_LIBRARY" in text


def test_the_environment_names_the_runtime(
    standin: StandIn, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("HEADWAY_RKNN_LIBRARY", str(standin.path))
    with headway.InferenceSession(echo()) as session:
        assert session.engine_facts["library"] == standin.path
    wrong = tmp_path / "libwrong.so"
    wrong.write_bytes(b"no library")
    monkeypatch.setenv("HEADWAY_RKNN_LIBRARY", str(wrong))
    with pytest.raises(headway.LoadError, match=re.escape(str(wrong))):
        headway.InferenceSession(echo())


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        ({}, ["any core"]),
        ({"tp_mode": "auto", "threads_per_core": 2}, ["any core", "any core"]),
        ({"tp_mode": "all"}, ["all cores"]),
        ({"tp_mode": 1}, ["core 1"]),
        ({"tp_mode": "0, 1"}, ["cores 0 and 1"]),
        ({"tp_mode": "0,1,2"}, ["cores 0, 1 and 2"]),
        ({"schedule": 2}, ["core 2"]),
        ({"schedule": [0, 1, 2]}, ["core 0", "core 1", "core 2"]),
        ({"schedule": "[2 0 2]"}, ["core 2", "core 0"]),
        ({"schedule": "0,1", "threads_per_core": 2}, ["core 0", "core 1", "core 0", "core 1"]),
        ({"session": {"workers": 3}}, ["any core"] * 3),
    ],
)
def test_lanes(open_session: Open, options: dict[str, Any], expected: list[str]) -> None:
    session = open_session(echo(), **options)
    assert places(session) == expected
    np.testing.assert_array_equal(session.run(None, [X])[0], X)


@pytest.mark.parametrize(
    ("options", "error", "message"),
    [
        ({"schedule": [0, 1], "tp_mode": "all"}, ValueError, "schedule and tp_mode contradict each other"),
        ({"schedule": []}, ValueError, "schedule: expected a core"),
        ({"schedule": "0,x"}, ValueError, "schedule: expected cores"),
        ({"schedule": [0, 5]}, ValueError, "5 is no core"),
        ({"schedule": [-1]}, ValueError, "-1 is no core"),
        ({"schedule": True}, ValueError, "schedule"),
        ({"tp_mode": "1,2"}, ValueError, "tp_mode: expected one of 'auto', 'all'"),
        ({"threads_per_core": 0}, ValueError, "threads_per_core"),
        ({"pin": True}, ValueError, "pin: only a schedule can be pinned"),
        ({"layout": "sideways"}, ValueError, "layout: expected one of 'nchw'"),
        ({"outputs": "float16"}, ValueError, "outputs"),
        ({"priority": 3}, ValueError, "priority"),
        ({"zero_copy": 1}, ValueError, "zero_copy: expected True or False"),
        ({"buffers": -1}, ValueError, "buffers"),
        ({"run_timeout": 0}, ValueError, "run_timeout"),
        ({"share_weights": "other"}, ValueError, "share_weights: expected an InferenceSession"),
        ({"custom_ops": ["a.so", "a.so"]}, ValueError, "the same library twice"),
        (
            {"custom_ops": ["nowhere.so"]},
            headway.LoadError,
            "custom_ops cannot be loaded\n  nowhere.so: no such file",
        ),
        ({"shedule": [0]}, TypeError, "the rknn engine has no shedule; it has buffers, custom_ops"),
        ({"session": {"workers": 2}, "schedule": [0, 1, 2]}, ValueError, "the schedule gives 3 lanes"),
        ({"session": {"providers": ["CPUExecutionProvider"]}}, ValueError, "RKNPU2ExecutionProvider"),
    ],
)
def test_wrong_options_load_nothing(
    open_session: Open, standin: StandIn, options: dict[str, Any], error: type[Exception], message: str
) -> None:
    with pytest.raises(error, match=message):
        open_session(echo(), **options)
    assert standin.stats()["counts"]["calls"] == {}


@pytest.mark.parametrize("options", [{"schedule": [0, 1, 2]}, {"tp_mode": "all"}, {"schedule": [0]}])
def test_a_chip_with_one_core(open_session: Open, standin: StandIn, options: dict[str, Any]) -> None:
    standin.control(cores=[1.0])
    with pytest.raises(
        headway.LoadError, match=r"rknn_set_core_mask failed: RKNN_ERR_TARGET_PLATFORM_UNMATCH"
    ):
        open_session(echo(), **options)
    assert standin.stats()["contexts"] == 0
    np.testing.assert_array_equal(open_session(echo()).run(None, [X])[0], X)


def test_a_chip_with_two_cores(open_session: Open, standin: StandIn) -> None:
    standin.control(cores=[1.0, 1.0])
    with pytest.raises(
        headway.LoadError, match=r"core 2: rknn_set_core_mask failed: .*RK3588 has cores 0 to 2"
    ):
        open_session(echo(), schedule=[0, 1, 2])
    assert standin.stats()["contexts"] == 0


def test_lanes_share_the_weights_of_the_first(open_session: Open, standin: StandIn) -> None:
    open_session(echo(), schedule=[0, 1, 2])
    assert (standin.stats()["contexts"], standin.stats()["counts"]["weight_loads"]) == (3, 1)
    open_session(echo(), schedule=[0, 1, 2], dup_context=False)
    assert (standin.stats()["contexts"], standin.stats()["counts"]["weight_loads"]) == (6, 4)


def test_sessions_share_weights(open_session: Open, standin: StandIn) -> None:
    whole = open_session(echo())
    small = open_session(echo(remove_weight=True), share_weights=whole, schedule=[0, 1])
    assert standin.stats()["counts"]["weight_loads"] == 1
    assert standin.stats()["counts"]["flags"][-1] == SHARE
    # The one whose weights are used may be closed first.
    whole.close()
    np.testing.assert_array_equal(small.run(None, [X])[0], X)
    with pytest.raises(headway.SessionClosed):
        open_session(echo(remove_weight=True), share_weights=whole)
    with pytest.raises(headway.LoadError, match="MODEL_INVALID"):
        open_session(echo(remove_weight=True))
    with (
        headway.InferenceSession(lambda feed: feed, inputs=["x"], outputs=["x"]) as other,
        pytest.raises(headway.LoadError, match="expected a session on the rknn engine"),
    ):
        open_session(echo(remove_weight=True), share_weights=other)


@pytest.mark.parametrize(
    ("options", "flags"),
    [
        ({}, HIGH),
        ({"priority": "medium"}, MEDIUM),
        ({"priority": "Low", "sram": True}, LOW | SRAM),
        ({"perf": True}, PERF),
    ],
)
def test_flags(open_session: Open, standin: StandIn, options: dict[str, Any], flags: int) -> None:
    session = open_session(echo(latency=0.001), **options)
    assert standin.stats()["counts"]["flags"] == [flags]
    session.run(None, [X])
    assert session.engine_facts["perf_detail"] == ("total time: 1000 us" if flags & PERF else None)


def test_custom_operators(open_session: Open, standin: StandIn) -> None:
    made = echo(custom_ops=1)
    without = open_session(made)
    with pytest.raises(headway.EngineError, match=r"rknn_run failed: RKNN_ERR_FAIL"):
        without.run(None, [X])
    # The stand-in's own file exports an operator. Each context is told of it; none is a duplicate.
    session = open_session(made, custom_ops=[standin.path], schedule=[0, 1])
    for _ in range(4):
        np.testing.assert_array_equal(session.run(None, [X])[0], X)
    calls = standin.stats()["counts"]["calls"]
    assert calls["rknn_register_custom_ops"] == 2
    assert "rknn_dup_context" not in calls


def without(standin: StandIn, folder: Path, *functions: str) -> Path:
    """A copy of the stand-in that lacks these functions, as the runtimes of small chips do."""
    content = standin.path.read_bytes()
    for name in functions:
        assert name.encode() in content
        content = content.replace(name.encode(), b"z" + name.encode()[1:])
    path = folder / "librknnmrt.so"
    path.write_bytes(content)
    shutil.copymode(standin.path, path)
    return path


def test_runtimes_of_small_chips(standin: StandIn, tmp_path: Path) -> None:
    missing = (
        "rknn_inputs_set",
        "rknn_outputs_get",
        "rknn_outputs_release",
        "rknn_dup_context",
        "rknn_set_core_mask",
    )
    path = without(standin, tmp_path, *missing)
    with headway.InferenceSession(echo(), workers=2, engine_options={"library": path}) as session:
        # There is no other way than bound memory, and every lane loads the model.
        np.testing.assert_array_equal(session.run(None, [X])[0], X)
    with pytest.raises(headway.LoadError, match=r"this librknnrt has no rknn_set_core_mask: .*one core"):
        headway.InferenceSession(echo(), engine_options={"library": path, "schedule": [0]})


def test_a_library_that_is_another(standin: StandIn, tmp_path: Path) -> None:
    path = without(standin, tmp_path, "rknn_query")
    with pytest.raises(headway.LoadError, match=r"librknnmrt\.so: it has no function rknn_query"):
        headway.InferenceSession(echo(), engine_options={"library": path})


def test_run_options_are_refused(open_session: Open) -> None:
    with pytest.raises(TypeError, match="the rknn engine takes none"):
        open_session(echo()).run(None, [X], headway.RunOptions())


def test_bound_memory_that_does_not_fit(open_session: Open, standin: StandIn) -> None:
    made = model("identity", [tensor("x", [2, 3], kind="int8")], [tensor("y", [2, 3], kind="int8")])
    standin.fault("rknn_create_mem", 2, code=-4)
    with pytest.raises(headway.LoadError, match="rknn_create_mem gave no memory for 6 bytes"):
        open_session(made, zero_copy=True)
    assert standin.stats()["contexts"] == 0
