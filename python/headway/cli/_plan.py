"""Decides the preprocessing: a flag wins over the preset, the preset over the default."""

from dataclasses import dataclass
from typing import Any, Literal, NamedTuple, Protocol, cast

from headway._pictures import PRESETS, Color, Layout, Preprocessing, Preset, Resize

from ._errors import CliError

_DTYPES = {
    "tensor(float)": "float32",
    "tensor(float16)": "float16",
    "tensor(double)": "float64",
    "tensor(uint8)": "uint8",
}


class ModelInput(Protocol):
    """What `get_inputs()` gives."""

    @property
    def name(self) -> str: ...
    @property
    def shape(self) -> Any: ...
    @property
    def type(self) -> str: ...


@dataclass(frozen=True, slots=True)
class Wishes:
    """What the user asked for; None where nothing was said."""

    preset: str | None = None
    size: tuple[int, int] | None = None
    resize: Resize | None = None
    mean: tuple[float, ...] | None = None
    std: tuple[float, ...] | None = None
    pixel_range: str | None = None
    color: Color | None = None
    layout: Layout | None = None


class Row(NamedTuple):
    """One line of the printed plan."""

    name: str
    value: str
    origin: str


@dataclass(frozen=True, slots=True)
class Plan:
    """The preprocessing, and where each of its values came from."""

    preprocessing: Preprocessing
    rows: tuple[Row, ...]


class _Shape(NamedTuple):
    layout: Layout | None
    channels: int | None
    size: tuple[int, int] | None


class _Norm(NamedTuple):
    mean: tuple[float, ...]
    std: tuple[float, ...]
    pixel_range: Literal[1, 255]
    origins: tuple[str, str, str]


def make_plan(model_input: ModelInput, wishes: Wishes) -> Plan:
    """The preprocessing for this input, or a CliError that says why there is none."""
    shape = _read_shape(model_input, wishes)
    preset = PRESETS[wishes.preset or "imagenet"]
    source = f"preset {wishes.preset}" if wishes.preset else "default (imagenet)"
    dtype = _dtype(model_input)
    size, size_from = _first((wishes.size, "--size"), (shape.size, "model"), ((224, 224), "default"))
    layout, layout_from = _first((wishes.layout, "--layout"), (shape.layout, "model"), ("nchw", "default"))
    resize, resize_from = _first((wishes.resize, "--resize"), (preset.resize, source))
    color, color_from = _color(shape, wishes, preset, source)
    norm = _normalisation(color, dtype, wishes, preset, source)
    made = Preprocessing(
        height=size[0],
        width=size[1],
        resize=resize,
        color=color,
        layout=layout,
        mean=norm.mean,
        std=norm.std,
        pixel_range=norm.pixel_range,
        dtype=dtype,
    )
    rows = (
        Row("size", f"{size[0]} x {size[1]} (height x width)", size_from),
        Row("resize", _resize_words(made), resize_from),
        Row("color", color, color_from),
        Row("layout", layout, layout_from),
        Row("range", f"0..{norm.pixel_range}", norm.origins[2]),
        Row("mean", _numbers(norm.mean), norm.origins[0]),
        Row("std", _numbers(norm.std), norm.origins[1]),
        Row("dtype", dtype, "model"),
    )
    return Plan(made, rows)


def _first(*candidates: tuple[Any, str]) -> tuple[Any, str]:
    return next(candidate for candidate in candidates if candidate[0] is not None)


def _dtype(model_input: ModelInput) -> str:
    if model_input.type not in _DTYPES:
        kinds = ", ".join(_DTYPES)
        raise CliError(f"the model's input {model_input.name!r} is {model_input.type}; pictures fit {kinds}")
    return _DTYPES[model_input.type]


def _read_shape(model_input: ModelInput, wishes: Wishes) -> _Shape:
    declared = list(model_input.shape)
    dims = [dim if isinstance(dim, int) and dim > 0 else None for dim in declared]
    told = f"the model's input {model_input.name!r} has the shape {declared}"
    if len(dims) != 4:
        raise CliError(f"{told}; a batch of pictures has four axes")
    if dims[0] not in (None, 1):
        raise CliError(f"{told}; pictures are given one by one, this model wants {dims[0]} at once")
    layout: Layout | None = None
    if dims[1] in (1, 3) or dims[3] in (1, 3):
        layout = "nchw" if dims[1] in (1, 3) else "nhwc"
    chosen = wishes.layout or layout or "nchw"
    channels, high, wide = (dims[1], dims[2], dims[3]) if chosen == "nchw" else (dims[3], dims[1], dims[2])
    if channels not in (None, 1, 3):
        raise CliError(f"{told}; as {chosen} that is {channels} channels, pictures have 3 or 1", status=2)
    size = (high or wide, wide or high) if high or wide else None
    if wishes.size and (high not in (None, wishes.size[0]) or wide not in (None, wishes.size[1])):
        raise CliError(f"{told}, which --size {wishes.size[0]}x{wishes.size[1]} does not fit", status=2)
    return _Shape(layout, channels, cast("tuple[int, int] | None", size))


def _color(shape: _Shape, wishes: Wishes, preset: Preset, source: str) -> tuple[Color, str]:
    if shape.channels != 1:
        return cast("tuple[Color, str]", _first((wishes.color, "--color"), (preset.color, source)))
    if wishes.color or wishes.preset:
        flag = f"--color {wishes.color}" if wishes.color else f"--preset {wishes.preset}"
        raise CliError(f"the model takes one grey channel, which {flag} does not fit", status=2)
    return "grey", "model"


def _normalisation(color: Color, dtype: str, wishes: Wishes, preset: Preset, source: str) -> _Norm:
    if dtype == "uint8":
        if wishes.mean or wishes.std or wishes.pixel_range:
            raise CliError("the model takes uint8 pixels as they are: no --mean, --std or --range", status=2)
        return _Norm((0.0,), (1.0,), 255, ("uint8 model",) * 3)
    if color == "grey" or ((wishes.mean or wishes.std or wishes.pixel_range) and not wishes.preset):
        # A flag replaces the default normalisation as a whole: a mean of one preset with the std of another,
        # or counted in another range, would be nobody's preprocessing.
        preset, source = Preset((0.0,), (1.0,), 1), "default"
    mean, mean_from = _first((wishes.mean, "--mean"), (preset.mean, source))
    std, std_from = _first((wishes.std, "--std"), (preset.std, source))
    if 0 in std:
        raise CliError("--std must not be 0", status=2)
    if color == "grey" and (len(mean) > 1 or len(std) > 1):
        raise CliError("the model takes one grey channel: give one number to --mean and --std", status=2)
    pixel_range, range_from = _pixel_range(wishes, preset, source)
    return _Norm(mean, std, pixel_range, (mean_from, std_from, range_from))


def _pixel_range(wishes: Wishes, preset: Preset, source: str) -> tuple[Literal[1, 255], str]:
    if wishes.pixel_range:
        return (255 if wishes.pixel_range == "255" else 1), "--range"
    given = (wishes.mean or ()) + (wishes.std or ())
    if not given:
        return preset.pixel_range, source
    above = any(abs(number) > 1 for number in given)
    return (255 if above else 1), ("mean or std above 1" if above else "mean and std up to 1")


def _resize_words(made: Preprocessing) -> str:
    if made.resize == "crop":
        whole = " x ".join(str(round(side / made.crop_fraction)) for side in (made.height, made.width))
        return f"crop (cover {whole}, keep the middle)"
    return "letterbox (grey 114)" if made.resize == "letterbox" else "stretch"


def _numbers(values: tuple[float, ...]) -> str:
    return ", ".join(f"{value:g}" for value in values)
