"""Provider options: what is read, what is refused, and that everything raised is a RuntimeError too."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import headway
from headway import ez_rknn
from headway.ez_rknn._options import of_session, read

from ..support import X, tiny_model


def test_defaults_are_the_originals() -> None:
    options = read({})
    assert (options.max_queue_size, options.submit_timeout_ms, options.sequential_callbacks) == (
        3,
        10000,
        True,
    )
    assert (options.layout, options.schedule, options.tp_mode, options.lanes) == ("nchw", None, None, 1)


@pytest.mark.parametrize(
    ("given", "cores", "lanes"),
    [
        ([0, 1, 2], (0, 1, 2), 3),
        ("0,1,2", (0, 1, 2), 3),
        ("[0 1]", (0, 1), 2),
        (2, (2,), 1),
        ((0, 0, 1), (0, 0, 1), 2),
        (np.arange(2), (0, 1), 2),
        (list(np.arange(2)), (0, 1), 2),
        (np.int64(1), (1,), 1),
    ],
)
def test_schedules(given: Any, cores: tuple[int, ...], lanes: int) -> None:
    options = read({"schedule": given, "threads_per_core": 2})
    assert options.schedule == cores
    assert options.lanes == 2 * lanes


@pytest.mark.parametrize(
    "given",
    [
        {"schedule": []},
        {"schedule": [-1]},
        {"schedule": "a"},
        {"schedule": [True]},
        {"schedule": "²"},
        {"schedule": 1.0},
        {"max_queue_size": "²"},
        {"max_queue_size": [3]},
        {"tp_mode": "3"},
        {"max_queue_size": 0},
        {"max_queue_size": "many"},
        {"max_queue_size": True},
        {"layout": "hwc"},
        {"layout": 3},
        {"zero_copy_layout": "nchw"},
        {"sequential_callbacks": "maybe"},
        {"custom_op_path": 3},
        {"pin": True},
        {"schedule": [0], "tp_mode": "all"},
    ],
)
def test_what_is_refused(given: dict[str, Any]) -> None:
    with pytest.raises(RuntimeError) as raised:
        read(given)
    assert isinstance(raised.value, headway.InputError)
    with pytest.raises(RuntimeError):
        ez_rknn.make_provider_options(**given)
    with pytest.raises(RuntimeError):
        ez_rknn.InferenceSession(tiny_model(), provider_options=given)


def test_an_unknown_option_lists_the_known() -> None:
    with pytest.raises(RuntimeError, match=r"schedul'.*threads_per_core"):
        ez_rknn.InferenceSession(tiny_model(), provider_options={"schedul": [0]})
    with pytest.raises(RuntimeError, match="max_queue_size"):
        ez_rknn.make_provider_options(max_queue=3)


def test_schedule_and_tp_mode() -> None:
    with pytest.raises(ValueError, match="conflicts with 'schedule'"):
        ez_rknn.make_provider_options(schedule=[0], tp_mode="all")
    with pytest.raises(RuntimeError, match="conflicts with 'schedule'"):
        ez_rknn.InferenceSession(tiny_model(), provider_options={"schedule": [0], "tp_mode": "all"})


@pytest.mark.parametrize(
    "given",
    [
        {"layout": "nhwc"},
        {"zero_copy_layout": "native"},
        {"disable_dup_context": True},
        {"custom_op_paths": ["x.so"]},
        {"custom_op_default_path": True},
        {"schedule": [0, 1], "pin": True},
    ],
)
def test_what_cannot_apply_on_another_engine(given: dict[str, Any]) -> None:
    with pytest.raises(RuntimeError, match="cannot apply on the onnxruntime engine"):
        ez_rknn.InferenceSession(tiny_model(), provider_options=given)


@pytest.mark.parametrize("given", [None, {}, [], [{}], ({"max_queue_size": 5}, {"ignored": 1})])
def test_forms_of_provider_options(given: Any) -> None:
    assert read(of_session(given)).max_queue_size in (3, 5)


def test_lanes_on_another_engine() -> None:
    def lanes(**given: Any) -> int:
        with ez_rknn.InferenceSession(tiny_model(), provider_options=given) as session:
            session.run(None, {"x": X})
            return len(session.stats().lanes)

    assert lanes() == 1
    assert lanes(schedule=[0, 1, 2]) == 3
    assert lanes(schedule=[0, 1, 1], threads_per_core=2) == 4
    assert lanes(tp_mode="0,1,2") == 1
    assert lanes(threads_per_core=2) == 2
