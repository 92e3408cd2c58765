"""What ``get_inputs()``, ``get_outputs()`` and ``get_modelmeta()`` give."""

from __future__ import annotations

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
