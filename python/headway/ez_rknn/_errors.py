"""Every exception of this module is a ``RuntimeError`` too: programs for EZ RKNN Async catch nothing else."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import ParamSpec, TypeVar

from headway._errors import HeadwayError, InputError

P = ParamSpec("P")
T = TypeVar("T")


class OptionError(InputError, RuntimeError):
    """An option, or a combination of options, that there is not."""


@functools.cache
def _class_of(raised: type[Exception]) -> type[Exception]:
    return type(
        raised.__name__, (raised, RuntimeError), {"__module__": raised.__module__, "__doc__": raised.__doc__}
    )


def as_runtime_error(raised: Exception) -> Exception:
    """The same exception as one that is a ``RuntimeError`` too."""
    if isinstance(raised, RuntimeError):
        return raised
    made = _class_of(type(raised))(*raised.args)  # type: ignore[arg-type]  # mypy's view of a class's hash
    made.__dict__.update(raised.__dict__)
    made.__cause__, made.__traceback__ = raised.__cause__, raised.__traceback__
    return made


def speaks_runtime_error(call: Callable[P, T]) -> Callable[P, T]:
    """Raises what the call raises, as exceptions that are ``RuntimeError`` too."""

    @functools.wraps(call)
    def spoken(*args: P.args, **kwargs: P.kwargs) -> T:
        try:
            return call(*args, **kwargs)
        except (HeadwayError, TypeError, ValueError) as raised:
            if isinstance(raised, RuntimeError):
                raise
            raise as_runtime_error(raised) from raised.__cause__

    return spoken
