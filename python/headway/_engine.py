"""What the author of an engine writes: an ``Engine`` that opens lanes, a ``Lane`` that runs one request at a time."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, ClassVar, Self

if TYPE_CHECKING:
    from headway import _core


class Lane:
    """One place of an engine where one request at a time runs. It has a thread of its own, and state of its own.

    ``run`` and ``close`` are called on the lane's thread, the one that ``Engine.open_lane`` was called on. So it may
    hold what belongs to a thread: a CUDA stream, an interpreter, a connection.
    """

    #: The session's side of this lane, while it has one.
    _handle: _core.Lane | None = None

    def run(self, feed: dict[str, Any], output_names: list[str]) -> Any:
        """The outputs of one request.

        Args:
            feed: An array for each input by name. What the engine gave a dtype has it, in native byte order, and the
                declared shape. The arrays may be the caller's own memory: they are to be read, not written to.
            output_names: The outputs that are wanted. Empty for all outputs of an engine that does not name them.

        Returns:
            A dict by name, in which outputs that are not wanted may be missing; or a list or tuple of all outputs in
            the engine's order; or the one output itself. It must not return memory that it will write to again.

        Raises:
            Exception: Whatever it likes. The caller gets EngineError with this as its cause; the lane goes on.
        """
        raise NotImplementedError

    @property
    def cancelled(self) -> bool:
        """True while the request that runs is to stop: it was cancelled, expired, or the session closes.

        For a ``run`` that can look in between its steps. What it then returns or raises goes nowhere. Always False on
        an engine without ``can_cancel``.
        """
        return self._handle is not None and self._handle.cancelled

    def terminate(self) -> None:
        """Make the ``run`` that is under way return or raise soon. For a ``run`` that cannot look at ``cancelled``.

        Called on another thread, only while ``run`` is being called, only with ``Engine.can_cancel``, and never for a
        request that has returned. It may come before the first line of ``run``: clear a flag of your own when ``run``
        ends, not when it begins.
        """

    def close(self) -> None:
        """Free what the lane holds. Called once, on the lane's thread, after its last request."""


class Engine:
    """A kind of model that Headway does not know. A subclass overrides ``open_lane``, and says of itself what it can.

    An engine goes where a model goes: ``InferenceSession(MyEngine(...))``. By class, ``InferenceSession("model.xyz",
    engine=MyEngine)``, or by the name of an entry point in the group ``headway.engines``, it is loaded with ``load``.
    One engine serves one session. Queues, order, deadlines, cancelling, counters and every calling convention are the
    session's.
    """

    #: What messages and ``repr`` call it.
    name: str = "python"
    #: Where it computes, in words: ``CPU``, ``CUDA``, ``NPU``.
    device: str = "CPU"
    #: File suffixes that it reads, ``(".pt",)``: ``load`` is not called with a path of another one. Empty: any.
    suffixes: ClassVar[tuple[str, ...]] = ()
    #: Its inputs: each a name, ``(name, dtype)``, ``(name, dtype, shape)`` or a ``headway.NodeArg``. A dtype is numpy's
    #: or a word like ``tensor(float)``; in a shape, None is any length, and a name the same length wherever it stands.
    #: Feeds are checked against them before they are queued. None: it takes any dict of arrays.
    inputs: Sequence[Any] | None = None
    #: Its outputs; answers are checked in the same way. None: it gives what it gives.
    outputs: Sequence[Any] | None = None
    #: Key-value pairs for ``get_modelmeta().custom_metadata_map``.
    metadata: Mapping[str, str] = {}
    #: The most lanes that it can have; None for any number.
    lanes: int | None = None
    #: True when a running request can be stopped: its lanes look at ``Lane.cancelled``, or have a ``terminate``.
    can_cancel: bool = False

    #: It has a session.
    _session = False

    @classmethod
    def load(cls, model: Any, **options: Any) -> Self:
        """The engine with a model in it. As it is here, it calls the class: ``cls(model, **options)``.

        Args:
            model: What the session was given: a path (always a str), bytes, or any object.
            **options: The session's ``engine_options``. One that this method does not take is a TypeError for the
                session's caller.

        Raises:
            Exception: Whatever it likes. The caller gets LoadError with this as its cause.
        """
        # A subclass says in its `__init__` what it takes.
        make: Any = cls
        made: Self = make(model, **options)
        return made

    def open_lane(self, number: int) -> Lane:
        """Lane ``number``, from 0. Called on the lane's own thread, for one lane after the other.

        Raises:
            Exception: Whatever it likes. Making the session then fails with LoadError and this as its cause.
        """
        raise NotImplementedError

    def close(self) -> None:
        """Free the model. Called once, after every lane's ``close``, on the thread of the lane that ended last.

        A lane whose ``run`` does not return keeps its engine open.
        """
