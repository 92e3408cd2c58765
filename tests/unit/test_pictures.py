"""Decoding and preprocessing, against values that can be worked out by hand."""

import io
import struct
import zlib
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

from headway import _demo
from headway._pictures import PRESETS, Layout, PictureError, Preprocessing, Resize, read_picture

RAW: dict[str, Any] = {"mean": (0.0,), "std": (1.0,), "pixel_range": 255}


def gradient(width: int, height: int) -> Image.Image:
    """Red grows to the right, green downwards, blue is 200."""
    pixels = np.zeros((height, width, 3), np.uint8)
    pixels[..., 0] = np.linspace(0, 255, width).astype(np.uint8)
    pixels[..., 1] = np.linspace(0, 255, height).astype(np.uint8)[:, None]
    pixels[..., 2] = 200
    return Image.fromarray(pixels)


def apply(picture: Image.Image, **options: Any) -> NDArray[Any]:
    return Preprocessing(**{"height": 8, "width": 8, **RAW, **options})(picture)


def save(path: Path, picture: Image.Image, **options: Any) -> Path:
    picture.save(path, **options)
    return path


def test_stretch_keeps_every_corner() -> None:
    values = apply(gradient(64, 32), resize="stretch", layout="nhwc")[0]
    assert values[0, 0, 0] < 20 and values[0, -1, 0] > 235
    assert values[0, 0, 1] < 20 and values[-1, 0, 1] > 235


def test_crop_keeps_the_middle() -> None:
    picture = Image.new("RGB", (300, 100), (255, 0, 0))
    picture.paste((0, 255, 0), (100, 0, 200, 100))
    values = apply(picture, resize="crop", layout="nhwc", crop_fraction=1.0)[0]
    assert (values[:, 1:-1] == (0, 255, 0)).all()
    tall = apply(picture.rotate(90, expand=True), resize="crop", layout="nhwc", crop_fraction=0.5)[0]
    assert (tall == (0, 255, 0)).all()


@pytest.mark.parametrize("size", [(640, 427), (333, 500), (256, 256), (100, 90), (225, 1000)])
def test_crop_equals_resizing_the_whole_and_cutting(size: tuple[int, int]) -> None:
    noise = np.random.default_rng(7).integers(0, 256, (size[1], size[0], 3), np.uint8)
    picture = Image.fromarray(noise)
    values = apply(picture, height=224, width=224, resize="crop", layout="nhwc")[0]
    scale = 256 / min(size)
    whole = picture.resize((round(size[0] * scale), round(size[1] * scale)), Image.Resampling.BILINEAR)
    left, top = (whole.width - 224) // 2, (whole.height - 224) // 2
    expected = np.asarray(whole.crop((left, top, left + 224, top + 224)), np.float32)
    assert np.abs(values - expected).max() <= 1


def test_letterbox_pads_with_grey_and_keeps_the_shape() -> None:
    values = apply(Image.new("RGB", (40, 20), "white"), resize="letterbox", layout="nhwc")[0]
    assert (values[2:6] == 255).all()
    assert (values[:2] == 114).all() and (values[6:] == 114).all()
    tall = apply(Image.new("RGB", (20, 40), "white"), resize="letterbox", layout="nhwc")[0]
    assert (tall[:, 2:6] == 255).all() and (tall[:, :2] == 114).all() and (tall[:, 6:] == 114).all()


@pytest.mark.parametrize("resize", ["stretch", "crop", "letterbox"])
@pytest.mark.parametrize("size", [(1, 60_000), (60_000, 1), (1, 1)])
def test_extreme_shapes_cost_no_more_than_the_output(resize: Resize, size: tuple[int, int]) -> None:
    values = apply(Image.new("RGB", size, "white"), height=224, width=160, resize=resize)
    assert values.shape == (1, 3, 224, 160)
    assert values.max() == 255


@pytest.mark.parametrize(("layout", "shape"), [("nchw", (1, 3, 6, 10)), ("nhwc", (1, 6, 10, 3))])
def test_layouts_hold_the_same_pixels(layout: Layout, shape: tuple[int, ...]) -> None:
    values = apply(gradient(50, 30), height=6, width=10, resize="stretch", layout=layout)
    assert values.shape == shape and values.flags.c_contiguous and values.dtype == np.float32
    planes = values if layout == "nchw" else values.transpose(0, 3, 1, 2)
    assert (planes == apply(gradient(50, 30), height=6, width=10, resize="stretch")).all()


def test_bgr_turns_the_channels_around() -> None:
    rgb, bgr = (apply(gradient(20, 20), color=color) for color in ("rgb", "bgr"))
    assert (rgb[:, ::-1] == bgr).all() and (rgb != bgr).any()


def test_normalisation_counts_in_its_range() -> None:
    picture = Image.new("RGB", (9, 9), (255, 51, 0))
    unit = apply(picture, mean=(0.5, 0.1, 0.0), std=(0.5, 0.2, 2.0), pixel_range=1)
    assert unit[0, :, 0, 0] == pytest.approx([1.0, 0.5, 0.0], abs=1e-6)
    full = apply(picture, mean=(55.0,), std=(2.0,), pixel_range=255)
    assert full[0, :, 0, 0] == pytest.approx([100.0, -2.0, -27.5])


@pytest.mark.parametrize("dtype", ["float16", "float32", "float64", "uint8"])
def test_dtypes(dtype: str) -> None:
    values = apply(Image.new("RGB", (9, 9), (200, 100, 0)), dtype=dtype)
    assert values.dtype == dtype
    assert values[0, :, 3, 3].tolist() == [200, 100, 0]


def test_lite0_is_its_documented_preprocessing() -> None:
    """RGB, shorter side 256, middle 224, (x - 127) / 128, channels first."""
    picture = read_picture(_demo.picture_folder() / "cat.jpg")
    preset = PRESETS["lite0"]
    made = Preprocessing(mean=preset.mean, std=preset.std, pixel_range=preset.pixel_range)(picture)
    scale = 256 / min(picture.size)
    whole = picture.resize((round(picture.width * scale), 256), Image.Resampling.BILINEAR)
    left = (whole.width - 224) // 2
    pixels = np.asarray(whole.crop((left, 16, left + 224, 240)), np.float32)
    expected = ((pixels - 127) / 128).transpose(2, 0, 1)[None]
    assert made.shape == (1, 3, 224, 224)
    assert np.abs(made - expected).max() <= 1 / 128 + 1e-6


def test_imagenet_is_the_default() -> None:
    white = Preprocessing()(Image.new("RGB", (300, 300), "white"))
    assert white[0, :, 0, 0] == pytest.approx([2.2489, 2.4286, 2.6400], abs=1e-4)


def test_exif_orientation_is_obeyed(tmp_path: Path) -> None:
    picture = Image.new("RGB", (40, 20), "red")
    picture.paste("blue", (0, 0, 20, 20))
    exif = Image.Exif()
    exif[0x0112] = 6  # to be turned right by 90 degrees
    upright = read_picture(save(tmp_path / "p.png", picture, exif=exif))
    assert upright.size == (20, 40)
    assert upright.getpixel((10, 5)) == (0, 0, 255) and upright.getpixel((10, 35)) == (255, 0, 0)


@pytest.mark.parametrize("mode", ["RGB", "L", "1", "P", "RGBA", "LA", "CMYK", "YCbCr", "I;16"])
def test_every_mode_gives_the_same_white_and_black(tmp_path: Path, mode: str) -> None:
    suffix = "tif" if mode in ("CMYK", "YCbCr") else "png"
    halves = np.zeros((8, 8), np.uint16 if mode == "I;16" else np.uint8)
    halves[:, 4:] = 65535 if mode == "I;16" else 255
    picture = Image.fromarray(halves)
    if mode != "I;16":
        picture = picture.convert("RGB").convert(mode)
    values = apply(read_picture(save(tmp_path / f"p.{suffix}", picture)), resize="stretch")
    assert values.shape == (1, 3, 8, 8)
    assert (values[..., :4] <= 2).all() and (values[..., 4:] >= 253).all()


def test_sixteen_bits_are_scaled_not_cut_off(tmp_path: Path) -> None:
    picture = Image.fromarray(np.full((8, 8), 128 << 8, np.uint16))
    assert (apply(read_picture(save(tmp_path / "p.png", picture))) == 128).all()


def test_transparency_is_shown_over_white(tmp_path: Path) -> None:
    clear = save(tmp_path / "clear.png", Image.new("RGBA", (8, 8), (255, 0, 0, 0)))
    assert (apply(read_picture(clear)) == 255).all()
    palette = Image.new("P", (8, 8), 0)
    palette.putpalette([10, 20, 30])
    path = save(tmp_path / "p.png", palette, transparency=0)
    assert (apply(read_picture(path)) == 255).all()


def test_a_grey_model_gets_one_channel() -> None:
    values = apply(Image.new("RGB", (9, 9), "white"), color="grey")
    assert values.shape == (1, 1, 8, 8) and (values == 255).all()


def _bomb(width: int, height: int) -> bytes:
    """A PNG of a few bytes whose header promises this size."""

    def chunk(kind: bytes, body: bytes) -> bytes:
        return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))

    header = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", b"") + chunk(b"IEND", b"")


@pytest.mark.filterwarnings("ignore::PIL.Image.DecompressionBombWarning")
@pytest.mark.parametrize("side", [10_000, 60_000])
def test_a_decompression_bomb_is_refused_before_decoding(tmp_path: Path, side: int) -> None:
    (tmp_path / "bomb.png").write_bytes(_bomb(side, side))
    with pytest.raises(PictureError, match="too large to decode"):
        read_picture(tmp_path / "bomb.png")


def test_what_is_no_picture_is_said(tmp_path: Path) -> None:
    with pytest.raises(PictureError, match="no such file"):
        read_picture(tmp_path / "gone.png")
    with pytest.raises(PictureError, match="not a file"):
        read_picture(tmp_path)
    (tmp_path / "text.jpg").write_text("hello")
    with pytest.raises(PictureError, match="not a picture of a known kind"):
        read_picture(tmp_path / "text.jpg")
    (tmp_path / "drawing.eps").write_text(
        "%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 10 10\n%%EndComments\n"
    )
    with pytest.raises(PictureError, match="not a picture of a known kind"):
        read_picture(tmp_path / "drawing.eps")
    with pytest.raises(PictureError, match="floating-point"):
        read_picture(save(tmp_path / "f.tif", Image.new("F", (8, 8))))


@pytest.mark.filterwarnings("ignore::UserWarning:PIL")
@pytest.mark.parametrize("kind", ["png", "jpeg", "gif", "webp", "tiff"])
def test_every_cut_of_a_file_is_a_picture_or_a_picture_error(tmp_path: Path, kind: str) -> None:
    file = io.BytesIO()
    gradient(24, 24).save(file, kind)
    whole = file.getvalue()
    path = tmp_path / "cut"
    for end in range(0, len(whole), max(1, len(whole) // 60)):
        path.write_bytes(whole[:end])
        try:
            assert read_picture(path).size == (24, 24)
        except PictureError as error:
            assert str(error)
