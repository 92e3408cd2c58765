"""What a session asks of an engine, and what it gets."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

from headway import _core
from headway._options import Hint, SessionOptions
from headway._providers import MissingProvider, Provider, ProviderReport
from headway._threads import Plan

if TYPE_CHECKING:
    from headway._engine import Engine
    from headway._lanes import Lanes
    from headway._plugins import Plugin


class Source(NamedTuple):
    """What a session is made from."""

    engine: str
    model: Any
    #: What people call it: the file's name, or what it is.
    label: str
    #: An engine that is not Headway's own: made, to be made, or to be imported.
    plugin: Engine | type[Engine] | Plugin | None = None


class Wanted(NamedTuple):
    """What a session's caller said of providers and of onnxruntime's own ways."""

    providers: Sequence[Provider] | None = None
    provider_options: Sequence[Mapping[str, Any]] | None = None
    on_missing: MissingProvider | None = None
    disabled_optimizers: Iterable[str] | None = None
    config_from_model: bool = False


class Asked(NamedTuple):
    """What a session's caller said, for the engine that loads the model."""

    source: Source
    options: SessionOptions
    #: Lanes and threads out of the process's budget.
    plan: Plan
    wanted: Wanted
    #: Names for a callable.
    inputs: Sequence[Any] | None
    outputs: Sequence[Any] | None
    #: The engine's own options, by the engine's names.
    engine_options: Mapping[str, Any]
    #: True where the caller chose the number of lanes, by ``workers=``.
    workers_given: bool
    #: What the session is to be good at; the plan follows from it too.
    hint: Hint


class Loaded(NamedTuple):
    """A model ready to become a session."""

    model: _core.Model
    #: In words: ``CPU``, ``CUDA``, ``NPU``.
    device: str
    providers: Sequence[str] = ()
    provider_options: Mapping[str, Mapping[str, str]] = {}
    report: Sequence[ProviderReport] = ()
    #: Threads of one operator, and whether they are the shared pool's; None where the engine has none.
    threads: tuple[int, bool] | None = None
    #: Ends the profile; None when there is none.
    profiler: _core.Profiler | None = None
    #: The lanes that the engine has, in place of the asked plan's; None: those of the plan.
    plan: Plan | None = None
    #: What drives a Python engine; None for the others.
    lanes: Lanes | None = None
    #: Where each lane runs, in words; empty where the engine does not say.
    places: tuple[str, ...] = ()
    #: Each lane's core, the schedule of cores, and whether requests are pinned to it; None without one.
    placement: tuple[list[int], list[int], bool] | None = None
    #: Seconds that a request may run; a lane that has not come back after as long again is given up.
    run_timeout: float | None = None
    #: What the engine says of itself and of the model; None where it says no more than every engine.
    facts: Callable[[_core.Session], dict[str, Any]] | None = None
