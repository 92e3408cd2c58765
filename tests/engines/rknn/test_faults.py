"""Everything that can go wrong in the runtime: one failed request, a healthy session, nothing left."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import headway
from headway import EngineError

from ...support import assert_conserved, until
from .conftest import Open
from .standin import StandIn, echo

#: Function, code, and what the message must say.
COPIED = [
    ("rknn_inputs_set", -5, r"RKNN_ERR_PARAM_INVALID \(-5\): an argument is wrong"),
    ("rknn_inputs_set", -8, r"RKNN_ERR_INPUT_INVALID \(-8\)"),
    ("rknn_run", -1, r"RKNN_ERR_FAIL \(-1\)"),
    ("rknn_run", -2, r"RKNN_ERR_TIMEOUT \(-2\): the NPU took too long"),
    ("rknn_run", -3, r"RKNN_ERR_DEVICE_UNAVAILABLE \(-3\)"),
    ("rknn_run", -4, r"RKNN_ERR_MALLOC_FAIL \(-4\)"),
    ("rknn_run", -7, r"RKNN_ERR_CTX_INVALID \(-7\)"),
    ("rknn_run", -99, r"an unknown code \(-99\)"),
    ("rknn_outputs_get", -9, r"RKNN_ERR_OUTPUT_INVALID \(-9\)"),
]
BOUND = [
    ("rknn_mem_sync", -1, r"RKNN_ERR_FAIL \(-1\)"),
    ("rknn_run", -2, r"RKNN_ERR_TIMEOUT \(-2\)"),
]


def x(number: float) -> dict[str, Any]:
    return {"x": np.full((1, 4), number, np.float32)}


def settle(futures: list[headway.InferenceFuture]) -> list[Any]:
    """Each future's first number, or its error."""
    ends: list[Any] = []
    for future in futures:
        error = future.exception(30)
        ends.append(future.result()[0][0, 0] if error is None else error)
    return ends


@pytest.mark.parametrize(
    ("zero_copy", "function", "code", "says"),
    [(False, *fault) for fault in COPIED] + [(True, *fault) for fault in BOUND],
)
def test_one_fault_is_one_failed_request(
    open_session: Open, standin: StandIn, zero_copy: bool, function: str, code: int, says: str
) -> None:
    session = open_session(echo(), zero_copy=zero_copy, schedule=[0, 1, 2])
    standin.fault(function, 4, code=code)
    ends = settle([session.submit(x(number), timeout=60) for number in range(12)])
    errors = [end for end in ends if isinstance(end, BaseException)]
    assert len(errors) == 1
    assert [end for end in ends if end is not errors[0]] == [n for n in range(12) if ends[n] is not errors[0]]
    with pytest.raises(EngineError, match=rf"{function} failed: {says}.* on core \d") as caught:
        raise errors[0]
    assert (caught.value.code, caught.value.engine) == (code, "rknn")
    assert settle([session.submit(x(number)) for number in range(6)]) == list(range(6))
    stats = assert_conserved(session)
    assert (stats.done, stats.failed) == (17, 1)


def test_a_fault_in_setting_shapes(open_session: Open, standin: StandIn) -> None:
    sets = [{"inputs": [[1, size]], "outputs": [[1, size]]} for size in (4, 5, 6)]
    session = open_session(echo(shapes=sets))
    feeds = [np.full((1, size), size, np.float32) for size in (4, 5, 6)]
    assert session.run(None, [feeds[1]])[0].tolist() == feeds[1].tolist()
    standin.fault("rknn_set_input_shapes", 1, code=-5)
    with pytest.raises(EngineError, match="rknn_set_input_shapes failed"):
        session.run(None, [feeds[2]])
    # What the context believes is unknown now: it is told again, whichever shape comes.
    for feed in (feeds[1], feeds[2], feeds[0]):
        assert session.run(None, [feed])[0].tolist() == feed.tolist()


LOADING = ["rknn_init", "rknn_dup_context", "rknn_set_core_mask", "rknn_create_mem", "rknn_set_io_mem"]


@pytest.mark.parametrize("function", LOADING)
def test_a_fault_while_loading_leaves_nothing(open_session: Open, standin: StandIn, function: str) -> None:
    standin.control(faults=[{"function": function, "call": 0 if function == "rknn_init" else 2, "code": -4}])
    with pytest.raises(headway.LoadError, match=f"{function}"):
        open_session(echo(), schedule=[0, 1, 2], zero_copy=True)
    assert (standin.stats()["contexts"], standin.stats()["memories"]) == (0, 0)
    standin.control(faults=[])
    open_session(echo(), schedule=[0, 1, 2], zero_copy=True).run(None, x(1))


@pytest.mark.parametrize("query", range(1, 6))
def test_a_failing_question_while_loading_leaves_nothing(
    open_session: Open, standin: StandIn, query: int
) -> None:
    standin.control(faults=[{"function": "rknn_query", "call": query, "code": -1}])
    try:
        session = open_session(echo(), schedule=[0, 1])
    except headway.LoadError as error:
        assert "rknn_query failed" in str(error)
        assert standin.stats()["contexts"] == 0
    else:
        # What only adds to the picture may go unanswered: shapes of a model with fixed ones, the versions.
        assert session.run(None, x(3))[0][0, 0] == 3


def test_a_slow_run_is_waited_for(open_session: Open, standin: StandIn) -> None:
    session = open_session(echo(), schedule=[0, 1])
    standin.fault("rknn_run", 1, delay=200)
    assert settle([session.submit(x(number)) for number in range(8)]) == list(range(8))


def test_a_hung_core_ends_one_request_and_the_others_go_on(open_session: Open, standin: StandIn) -> None:
    session = open_session(echo(), schedule=[0, 1], run_timeout=0.3)
    standin.fault("rknn_run", 1, hang=True)
    ends = settle([session.submit(x(number)) for number in range(10)])
    errors = [end for end in ends if isinstance(end, BaseException)]
    (error,) = errors
    assert isinstance(error, headway.DeadlineExceeded) and error.running
    assert sorted(end for end in ends if not isinstance(end, BaseException)) == sorted(
        number for number in range(10) if not isinstance(ends[number], BaseException)
    )
    until(lambda: "hung" in [lane.state for lane in session.stats().lanes], "the lane to be given up")
    (hung,) = [lane for lane in session.stats().lanes if lane.state == "hung"]
    assert hung.place in ("core 0", "core 1")
    assert settle([session.submit(x(number)) for number in range(4)]) == list(range(4))
    # It comes back: the lane works again.
    standin.control(release=True)
    until(lambda: {lane.state for lane in session.stats().lanes} == {"idle"}, "the lane to come back")
    assert settle([session.submit(x(number)) for number in range(8)]) == list(range(8))


def test_run_on_the_calling_thread_is_watched_too(open_session: Open, standin: StandIn) -> None:
    session = open_session(echo(), run_timeout=0.2)
    assert session.run(None, x(1))[0][0, 0] == 1
    standin.fault("rknn_run", 1, hang=True)
    with pytest.raises(headway.DeadlineExceeded):
        session.run(None, x(2))


def test_with_every_core_hung_nobody_waits_for_ever(open_session: Open, standin: StandIn) -> None:
    session = open_session(echo(), schedule=[0, 1], run_timeout=0.2, session={"queue_depth": 8})
    standin.control(faults=[{"function": "rknn_run", "call": 0, "hang": True}])
    ends = settle([session.submit(x(number)) for number in range(6)])
    kinds = [type(end) for end in ends]
    assert kinds.count(headway.DeadlineExceeded) == 2
    assert kinds.count(EngineError) == 4
    assert "no lane answers any more" in str(next(end for end in ends if type(end) is EngineError))
    with pytest.raises(EngineError, match="no lane answers any more"):
        session.run(None, x(9))
    standin.control(faults=[], release=True)
    until(lambda: {lane.state for lane in session.stats().lanes} == {"idle"}, "the lanes to come back")
    assert session.run(None, x(5))[0][0, 0] == 5
    assert_conserved(session)


def test_close_does_not_wait_for_a_hung_core(open_session: Open, standin: StandIn) -> None:
    session = open_session(echo(), schedule=[0, 1], run_timeout=0.2)
    standin.fault("rknn_run", 1, hang=True)
    ends = settle([session.submit(x(number)) for number in range(4)])
    assert sum(isinstance(end, headway.DeadlineExceeded) for end in ends) == 1
    report = session.close()
    assert len(report.abandoned) == 1 and report.cancelled == 0


def test_a_deadline_is_kept_while_the_core_runs(open_session: Open, standin: StandIn) -> None:
    session = open_session(echo())
    standin.fault("rknn_run", 1, hang=True)
    with pytest.raises(headway.DeadlineExceeded) as caught:
        session.run(None, x(1), timeout=0.1)
    assert caught.value.running
    assert session.stats().lanes[0].state == "overrun"
    standin.control(release=True)
    assert session.run(None, x(2))[0][0, 0] == 2


def test_bound_memory_is_synchronised(open_session: Open, standin: StandIn) -> None:
    # The stand-in's NPU sees only what was synchronised to it, and so does the CPU: stale numbers would come out.
    session = open_session(echo(), zero_copy=True)
    for number in range(5):
        assert session.run(None, x(number))[0].tolist() == [[number] * 4]
    calls = standin.stats()["counts"]["calls"]
    assert calls["rknn_mem_sync"] == 2 * calls["rknn_run"]
