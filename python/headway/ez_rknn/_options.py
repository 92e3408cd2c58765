"""Provider options under EZ RKNN Async's names: read, checked, and said in Headway's words."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

from headway.ez_rknn._errors import OptionError

#: Words for a core mask that all of a session's lanes share.
TP_MODES = ("auto", "all", "0", "1", "2", "0,1", "0,1,2")
LAYOUTS = {
    "original": "nchw",
    "nchw": "nchw",
    "original_software": "nchw_software",
    "nchw_software": "nchw_software",
    "nhwc": "nhwc",
    "any": "any",
}
_TRUE, _FALSE = ("1", "true", "on", "yes"), ("0", "false", "off", "no")


def truth(name: str, value: object) -> bool:
    """A bool, a number, or one of the words that the original takes."""
    if isinstance(value, str):
        word = value.strip().lower()
        if word in _TRUE or word in _FALSE:
            return word in _TRUE
    elif isinstance(value, int):
        return bool(value)
    raise OptionError(
        f"provider option {name!r}: expected a bool or one of {', '.join(_TRUE + _FALSE)}; got {value!r}"
    )


def _number(value: object) -> int | None:
    """A whole number, numpy's too, or its digits; None for anything else."""
    if isinstance(value, str):
        return int(value) if value.strip().isdecimal() else None
    # A bool is none; an array of one number would be taken for its number.
    if isinstance(value, bool) or not hasattr(value, "__index__") or getattr(value, "ndim", None):
        return None
    return int(value.__index__())


def _whole(name: str, value: object) -> int:
    """A whole number above 0, or its digits."""
    number = _number(value)
    if number is None or number < 1:
        raise OptionError(f"provider option {name!r}: expected a whole number above 0, got {value!r}")
    return number


def _layout(name: str, value: object) -> str:
    found = LAYOUTS.get(value.strip().lower()) if isinstance(value, str) else None
    if found is None:
        raise OptionError(f"Unknown layout: {value}; expected one of {', '.join(LAYOUTS)}")
    return found


def _zero_copy_layout(name: str, value: object) -> str:
    if value not in ("nhwc", "native"):
        raise OptionError(f"provider option {name!r}: expected 'nhwc' or 'native', got {value!r}")
    return str(value)


def _schedule(name: str, value: object) -> tuple[int, ...] | None:
    """Cores: a number, ``"0,1,2"``, ``"[0 1]"`` or a sequence; a core that stands twice gets twice the work."""
    if value is None:
        return None
    # Of numpy's numbers and arrays, what they hold.
    plain = value.tolist() if hasattr(value, "tolist") else value
    if isinstance(plain, str):
        plain = plain.strip("[]() ").replace(",", " ").split()
    given = plain if isinstance(plain, Sequence) else [plain]
    cores = [number for number in map(_number, given) if number is not None and number >= 0]
    if not cores or len(cores) < len(given):
        raise OptionError(
            f"provider option {name!r}: expected core numbers, such as [0, 1, 2] or '0,1,2'; got {value!r}"
        )
    return tuple(cores)


def _tp_mode(name: str, value: object) -> str | None:
    word = str(value).replace(" ", "").lower() if isinstance(value, str | int) else None
    if value is None or word in TP_MODES:
        return word
    raise OptionError(f"provider option {name!r}: expected one of {', '.join(TP_MODES)}; got {value!r}")


def _paths(name: str, value: object) -> tuple[str, ...]:
    if value is None:
        return ()
    if isinstance(value, str):
        return (value,)
    if isinstance(value, Sequence) and all(isinstance(one, str) for one in value):
        return tuple(value)
    raise OptionError(f"provider option {name!r}: expected a path or a list of paths, got {value!r}")


#: Each option with what reads it and its default.
OPTIONS: dict[str, tuple[Callable[[str, object], Any], Any]] = {
    "layout": (_layout, "nchw"),
    "zero_copy_layout": (_zero_copy_layout, "nhwc"),
    "max_queue_size": (_whole, 3),
    "threads_per_core": (_whole, 1),
    "submit_timeout_ms": (_whole, 10000),
    "sequential_callbacks": (truth, True),
    "schedule": (_schedule, None),
    "pin": (truth, False),
    "tp_mode": (_tp_mode, None),
    "enable_pacing": (truth, False),
    "disable_dup_context": (truth, False),
    "custom_op_path": (_paths, ()),
    "custom_op_paths": (_paths, ()),
    "custom_op_default_path": (truth, False),
    "load_custom_ops_from_default_path": (truth, False),
}


class EzOptions(NamedTuple):
    """Options as read; the names are EZ RKNN Async's."""

    layout: str
    zero_copy_layout: str
    max_queue_size: int
    threads_per_core: int
    submit_timeout_ms: int
    sequential_callbacks: bool
    schedule: tuple[int, ...] | None
    pin: bool
    tp_mode: str | None
    enable_pacing: bool
    disable_dup_context: bool
    custom_op_paths: tuple[str, ...]
    custom_op_default_path: bool

    @property
    def lanes(self) -> int:
        """``threads_per_core`` for each core of the schedule, or in all where there is none."""
        return self.threads_per_core * len(set(self.schedule or (0,)))


def conflict() -> OptionError:
    """What ``schedule`` together with ``tp_mode`` raises."""
    return OptionError("provider_options 'tp_mode' conflicts with 'schedule'; set only one.")


def read(given: Mapping[str, object]) -> EzOptions:
    """The options of a plain dict, checked.

    Raises:
        OptionError: There is no such option, or not with this value. It is a ``RuntimeError`` too.
    """
    unknown = sorted(set(given) - set(OPTIONS))
    if unknown:
        raise OptionError(
            f"Unsupported provider option {unknown[0]!r}. Supported options: {', '.join(sorted(OPTIONS))}"
        )
    values = {
        name: reader(name, given[name]) if name in given else default
        for name, (reader, default) in OPTIONS.items()
    }
    if values["schedule"] is not None and values["tp_mode"] is not None:
        raise conflict()
    if values["pin"] and values["schedule"] is None:
        raise OptionError(
            "provider option 'pin' needs a 'schedule': it says which core the i-th request gets"
        )
    values["custom_op_paths"] += values.pop("custom_op_path")
    values["custom_op_default_path"] |= values.pop("load_custom_ops_from_default_path")
    return EzOptions(**values)


def only_default(options: EzOptions, engine: str) -> None:
    """On another engine than RKNN: refuses what cannot apply there.

    Raises:
        OptionError: Such an option was set.
    """
    default = read({})
    for name in (
        "layout",
        "zero_copy_layout",
        "pin",
        "disable_dup_context",
        "custom_op_paths",
        "custom_op_default_path",
    ):
        if getattr(options, name) != getattr(default, name):
            raise OptionError(
                f"provider option {name!r} is about Rockchip's NPU and cannot apply on the {engine} engine; "
                f"leave it out"
            )


def of_session(given: object) -> Mapping[str, object]:
    """``provider_options`` as sessions take it: a dict, or a sequence whose first element is one, or nothing."""
    if isinstance(given, Mapping):
        return given
    if given is None:
        return {}
    if isinstance(given, Sequence) and not isinstance(given, str):
        if not given:
            return {}
        if isinstance(given[0], Mapping):
            return given[0]
    raise OptionError(f"provider_options: expected a dict or a list with one dict, got {given!r}")
