"""The commands and their options; what they do is in `_run` and `_demo`."""

import math
import os
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, TypeVar

import click

from headway._options import Hint
from headway._pictures import PRESETS

from ._errors import CliError

_LONGEST_SIDE = 16384

_Command = TypeVar("_Command", bound=Callable[..., Any])


def _numbers(ctx: click.Context, param: click.Parameter, value: str | None) -> tuple[float, ...] | None:
    """One number, or one for each channel."""
    if value is None:
        return None
    try:
        numbers = tuple(float(part) for part in value.split(","))
    except ValueError:
        raise click.BadParameter(f"{value!r} is not a number or a list like 0.485,0.456,0.406") from None
    if len(numbers) not in (1, 3):
        raise click.BadParameter(f"{value!r} holds {len(numbers)} numbers; 1 or 3 are wanted")
    if not all(math.isfinite(number) for number in numbers):
        raise click.BadParameter(f"{value!r} is not finite")
    return numbers


def _size(ctx: click.Context, param: click.Parameter, value: str | None) -> tuple[int, int] | None:
    """A side in pixels, or height and width."""
    if value is None:
        return None
    parts = value.lower().split("x")
    if len(parts) > 2 or not all(part.isdecimal() and 0 < int(part) <= _LONGEST_SIDE for part in parts):
        raise click.BadParameter(f"{value!r} is not a size like 224 or 256x192 (height x width)")
    return int(parts[0]), int(parts[-1])


def _options(*options: Callable[[_Command], _Command]) -> Callable[[_Command], _Command]:
    def apply(command: _Command) -> _Command:
        for option in reversed(options):
            command = option(command)
        return command

    return apply


_preprocessing = _options(
    click.option("--preset", type=click.Choice(list(PRESETS)), help="What the model was trained with."),
    click.option(
        "--size", metavar="N[xN]", callback=_size, help="Input size; default: the model's, else 224."
    ),
    click.option("--resize", type=click.Choice(["stretch", "crop", "letterbox"]), help="How to fit."),
    click.option("--mean", metavar="A[,B,C]", callback=_numbers, help="Subtracted from every pixel."),
    click.option("--std", metavar="A[,B,C]", callback=_numbers, help="Every pixel is then divided by it."),
    click.option(
        "--range",
        "pixel_range",
        type=click.Choice(["1", "255"]),
        help="What the brightest pixel counts for mean and std; default: 255 when one of them is above 1.",
    ),
    click.option("--color", type=click.Choice(["rgb", "bgr"]), help="Order of the channels."),
    click.option("--layout", type=click.Choice(["nchw", "nhwc"]), help="Order of the axes."),
)


@click.group(context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(package_name="headway", message="%(prog)s %(version)s")
def cli() -> None:
    """Asynchronous inference: classify pictures with any model, or see the demo."""


@cli.command()
@click.argument("model", type=click.Path(path_type=Path))
@click.argument("inputs", metavar="INPUT...", nargs=-1, required=True, type=click.Path(readable=False))
@click.option("--labels", metavar="FILE", help="Class names, text or JSON; or `imagenet`.")
@click.option("--top", type=click.IntRange(min=1), default=1, help="How many labels to print; default 1.")
@click.option(
    "--via",
    type=click.Choice(["stream", "callback", "future", "asyncio", "pipeline", "pushpull"]),
    default="stream",
    show_default=True,
    help="Calling convention; the results are the same.",
)
@click.option(
    "--jsonl", metavar="FILE", type=click.Path(readable=False), help="Also write one JSON object a picture."
)
@_preprocessing
@click.option("--workers", type=click.IntRange(min=1), help="How many inferences run at once.")
@click.option("--hint", type=click.Choice(["latency", "throughput"]), default="throughput", show_default=True)
def run(**options: Any) -> int:
    """Classify pictures with MODEL. An INPUT is a picture or a folder, which is searched for pictures.

    Exit status: 0 when every picture was classified, 1 when one failed, 2 for wrong usage, 130 after Ctrl-C.
    """
    from ._run import RunOptions, run_command

    return run_command(RunOptions(**options))


@cli.command()
@click.option("--frames", type=click.IntRange(min=1), default=200, help="Frames in the table; default 200.")
@click.option("--no-table", is_flag=True, help="Only classify the photographs.")
@click.option("--hint", type=click.Choice(["latency", "throughput"]), help="For every row of the table.")
def demo(frames: int, no_table: bool, hint: Hint | None) -> int:
    """Classify photographs, then race a plain loop.

    EfficientNet-Lite0 (ImageNet) names a few photographs; then the same frames go through a plain onnxruntime
    loop and through each of Headway's calling conventions, side by side.
    """
    from ._demo import demo_command

    return demo_command(frames=frames, table=not no_table, hint=hint)


def run_app(argv: Sequence[str] | None) -> int:
    """Parse and run; every expected failure ends as one message and a status."""
    arguments = None if argv is None else list(argv)
    try:
        status = cli.main(arguments, prog_name="headway", standalone_mode=False)
        sys.stdout.flush()
        return int(status or 0)
    except click.ClickException as error:
        error.show()
        return error.exit_code
    except CliError as error:
        print(f"headway: error: {error}", file=sys.stderr)
        _settle()
        return error.status
    except (KeyboardInterrupt, click.Abort):
        return 130
    except BrokenPipeError:
        # The reader (`| head`) is gone.
        _settle()
        return 1


def _settle() -> None:
    """Writes out what stdout still holds, or drops it: Python would complain once more at exit."""
    try:
        sys.stdout.flush()
    except OSError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
