"""A model whose answer is known: the class is the channel that is brightest on average."""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import onnx
import pytest
from onnx import TensorProto, helper
from PIL import Image

from headway.cli import main

RAW = ("--range", "1", "--mean", "0", "--std", "1")


class Result(NamedTuple):
    status: int
    out: str
    err: str

    @property
    def tally(self) -> str:
        return self.out.splitlines()[-1]

    @property
    def pictures(self) -> list[str]:
        """The lines about pictures: behind the empty line that ends the preprocessing, before the tally."""
        lines = self.out.splitlines()
        return lines[lines.index("") + 1 : -1] if "" in lines else []


Headway = Callable[..., Result]


@pytest.fixture
def headway_cli(capsys: pytest.CaptureFixture[str]) -> Headway:
    def run(*arguments: object) -> Result:
        capsys.readouterr()
        status = main([str(argument) for argument in arguments])
        return Result(status, *capsys.readouterr())

    return run


def write_model(
    path: Path,
    shape: Sequence[int | str | None] = (1, 3, 8, 8),
    *,
    nhwc: bool = False,
    dtype: int = TensorProto.FLOAT,
    softmax: bool = True,
    extra: Sequence[onnx.NodeProto] = (),
    constants: Sequence[onnx.TensorProto] = (),
    source: str = "x",
) -> Path:
    """Mean of each channel, times 10, and a softmax over them when asked for."""
    channels = shape[3] if nhwc else shape[1]
    axes = [1, 2] if nhwc else [2, 3]
    nodes = [
        *extra,
        helper.make_node("Cast", [source], ["f"], to=TensorProto.FLOAT),
        helper.make_node("ReduceMean", ["f"], ["m"], axes=axes, keepdims=0),
        helper.make_node("Mul", ["m", "ten"], ["scores"]),
    ]
    if softmax:
        nodes.append(helper.make_node("Softmax", ["scores"], ["probabilities"], axis=-1))
    output = "probabilities" if softmax else "scores"
    graph = helper.make_graph(
        nodes,
        "channels",
        [helper.make_tensor_value_info("x", dtype, list(shape))],
        [helper.make_tensor_value_info(output, TensorProto.FLOAT, [shape[0], channels])],
        [helper.make_tensor("ten", TensorProto.FLOAT, [], [10.0]), *constants],
    )
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8), path)
    return path


@pytest.fixture
def model(tmp_path: Path) -> Path:
    return write_model(tmp_path / "channels.onnx")


@pytest.fixture
def labels(tmp_path: Path) -> Path:
    path = tmp_path / "labels.txt"
    path.write_text("red\ngreen\nblue\n")
    return path


def paint(path: Path, color: Any, size: tuple[int, int] = (12, 10)) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.new("RGB", size, color).save(path)
    return path


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """b.png blue, a/red.png red, c/green.png green; a note and a hidden picture that are left out."""
    folder = tmp_path / "pictures"
    paint(folder / "b.png", (0, 0, 255))
    paint(folder / "a" / "red.png", (255, 0, 0))
    paint(folder / "c" / "green.png", (0, 255, 0))
    paint(folder / ".hidden.png", (0, 0, 0))
    (folder / "note.txt").write_text("not a picture, and not taken for one")
    return folder
