"""Where an engine of one's own comes from, and how its requests are stopped."""

from __future__ import annotations

import os
import random
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import pytest

import headway

from ..support import PATIENCE, X, assert_conserved, until
from .test_engine import Recording

pytestmark = [pytest.mark.timeout(60), pytest.mark.usefixtures("leaks")]

Run = Callable[[dict[str, Any], list[str]], Any]


class FromFile(headway.Engine):
    name = "filed"
    suffixes = (".filed",)

    def __init__(self, model: Any, *, factor: float = 1.0) -> None:
        if isinstance(model, str):
            with open(model) as file:
                model = float(file.read())
        self.number = float(model) * factor

    def open_lane(self, number: int) -> headway.Lane:
        return Constant(self.number)


class Constant(headway.Lane):
    def __init__(self, number: float) -> None:
        self.number = number

    def run(self, feed: dict[str, Any], output_names: list[str]) -> Any:
        return {"y": self.number}


def answer_of(*args: Any, **options: Any) -> float:
    with headway.InferenceSession(*args, **options) as session:
        [number] = session.run(None, {})
        return float(number)


def test_loading(tmp_path: Any) -> None:
    path = tmp_path / "model.filed"
    path.write_text("3")
    assert answer_of(FromFile(2)) == 2
    assert answer_of(FromFile, engine_options={"model": 4}) == 4
    assert answer_of(path, engine=FromFile) == 3
    assert answer_of(str(path), engine=FromFile, engine_options={"factor": 2}) == 6
    assert answer_of(b"5", engine=FromFile) == 5
    assert answer_of(7, engine=FromFile) == 7


def test_loading_goes_wrong(tmp_path: Any) -> None:
    for given, kind, message in (
        (tmp_path / "none.filed", headway.NoSuchFile, "the filed engine raised FileNotFoundError"),
        (b"text", headway.LoadError, "the filed engine raised ValueError"),
        ("model.onnx", headway.LoadError, "model.onnx: the filed engine reads .filed"),
    ):
        with pytest.raises(kind, match=message):
            headway.InferenceSession(given, engine=FromFile)
    with pytest.raises(TypeError, match=r"engine_options: .*'size'; the filed engine: it takes factor"):
        headway.InferenceSession(b"1", engine=FromFile, engine_options={"size": 2})
    with pytest.raises(TypeError, match="the filed engine is made already"):
        headway.InferenceSession(FromFile(1), engine_options={"factor": 2})
    with pytest.raises(TypeError, match=r"the model is an engine itself"):
        headway.InferenceSession(FromFile(1), engine="python")
    with pytest.raises(TypeError, match=r"expected a name or a subclass of headway.Engine"):
        headway.InferenceSession(b"1", engine=dict)


@pytest.mark.parametrize("name", ["", "onnxruntime", 3])
def test_names_that_are_taken(name: Any) -> None:
    class Named(Recording):
        pass

    Named.name = name
    with pytest.raises(ValueError, match="expected a name of its own"):
        headway.InferenceSession(Named())


PLUGIN = """
import headway


class Lane(headway.Lane):
    def run(self, feed, output_names):
        return [{number}]


class Mine(headway.Engine):
    name = "installed"

    def __init__(self, model):
        pass

    def open_lane(self, number):
        return Lane()
"""

Install = Callable[..., None]


@pytest.fixture
def install(tmp_path: Any, monkeypatch: pytest.MonkeyPatch) -> Iterator[Install]:
    """Installs packages with entry points, which leave again after the test."""
    monkeypatch.syspath_prepend(tmp_path)
    modules = []

    def make(module: str, code: str, **entries: str) -> None:
        modules.append(module)
        (tmp_path / f"{module}.py").write_text(code)
        folder = tmp_path / f"{module}-1.0.dist-info"
        folder.mkdir()
        (folder / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {module}\nVersion: 1.0\n")
        lines = "".join(f"{name.replace('_dot_', '.')} = {value}\n" for name, value in entries.items())
        (folder / "entry_points.txt").write_text(f"[headway.engines]\n{lines}")

    yield make
    for module in modules:
        sys.modules.pop(module, None)


def test_entry_points(install: Install) -> None:
    install("hw_one", PLUGIN.format(number=1), one="hw_one:Mine", _dot_one="hw_one:Mine")
    install("hw_two", PLUGIN.format(number=2), two="hw_two:Mine")
    install("hw_ill", "import no_such_package", ill="hw_ill:Mine", _dot_ill="hw_ill:Mine")
    install("hw_none", "Mine = dict", none="hw_none:Mine")
    assert answer_of("a.one", engine="one") == 1
    assert answer_of("a.ONE") == 1
    assert answer_of(object(), engine="one") == 1
    # Only what was asked for has been imported.
    assert not {"hw_two", "hw_ill", "hw_none"} & set(sys.modules)
    for options in ({"engine": "ill"}, {}):
        with pytest.raises(
            headway.LoadError, match=r"'.?ill'.* could not be imported: ModuleNotFoundError"
        ) as caught:
            headway.InferenceSession("a.ill", **options)
        assert isinstance(caught.value.__cause__, ModuleNotFoundError)
    with pytest.raises(headway.LoadError, match=r"is no subclass of headway.Engine"):
        headway.InferenceSession("a.x", engine="none")
    listed = "there is no engine 'thre' here; engines: onnxruntime.*; installed ones: ill, none, one, two"
    with pytest.raises(headway.LoadError, match=listed):
        headway.InferenceSession("a.x", engine="thre")
    assert "hw_two" not in sys.modules


def test_two_packages_with_one_name(install: Install) -> None:
    install("hw_one", PLUGIN.format(number=1), same="hw_one:Mine")
    install("hw_two", PLUGIN.format(number=2), same="hw_two:Mine", onnxruntime="hw_two:Mine")
    with pytest.raises(
        headway.LoadError, match="several packages have an engine for 'same' \\(hw_one:Mine, hw_two"
    ):
        headway.InferenceSession("a.x", engine="same")


def test_no_entry_point_takes_the_place_of_headways_own(install: Install, tiny: bytes) -> None:
    install("hw_bad", PLUGIN.format(number=1), onnxruntime="hw_bad:Mine", _dot_onnx="hw_bad:Mine")
    with headway.InferenceSession(tiny, engine="onnxruntime") as session:
        session.run(None, X)
    with pytest.raises(headway.NoSuchFile):
        headway.InferenceSession("none.onnx")
    assert "hw_bad" not in sys.modules


# ---- stopping ------------------------------------------------------------------------------------------------------


def test_terminate_meets_its_own_request_only() -> None:
    """Requests are cancelled at random moments: a good one never fails for it."""

    class Lane(headway.Lane):
        def __init__(self) -> None:
            self.stopped = threading.Event()
            self.number = -1

        def run(self, feed: dict[str, Any], output_names: list[str]) -> Any:
            self.number = int(feed["x"][0, 0])
            try:
                # An even one is never cancelled.
                if self.stopped.wait(0.0002 if self.number % 2 == 0 else 0.002):
                    raise RuntimeError(f"{self.number} was stopped")
                return {"y": feed["x"]}
            finally:
                self.stopped.clear()

        def terminate(self) -> None:
            if self.number % 2 == 0 and self.number >= 0 and self.running_even():
                wrong.append(self.number)
            self.stopped.set()

        def running_even(self) -> bool:
            return not self.cancelled

    class Stoppable(Recording):
        can_cancel = True

        def open_lane(self, number: int) -> headway.Lane:
            return Lane()

    wrong: list[int] = []
    chance = random.Random(7)
    with headway.InferenceSession(Stoppable(), workers=2, queue_depth=16) as session:
        for first in range(0, 400, 4):
            feeds = [np.full((1, 3), first + number, np.float32) for number in range(4)]
            futures = [session.submit(feed) for feed in feeds]
            threading.Event().wait(chance.random() * 0.002)
            for future in futures[1::2]:
                future.cancel()
            for number in (0, 2):
                assert futures[number].result(PATIENCE)[0][0, 0] == first + number
        until(lambda: session.stats().running == 0, "the end of what was cancelled")
        assert assert_conserved(session).failed == 0
    assert not wrong


PROGRAM = """
import numpy as np, headway, threading

class Lane(headway.Lane):
    def run(self, feed, output_names):
        inside.set()
        while not self.cancelled:
            threading.Event().wait(0.001)
        return feed

    def close(self):
        print("lane closed", flush=True)

class Engine(headway.Engine):
    can_cancel = True
    def open_lane(self, number):
        return Lane()
    def close(self):
        print("engine closed", flush=True)

inside = threading.Event()
session = headway.InferenceSession(Engine())
session.submit({"x": np.ones(3)})
inside.wait()
"""


def test_exit_waits_for_the_lanes() -> None:
    command = [sys.executable, "-W", "ignore::ResourceWarning", "-c", PROGRAM]
    done = subprocess.run(
        command, capture_output=True, text=True, timeout=30, check=False, env=dict(os.environ)
    )
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.split("\n") == ["lane closed", "engine closed", ""]


def test_importing_headway_does_not_import_it() -> None:
    program = "import sys, headway; assert not {'headway._engine', 'headway._lanes'} & set(sys.modules); headway.Engine"
    assert subprocess.run([sys.executable, "-c", program], check=False).returncode == 0
