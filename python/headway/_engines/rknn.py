"""A model on Rockchip's NPU: its cores, its options."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from headway import _core
from headway._engines.words import Asked, Loaded
from headway._threads import Plan

#: What ``tp_mode`` takes: the runtime's core mask, and what people call it.
_MODES: dict[str, tuple[int | None, str]] = {
    "auto": (None, "any core"),
    "all": (0xFFFF, "all cores"),
    "0": (1, "core 0"),
    "1": (2, "core 1"),
    "2": (4, "core 2"),
    "0,1": (3, "cores 0 and 1"),
    "0,1,2": (7, "cores 0, 1 and 2"),
}
#: NPUs of this family have at most so many cores.
_CORES = 3
_PROVIDERS = ("RKNPU2ExecutionProvider", "RKNNExecutionProvider")
_LAYOUTS = {
    "nchw": "nchw",
    "original": "nchw",
    "nchw_software": "nchw_software",
    "original_software": "nchw_software",
    "nhwc": "nhwc",
    "any": "any",
}


class Lanes(NamedTuple):
    """Where a session's lanes run."""

    #: The runtime's core mask (None leaves the choice to it), and what people call the place.
    places: list[tuple[int | None, str]]
    #: Each lane's core, and the schedule; None without one.
    cores: list[int] | None = None
    schedule: list[int] | None = None


def load(asked: Asked) -> Loaded:
    """Every option is looked at before anything is loaded.

    Raises:
        LoadError: The runtime or the model cannot be loaded.
        TypeError: There is no such option.
        ValueError: An option has a wrong value, or contradicts another.
    """
    options = _Options(asked.engine_options)
    lanes = lanes_of(options, asked.plan.workers if asked.workers_given else None)
    pin = options.flag("pin", False)
    if pin and lanes.schedule is None:
        raise ValueError("pin: only a schedule can be pinned; give schedule=[0, 1, 2] as well")
    timeout = options.take("run_timeout", None)
    if timeout is not None and (
        isinstance(timeout, bool) or not isinstance(timeout, int | float) or timeout <= 0
    ):
        raise ValueError(f"run_timeout: expected seconds above 0, or None, got {timeout!r}")
    native: dict[str, Any] = {
        "library": options.path("library"),
        "layout": options.word("layout", "nchw", _LAYOUTS),
        "outputs": options.word("outputs", "float32", {"float32": "float32", "native": "native"}),
        "zero_copy": options.flag("zero_copy", False),
        "zero_copy_layout": options.word("zero_copy_layout", "nhwc", {"nhwc": "nhwc", "native": "native"}),
        "buffers": options.whole("buffers", 2, least=0),
        "priority": options.word("priority", "high", {word: word for word in ("high", "medium", "low")}),
        "sram": options.flag("sram", False),
        "perf": options.flag("perf", False),
        "dup_context": options.flag("dup_context", True),
        "custom_ops": options.paths("custom_ops"),
        "share_weights": options.session("share_weights"),
    }
    options.end()
    _check_providers(asked.wanted.providers)
    model, facts = _core.load_rknn(asked.source.model, lanes=lanes.places, **native)
    placement = None
    if lanes.cores is not None and lanes.schedule is not None:
        placement = (lanes.cores, lanes.schedule, pin)
    return Loaded(
        model,
        "NPU",
        [_PROVIDERS[0]],
        {_PROVIDERS[0]: {}},
        plan=Plan(len(lanes.places), 0, 1, False),
        places=tuple([name for _, name in lanes.places]),
        placement=placement,
        run_timeout=None if timeout is None else float(timeout),
        facts=lambda session: {**facts, "perf_detail": _core.rknn_perf_detail(session)},
    )


def lanes_of(options: _Options, workers: int | None) -> Lanes:
    """The lanes that ``schedule``, ``tp_mode``, ``threads_per_core`` and ``workers`` ask for."""
    schedule, mode = options.take("schedule", None), options.take("tp_mode", None)
    each = options.whole("threads_per_core", 1, least=1)
    if schedule is not None and mode is not None:
        raise ValueError("schedule and tp_mode contradict each other: give one of them")
    if schedule is None:
        mask, name = _mode_of("auto" if mode is None else mode)
        if workers is not None and each != 1 and workers != each:
            raise ValueError(f"workers={workers} and threads_per_core={each} contradict each other")
        return Lanes([(mask, name)] * (workers or each))
    wanted = cores_of(schedule)
    # In the order of their first mention, a round of all cores for each thread.
    cores = list(dict.fromkeys(wanted)) * each
    if workers not in (None, len(cores)):
        raise ValueError(f"workers={workers}: the schedule gives {len(cores)} lanes; leave workers out")
    return Lanes([(1 << core, f"core {core}") for core in cores], cores, wanted)


def cores_of(schedule: Any) -> list[int]:
    """``0``, ``[0, 1, 2]`` or ``"0,1,2"`` as a list of cores."""
    given = schedule
    if isinstance(given, str):
        given = given.strip().removeprefix("[").removesuffix("]").replace(",", " ").split()
        try:
            given = [int(core) for core in given]
        except ValueError:
            raise ValueError(f'schedule: expected cores such as "0,1,2", got {schedule!r}') from None
    elif isinstance(given, int) and not isinstance(given, bool):
        given = [given]
    if not isinstance(given, Sequence) or not given:
        raise ValueError(f'schedule: expected a core, a list of cores or "0,1,2", got {schedule!r}')
    for core in given:
        if isinstance(core, bool) or not isinstance(core, int) or not 0 <= core < _CORES:
            raise ValueError(f"schedule: {core!r} is no core; cores are 0 to {_CORES - 1}")
    return list(given)


def _mode_of(mode: Any) -> tuple[int | None, str]:
    word = str(mode).replace(" ", "").lower()
    if word not in _MODES or isinstance(mode, bool):
        raise ValueError(f"tp_mode: expected one of {', '.join(map(repr, _MODES))}, got {mode!r}")
    return _MODES[word]


def _check_providers(given: Sequence[Any] | None) -> None:
    names = [one if isinstance(one, str) else one[0] for one in given or ()]
    if any(name not in _PROVIDERS for name in names):
        raise ValueError(f"providers: the rknn engine has {' and '.join(_PROVIDERS)}, got {names}")


class _Options:
    """The given options: each is taken once, and what is left over is unknown."""

    def __init__(self, given: Mapping[str, Any]) -> None:
        self._left = dict(given)
        self._known: list[str] = []

    def take(self, name: str, default: Any) -> Any:
        """The option as it was given."""
        self._known.append(name)
        return self._left.pop(name, default)

    def flag(self, name: str, default: bool) -> bool:
        """True or False, and nothing that only looks like it."""
        value = self.take(name, default)
        if not isinstance(value, bool):
            raise ValueError(f"{name}: expected True or False, got {value!r}")
        return value

    def whole(self, name: str, default: int, least: int) -> int:
        """A whole number."""
        value = self.take(name, default)
        if isinstance(value, bool) or not isinstance(value, int) or value < least:
            raise ValueError(f"{name}: expected a whole number of at least {least}, got {value!r}")
        return value

    def word(self, name: str, default: str, words: Mapping[str, str]) -> str:
        """One of some words, in small letters or large ones."""
        value = self.take(name, default)
        if not isinstance(value, str) or value.lower() not in words:
            raise ValueError(f"{name}: expected one of {', '.join(map(repr, words))}, got {value!r}")
        return words[value.lower()]

    def path(self, name: str) -> str | None:
        """A path, or None."""
        value = self.take(name, None)
        return None if value is None else os.fspath(value)

    def paths(self, name: str) -> list[str]:
        """One path or a list of them, each once."""
        value = self.take(name, ())
        given = [value] if isinstance(value, str | os.PathLike) else list(value or ())
        found = [os.fspath(path) for path in given]
        if len(set(found)) < len(found):
            raise ValueError(f"{name}: the same library twice: {found}")
        return found

    def session(self, name: str) -> _core.Session | None:
        """Another session, or None."""
        value = self.take(name, None)
        if value is not None and not isinstance(value, _core.Session):
            raise ValueError(f"{name}: expected an InferenceSession, got {type(value).__name__}")
        return value

    def end(self) -> None:
        """Nothing may be left."""
        if self._left:
            raise TypeError(
                f"engine_options: the rknn engine has no {', '.join(sorted(self._left))}; it has "
                f"{', '.join(sorted(self._known))}"
            )
