"""The calls of a session that take and give ``OrtValue``s, and those that run an ``IOBinding``."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from headway import _core
from headway._checks import as_session, known

if TYPE_CHECKING:
    from headway._core import InferenceFuture, IOBinding, OrtValue, PreparedCall


@as_session
class OrtValueCalls(_core.Session):
    """What ``InferenceSession`` offers on values that a program keeps, beside ``run_with_ort_values`` and
    ``run_with_iobinding``. Such calls hold their values and copy nothing."""

    def io_binding(self) -> IOBinding:
        """A binding of this session's inputs and outputs: bound once, run many times. A session may have several."""
        return _core.IOBinding(self)

    def prepare(self, feed_like: Any, output_names: Sequence[str] | None = None) -> PreparedCall:
        """A call with arrays of its own, for feeds of one shape: the cheapest way to run the model again and again.

        Names, dtypes and shapes are checked once, here, by running the model. ``call.inputs`` holds an array for each
        input (with the elements of ``feed_like``): fill them, then ``call.run()`` gives ``call.outputs``, the same
        arrays each time. It is one call at a time: while it runs in another thread, ``run()`` raises.

        Args:
            feed_like: A feed as for ``run``: a dict by name, a list in input order, or one array.
            output_names: Wanted outputs in this order; None for all.

        Raises:
            InputError: An input or output is no tensor of numbers on the CPU, or ``run`` would refuse the feed.
        """
        from headway._prepared import prepare

        return prepare(self, feed_like, output_names)

    def submit_with_ort_values(
        self,
        output_names: Sequence[str] | None,
        input_dict_ort_values: Mapping[str, Any],
        *,
        block: bool = True,
        **call: Any,
    ) -> InferenceFuture:
        """Like ``run_with_ort_values``, without waiting: the future of a list of ``OrtValue``.

        The values are held, not copied: write nothing to them before the future has ended.

        Args:
            output_names: Wanted outputs in this order; None for all.
            input_dict_ort_values: A value for each input.
            block: False never waits for room: QueueFull at once.
            **call: ``timeout`` in seconds, ``priority``, ``stream``, ``run_options``.

        Raises:
            What ``submit`` raises.
        """
        if call:
            known(OrtValueCalls.submit_with_ort_values, call)
        return self._submit_values(input_dict_ort_values, output_names, waits=True, block=block, **call)

    async def arun_with_ort_values(
        self,
        output_names: Sequence[str] | None,
        input_dict_ort_values: Mapping[str, Any],
        **call: Any,
    ) -> list[OrtValue]:
        """Like ``run_with_ort_values``, without blocking the event loop. Cancelling the task cancels the request.

        Args:
            output_names: Wanted outputs in this order; None for all.
            input_dict_ort_values: A value for each input.
            **call: ``timeout`` in seconds, ``priority``, ``stream``, ``run_options``.

        Raises:
            What ``arun`` raises.
        """
        from headway._delivery import await_future

        if call:
            known(OrtValueCalls.arun_with_ort_values, call)
        future = self._submit_values(input_dict_ort_values, output_names, waits=False, **call)
        return await await_future(future)

    def submit_with_iobinding(
        self, iobinding: IOBinding, *, block: bool = True, **call: Any
    ) -> InferenceFuture:
        """Like ``run_with_iobinding``, without waiting: the future of the list of its outputs as ``OrtValue``.

        The binding is in use until the request has ended and the engine has returned: until then it can neither be run
        nor changed nor read. Several bindings of one session may be on their way at once.

        Args:
            iobinding: A binding of this session.
            block: False never waits for room: QueueFull at once.
            **call: ``timeout`` in seconds, ``priority``, ``stream``, ``run_options``.

        Raises:
            What ``run_with_iobinding`` raises before it runs; QueueFull.
        """
        if call:
            known(OrtValueCalls.submit_with_iobinding, call)
        return self._submit_values(iobinding, waits=True, block=block, **call)

    async def arun_with_iobinding(self, iobinding: IOBinding, **call: Any) -> list[OrtValue]:
        """Like ``run_with_iobinding``, without blocking the event loop. Cancelling the task cancels the request.

        Args:
            iobinding: A binding of this session.
            **call: ``timeout`` in seconds, ``priority``, ``stream``, ``run_options``.

        Returns:
            The binding's outputs, in the order in which they were bound.

        Raises:
            What ``run_with_iobinding`` raises.
        """
        from headway._delivery import await_future

        if call:
            known(OrtValueCalls.arun_with_iobinding, call)
        return await await_future(self._submit_values(iobinding, waits=False, **call))
