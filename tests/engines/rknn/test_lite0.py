"""EfficientNet-Lite0 on real photographs: the engine on the stand-in against onnxruntime itself.

The stand-in's file says what a converted model says: channels last, quantised or float16, padded in memory. Its input is
quantised to 8 bits (or float16), and so is its output; that is all that differs from onnxruntime's answer.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime
import pytest

from headway._demo import _assets
from headway._pictures import PRESETS, Preprocessing, read_picture

from .conftest import Open
from .standin import affine, model, tensor

#: What the demo's preprocessing gives: (pixel - 127) / 128.
PIXELS = affine(-1, 1 / 128)


@pytest.fixture(scope="module")
def onnx_file() -> Path:
    return _assets.model_file()


@pytest.fixture(scope="module")
def pictures() -> list[np.ndarray[Any, Any]]:
    preset = PRESETS["lite0"]
    prepare = Preprocessing(mean=preset.mean, std=preset.std, pixel_range=preset.pixel_range)
    return [prepare(read_picture(path)) for path in sorted(_assets.picture_folder().glob("*.jpg"))]


@pytest.fixture(scope="module")
def expected(onnx_file: Path, pictures: list[np.ndarray[Any, Any]]) -> list[np.ndarray[Any, Any]]:
    session = onnxruntime.InferenceSession(str(onnx_file), providers=["CPUExecutionProvider"])
    return [session.run(None, {"input": picture})[0] for picture in pictures]


def lite0(onnx_file: Path, kind: str, **more: Any) -> bytes:
    quantised = kind == "int8"
    fed = tensor(
        "input", [1, 224, 224, 3], "NHWC", kind, perm=[0, 3, 1, 2], **(PIXELS if quantised else {}), **more
    )
    given = tensor("probabilities", [1, 1000], kind=kind, **(affine(-128, 1 / 255) if quantised else {}))
    return model("onnx", [fed], [given], onnx_file.read_bytes())


@pytest.mark.parametrize(
    ("kind", "tolerance"),
    # float16 keeps 11 bits of each pixel and of each probability; 8 bits keep steps of 1/128 and 1/255.
    [("float16", 5e-3), ("int8", 2e-2)],
)
@pytest.mark.parametrize(
    "options",
    [{}, {"layout": "nhwc"}, {"zero_copy": True, "schedule": [0, 1, 2]}],
    ids=["nchw", "nhwc", "bound"],
)
def test_answers_agree_with_onnxruntime(
    open_session: Open,
    onnx_file: Path,
    pictures: list[np.ndarray[Any, Any]],
    expected: list[np.ndarray[Any, Any]],
    kind: str,
    tolerance: float,
    options: dict[str, Any],
) -> None:
    padded = {"w_align": 16, "native_nhwc": False, "c2": 8} if options.get("zero_copy") else {}
    session = open_session(lite0(onnx_file, kind, **padded), **options)
    last = options.get("layout") == "nhwc"
    feeds = [picture.transpose(0, 2, 3, 1) if last else picture for picture in pictures]
    futures = [session.submit({"input": feed}) for feed in feeds]
    for future, wanted in zip(futures, expected, strict=True):
        (answer,) = future.result(60)
        assert answer.shape == wanted.shape and answer.dtype == np.float32
        np.testing.assert_allclose(answer, wanted, atol=tolerance, rtol=0)
        assert answer.argmax() == wanted.argmax()


def test_stored_numbers_in_and_out(
    open_session: Open,
    onnx_file: Path,
    pictures: list[np.ndarray[Any, Any]],
    expected: list[np.ndarray[Any, Any]],
) -> None:
    session = open_session(lite0(onnx_file, "int8"), outputs="native", zero_copy=True)
    # (pixel - 127) / 128 stored with zero point -1 and steps of 1/128 is pixel - 128.
    stored = [np.round(picture * 128 - 1).astype(np.int8) for picture in pictures]
    for feed, wanted in zip(stored, expected, strict=True):
        (answer,) = session.run(None, [feed])
        assert answer.dtype == np.int8
        zero_point, scale = session.engine_facts["outputs"][0]["quantisation"]
        np.testing.assert_allclose(
            (answer.astype(np.float32) - zero_point) * scale, wanted, atol=2e-2, rtol=0
        )
