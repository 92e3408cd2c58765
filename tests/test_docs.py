"""Every block of Python in the README and the docs runs and prints what its ``#>`` lines say."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import pytest
from onnx import TensorProto, helper

import headway

from .engines.rknn.standin import affine, library, model, tensor

ROOT = Path(__file__).parent.parent
PAGES = [*sorted(ROOT.glob("*.md")), *sorted((ROOT / "docs").glob("*.md"))]


class Block(NamedTuple):
    """One fenced block."""

    name: str
    line: int
    code: str


def _blocks() -> Iterator[Block]:
    for page in PAGES:
        text = page.read_text(encoding="utf-8")
        for found in re.finditer(r"^```python\n(.*?)^```$", text, re.MULTILINE | re.DOTALL):
            line = text.count("\n", 0, found.start()) + 1
            yield Block(f"{page.relative_to(ROOT)}:{line}", line, found[1])


BLOCKS = list(_blocks())


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with the docs' ``model.onnx`` in it: ``y = 2 x``, float32, ``[N, 3]``."""
    ends = [helper.make_tensor_value_info(name, TensorProto.FLOAT, ["N", 3]) for name in ("x", "y")]
    graph = helper.make_graph([helper.make_node("Add", ["x", "x"], ["y"])], "double", ends[:1], ends[1:])
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    (tmp_path / "model.onnx").write_bytes(model.SerializeToString())
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(tmp_path)  # as for a program in this folder
    return tmp_path


def rknn_here(here: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A runtime that needs no NPU, and a ``model.rknn`` whose ten scores are the picture's first numbers."""
    scores = tensor("y", [1, 10], kind="int8", **affine(-128, 0.5))
    made = model("head", [tensor("x", [1, 224, 224, 3], "NHWC", "int8", **affine(-128, 0.5))], [scores])
    (here / "model.rknn").write_bytes(made)
    monkeypatch.setenv("HEADWAY_RKNN_LIBRARY", str(library()))


@pytest.mark.parametrize("block", BLOCKS, ids=[block.name for block in BLOCKS])
def test_block_runs(
    block: Block, here: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    if block.name.startswith(("docs/rknn", "docs/multicore")):
        rknn_here(here, monkeypatch)
    # Empty lines in front, so that a traceback shows the page's own line numbers.
    code = compile("\n" * block.line + block.code, block.name, "exec")
    exec(code, {"__name__": "__main__"})
    expected = re.findall(r"^\s*#> (.*)$", block.code, re.MULTILINE)
    if expected:
        assert capsys.readouterr().out.splitlines() == expected


@pytest.mark.parametrize("page", PAGES, ids=[page.name for page in PAGES])
def test_links_lead_somewhere(page: Path) -> None:
    for target in re.findall(r"\]\((?!https?:)([^)#]+)", page.read_text(encoding="utf-8")):
        assert (page.parent / target).exists(), target


def _anchors(page: Path) -> set[str]:
    """What headings are called in links, as the forges make it of them."""
    headings = re.findall(r"^#+ (.*)$", page.read_text(encoding="utf-8"), re.MULTILINE)
    return {re.sub(r"[^\w -]", "", heading.lower()).replace(" ", "-") for heading in headings}


@pytest.mark.parametrize("page", PAGES, ids=[page.name for page in PAGES])
def test_links_lead_to_headings(page: Path) -> None:
    for target, anchor in re.findall(r"\]\((?!https?:)([^)#]*)#([^)]+)\)", page.read_text(encoding="utf-8")):
        assert anchor in _anchors(page.parent / target if target else page), (target, anchor)


def test_readme_names_the_test_command() -> None:
    assert "```sh test\nmake test\n```" in (ROOT / "README.md").read_text(encoding="utf-8")


def test_every_option_is_documented() -> None:
    page = (ROOT / "docs" / "options.md").read_text(encoding="utf-8")
    described = headway.InferenceSession.__doc__ or ""
    for option in (
        "queue_depth",
        "overflow",
        "submit_timeout",
        "ordered",
        "serial",
        "copy_inputs",
        "workers",
        "hint",
    ):
        assert f"`{option}" in page
        assert option in described


def test_architecture_names_tests_that_exist() -> None:
    text = (ROOT / "ARCHITECTURE.md").read_text(encoding="utf-8")
    named = re.findall(r"`([\w/.]+)::(\w+)`", text)
    assert named
    for file, test in named:
        assert re.search(rf"\b(fn|def) {test}\(", (ROOT / file).read_text(encoding="utf-8")), (
            f"{file}::{test}"
        )
