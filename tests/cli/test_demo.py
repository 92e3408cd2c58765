"""`headway demo`: the embedded model is right, and built only from what it may be built from."""

import io
import os
import pickle
import re
from collections import OrderedDict
from pathlib import Path
from types import SimpleNamespace

import pytest
from PIL import Image

from headway import _demo
from headway._demo import _assets
from headway._demo.lite0 import build_model
from headway._demo.weights import WeightsError, read_weights

from .conftest import Headway


@pytest.fixture
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    return tmp_path / "headway"


def test_names_the_photographs_and_races(headway_cli: Headway, cache: Path) -> None:
    result = headway_cli("demo", "--frames", 12)
    assert result.status == 0
    seen = dict(re.findall(r"^(\w+)\.jpg +(\D+?) [\d.]+%$", result.out, re.MULTILINE))
    assert seen.pop("cat") in {"tabby", "tiger cat", "Egyptian cat"}
    assert seen == {
        "espresso": "espresso",
        "rocket": "missile",
        "shuttle": "space shuttle",
        "tripod": "tripod",
    }
    rows = re.findall(r"^ (onnxruntime loop|headway \w+) .* ([\d.]+)x", result.out, re.MULTILINE)
    conventions = ["run", "callback", "future", "asyncio", "stream"]
    assert [name for name, _ in rows] == ["onnxruntime loop", *(f"headway {name}" for name in conventions)]
    assert rows[0][1] == "1.00"
    difference = re.search(r"Largest difference .*: (\S+)$", result.out, re.MULTILINE)
    assert difference and float(difference[1]) < 1e-5
    count = 5 + 12 * len(conventions)
    assert result.tally == f"pushed={count} pulled={count} dropped=0 failed=0"
    assert max(len(line) for line in result.out.splitlines()) <= 80


def test_a_narrow_terminal_cuts_no_number(
    headway_cli: Headway, cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "40")
    result = headway_cli("demo", "--frames", 1)
    assert len(re.findall(r"^ (?:onnxruntime loop|headway \w+) .*? [\d.]+x", result.out, re.MULTILINE)) == 6
    assert "…" not in result.out


def test_builds_once_and_leaves_one_file(headway_cli: Headway, cache: Path) -> None:
    first = headway_cli("demo", "--no-table")
    assert "building EfficientNet-Lite0" in first.err
    assert [path.name for path in cache.iterdir()] == ["efficientnet-lite0-v1.onnx"]
    second = headway_cli("demo", "--no-table")
    assert second.err == "" and second.out == first.out
    assert second.tally == "pushed=5 pulled=5 dropped=0 failed=0"


def test_a_cache_that_cannot_be_written_is_no_obstacle(cache: Path) -> None:
    cache.write_text("a file where the folder should be")
    said: list[str] = []
    path = _demo.model_file(said.append)
    assert path.is_file() and path.parent != cache
    assert any("cannot be written" in line for line in said)
    path.unlink()
    path.parent.rmdir()


def test_an_interrupted_write_leaves_nothing(cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupted(*_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(
        _assets, "os", SimpleNamespace(fdopen=os.fdopen, environ=os.environ, replace=interrupted)
    )
    with pytest.raises(KeyboardInterrupt):
        _demo.model_file()
    assert list(cache.iterdir()) == []


def test_other_weights_are_refused() -> None:
    with pytest.raises(WeightsError, match="checksum"):
        build_model(b"some other file")


class _Evil:
    def __reduce__(self) -> tuple[object, ...]:
        return (os.system, ("exit 3",))


def _checkpoint(*parts: object) -> bytes:
    file = io.BytesIO()
    for part in (0x1950A86A20F9469CFC6C, 1001, {}, *parts):
        pickle.dump(part, file, protocol=2)
    return file.getvalue()


def test_a_checkpoint_cannot_run_code() -> None:
    with pytest.raises(WeightsError, match=r"system, which is refused"):
        read_weights(_checkpoint(_Evil()))
    with pytest.raises(WeightsError, match=r"system, which is refused"):
        read_weights(pickle.dumps(_Evil()))


@pytest.mark.parametrize("content", [b"", b"PK\x03\x04", pickle.dumps(1), _checkpoint()])
def test_what_is_no_checkpoint_is_said(content: bytes) -> None:
    with pytest.raises(WeightsError):
        read_weights(content)


def test_an_empty_checkpoint_has_no_tensors() -> None:
    assert read_weights(_checkpoint(OrderedDict(), [])) == {}


def test_every_photograph_has_its_origin_noted() -> None:
    folder = _demo.picture_folder()
    origins = (folder / "ORIGINS.md").read_text()
    paths = sorted(folder.glob("*.jpg"))
    assert len(paths) == 5 and sum(path.stat().st_size for path in paths) < 300_000
    for path in paths:
        assert f"`{path.name}`" in origins
        with Image.open(path) as picture:
            assert max(picture.size) <= 400


def _hide(monkeypatch: pytest.MonkeyPatch, hidden: str) -> None:
    import headway.cli._demo

    monkeypatch.setattr(headway.cli._demo, "find_spec", lambda name: None if name == hidden else object())


def test_a_missing_extra_is_one_helpful_line(
    headway_cli: Headway, cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    _hide(monkeypatch, "onnx")
    result = headway_cli("demo")
    assert result == (1, "", 'headway: error: the demo needs onnx: pip install "headway[demo]"\n')


def test_without_onnxruntime_the_table_lacks_one_row(
    headway_cli: Headway, cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    _hide(monkeypatch, "onnxruntime")
    result = headway_cli("demo", "--frames", 4)
    assert result.status == 0
    assert "onnxruntime is not there: no row" in result.err
    assert "onnxruntime loop" not in result.out and "headway stream" in result.out
    assert result.tally == "pushed=25 pulled=25 dropped=0 failed=0"
