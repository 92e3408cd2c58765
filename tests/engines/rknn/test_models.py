"""What goes in comes out: element types, layouts, quantisation, padding, shapes; through copies and bound memory."""

from __future__ import annotations

import gc
import queue
import threading
from typing import Any

import numpy as np
import pytest

import headway

from .conftest import Open
from .standin import StandIn, affine, echo, model, tensor

WAYS = pytest.mark.parametrize("zero_copy", [False, True], ids=["copied", "bound"])

#: A picture of 3 channels, 4 rows, 5 columns, in numbers that every type holds.
PICTURE = np.arange(60, dtype=np.float32).reshape(1, 3, 4, 5) % 50


def picture_model(kind: str = "float32", *, fmt: str = "NHWC", out: str = "NHWC", **more: Any) -> bytes:
    """An identity on a picture; the output says the same dimensions in the same order."""
    dims = {"NHWC": (1, 4, 5, 3), "NCHW": (1, 3, 4, 5)}
    assert fmt == out
    return model(
        "identity", [tensor("x", dims[fmt], fmt, kind, **more)], [tensor("y", dims[out], out, kind, **more)]
    )


@WAYS
def test_what_goes_in_comes_out(open_session: Open, zero_copy: bool) -> None:
    session = open_session(echo(), zero_copy=zero_copy)
    x = np.array([[1.0, -2.5, 3.25, 0.0]], np.float32)
    for _ in range(3):
        (y,) = session.run(None, {"x": x})
        assert y.dtype == np.float32
        np.testing.assert_array_equal(y, x)
    assert [one.result()[0][0, 0] for one in [session.submit({"x": x + n}) for n in range(4)]] == [1, 2, 3, 4]


@WAYS
@pytest.mark.parametrize("fmt", ["NHWC", "NCHW"])
@pytest.mark.parametrize("layout", ["nchw", "nchw_software", "nhwc", "any"])
@pytest.mark.parametrize(
    "native",
    [
        {},
        {"w_align": 8},
        {"native_nhwc": False},
        {"native_nhwc": False, "c2": 2, "w_align": 4},
        {"h_extra": 2},
    ],
    ids=["plain", "rows", "groups", "small_groups", "height"],
)
def test_layouts(open_session: Open, zero_copy: bool, fmt: str, layout: str, native: dict[str, Any]) -> None:
    session = open_session(picture_model(fmt=fmt, out=fmt, **native), layout=layout, zero_copy=zero_copy)
    fed = fmt.lower() if layout == "any" else layout.removesuffix("_software")
    channels_last = PICTURE.transpose(0, 2, 3, 1)
    x = PICTURE if fed == "nchw" else channels_last
    assert session.get_inputs()[0].shape == list(x.shape)
    (y,) = session.run(None, [x])
    # The output keeps the order that the model says.
    np.testing.assert_array_equal(y, channels_last if fmt == "NHWC" else PICTURE)


@WAYS
@pytest.mark.parametrize(
    "given", ["float32", "float16", "int8", "uint8", "int16", "uint16", "int32", "int64"]
)
@pytest.mark.parametrize("kind", ["float32", "float16", "int8", "uint8"])
def test_inputs_are_converted(open_session: Open, zero_copy: bool, given: str, kind: str) -> None:
    quantised = affine(-28, 0.5) if kind == "int8" else affine(100, 0.5) if kind == "uint8" else {}
    session = open_session(picture_model(kind, **quantised), zero_copy=zero_copy)
    x = PICTURE.astype(given)
    (y,) = session.run(None, {"x": x})
    # Numbers of the stored type are stored numbers; all others are real ones.
    zero = quantised.get("zp", 0)
    expected = (x.astype(np.float32) - zero) * 0.5 if given == kind and quantised else PICTURE
    np.testing.assert_array_equal(y, expected.transpose(0, 2, 3, 1))
    assert session.get_inputs()[0].type == {"float32": "tensor(float)"}.get(kind, f"tensor({kind})")


@WAYS
def test_native_outputs_are_the_stored_numbers(open_session: Open, zero_copy: bool) -> None:
    made = picture_model("int8", **affine(-28, 0.5))
    native = open_session(made, zero_copy=zero_copy, outputs="native")
    real = open_session(made, zero_copy=zero_copy)
    (stored,), (y,) = native.run(None, [PICTURE]), real.run(None, [PICTURE])
    assert (stored.dtype, y.dtype) == (np.int8, np.float32)
    assert (native.get_outputs()[0].type, real.get_outputs()[0].type) == ("tensor(int8)", "tensor(float)")
    zero_point, scale = native.engine_facts["outputs"][0]["quantisation"]
    assert (zero_point, scale) == (-28, 0.5)
    np.testing.assert_array_equal((stored.astype(np.float32) - zero_point) * scale, y)


@WAYS
def test_whole_numbers_stay_exact(open_session: Open, zero_copy: bool) -> None:
    session = open_session(
        model("identity", [tensor("x", [3], kind="int64")], [tensor("y", [3], kind="int64")]),
        zero_copy=zero_copy,
    )
    x = np.array([2**40 + 1, -(2**33) - 7, 5])
    (y,) = session.run(None, [x])
    assert y.dtype == np.int64
    np.testing.assert_array_equal(y, x)


@WAYS
def test_quantised_numbers_are_held_to_their_range(open_session: Open, zero_copy: bool) -> None:
    session = open_session(
        model(
            "identity",
            [tensor("x", [5], kind="int8", **affine(0, 0.5))],
            [tensor("y", [5], kind="int8", **affine(0, 0.5))],
        ),
        zero_copy=zero_copy,
    )
    (y,) = session.run(None, [np.array([1e6, -1e6, 0.25, 0.75, 3.3], np.float32)])
    np.testing.assert_array_equal(y, np.array([63.5, -64.0, 0.0, 1.0, 3.5], np.float32))


@WAYS
def test_dynamic_shapes(open_session: Open, standin: StandIn, zero_copy: bool) -> None:
    sets = [{"inputs": [[1, size, size, 3]], "outputs": [[1, size, size, 3]]} for size in (4, 6, 8)]
    dims = [1, 4, 4, 3]
    made = model("identity", [tensor("x", dims, "NHWC")], [tensor("y", dims, "NHWC")], shapes=sets)
    session = open_session(made, zero_copy=zero_copy)
    assert session.get_inputs()[0].shape == [1, 3, None, None]
    rng = np.random.default_rng(1)
    for size in (4, 4, 6, 6, 8, 4):
        x = rng.random((1, 3, size, size), np.float32)
        (y,) = session.run(None, {"x": x})
        np.testing.assert_array_equal(y, x.transpose(0, 2, 3, 1))
    # Told only when the shape changed: 4 is the first by itself.
    assert standin.stats()["counts"]["calls"]["rknn_set_input_shapes"] == 3
    with pytest.raises(
        headway.InputError, match=r"\"x\": expected the shape \[1, 3, 4, 4\] or .*, got \[1, 3, 5, 5\]"
    ):
        session.run(None, {"x": np.zeros((1, 3, 5, 5), np.float32)})
    session.run(None, {"x": np.zeros((1, 3, 4, 4), np.float32)})


def test_shapes_of_two_inputs_come_from_one_set(open_session: Open) -> None:
    sets = [{"inputs": [[1, size], [1, size]], "outputs": [[1, size]]} for size in (2, 3)]
    made = model("add", [tensor("a", [1, 2]), tensor("b", [1, 2])], [tensor("y", [1, 2])], shapes=sets)
    session = open_session(made)
    three = np.ones((1, 3), np.float32)
    np.testing.assert_array_equal(session.run(None, [three, three])[0], three * 2)
    with pytest.raises(headway.InputError, match="must come from one set"):
        session.run(None, [np.ones((1, 2), np.float32), three])


@WAYS
def test_outputs_can_be_chosen(open_session: Open, zero_copy: bool) -> None:
    made = model("identity", [tensor("a", [2]), tensor("b", [3])], [tensor("p", [2]), tensor("q", [3])])
    session = open_session(made, zero_copy=zero_copy)
    feed = {"b": np.ones(3, np.float32), "a": np.zeros(2, np.float32)}
    q, p = session.run(["q", "p"], feed)
    assert (q.tolist(), p.tolist()) == ([1, 1, 1], [0, 0])
    assert [one.name for one in session.get_outputs()] == ["p", "q"]


def test_tensors_without_a_name_get_one(open_session: Open) -> None:
    session = open_session(model("identity", [tensor("", [2])], [tensor("", [2])]))
    assert (session.get_inputs()[0].name, session.get_outputs()[0].name) == ("input_0", "output_0")


@pytest.mark.parametrize(
    ("x", "message"),
    [
        (np.zeros((1, 5), np.float32), "invalid dimensions"),
        (np.zeros((1, 4, 1), np.float32), "Invalid rank"),
        (np.zeros((1, 4), np.complex64), "Unexpected input data type"),
        (np.zeros((1, 4)), "Unexpected input data type"),
    ],
)
def test_wrong_inputs(open_session: Open, x: Any, message: str) -> None:
    session = open_session(echo())
    with pytest.raises(headway.InputError, match=message):
        session.run(None, {"x": x})
    np.testing.assert_array_equal(session.run(None, {"x": [[1, 2, 3, 4]]})[0], [[1, 2, 3, 4]])


NHWC, NC1HWC2 = 1, 2


@pytest.mark.parametrize("kind", ["float32", "int8"])
@pytest.mark.parametrize(("form", "bound"), [("nhwc", NHWC), ("native", NC1HWC2)])
def test_the_form_of_bound_memory(
    open_session: Open, standin: StandIn, kind: str, form: str, bound: int
) -> None:
    quantised = affine(0, 1.0) if kind == "int8" else {}
    made = picture_model(kind, c2=2, w_align=4, **quantised)
    session = open_session(made, zero_copy=True, zero_copy_layout=form)
    assert standin.stats()["counts"]["bound"] == [bound, bound]
    for given in (PICTURE, PICTURE.astype(np.int8)):
        (y,) = session.run(None, [given])
        np.testing.assert_array_equal(y, PICTURE.transpose(0, 2, 3, 1))
    with pytest.raises(ValueError, match="zero_copy_layout: expected one of 'nhwc', 'native', got 'nchw'"):
        open_session(made, zero_copy=True, zero_copy_layout="nchw")


def test_bound_outputs_are_handed_out_as_they_are(open_session: Open, standin: StandIn) -> None:
    session = open_session(echo(), zero_copy=True, buffers=2)
    kept = [session.run(None, [np.full((1, 4), n, np.float32)])[0] for n in range(6)]
    # Two buffers are with us, the third is the lane's; what came after them was copied.
    assert [one[0, 0] for one in kept] == list(range(6))
    assert standin.stats()["memories"] == 4
    bound = standin.stats()["counts"]["calls"]["rknn_set_io_mem"]
    del kept
    gc.collect()
    for n in range(4):
        assert session.run(None, [np.full((1, 4), n, np.float32)])[0][0, 3] == n
    assert standin.stats()["memories"] == 4
    assert standin.stats()["counts"]["calls"]["rknn_set_io_mem"] <= bound + 1


def test_bound_outputs_outlive_the_session(open_session: Open, standin: StandIn) -> None:
    session = open_session(echo(), zero_copy=True)
    (y,) = session.run(None, [np.full((1, 4), 7, np.float32)])
    session.close()
    assert standin.stats()["contexts"] == 1
    assert y.tolist() == [[7, 7, 7, 7]]
    del y
    gc.collect()
    assert standin.stats()["contexts"] == 0


def test_what_the_runtime_says(open_session: Open, standin: StandIn) -> None:
    session = open_session(picture_model("int8", **affine(3, 0.25), c2=8, w_align=4, native_nhwc=False))
    facts = session.engine_facts
    assert facts["library"] == standin.path
    assert (facts["api_version"], facts["driver_version"]) == ("2.4.1 (stand-in)", "0.9.9")
    assert facts["memory"] == {"weights": 1000, "internal": 2000, "dma": 3000, "sram": 4000, "free_sram": 500}
    (native,) = facts["native_inputs"]
    assert (native["layout"], native["shape"], native["w_stride"]) == ("NC1HWC2", [1, 1, 4, 5, 8], 8)
    assert (native["quantisation"], native["type"]) == ((3, 0.25), "tensor(int8)")
    assert facts["perf_detail"] is None


def test_custom_string(open_session: Open) -> None:
    session = open_session(echo(custom_string='{"labels": ["cat"]}'))
    assert session.get_modelmeta().custom_metadata_map == {"rknn_custom_string": '{"labels": ["cat"]}'}
    assert open_session(echo()).get_modelmeta().custom_metadata_map == {}


def test_bound_outputs_may_go_on_any_thread_at_any_time(open_session: Open, standin: StandIn) -> None:
    sets = [{"inputs": [[1, size]], "outputs": [[1, size]]} for size in (2, 3, 4)]
    made = model("identity", [tensor("x", [1, 2])], [tensor("y", [1, 2])], shapes=sets)
    session = open_session(made, zero_copy=True, schedule=[0, 1])
    given: queue.SimpleQueue[Any] = queue.SimpleQueue()
    wrong: list[Any] = []

    def drop() -> None:
        # Another thread lets go of buffers while the lanes are inside their contexts.
        while (pair := given.get()) is not None:
            expected, future = pair
            (y,) = future.result(30)
            if y.tolist() != expected:
                wrong.append((expected, y))
            del y, pair, future

    dropper = threading.Thread(target=drop)
    dropper.start()
    for number in range(300):
        feed = np.full((1, 2 + number % 3), number, np.float32)
        given.put((feed.tolist(), session.submit([feed])))
    given.put(None)
    dropper.join()
    assert wrong == []
