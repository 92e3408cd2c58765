"""Programs written for `onnxruntime` run on Headway with one changed import, and print the same."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from headway import _demo

from ..models.files import ROOT, path
from . import models

pytestmark = pytest.mark.timeout(240)

FOLDER = ROOT / "examples" / "from_onnxruntime"
#: What becomes of the line `import onnxruntime as ...`, and what Python is told: warnings are errors there.
IMPORTS = {
    "from headway import ort as": ("-W", "error"),
    "import headway.ort as": ("-W", "error"),
    # These programs close no session, which is worth a ResourceWarning here.
    "import headway as": ("-W", "error", "-W", "ignore::ResourceWarning"),
}


def _photograph() -> str:
    return str(_demo.picture_folder() / "cat.jpg")


def _written(name: str, content: Callable[[], bytes]) -> Callable[[Path], str]:
    """An argument that is a model made for it."""

    def write(folder: Path) -> str:
        (folder / name).write_bytes(content())
        return str(folder / name)

    return write


def _fetched(name: str) -> Callable[[Path], str]:
    return lambda folder: str(path(name))


def _labels(folder: Path) -> str:
    (folder / "labels.json").write_text(json.dumps(_demo.labels()), encoding="utf-8")
    return str(folder / "labels.json")


def _vocabulary(folder: Path) -> str:
    (folder / "words.txt").write_text(models.VOCABULARY, encoding="utf-8")
    return str(folder / "words.txt")


#: What each program is given on its command line.
PROGRAMS: dict[str, tuple[Callable[[Path], str], ...]] = {
    "classify_flowers": (
        _written("flowers.onnx", models.flowers),
        _written("dictionaries.onnx", models.dictionaries),
    ),
    "classify_image": (lambda folder: str(_demo.model_file()), lambda folder: _photograph(), _labels),
    "configure_session": (_written("single.onnx", lambda: models.convolutions(np.float32)),),
    "detect_speech": (_fetched("silero_vad.onnx"), _fetched("speech.wav")),
    "embed_sentences": (_fetched("minilm_int8.onnx"), _vocabulary),
    "exchange_values": (_written("total.onnx", models.total),),
    "half_precision": (
        _written("half.onnx", lambda: models.convolutions(np.float16)),
        _written("single.onnx", lambda: models.convolutions(np.float32)),
    ),
    "profile_model": (_written("single.onnx", lambda: models.convolutions(np.float32)),),
    "read_text": (_fetched("ocr_detection.onnx"), _fetched("ocr_recognition.onnx"), _fetched("page.png")),
    "terminate_run": (_written("powers.onnx", models.powers),),
}


def _run(program: Path, arguments: list[str], *flags: str) -> list[str]:
    command = [sys.executable, *flags, str(program), *arguments]
    done = subprocess.run(
        command,
        capture_output=True,
        text=True,
        timeout=100,
        check=False,
        cwd=program.parent,
        env={**os.environ, "PYTHONIOENCODING": "utf-8"},
    )
    assert done.returncode == 0, done.stderr
    assert not done.stderr
    return done.stdout.splitlines()


def _migrated(source: str, statement: str) -> str:
    """The program with its import line rewritten, and nothing else."""
    (line,) = (one for one in source.splitlines() if one.startswith("import onnxruntime as "))
    return source.replace(line, f"{statement} {line.split()[-1]}", 1)


@pytest.mark.parametrize("name", PROGRAMS)
def test_program(name: str, tmp_path: Path) -> None:
    arguments = [make(tmp_path) for make in PROGRAMS[name]]
    expected = _run(FOLDER / f"{name}.py", arguments)
    assert len(expected) >= 4
    source = (FOLDER / f"{name}.py").read_text(encoding="utf-8")
    for statement, flags in IMPORTS.items():
        program = tmp_path / "migrated.py"
        program.write_text(_migrated(source, statement), encoding="utf-8")
        assert _run(program, arguments, *flags) == expected, statement


def test_every_program_is_run_here() -> None:
    assert {file.stem for file in FOLDER.glob("*.py")} == set(PROGRAMS)
