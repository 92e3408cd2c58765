"""Headway's exceptions.

    HeadwayError
    ├── LoadError                    the model or an engine's library cannot be loaded
    │   ├── NoSuchFile               ... the model file does not exist
    │   ├── NoModel, InvalidProtobuf, InvalidGraph, NotImplemented_, ModelLoaded, ...
    ├── InputError (ValueError)      the request is wrong: name, dtype, byte order, rank, dimension
    │   └── InvalidArgument          ... in ONNX Runtime's words
    ├── QueueFull                    no room in the queue within submit_timeout, or overflow="raise"
    ├── Dropped                      the overflow policy or a reset removed the request
    ├── DeadlineExceeded (TimeoutError)   the request's timeout passed
    ├── EngineError                  the engine failed on this request
    │   ├── Fail, RuntimeException, EPFail, ...   ... in ONNX Runtime's words
    │   └── LaneCrashed              an isolated lane's process died
    ├── EndOfStream                  nothing more will come: closed and drained
    └── SessionClosed                the session is closed, or was created in another process

Wrong uses of an ``OrtValue`` or an ``IOBinding``, and what the engine says to a run of a binding, are ``RuntimeError``
too: onnxruntime raises nothing more there.

A cancelled request raises ``concurrent.futures.CancelledError``.
"""

from __future__ import annotations

import functools
import sys


class HeadwayError(Exception):
    """Base of everything that Headway raises on purpose."""


class LoadError(HeadwayError):
    """Raised when a model or an engine's library cannot be loaded; names every path tried and what is missing."""

    #: The engine's own status code, if it gave one.
    code: int | None = None


class InputError(HeadwayError, ValueError):
    """Raised by the submitting call when the request itself is wrong; names the input, expected and got."""

    #: The engine's own status code, if it gave one.
    code: int | None = None


class QueueFull(HeadwayError):
    """Raised when there was no room in the queue within ``submit_timeout``, or at once with ``overflow="raise"``."""


class Dropped(HeadwayError):
    """Raised for a request that the overflow policy or a reset removed."""

    #: ``"overflow"``, ``"pipeline_reset"`` or ``"unmatched"``.
    reason: str = "overflow"
    #: How many neighbours were dropped, in a stream's or a Run's gap marker.
    count: int = 1


class DeadlineExceeded(HeadwayError, TimeoutError):
    """Raised when a request's timeout passed."""

    #: True when the request was already running.
    running: bool = False


class EngineError(HeadwayError):
    """Raised when the engine failed on this request; the session goes on."""

    #: The engine's own status code, if it gave one.
    code: int | None = None
    #: The engine's name.
    engine: str | None = None


class LaneCrashed(EngineError):
    """Raised when an isolated lane's process died on this request; the lane is restarted."""

    #: The lane's number.
    lane: int | None = None
    #: The process that died.
    pid: int | None = None
    #: The number of the signal that killed it; None when it ended by itself.
    signal: int | None = None
    #: The status it ended with; None when a signal killed it.
    exit_code: int | None = None


class EndOfStream(HeadwayError):
    """Raised by a pull when the input is closed and everything has been pulled."""


class SessionClosed(HeadwayError):
    """Raised by calls on a session that is closed, or that was created before a fork."""


class Fail(EngineError):
    """ONNX Runtime's FAIL (1)."""


class InvalidArgument(InputError):
    """ONNX Runtime's INVALID_ARGUMENT (2)."""


class NoSuchFile(LoadError):
    """ONNX Runtime's NO_SUCHFILE (3)."""


class NoModel(LoadError):
    """ONNX Runtime's NO_MODEL (4)."""


class RuntimeException(EngineError):
    """ONNX Runtime's RUNTIME_EXCEPTION (6)."""


class InvalidProtobuf(LoadError):
    """ONNX Runtime's INVALID_PROTOBUF (7)."""


class ModelLoaded(LoadError):
    """ONNX Runtime's MODEL_LOADED (8)."""


class NotImplemented_(EngineError):
    """ONNX Runtime's NOT_IMPLEMENTED (9)."""


class InvalidGraph(LoadError):
    """ONNX Runtime's INVALID_GRAPH (10)."""


class EPFail(EngineError):
    """ONNX Runtime's EP_FAIL (11)."""


class ModelLoadCanceled(LoadError):
    """ONNX Runtime's MODEL_LOAD_CANCELED (12)."""


class ModelRequiresCompilation(LoadError):
    """ONNX Runtime's MODEL_REQUIRES_COMPILATION (13)."""


class NotFound(LoadError):
    """ONNX Runtime's NOT_FOUND (14)."""


class DeviceReset(EngineError):
    """ONNX Runtime's DEVICE_RESET (15)."""


NotImplemented_.__name__ = NotImplemented_.__qualname__ = "NotImplemented"

#: Status code -> our class, and the name of onnxruntime's own class.
_BY_CODE: dict[int, tuple[type[HeadwayError], str]] = {
    1: (Fail, "Fail"),
    2: (InvalidArgument, "InvalidArgument"),
    3: (NoSuchFile, "NoSuchFile"),
    4: (NoModel, "NoModel"),
    5: (EngineError, "EngineError"),
    6: (RuntimeException, "RuntimeException"),
    7: (InvalidProtobuf, "InvalidProtobuf"),
    8: (ModelLoaded, "ModelLoaded"),
    9: (NotImplemented_, "NotImplemented"),
    10: (InvalidGraph, "InvalidGraph"),
    11: (EPFail, "EPFail"),
    12: (ModelLoadCanceled, "ModelLoadCanceled"),
    13: (ModelRequiresCompilation, "ModelRequiresCompilation"),
    14: (NotFound, "NotFound"),
    15: (DeviceReset, "DeviceReset"),
}

_BY_KIND: dict[str, type[HeadwayError]] = {
    "load": LoadError,
    "input": InputError,
    "queue_full": QueueFull,
    "dropped": Dropped,
    "expired": DeadlineExceeded,
    "engine": EngineError,
    "crashed": LaneCrashed,
    "closed": SessionClosed,
}


@functools.cache
def _with_kind(named: type[HeadwayError], kind: type[HeadwayError]) -> type[HeadwayError]:
    """One class for ONNX Runtime's word and for what the caller can do about it: a `Fail` at load is a LoadError."""
    if issubclass(named, kind):
        return named
    return type(named.__name__, (named, kind), {"__module__": named.__module__, "__doc__": named.__doc__})


@functools.cache
def _with_native(ours: type[HeadwayError], theirs: type[Exception]) -> type[HeadwayError]:
    """One class that is both: ``except onnxruntime...InvalidArgument`` goes on working."""
    made = type(ours.__name__, (ours, theirs), {"__module__": ours.__module__, "__doc__": ours.__doc__})
    assert issubclass(made, HeadwayError)
    return made


@functools.cache
def _with_runtime(ours: type[HeadwayError]) -> type[HeadwayError]:
    """One class that is a ``RuntimeError`` too, for what onnxruntime raises as nothing more."""
    made = type(ours.__name__, (ours, RuntimeError), {"__module__": ours.__module__, "__doc__": ours.__doc__})
    assert issubclass(made, HeadwayError)
    return made


def _onnxruntime_class(name: str) -> type[Exception] | None:
    """The class of the ``onnxruntime`` package, if the program has imported it."""
    state = sys.modules.get("onnxruntime.capi.onnxruntime_pybind11_state")
    found = getattr(state, name, None)
    if not isinstance(found, type) or not issubclass(found, Exception):
        return None
    # Ours, where a program has put `headway.ort` in onnxruntime's place.
    return None if issubclass(found, HeadwayError) else found


def _class_for(kind: str, code: int | None, engine: str) -> type[HeadwayError]:
    ours = _BY_KIND[kind]
    if engine != "onnxruntime" or code not in _BY_CODE:
        return ours
    named, native = _BY_CODE[code]
    # The ignores: mypy takes the __hash__ of a class's instances for the class's own.
    made = _with_kind(named, ours)  # type: ignore[arg-type]
    theirs = _onnxruntime_class(native)
    return made if theirs is None else _with_native(made, theirs)  # type: ignore[arg-type]


def from_core(
    kind: str,
    message: str,
    code: int | None,
    engine: str,
    detail: str | None,
    cause: BaseException | None,
    runtime: bool = False,
) -> BaseException:
    """The exception for an error of the native core; ``runtime``: a ``RuntimeError`` too."""
    if kind == "cancelled":
        from concurrent.futures import CancelledError

        return CancelledError(message)
    found = _class_for(kind, code, engine)
    if runtime:
        found = _with_runtime(found)  # type: ignore[arg-type]
    error = found(message)
    if isinstance(error, LoadError | InputError | EngineError):
        error.code = code
    if isinstance(error, EngineError):
        error.engine = engine
    if isinstance(error, LaneCrashed) and detail is not None:
        numbers = [int(number) if number else None for number in detail.split(",")]
        error.lane, error.pid, error.signal, error.exit_code = numbers
    if isinstance(error, Dropped) and detail is not None:
        error.reason = detail
    if isinstance(error, DeadlineExceeded):
        error.running = detail == "running"
    error.__cause__ = cause
    return error
