"""A Python engine as a model: an `Engine`, or a callable in the place of one."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from headway import _core
from headway._engine import Engine, Lane
from headway._engines.words import Asked, Loaded
from headway._errors import LoadError, NoSuchFile
from headway._lanes import Lanes
from headway._nodespec import specs

#: Names that mean something else: classes of errors hang on them.
_TAKEN = ("onnxruntime", "openvino", "rknn", "fake")


class _CallableLane(Lane):
    def __init__(self, call: Callable[[dict[str, Any]], Any]) -> None:
        self._call = call

    def run(self, feed: dict[str, Any], output_names: list[str]) -> Any:
        return self._call(feed)


class CallableEngine(Engine):
    """A callable that takes a feed."""

    device = "Python"

    def __init__(self, call: Callable[[dict[str, Any]], Any]) -> None:
        self._call = call

    def open_lane(self, number: int) -> Lane:
        return _CallableLane(self._call)


def load(asked: Asked) -> Loaded:
    """The engine that was asked for, claimed for this session, with its lanes yet to be opened."""
    engine, given = _engine(asked)
    try:
        return _loaded(asked, engine, given)
    except BaseException:
        if not given:
            engine.close()
        raise


def _loaded(asked: Asked, engine: Engine, given: bool) -> Loaded:
    _claim(engine)
    lanes = None
    try:
        inputs, outputs = _named("inputs", engine, asked.inputs), _named("outputs", engine, asked.outputs)
        found = specs("outputs", outputs)
        lanes = Lanes(engine, found, given)
        model = _core.load_python(
            engine.name,
            inputs=specs("inputs", inputs),
            outputs=found,
            metadata=[(str(key), str(value)) for key, value in engine.metadata.items()],
            can_cancel=bool(engine.can_cancel),
            clock=getattr(asked.source.model, "_headway_clock", None),
        )
        plan = asked.plan._replace(workers=_lanes(asked, engine), caller_lanes=0)
    except BaseException:
        engine._session = False
        raise
    return Loaded(model, engine.device, plan=plan, lanes=lanes)


def _engine(asked: Asked) -> tuple[Engine, bool]:
    """The engine, and whether the caller made it."""
    source, options = asked.source, dict(asked.engine_options)
    plugin = source.plugin
    if plugin is None:
        return CallableEngine(source.model), False
    if isinstance(plugin, Engine):
        if options:
            raise TypeError(
                f"engine_options: the {plugin.name} engine is made already, got {sorted(options)}"
            )
        return plugin, True
    kind = plugin if isinstance(plugin, type) else plugin.load()
    if source.model is kind:
        return _made(kind, kind, (), options), False
    if isinstance(source.model, str) and kind.suffixes and not source.model.lower().endswith(kind.suffixes):
        raise LoadError(f"{source.label}: the {kind.name} engine reads {', '.join(kind.suffixes)}")
    return _made(kind, kind.load, (source.model,), options), False


def _made(
    kind: type[Engine], make: Callable[..., Any], given: tuple[Any, ...], options: dict[str, Any]
) -> Engine:
    _check_options(kind, make, given, options)
    try:
        made = make(*given, **options)
    except LoadError:
        raise
    except Exception as raised:
        missing = isinstance(raised, FileNotFoundError)
        text = f"the {kind.name} engine raised {type(raised).__name__}: {raised}"
        raise (NoSuchFile if missing else LoadError)(text) from raised
    if not isinstance(made, Engine):
        raise LoadError(f"{kind.__name__}.load gave no engine, but a {type(made).__name__}")
    return made


def _check_options(
    kind: type[Engine], make: Callable[..., Any], given: tuple[Any, ...], options: Mapping[str, Any]
) -> None:
    """A wrong option is the session's caller's mistake, not the engine's: it is told apart before the call."""
    from inspect import Parameter, signature

    default = getattr(make, "__func__", None) is Engine.load.__func__  # type: ignore[attr-defined]
    try:
        taken = signature(kind if default else make)
    except (TypeError, ValueError):
        return
    try:
        taken.bind(*given, **options)
    except TypeError as wrong:
        names = [
            one.name
            for one in list(taken.parameters.values())[len(given) :]
            if one.kind != Parameter.VAR_KEYWORD
        ]
        listed = f"it takes {', '.join(names)}" if names else "it takes none"
        raise TypeError(f"engine_options: {wrong}; the {kind.name} engine: {listed}") from None


def _claim(engine: Engine) -> None:
    if not isinstance(engine.name, str) or not engine.name or engine.name in _TAKEN:
        raise ValueError(f"{type(engine).__name__}.name: expected a name of its own, got {engine.name!r}")
    if engine._session:
        raise ValueError(f"this {engine.name} engine has a session already: make one for each")
    engine._session = True


def _named(what: str, engine: Engine, given: Any) -> Any:
    """The engine's word, or the caller's where the engine says nothing."""
    own = getattr(engine, what)
    if own is not None and given is not None:
        raise TypeError(f"{what}: the {engine.name} engine names its own")
    return (given or None) if own is None else own


def _lanes(asked: Asked, engine: Engine) -> int:
    most, wanted = engine.lanes, asked.plan.workers
    if most is None or wanted <= most:
        return wanted
    if asked.workers_given:
        raise ValueError(f"workers: the {engine.name} engine has at most {most}, got {wanted}")
    return most
