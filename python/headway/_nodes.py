"""What ``get_inputs()``, ``get_outputs()`` and ``get_modelmeta()`` give."""

from __future__ import annotations

from headway._record import Record


class NodeArg(Record):
    """One input or output of a model."""

    #: Its name.
    name: str
    #: Its type in ONNX Runtime's words: ``tensor(float)``.
    type: str
    #: Its dimensions: a number, a name (the same length wherever it stands), or None.
    shape: list[int | str | None]


class ModelMetadata(Record):
    """What a model says of itself."""

    producer_name: str
    graph_name: str
    graph_description: str
    domain: str
    description: str
    version: int
    custom_metadata_map: dict[str, str]
