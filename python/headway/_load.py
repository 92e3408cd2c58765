"""From what the caller hands in to a loaded model: which engine, with which options."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, NamedTuple

from headway import _core
from headway._environment import default_logger_verbosity
from headway._errors import LoadError
from headway._library import onnxruntime_candidates
from headway._model_config import options_in
from headway._options import SessionOptions
from headway._providers import Chosen, MissingProvider, Provider, ProviderReport, choose
from headway._threads import Plan, pool_for
from headway._warn import once

_BY_SUFFIX = {
    ".onnx": "onnxruntime",
    ".ort": "onnxruntime",
    ".xml": "openvino",
    ".tflite": "openvino",
    ".rknn": "rknn",
}
_HERE = ("onnxruntime", "python")
#: Config entry: names of graph transformers that are left out.
_DISABLED = "optimization.disable_specified_optimizers"


class Source(NamedTuple):
    """What a session is made from."""

    engine: str
    model: Any
    #: What people call it: the file's name, or what it is.
    label: str


class Loaded(NamedTuple):
    """A model ready to become a session."""

    model: _core.Model
    device: str
    providers: list[str]
    provider_options: dict[str, dict[str, str]]
    report: list[ProviderReport]
    #: Threads of one operator, and whether they are the shared pool's; None where the engine has none.
    threads: tuple[int, bool] | None
    #: Ends the profile; None when there is none.
    profiler: _core.Profiler | None


class Wanted(NamedTuple):
    """What a session's caller said of providers and of the engine's own ways."""

    providers: Sequence[Provider] | None
    provider_options: Sequence[Mapping[str, Any]] | None
    on_missing: MissingProvider | None
    disabled_optimizers: Iterable[str] | None
    config_from_model: bool


def source_of(given: object, engine: str | None) -> Source:
    """The engine for a model: by ``engine=``, else by the file's suffix; a callable is a Python engine."""
    if hasattr(given, "_headway_load"):
        # A fake engine of headway.testing brings its own model.
        return Source("fake", given, "fake")
    if isinstance(given, bytes):
        found, label = "onnxruntime", f"{len(given)} bytes"
    elif isinstance(given, str | os.PathLike):
        path = os.fspath(given)
        if not isinstance(path, str):
            path = os.fsdecode(path)
        found = _BY_SUFFIX.get(os.path.splitext(path)[1].lower(), "onnxruntime")
        given, label = path, os.path.basename(path)
    elif callable(given):
        found, label = "python", getattr(given, "__name__", type(given).__name__)
    else:
        raise TypeError(f"expected a path, bytes or a callable, got {type(given).__name__}")
    chosen = engine or found
    if chosen not in _HERE:
        raise LoadError(f"{label}: there is no engine {chosen!r} here; engines: {', '.join(_HERE)}")
    if (chosen == "python") != callable(given):
        raise TypeError(f"engine={chosen!r} does not take {type(given).__name__}")
    return Source(chosen, given, label)


def load_onnxruntime(
    source: Source,
    options: SessionOptions,
    plan: Plan,
    wanted: Wanted,
) -> Loaded:
    """A model on the onnxruntime engine: explicit options first, the plan's threads where they say nothing."""
    candidates = list(onnxruntime_candidates())
    providers, given = wanted.providers, wanted.provider_options
    if options.has_providers():
        if providers:
            once(
                "the providers of the session options are not used: the session was given its own",
                stacklevel=3,
            )
        else:
            providers, given = options._providers, None
    available = _core.available_providers(candidates) if providers else []
    chosen: Chosen = choose(providers, given, available, wanted.on_missing)
    for text in options._unserved():
        once(text, stacklevel=3)
    native = _native(options, plan, wanted.disabled_optimizers)
    if wanted.providers:
        native["device_providers"] = []
        native.pop("selection_policy", None)

    def load(native: dict[str, Any]) -> _core.Model:
        return _core.Model.onnxruntime(
            source.model, candidates=candidates, session=native, providers=chosen.providers
        )

    model = load(native)
    if wanted.config_from_model and (own := options_in(model.metadata, options)) is not None:
        options = own
        model = load(_native(own, plan, wanted.disabled_optimizers))
    used = [name for name, _ in chosen.providers]
    if "CPUExecutionProvider" not in used:
        used.append("CPUExecutionProvider")
    pairs = {name: dict(pairs) for name, pairs in chosen.providers}
    device = used[0].removesuffix("ExecutionProvider")
    profiler = model.profiler() if options.enable_profiling else None
    provider_options = {name: pairs.get(name, {}) for name in used}
    return Loaded(model, device, used, provider_options, chosen.report, model.threads, profiler)


def _native(options: SessionOptions, plan: Plan, disabled_optimizers: Iterable[str] | None) -> dict[str, Any]:
    """The options, and what the plan says where they are silent."""
    native = options._native()
    native["intra_op_num_threads"] = options.intra_op_num_threads or plan.intra_op
    native["threads"] = pool_for(options, plan)
    native.setdefault("log_verbosity_level", default_logger_verbosity())
    entries = dict(native["config_entries"])
    if not plan.spinning:
        entries.setdefault("session.intra_op.allow_spinning", "0")
        entries.setdefault("session.inter_op.allow_spinning", "0")
    if disabled_optimizers:
        if isinstance(disabled_optimizers, str):
            raise TypeError(f"disabled_optimizers: expected names, got the str {disabled_optimizers!r}")
        already = entries.get(_DISABLED)
        entries[_DISABLED] = ";".join([*([already] if already else []), *sorted(disabled_optimizers)])
    native["config_entries"] = list(entries.items())
    return native


def load_callable(
    call: Callable[..., Any], inputs: Sequence[Any] | None, outputs: Sequence[Any] | None
) -> Loaded:
    """A Python callable with the given names."""

    def names(given: Sequence[Any] | None) -> list[str]:
        if isinstance(given, str):
            raise TypeError(f"expected a list of names, got the str {given!r}; write [{given!r}]")
        return [one if isinstance(one, str) else str(one[0]) for one in given or ()]

    clock = getattr(call, "_headway_clock", None)
    return Loaded(
        _core.Model.callable(names(inputs), names(outputs), clock), "Python", [], {}, [], None, None
    )
