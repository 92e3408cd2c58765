"""Pictures in, arrays out: decoding with Pillow, and the preprocessing that image classifiers expect.

Needs the extra `cli` (Pillow).
"""

import os
import stat
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageOps, UnidentifiedImageError

# Only formats that Pillow decodes by itself: EPS, for one, would start Ghostscript on a stranger's file.
FORMATS = ("JPEG", "PNG", "WEBP", "AVIF", "JPEG2000", "BMP", "GIF", "TIFF", "PPM")
SUFFIXES = frozenset(
    f".{suffix}"
    for suffix in (
        *("jpg", "jpeg", "jpe", "jfif", "png", "webp", "avif", "jp2", "j2k"),
        *("bmp", "gif", "tif", "tiff", "ppm", "pgm", "pbm", "pnm"),
    )
)

Resize = Literal["stretch", "crop", "letterbox"]
Color = Literal["rgb", "bgr", "grey"]
Layout = Literal["nchw", "nhwc"]

_LETTERBOX_GREY = 114
_SAMPLING = Image.Resampling.BILINEAR


class PictureError(ValueError):
    """A file that is not there or is no picture; the message says which, without the file's name."""


@dataclass(frozen=True, slots=True)
class Preset:
    """The preprocessing that a family of models was trained with; mean and std count in `pixel_range`."""

    mean: tuple[float, ...]
    std: tuple[float, ...]
    pixel_range: Literal[1, 255]
    resize: Resize = "crop"
    color: Color = "rgb"


PRESETS = {
    "imagenet": Preset((0.485, 0.456, 0.406), (0.229, 0.224, 0.225), 1),
    "lite0": Preset((127.0,), (128.0,), 255),
}


@dataclass(frozen=True, slots=True)
class Preprocessing:
    """How a picture becomes a model's input: resize, order the channels, then (pixel - mean) / std.

    Pixels count 0..`pixel_range` there. `crop_fraction` is the part of the resized shorter side that "crop"
    keeps (224 of 256). An integer `dtype` takes the pixels as they are.
    """

    height: int = 224
    width: int = 224
    resize: Resize = "crop"
    color: Color = "rgb"
    layout: Layout = "nchw"
    mean: tuple[float, ...] = PRESETS["imagenet"].mean
    std: tuple[float, ...] = PRESETS["imagenet"].std
    pixel_range: Literal[1, 255] = 1
    dtype: str = "float32"
    crop_fraction: float = 0.875

    def __call__(self, picture: Image.Image) -> NDArray[Any]:
        """The picture as an array with a leading batch axis of one, C-contiguous."""
        fitted = self._fit(picture.convert("L" if self.color == "grey" else "RGB"))
        pixels = np.asarray(fitted).reshape(self.height, self.width, -1)
        if self.color == "bgr":
            pixels = pixels[:, :, ::-1]
        values = self._normalised(pixels)
        if self.layout == "nchw":
            values = values.transpose(2, 0, 1)
        return np.ascontiguousarray(values[None])

    def _fit(self, picture: Image.Image) -> Image.Image:
        if self.resize == "stretch":
            return picture.resize((self.width, self.height), _SAMPLING)
        if self.resize == "crop":
            return self._cropped(picture)
        return self._letterboxed(picture)

    def _cropped(self, picture: Image.Image) -> Image.Image:
        # The crop is taken in the source's coordinates: resizing the whole of a 1 x 100000 strip until its
        # shorter side fits would allocate gigabytes that the crop then throws away.
        wide, high = picture.size
        scale = max(self.width / wide, self.height / high) / self.crop_fraction
        full_width, full_height = max(round(wide * scale), self.width), max(round(high * scale), self.height)
        left, top = (full_width - self.width) // 2, (full_height - self.height) // 2
        x, y = wide / full_width, high / full_height
        box = (left * x, top * y, (left + self.width) * x, (top + self.height) * y)
        return picture.resize((self.width, self.height), _SAMPLING, box=box)

    def _letterboxed(self, picture: Image.Image) -> Image.Image:
        wide, high = picture.size
        scale = min(self.width / wide, self.height / high)
        size = min(max(round(wide * scale), 1), self.width), min(max(round(high * scale), 1), self.height)
        grey = _LETTERBOX_GREY if picture.mode == "L" else (_LETTERBOX_GREY,) * 3
        canvas = Image.new(picture.mode, (self.width, self.height), grey)
        corner = (self.width - size[0]) // 2, (self.height - size[1]) // 2
        canvas.paste(picture.resize(size, _SAMPLING), corner)
        return canvas

    def _normalised(self, pixels: NDArray[np.uint8]) -> NDArray[Any]:
        if np.issubdtype(np.dtype(self.dtype), np.integer):
            return pixels.astype(self.dtype)
        values = pixels.astype(np.float32)
        if self.pixel_range == 1:
            values /= np.float32(255)
        values -= np.asarray(self.mean, np.float32)
        values /= np.asarray(self.std, np.float32)
        return values.astype(self.dtype, copy=False)


def read_picture(path: str | os.PathLike[str]) -> Image.Image:
    """Decode a picture: upright (EXIF), 8 bits a channel, RGB or grey, transparency shown over white."""
    try:
        # A FIFO would block for ever, a device might never end.
        if not stat.S_ISREG(os.stat(path).st_mode):
            raise PictureError("not a file")
        with Image.open(path, formats=FORMATS) as picture:
            _check_pixels(*picture.size)
            return _plain(ImageOps.exif_transpose(picture))
    except PictureError:
        raise
    except FileNotFoundError as error:
        raise PictureError("no such file") from error
    except UnidentifiedImageError as error:
        raise PictureError(f"not a picture of a known kind ({', '.join(FORMATS)})") from error
    except Image.DecompressionBombError as error:
        raise PictureError(f"too large to decode: {error}") from error
    except Exception as error:  # a broken file may raise nearly anything in its decoder
        raise PictureError(f"cannot be read: {getattr(error, 'strerror', None) or error}") from error


def _check_pixels(width: int, height: int) -> None:
    limit = Image.MAX_IMAGE_PIXELS
    if limit is not None and width * height > limit:
        millions = f"{width * height / 1e6:.0f} million pixels; at most {limit / 1e6:.0f} million are decoded"
        raise PictureError(f"too large to decode: {width} x {height} = {millions}")


def _plain(picture: Image.Image) -> Image.Image:
    if picture.mode == "F":
        raise PictureError("holds floating-point pixels, whose range is not known")
    if picture.mode == "I" or picture.mode.startswith("I;16"):
        # Pillow's own conversion cuts 16 bits off at 255 instead of scaling them.
        deep = np.asarray(picture).astype(np.int64).clip(0, 65535)
        return Image.fromarray((deep >> 8).astype(np.uint8))
    if picture.has_transparency_data:
        layer = picture.convert("RGBA")
        white = Image.new("RGBA", layer.size, "white")
        return Image.alpha_composite(white, layer).convert("RGB")
    return picture.convert("L" if picture.mode in ("1", "L") else "RGB")
