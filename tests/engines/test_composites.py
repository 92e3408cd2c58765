"""Lists, dicts, sparse tensors and what may be left out: what `onnxruntime` gives, in its very types."""

from __future__ import annotations

from typing import Any

import ml_dtypes
import numpy as np
import onnxruntime
import pytest

import headway

from ..conftest import Make
from ..models import composites
from ..support import X, assert_conserved

pytestmark = pytest.mark.timeout(60)

Feed = dict[str, Any]


def row(*numbers: float) -> Any:
    return np.array(numbers, np.float32)


def same(got: Any, expected: Any) -> None:
    """Equal, and of the same Python types all the way down."""
    assert type(got) is type(expected)
    if isinstance(got, np.ndarray):
        assert got.dtype == expected.dtype
        assert got.shape == expected.shape
        assert got.tolist() == expected.tolist()
    elif isinstance(got, list):
        assert len(got) == len(expected)
        for one, other in zip(got, expected, strict=True):
            same(one, other)
    elif isinstance(got, dict):
        same(list(got), list(expected))
        same(list(got.values()), list(expected.values()))
    else:
        assert got == expected


#: A model, and a feed that onnxruntime takes too.
CASES: dict[str, tuple[bytes, Feed]] = {
    "list of tensors": (composites.sequence(), {"s": [row(1, 2), row(3)]}),
    "empty list": (composites.sequence(), {"s": []}),
    "list of strings": (composites.sequence(composites.STRING), {"s": [np.array(["a", "ß"], object)]}),
    "list of int64": (composites.sequence(composites.INT64), {"s": [np.array([[1, 2]]), np.array(3)]}),
    "strided element": (composites.sequence(), {"s": [row(1, 2, 3, 4)[::2]]}),
    "dict by str": (composites.vectorize(), {"m": {"a": 1.5, "c": 2.25}}),
    "dict of ints": (composites.vectorize(), {"m": {"a": 1, "b": True}}),
    "dict of numpy": (composites.vectorize(), {"m": {"a": np.float32(1.5), "b": np.int64(4)}}),
    "dict by int": (composites.vectorize(composites.INT64), {"m": {3: 1.5, 1: 2.0}}),
    "dict by numpy int": (composites.vectorize(composites.INT64), {"m": {np.int64(2): 0.5}}),
    "dicts by int": (composites.zip_map(), {"x": np.eye(2, 3, dtype=np.float32)}),
    "dicts by str": (composites.zip_map(composites.STRING), {"x": np.full((1, 3), 0.1, np.float32)}),
    "no dicts": (composites.zip_map(), {"x": np.zeros((0, 3), np.float32)}),
    "optional, given": (composites.optional(), {"x": row(1, 2)}),
    "optional, None": (composites.optional(), {"x": None}),
    "optional, absent": (composites.optional(), {}),
    "optional list, given": (composites.optional(True), {"x": [row(1)]}),
    "optional list, None": (composites.optional(True), {"x": None}),
}


@pytest.mark.parametrize("name", CASES)
def test_answers_equal_onnxruntimes(name: str) -> None:
    model, feed = CASES[name]
    expected = onnxruntime.InferenceSession(model, providers=["CPUExecutionProvider"]).run(None, feed)
    with headway.InferenceSession(model) as session:
        same(session.run(None, feed), expected)
        same(session.submit(feed).result(), expected)
        same(session.run_parallel([feed, feed]), [expected, expected])
        binding = session.io_binding()
        for key, value in feed.items():
            binding.bind_cpu_input(key, value)
        binding.bind_output(session.get_outputs()[0].name)
        session.run_with_iobinding(binding)
        same(binding.copy_outputs_to_cpu(), expected)
        assert_conserved(session)


def test_dicts_take_the_models_types() -> None:
    # onnxruntime makes every value a float, and then refuses it.
    with headway.InferenceSession(composites.vectorize(value=composites.INT64)) as session:
        [output] = session.run(None, {"m": {"a": 1, "c": 2**40}})
        assert output.dtype == np.int64
        assert output.tolist() == [[1, 0, 2**40]]
    with headway.InferenceSession(composites.vectorize(value=composites.DOUBLE)) as session:
        [output] = session.run(None, {"m": {"b": 0.1}})
        assert output.tolist() == [[0, 0.1, 0]]
        [output] = session.run(None, {"m": {}})
        assert output.tolist() == [[0, 0, 0]]


def test_tuples_and_numbers_are_lists_and_arrays_too() -> None:
    with headway.InferenceSession(composites.sequence()) as session:
        [[first, second]] = session.run(None, {"s": ([1, 2], row(3))})
        assert (first.dtype, first.tolist(), second.tolist()) == (np.float32, [1, 2], [3])


WRONG: dict[str, tuple[bytes, Feed, str]] = {
    "element dtype": (
        composites.sequence(),
        {"s": [row(1), np.ones(2)]},
        r"'s\[1\]'.*astype\(numpy.float32\)",
    ),
    "array for a list": (
        composites.sequence(),
        {"s": row(1)},
        r"ndarray.*seq\(tensor\(float\)\).*'s'.*list of",
    ),
    "None for a list": (
        composites.sequence(),
        {"s": None},
        r"'s' is None: expected a seq\(tensor\(float\)\)",
    ),
    "None in a list": (composites.sequence(), {"s": [None]}, r"'s\[0\]' is None"),
    "list for a dict": (composites.vectorize(), {"m": [1]}, r"<class 'list'>.*map\(string.*'m'; pass a dict"),
    "int key": (
        composites.vectorize(),
        {"m": {1: 1.0}},
        r"a key of input 'm' must be a str, got 1 of <class 'int'>",
    ),
    "str key": (
        composites.vectorize(composites.INT64),
        {"m": {"a": 1.0}},
        r"a key of input 'm' must be an int",
    ),
    "str value": (
        composites.vectorize(),
        {"m": {"a": "x"}},
        r"a value of input 'm' must be a float, got 'x'",
    ),
    "float for int64": (
        composites.vectorize(value=composites.INT64),
        {"m": {"a": 1.0}},
        r"a value of input 'm' must be an int, got 1.0",
    ),
    "too large": (composites.vectorize(composites.INT64), {"m": {2**63: 1.0}}, r"does not fit into int64"),
    "array for a list that may be absent": (
        composites.optional(True),
        {"x": row(1)},
        r"pass a list of arrays",
    ),
    "dense for sparse": (
        composites.sparse_times_dense(),
        {"a": np.eye(3, dtype=np.float32), "b": np.eye(3, dtype=np.float32)},
        r"sparse_tensor\(float\).*'a'; pass a headway.SparseTensor",
    ),
}


@pytest.mark.parametrize("name", WRONG)
def test_wrong_feeds_are_refused_before_they_are_requests(name: str) -> None:
    model, feed, message = WRONG[name]
    with headway.InferenceSession(model) as session:
        for call in (lambda: session.run(None, feed), lambda: session.submit(feed)):
            with pytest.raises(headway.InputError, match=message):
                call()
        assert (session.stats().submitted, session.stats().rejected) == (0, 2)


def test_submitted_elements_may_be_refilled_at_once() -> None:
    with headway.InferenceSession(composites.sequence(), queue_depth=64) as session:
        buffers = [np.zeros(300_000, np.float32), row(0)]
        futures = []
        for number in range(8):
            for buffer in buffers:
                buffer.fill(number)
            futures.append(session.submit({"s": buffers}))
        for number, future in enumerate(futures):
            [[large, small]] = future.result()
            assert (large == number).all()
            assert small.tolist() == [number]


def test_values_may_be_fed_wherever_their_type_fits() -> None:
    with headway.InferenceSession(composites.sequence()) as session:
        [value] = session.run_with_ort_values(None, {"s": [row(1, 2)]})
        assert (value.data_type(), value.is_tensor_sequence(), value.element_type()) == (
            "seq(tensor(float))",
            True,
            1,
        )
        for got in (session.run(None, {"s": value}), session.submit({"s": value}).result()):
            assert [element.tolist() for element in got[0]] == [[1, 2]]
        [inner] = session.run(None, {"s": [headway.OrtValue.ortvalue_from_numpy(row(7))]})
        assert inner[0].tolist() == [7]
        with pytest.raises(headway.InvalidArgument, match=r"Actual: \(tensor\(float\)\) , expected: \(seq"):
            session.run(None, {"s": headway.OrtValue.ortvalue_from_numpy(row(7))})
    with headway.InferenceSession(composites.optional()) as session:
        [nothing] = session.run_with_ort_values(None, {})
        assert not nothing.has_value()
        assert session.run(None, {"x": nothing}) == [None]


def test_sparse_tensors_are_multiplied_as_onnxruntime_does() -> None:
    values, where = row(2, 3), np.array([[0, 1], [2, 2]], np.int64)
    dense = np.arange(9, dtype=np.float32).reshape(3, 3)
    theirs = onnxruntime.OrtValue.ort_value_from_sparse_tensor(
        onnxruntime.SparseTensor.sparse_coo_from_numpy(
            [3, 3], values, where, onnxruntime.OrtDevice.make("cpu", 0)
        )
    )
    model = composites.sparse_times_dense()
    expected = onnxruntime.InferenceSession(model, providers=["CPUExecutionProvider"]).run(
        None, {"a": theirs, "b": dense}
    )
    sparse = headway.SparseTensor.sparse_coo_from_numpy(
        [3, 3], values, where, headway.OrtDevice.make("cpu", 0)
    )
    with headway.InferenceSession(model) as session:
        for fed in (sparse, headway.OrtValue.ort_value_from_sparse_tensor(sparse)):
            feed = {"a": fed, "b": dense}
            same(session.run(None, feed), expected)
            same(session.submit(feed).result(), expected)
        csr = headway.SparseTensor.sparse_csr_from_numpy(
            [3, 3], values, np.array([1, 2]), np.array([0, 1, 1, 2])
        )
        same(session.run(None, {"a": csr, "b": dense}), expected)


def test_what_a_sparse_tensor_says_of_itself() -> None:
    values, where = row(2, 3), np.array([1, 8], np.int64)
    sparse = headway.SparseTensor.sparse_coo_from_numpy(np.array([3, 3]), values, where)
    assert (sparse.dense_shape(), sparse.data_type(), sparse.device_name()) == (
        [3, 3],
        "sparse_tensor(float)",
        "cpu",
    )
    assert sparse.format() == headway.OrtSparseFormat.ORT_SPARSE_COO
    assert np.shares_memory(sparse.values(), values)
    assert np.shares_memory(sparse.as_coo_view().indices(), where)
    where.flags.writeable = False
    assert not sparse.as_coo_view().indices().flags.writeable
    value = headway.OrtValue.ort_value_from_sparse_tensor(sparse)
    assert (value.is_sparse_tensor(), value.is_tensor(), value.shape(), value.element_type()) == (
        True,
        False,
        [3, 3],
        1,
    )
    assert value.as_sparse_tensor().values().tolist() == [2, 3]
    for wrong in (sparse.as_csrc_view, sparse.as_blocksparse_view, value.numpy, value.data_ptr):
        with pytest.raises(RuntimeError) as caught:
            wrong()
        assert isinstance(caught.value, headway.InputError)
    with pytest.raises(RuntimeError, match="stay on the CPU"):
        sparse.to_cuda(headway.OrtDevice.make("cuda", 0))


@pytest.mark.parametrize(
    "indices", [[1], [[0, 1, 1], [1, 2, 1]], [[[0]]]], ids=["too few", "three columns", "three dimensions"]
)
def test_sparse_indices_must_fit_the_values(indices: Any) -> None:
    with pytest.raises(RuntimeError, match="must be equal to or twice the values size: 2"):
        headway.SparseTensor.sparse_coo_from_numpy([3, 3], row(1, 2), np.array(indices))


@pytest.mark.parametrize("indices", [[0, 9], [-1, 0]])
def test_sparse_indices_outside_never_reach_the_engine(indices: list[int]) -> None:
    sparse = headway.SparseTensor.sparse_coo_from_numpy([3, 3], row(1, 2), np.array(indices))
    with (
        headway.InferenceSession(composites.sparse_times_dense()) as session,
        pytest.raises(headway.InputError, match="point outside"),
    ):
        session.run(None, {"a": sparse, "b": np.eye(3, dtype=np.float32)})


def test_a_value_is_a_feed_of_one_input(fake: Make) -> None:
    session, _ = fake(held=False)
    assert session.run(None, headway.OrtValue.ortvalue_from_numpy(X))[0].tolist() == X.tolist()


def test_a_lists_elements_are_not_cast() -> None:
    with (
        headway.InferenceSession(composites.sequence()) as session,
        pytest.raises(headway.InvalidArgument, match="bfloat16"),
    ):
        session.run(None, {"s": [np.ones(2, ml_dtypes.bfloat16)]})
