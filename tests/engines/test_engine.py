"""`headway.Engine`: what its author may rely on, and what its author gets wrong."""

from __future__ import annotations

import sys
import threading
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import headway

from ..support import PATIENCE, X, assert_conserved, until

pytestmark = [pytest.mark.timeout(60), pytest.mark.usefixtures("leaks")]

Run = Callable[[dict[str, Any], list[str]], Any]


class Told(headway.Lane):
    """Runs what its engine says, and writes down what is done to it."""

    def __init__(self, engine: Recording, number: int) -> None:
        self.engine, self.number = engine, number
        engine.note("opened", number)

    def run(self, feed: dict[str, Any], output_names: list[str]) -> Any:
        self.engine.note("run", self.number)
        return self.engine.answer(feed, output_names)

    def close(self) -> None:
        self.engine.note("closed", self.number)


class Recording(headway.Engine):
    name = "recording"
    inputs: Any = (("x", np.float32, (1, 3)),)
    outputs: Any = (("y", np.float32, (1, 3)),)

    def __init__(self, answer: Run = lambda feed, names: {"y": feed["x"]}) -> None:
        self.answer = answer
        self.events: list[tuple[str, int, int]] = []

    def note(self, what: str, number: int) -> None:
        self.events.append((what, number, threading.get_ident()))

    def open_lane(self, number: int) -> headway.Lane:
        return Told(self, number)

    def close(self) -> None:
        self.note("engine closed", -1)

    def what(self) -> list[str]:
        return [what for what, _, _ in self.events]


# ---- lanes and threads ---------------------------------------------------------------------------------------------


def test_a_lane_lives_on_one_thread() -> None:
    engine = Recording()
    with headway.InferenceSession(engine, workers=3) as session:
        assert engine.what() == ["opened"] * 3
        for future in [session.submit(X) for _ in range(20)]:
            future.result(PATIENCE)
        assert session.run(["y"], X)[0].tolist() == X.tolist()
    threads = {number: {ident for _, lane, ident in engine.events if lane == number} for number in range(3)}
    assert all(len(idents) == 1 for idents in threads.values())
    assert len(set.union(*threads.values())) == 3
    assert engine.what()[-4:] == ["closed"] * 3 + ["engine closed"]
    # By the lane that ended last, which is the one that closed last.
    assert engine.events[-1][2] == engine.events[-2][2]


def test_lanes_open_one_after_the_other() -> None:
    inside = []
    together = []

    class Slow(Recording):
        def open_lane(self, number: int) -> headway.Lane:
            inside.append(number)
            together.append(len(inside))
            threading.Event().wait(0.01)
            inside.remove(number)
            return super().open_lane(number)

    with headway.InferenceSession(Slow(), workers=4):
        assert together == [1] * 4


@pytest.mark.parametrize("made", ["by the caller", "by the session"])
def test_a_lane_that_does_not_open(made: str) -> None:
    engines = []

    class Ill(Recording):
        well = False

        def __init__(self) -> None:
            super().__init__()
            engines.append(self)

        def open_lane(self, number: int) -> headway.Lane:
            if number == 1 and not self.well:
                raise OSError("no more of them")
            return super().open_lane(number)

    with pytest.raises(headway.LoadError, match="OSError: no more of them") as caught:
        headway.InferenceSession(Ill() if made == "by the caller" else Ill, workers=2)
    assert isinstance(caught.value.__cause__, OSError)
    [engine] = engines
    mine = made == "by the caller"
    until(lambda: engine.what().count("closed") == engine.what().count("opened"), "the lanes' end")
    assert engine.what().count("engine closed") == (0 if mine else 1)
    if mine:
        # It is still the caller's: another session may have it.
        engine.well = True
        with headway.InferenceSession(engine, workers=2) as session:
            session.run(None, X)
        assert engine.what().count("engine closed") == 1


def test_what_is_no_lane() -> None:
    class Wrong(headway.Engine):
        def open_lane(self, number: int) -> Any:
            return print

    with pytest.raises(headway.LoadError, match=r"expected a headway.Lane, got builtin_function_or_method"):
        headway.InferenceSession(Wrong())


def test_a_session_that_does_not_come_to_be() -> None:
    engine = Recording()
    with pytest.raises(ValueError, match="a Python engine does not batch"):
        headway.InferenceSession(engine, batching=headway.Batching())
    assert engine.events == []
    headway.InferenceSession(engine).close()
    assert engine.what() == ["opened", "closed", "engine closed"]


def test_one_engine_one_session() -> None:
    engine = Recording()
    with headway.InferenceSession(engine), pytest.raises(ValueError, match="has a session already"):
        headway.InferenceSession(engine)


def test_most_lanes() -> None:
    class Two(Recording):
        lanes = 2

    with pytest.raises(ValueError, match=r"the recording engine has at most 2, got 3"):
        headway.InferenceSession(Two(), workers=3)
    with headway.InferenceSession(Two(), hint="throughput") as session:
        assert 1 <= len(session.stats().lanes) <= 2


def test_a_dropped_session_closes_its_engine() -> None:
    engine = Recording()
    with pytest.warns(ResourceWarning, match="unclosed session"):
        session = headway.InferenceSession(engine)
        future = session.submit(X)
        del session
    assert future.result(PATIENCE)[0].tolist() == X.tolist()
    del future
    until(lambda: "engine closed" in engine.what(), "the engine's end")


def test_a_lane_that_does_not_return_keeps_its_engine() -> None:
    inside, go_on = threading.Event(), threading.Event()

    def answer(feed: dict[str, Any], names: list[str]) -> Any:
        inside.set()
        assert go_on.wait(PATIENCE)
        return {"y": feed["x"]}

    engine = Recording(answer)
    session = headway.InferenceSession(engine, workers=2)
    session.submit(X)
    assert inside.wait(PATIENCE)
    report = session.close(drain=False, timeout=0.01)
    assert len(report.abandoned) == 1
    assert session.close() == report
    assert "engine closed" not in engine.what()
    go_on.set()
    until(lambda: "engine closed" in engine.what(), "the engine's end")
    assert engine.what().count("closed") == 2


def test_what_closing_raises_is_reported(monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[Any] = []
    monkeypatch.setattr(
        sys, "unraisablehook", lambda told: seen.append((told.err_msg, told.exc_value.args[0]))
    )

    class Lane(headway.Lane):
        def run(self, feed: dict[str, Any], output_names: list[str]) -> Any:
            return feed

        def close(self) -> None:
            raise ValueError("lane")

    class Ill(headway.Engine):
        name = "ill"

        def open_lane(self, number: int) -> headway.Lane:
            return Lane()

        def close(self) -> None:
            raise ValueError("engine")

    headway.InferenceSession(Ill()).close()
    assert seen == [
        ("Exception ignored in a lane's close()", "lane"),
        ("Exception ignored in close() of the ill engine", "engine"),
    ]


# ---- what it says of itself, feeds and answers -----------------------------------------------------------------------


def test_describes_itself() -> None:
    class Described(Recording):
        inputs = (("a", np.int64, ("n", None)), headway.NodeArg("b", "tensor(float)", [2]), "c", ("d", str))
        outputs = None
        device = "GPU"

    Described.metadata = {"classes": "3"}
    with headway.InferenceSession(Described()) as session:
        assert [(node.name, node.type, node.shape) for node in session.get_inputs()] == [
            ("a", "tensor(int64)", ["n", None]),
            ("b", "tensor(float)", [2]),
            ("c", "object", []),
            ("d", "tensor(string)", []),
        ]
        assert session.get_outputs() == []
        assert session.get_modelmeta().custom_metadata_map == {"classes": "3"}
        assert repr(session).startswith("<InferenceSession Described recording/GPU [1 lane")
        assert not session.engine_can_cancel


@pytest.mark.parametrize(
    ("inputs", "error"),
    [
        ("x", TypeError),
        ([3], TypeError),
        ([("x", "float33")], ValueError),
        ([("x", None, [3])], ValueError),
        ([("x", "float32", ["n", 1.5])], TypeError),
        (["x", "x"], ValueError),
    ],
)
def test_wrong_nodes(inputs: Any, error: type[Exception]) -> None:
    class Wrong(Recording):
        pass

    Wrong.inputs = inputs
    with pytest.raises(error, match="inputs: "):
        headway.InferenceSession(Wrong())


def test_names_of_the_session() -> None:
    with pytest.raises(TypeError, match="inputs: the recording engine names its own"):
        headway.InferenceSession(Recording(), inputs=["x"])

    class Silent(Recording):
        inputs = None

    with headway.InferenceSession(Silent(), inputs=[("x", "float32", [1, 3])]) as session:
        assert session.run(None, X)[0].tolist() == X.tolist()


MISTAKES: list[Any] = [
    {},
    {"q": X},
    {"x": X, "q": X},
    X.astype(np.float64),
    X[0],
    np.zeros((1, 4), np.float32),
    np.zeros((2, 3), np.float32),
    {"x": None},
    [X, X],
    [],
    {"x": np.array(["a"])},
]


@pytest.mark.parametrize("number", range(len(MISTAKES)))
def test_the_same_mistake_is_told_as_on_onnxruntime(number: int, tiny: bytes) -> None:
    told = []
    for model in (tiny, Recording()):
        with headway.InferenceSession(model) as session:
            for call in (lambda feed: session.run(None, feed), session.submit):
                with pytest.raises(headway.InputError) as caught:
                    call(MISTAKES[number])
                told.append(str(caught.value))
            stats = assert_conserved(session)
            assert (stats.submitted, stats.rejected) == (0, 2)
    assert len(set(told)) == 1


def test_feeds_are_converted_as_on_native_engines() -> None:
    with headway.InferenceSession(Recording(lambda feed, names: {"y": feed["x"].copy()})) as session:
        wide = np.arange(6, dtype=">f4").reshape(1, 6)
        assert session.run(None, wide[:, ::2])[0].tolist() == [[0, 2, 4]]
        assert session.run(None, [[[1, 2, 3]]])[0].tolist() == [[1, 2, 3]]
        assert session.run(None, headway.OrtValue.ortvalue_from_numpy(X))[0].tolist() == X.tolist()


WRONG: list[tuple[Any, str]] = [
    ({}, "the answer has no output 'y'; it has \\[\\]"),
    ([X, X], "the answer has 2 outputs; the session has \\['y'\\]"),
    (X.astype(np.float64), "output 'y' is float64; the engine's outputs say float32"),
    (X[0], "output 'y' has the shape \\[3\\]; the engine's outputs say \\[1, 3\\]"),
    (X[:, :2], "output 'y' has the shape \\[1, 2\\]"),
]


@pytest.mark.parametrize("number", range(len(WRONG)))
def test_wrong_answers(number: int) -> None:
    answer, message = WRONG[number]
    answers = [answer, {"y": X}]
    with headway.InferenceSession(Recording(lambda feed, names: answers.pop(0))) as session:
        with pytest.raises(headway.EngineError, match=message) as caught:
            session.run(None, X)
        assert caught.value.engine == "recording"
        assert session.run(None, X)[0].tolist() == X.tolist()


def test_what_a_lane_raises() -> None:
    def answer(feed: dict[str, Any], names: list[str]) -> Any:
        raise KeyError("mine")

    with headway.InferenceSession(Recording(answer)) as session:
        with pytest.raises(
            headway.EngineError, match="the recording engine raised KeyError: 'mine'"
        ) as caught:
            session.run(None, X)
        assert isinstance(caught.value.__cause__, KeyError)


def test_wanted_outputs() -> None:
    asked = []

    class Both(Recording):
        outputs = ("y", "z")

    def answer(feed: dict[str, Any], names: list[str]) -> Any:
        asked.append(names)
        return dict.fromkeys(names, feed["x"])

    with headway.InferenceSession(Both(answer)) as session:
        session.run(None, X)
        assert len(session.run(["z"], X)) == 1
    assert asked == [["y", "z"], ["z"]]
