"""The conformance suite on what is in the package, and that it finds what is wrong."""

from __future__ import annotations

import threading
from collections.abc import Mapping
from typing import Any

import numpy as np
import pytest

import headway
from headway.testing import EngineSuite, FakeEngine

from ..support import PATIENCE, gather_model, loop_model

pytestmark = [pytest.mark.timeout(60), pytest.mark.usefixtures("leaks")]

#: What makes the engines below slow, and what makes them fail.
SLOW, ILL = 1e6, -1.0


def rows(number: float, count: int) -> dict[str, Any]:
    return {"x": np.full((count, 3), number, np.float32)}


def double(feed: dict[str, Any]) -> dict[str, Any]:
    if feed["x"][0, 0] == ILL:
        raise ValueError("ill")
    if feed["x"][0, 0] == SLOW:
        threading.Event().wait(0.3)
    return {"y": feed["x"] * 2, "sum": feed["x"].sum(1)}


class Doubling(EngineSuite):
    """What the suite is told of engines that give twice `x`, and its rows' sums."""

    def feeds(self) -> list[Any]:
        return [rows(number, count) for number, count in ((1, 1), (2, 4), (3, 2))]

    def reference(self, feed: Mapping[str, Any]) -> dict[str, Any]:
        return {"y": feed["x"] * 2, "sum": feed["x"].sum(1)}

    def slow(self, **options: Any) -> Any:
        return self.open(**options), rows(SLOW, 1)

    def faulty(self, **options: Any) -> Any:
        return self.open(**options), rows(ILL, 1), rows(1, 1)


class TestCallable(Doubling):
    def open(self, **options: Any) -> headway.InferenceSession:
        return headway.InferenceSession(double, inputs=["x"], outputs=["y", "sum"], **options)


class TestCallableWithTypes(Doubling):
    def open(self, **options: Any) -> headway.InferenceSession:
        x, y, total = ("x", "float32", ["n", 3]), ("y", "float32", ["n", 3]), ("sum", "float32", ["n"])
        return headway.InferenceSession(double, inputs=[x], outputs=[y, total], **options)


class Typed(headway.Engine):
    name = "doubling"
    inputs = (("x", np.float32, ("n", 3)),)
    outputs = (("y", np.float32, ("n", 3)), ("sum", np.float32, ("n",)))
    can_cancel = True


class PollingLane(headway.Lane):
    def run(self, feed: dict[str, Any], output_names: list[str]) -> Any:
        if feed["x"][0, 0] != SLOW:
            return double(feed)
        while not self.cancelled:
            threading.Event().wait(0.001)
        return {}


class Polling(Typed):
    def open_lane(self, number: int) -> headway.Lane:
        return PollingLane()


class TestEngineThatLooks(Doubling):
    def make(self) -> Any:
        return Polling()


class InterruptedLane(headway.Lane):
    def __init__(self) -> None:
        self.stopped = threading.Event()

    def run(self, feed: dict[str, Any], output_names: list[str]) -> Any:
        if feed["x"][0, 0] != SLOW:
            return list(double(feed).values())
        try:
            assert self.stopped.wait(PATIENCE)
            raise RuntimeError("interrupted")
        finally:
            self.stopped.clear()

    def terminate(self) -> None:
        self.stopped.set()


class Interrupted(Typed):
    def open_lane(self, number: int) -> headway.Lane:
        return InterruptedLane()


class TestEngineThatIsInterrupted(Doubling):
    def make(self) -> Any:
        return Interrupted()


class TestOnnxruntime(EngineSuite):
    """A model that adds 1 to `x` `n` times."""

    def make(self) -> Any:
        return loop_model()

    def feeds(self) -> list[Any]:
        return [
            {"n": np.array(n, np.int64), "x": np.array([x], np.float32)} for n, x in ((3, 1), (5, 2), (1, 9))
        ]

    def reference(self, feed: Mapping[str, Any]) -> dict[str, Any]:
        return {"y": feed["x"] + np.float32(feed["n"])}

    def slow(self, **options: Any) -> Any:
        return self.open(**options), {"n": np.array(1 << 40), "x": np.zeros(1, np.float32)}

    def faulty(self, **options: Any) -> Any:
        x = np.arange(4, dtype=np.float32)
        bad, good = {"x": x, "i": np.array([9])}, {"x": x, "i": np.array([2])}
        session = headway.InferenceSession(gather_model(), **options)
        [answer] = session.run(None, {"i": good["i"]})
        assert answer == [2]
        return session, {"i": bad["i"]}, {"i": good["i"]}


class TestFake(EngineSuite):
    def make(self) -> Any:
        return FakeEngine({"x": ("float32", [None, 3])})

    def feeds(self) -> list[Any]:
        return [rows(number, count) for number, count in ((1, 1), (2, 4), (3, 2))]

    def reference(self, feed: Mapping[str, Any]) -> dict[str, Any]:
        return {"y": feed["x"]}

    def slow(self, **options: Any) -> Any:
        engine = FakeEngine({"x": ("float32", [None, 3])})
        engine.set_busy(0.3)
        return headway.InferenceSession(engine, **options), rows(SLOW, 1)

    def faulty(self, **options: Any) -> Any:
        engine = FakeEngine({"x": ("float32", [None, 3])})
        engine.fail_nth(1)
        engine.fail_nth(3)
        return headway.InferenceSession(engine, **options), rows(ILL, 1), rows(1, 1)


# ---- what is wrong is found --------------------------------------------------------------------------------------


class Broken(headway.Lane):
    """Wrong in one way each."""

    kept: Any = None

    def __init__(self, how: str, engine: Any) -> None:
        self.how, self.engine = how, engine

    def run(self, feed: dict[str, Any], output_names: list[str]) -> Any:
        answer = double(feed)
        if self.how == "wrong number":
            answer["y"] += 1
        if self.how == "shared buffer":
            self.engine.buffer[: len(answer["y"])] = answer["y"]
            answer["y"] = self.engine.buffer[: len(answer["y"])]
        if self.how == "keeps":
            self.kept = feed
        if self.how == "writes" and feed["x"].flags.writeable:
            feed["x"] += 1
        if self.how == "deaf" and feed["x"][0, 0] == SLOW:
            threading.Event().wait(0.5)
        return answer

    def close(self) -> None:
        if self.how == "slow to close":
            threading.Event().wait(1.5)


class Wrong(Typed):
    def __init__(self, how: str) -> None:
        self.how, self.buffer = how, np.zeros((4, 3), np.float32)

    def open_lane(self, number: int) -> headway.Lane:
        return Broken(self.how, self)


class WrongSuite(Doubling):
    how = ""
    patience = 0.4

    def make(self) -> Any:
        return Wrong(self.how)


@pytest.mark.parametrize(
    ("how", "test"),
    [
        ("wrong number", "test_answers_equal_the_reference"),
        ("wrong number", "test_shapes_alternate"),
        ("shared buffer", "test_answers_stay"),
        ("keeps", "test_nothing_is_kept"),
        ("deaf", "test_cancelling_what_runs"),
        ("slow to close", "test_closing_finishes_what_was_admitted"),
    ],
)
def test_the_suite_finds(how: str, test: str) -> None:
    suite = WrongSuite()
    suite.how = how
    with pytest.raises((AssertionError, TimeoutError)):
        getattr(suite, test)()


def test_the_suite_says_what_it_was_not_given() -> None:
    class Bare(EngineSuite):
        def make(self) -> Any:
            return Polling()

    for test in ("test_cancelling_what_runs", "test_a_failing_request_fails_alone"):
        with pytest.raises(BaseException, match="gives nothing") as caught:
            getattr(Bare(), test)()
        assert type(caught.value).__name__ == "SkipTest"
