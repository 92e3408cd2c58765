"""What ``get_inputs()``, ``get_outputs()`` and ``get_modelmeta()`` give, and what a call is given for them."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from headway._record import Record


class NodeArg(Record):
    """One input or output of a model."""

    #: Its name.
    name: str
    #: Its type in ONNX Runtime's words: ``tensor(float)``.
    type: str
    #: Its dimensions: a number, a name (the same length wherever it stands, unless it has no letter: ``?``), or None.
    shape: list[int | str | None]

    def __hash__(self) -> int:
        # The list has none, and nodes are keys of onnxruntime's programs.
        return hash((self.name, self.type))


class ModelMetadata(Record):
    """What a model says of itself."""

    producer_name: str
    graph_name: str
    graph_description: str
    domain: str
    description: str
    version: int
    custom_metadata_map: dict[str, str]

    def __hash__(self) -> int:
        return hash((self.producer_name, self.graph_name, self.version))


def names_of(output_names: Iterable[str] | None) -> Any:
    """Output names that every request of a call can read: a generator would give them to the first one only.

    What is no collection of names stays what it is; the session says so when a request is read.
    """
    if output_names is None or isinstance(output_names, str | bytes):
        return output_names
    try:
        names = iter(output_names)
    except TypeError:
        return output_names
    return list(names)
