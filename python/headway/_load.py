"""From what the caller hands in to a loaded model: which engine, with which options."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

from headway import _core
from headway._errors import LoadError
from headway._library import onnxruntime_candidates
from headway._options import Plan, SessionOptions
from headway._providers import Chosen, MissingProvider, Provider, ProviderReport, choose

_BY_SUFFIX = {
    ".onnx": "onnxruntime",
    ".ort": "onnxruntime",
    ".xml": "openvino",
    ".tflite": "openvino",
    ".rknn": "rknn",
}
_HERE = ("onnxruntime", "python")


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
    providers: Sequence[Provider] | None,
    provider_options: Sequence[Mapping[str, Any]] | None,
    on_missing: MissingProvider | None,
) -> Loaded:
    """A model on the onnxruntime engine: explicit options first, the plan's threads where they say nothing."""
    candidates = list(onnxruntime_candidates())
    available = _core.available_providers(None, candidates) if providers else []
    chosen: Chosen = choose(providers, provider_options, available, on_missing)
    native = options._native()
    native["intra_op_num_threads"] = plan.intra_op
    entries = dict(native["config_entries"])
    if not plan.spinning:
        entries.setdefault("session.intra_op.allow_spinning", "0")
        entries.setdefault("session.inter_op.allow_spinning", "0")
    native["config_entries"] = list(entries.items())
    model = _core.Model.onnxruntime(
        source.model, library=None, candidates=candidates, session=native, providers=chosen.providers
    )
    used = [name for name, _ in chosen.providers]
    if "CPUExecutionProvider" not in used:
        used.append("CPUExecutionProvider")
    given = {name: dict(pairs) for name, pairs in chosen.providers}
    device = used[0].removesuffix("ExecutionProvider")
    return Loaded(model, device, used, {name: given.get(name, {}) for name in used}, chosen.report)


def load_callable(
    call: Callable[..., Any], inputs: Sequence[Any] | None, outputs: Sequence[Any] | None
) -> Loaded:
    """A Python callable with the given names."""

    def names(given: Sequence[Any] | None) -> list[str]:
        if isinstance(given, str):
            raise TypeError(f"expected a list of names, got the str {given!r}; write [{given!r}]")
        return [one if isinstance(one, str) else str(one[0]) for one in given or ()]

    clock = getattr(call, "_headway_clock", None)
    return Loaded(_core.Model.callable(names(inputs), names(outputs), clock), "Python", [], {}, [])
