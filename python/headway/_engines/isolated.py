"""Process lanes: what is loaded is told to processes of their own, which load it with the engine's own module."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

from headway import _core
from headway._engines.words import Asked, Loaded
from headway._errors import LoadError
from headway._options import SessionOptions
from headway._providers import ProviderReport
from headway._warn import once

#: How long a lane looks for an answer before it sleeps, and a process for a request: a wake costs about as much.
_SPIN_SECONDS = 30e-6
#: What session options hold that lives in this process only, and what to say of it.
_HERE_ONLY = {
    "_initializers": "add_initializer",
    "_external": "add_external_initializers",
    "_files": "add_external_initializers_from_files_in_memory",
    "_devices": "add_provider_for_devices",
}


class Isolation(NamedTuple):
    """What a session's caller said of process lanes."""

    #: How often a request whose process died is run again.
    retries: int
    #: Megabytes of memory of its own beyond which a process is replaced.
    memory_limit: int | None = None


def load(asked: Asked, isolation: Isolation) -> Loaded:
    """Starts a process for each lane and waits until all have the model.

    Raises:
        LoadError: There are no such processes here, or one of them cannot load the model.
        TypeError: Something that only this process has: a lambda, an initializer, a device.
    """
    if sys.platform != "linux":
        raise LoadError(f'isolation="process" needs Linux (memfd, futex, pidfd); this is {sys.platform}')
    if not sys.executable:
        raise LoadError('isolation="process" starts sys.executable, which this interpreter does not know')
    if getattr(sys, "frozen", False):
        # It would start the program again, which would start its lanes ...
        raise LoadError(
            f'isolation="process" starts a Python interpreter, and sys.executable is this program: {sys.executable}'
        )
    model = asked.source.model
    named, facts = _core.load_isolated(
        asked.source.engine,
        asked.plan.workers,
        command=[sys.executable, "-P", "-m", "headway._lane"],
        environment=list(_environment().items()),
        description=_described(asked).encode(),
        model=bytes(model) if isinstance(model, bytes) else None,
        retries=isolation.retries,
        memory_limit=None if isolation.memory_limit is None else isolation.memory_limit << 20,
        spin=_SPIN_SECONDS if _core.usable_cores() > 1 else 0.0,
    )
    told = json.loads(facts)
    for text in told["warnings"]:
        once(text)
    return Loaded(
        named,
        told["device"],
        told["providers"],
        told["provider_options"],
        [ProviderReport(*one) for one in told["report"]],
        None if told["threads"] is None else tuple(told["threads"]),
        plan=asked.plan,
    )


def _environment() -> dict[str, str]:
    """This process's environment, in which the new one finds this very package."""
    found = dict(os.environ)
    here = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
    others = [path for path in found.get("PYTHONPATH", "").split(os.pathsep) if path]
    import site

    if here not in {*others, *site.getsitepackages(), site.getusersitepackages()}:
        found["PYTHONPATH"] = os.pathsep.join([here, *others])
    return found


def _described(asked: Asked) -> str:
    """What a lane's process is told, as JSON."""
    source, wanted = asked.source, asked.wanted
    path = [os.path.abspath(entry) if entry == "" else entry for entry in sys.path]
    told = {
        "engine": source.engine,
        "label": source.label,
        "plugin": _plugin(asked),
        "model": _model(source.model),
        "callable": _reference(source.model) if callable(source.model) else None,
        "path": path,
        "pythonpath": os.environ.get("PYTHONPATH"),
        "parent": os.getpid(),
        "options": _options(asked.options),
        "threads": asked.plan.intra_op,
        "spinning": asked.plan.spinning,
        "providers": _plain(wanted.providers),
        "provider_options": _plain(wanted.provider_options),
        "on_missing": wanted.on_missing,
        "disabled_optimizers": None
        if wanted.disabled_optimizers is None
        else sorted(wanted.disabled_optimizers),
        "config_from_model": wanted.config_from_model,
        "inputs": _plain(asked.inputs),
        "outputs": _plain(asked.outputs),
        "engine_options": _plain(asked.engine_options),
    }
    if source.engine == "python" and source.plugin is None and not asked.inputs:
        raise TypeError(
            'isolation="process": name the callable\'s inputs: InferenceSession(call, inputs=["x"], ...)'
        )
    return json.dumps(told)


def _model(given: Any) -> str | None:
    """The model's path; None where it is bytes or imported."""
    if isinstance(given, str):
        return os.path.abspath(given)
    if isinstance(given, bytes) or callable(given):
        return None
    raise TypeError(
        f'isolation="process": {type(given).__name__} objects live in this process; give a path, bytes, a function or '
        "an engine's class"
    )


def _plugin(asked: Asked) -> tuple[str, str] | str | None:
    """An engine that is not Headway's own: how its class is imported, or the name it is installed by."""
    from headway._engine import Engine

    plugin = asked.source.plugin
    if plugin is None:
        return None
    if isinstance(plugin, Engine):
        raise TypeError(
            f'isolation="process": this {plugin.name} engine was made in this process; give its class, and what it is '
            "made with as engine_options"
        )
    return _reference(plugin) if isinstance(plugin, type) else asked.source.engine


def _plain(given: Any) -> Any:
    """The same, made of what JSON has."""
    if given is None or isinstance(given, str | int | float | bool):
        return given
    if isinstance(given, Mapping):
        return {str(key): _plain(value) for key, value in given.items()}
    if isinstance(given, list | tuple):
        return [_plain(one) for one in given]
    if isinstance(given, os.PathLike):
        return os.fspath(given)
    raise TypeError(
        f'isolation="process": {given!r} cannot be told to another process; use numbers, text, lists and dicts'
    )


def _options(options: SessionOptions) -> dict[str, Any]:
    for held, call in _HERE_ONLY.items():
        if getattr(options, held):
            raise TypeError(
                f'isolation="process": what SessionOptions.{call} was given is in this process only'
            )
    if options.enable_profiling:
        raise TypeError('isolation="process": enable_profiling profiles this process; use isolation="thread"')
    return {
        "values": {name: _plain(value) for name, value in options._values.items()},
        "entries": options._entries,
        "dims_by_name": options._dims_by_name,
        "dims_by_denotation": options._dims_by_denotation,
        "custom_ops": options._custom_ops,
        "providers": options._providers,
        "policy": None if options._policy is None else int(options._policy),
    }


def options_from(told: Mapping[str, Any]) -> SessionOptions:
    """The session options that ``_options`` described."""
    options = SessionOptions()
    for name, value in told["values"].items():
        setattr(options, name, value)
    options._entries.update(told["entries"])
    options._dims_by_name.update(told["dims_by_name"])
    options._dims_by_denotation.update(told["dims_by_denotation"])
    options._custom_ops += told["custom_ops"]
    options._providers += [(name, pairs) for name, pairs in told["providers"]]
    if told["policy"] is not None:
        from headway._options import OrtExecutionProviderDevicePolicy

        options.set_provider_selection_policy(OrtExecutionProviderDevicePolicy(told["policy"]))
    return options


def _reference(call: Callable[..., Any]) -> tuple[str, str]:
    """The module and the name that a callable is imported by.

    Raises:
        TypeError: It cannot be: a lambda, a local function, one of the program itself.
    """
    module, name = getattr(call, "__module__", None), getattr(call, "__qualname__", None)
    shown = f"{module}.{name}" if module and name else repr(call)
    if module == "__main__":
        raise TypeError(
            f'isolation="process": {shown} is defined in the program itself, which a lane\'s process never runs; move '
            "it into a module of its own and import it"
        )
    if module is None or name is None or "<" in name or find(module, name) is not call:
        raise TypeError(
            f'isolation="process": {shown} cannot be imported by a lane\'s process; pass a function that stands at the '
            "top of a module (no lambda, no local function, no bound method, no partial)"
        )
    return module, name


def find(module: str, name: str) -> Any:
    """What is called so in a module; None when there is nothing."""
    from importlib import import_module

    found: Any = import_module(module)
    for part in name.split("."):
        found = getattr(found, part, None)
    return found
