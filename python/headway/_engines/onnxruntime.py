"""A model on the onnxruntime engine: its providers, its options, the plan's threads where they say nothing."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from headway import _core
from headway._engines.words import Asked, Loaded
from headway._environment import default_logger_verbosity
from headway._library import onnxruntime_candidates
from headway._model_config import options_in
from headway._options import SessionOptions
from headway._providers import Chosen, choose
from headway._threads import Plan, pool_for
from headway._warn import once

#: Config entry: names of graph transformers that are left out.
_DISABLED = "optimization.disable_specified_optimizers"


def load(asked: Asked) -> Loaded:
    """Explicit options first, the plan's threads where they say nothing."""
    source, options, plan, wanted = asked.source, asked.options, asked.plan, asked.wanted
    candidates = list(onnxruntime_candidates())
    providers, given = wanted.providers, wanted.provider_options
    if options.has_providers():
        if providers:
            once("the providers of the session options are not used: the session was given its own")
        else:
            providers, given = options._providers, None
    available = _core.available_providers(candidates) if providers else []
    chosen: Chosen = choose(providers, given, available, wanted.on_missing)
    for text in options._unserved():
        once(text)
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
