"""Session options that a model carries in its own metadata (``ort_config``)."""

from __future__ import annotations

from typing import Any

from headway._errors import LoadError
from headway._options import SessionOptions

#: What a model may say.
_KNOWN = (
    "enable_profiling",
    "execution_mode",
    "graph_optimization_level",
    "inter_op_num_threads",
    "intra_op_num_threads",
)


def options_in(metadata: dict[str, str], given: SessionOptions) -> SessionOptions | None:
    """The given options with what the model says in place of theirs; None when it says nothing.

    Raises:
        LoadError: What it says cannot be understood.
    """
    import json

    text = metadata.get("ort_config")
    if text is None:
        return None
    try:
        said: dict[str, Any] = json.loads(text).get("session_options", {})
        options = _copied(given)
        for name in _KNOWN:
            if name in said:
                setattr(options, name, said[name])
    except (ValueError, TypeError, AttributeError) as error:
        raise LoadError(f"the model's ort_config cannot be read: {error}: {text}") from error
    return options


def _copied(given: SessionOptions) -> SessionOptions:
    import copy

    options = SessionOptions()
    for slots in (kind.__dict__.get("__slots__", ()) for kind in SessionOptions.__mro__):
        for name in slots:
            value = getattr(given, name)
            # The flag is the caller's: cancelling must reach this load too.
            setattr(options, name, copy.copy(value) if isinstance(value, dict | list) else value)
    return options
