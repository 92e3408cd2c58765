"""``InferenceSession``: a loaded model, its lanes, bounded admission and delivery."""

from __future__ import annotations

import os
import warnings
from collections.abc import Callable, Iterable, Mapping, Sequence
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self

from headway import _core
from headway._batching import Batching
from headway._binding import OrtValueCalls
from headway._conventions import Conventions
from headway._delivery import await_admission, waiter_of
from headway._errors import QueueFull
from headway._load import Loaded, Wanted, load_callable, load_onnxruntime, source_of
from headway._metrics import CloseReport, Stats, ThreadStats, stats_from
from headway._options import Hint, Overflow, SessionOptions, Wait
from headway._providers import MissingProvider, Provider
from headway._record import Record
from headway._surface import OnnxRuntimeSurface
from headway._threads import plan, spin_seconds

if TYPE_CHECKING:
    from headway._core import InferenceFuture
    from headway._options import RunOptions
    from headway.testing import FakeEngine


class Refused(Record):
    """What ``try_submit`` gives when there is no room. Falsy."""

    #: Why.
    reason: str

    def __bool__(self) -> bool:
        return False


def _at_least_one(name: str, value: int | None) -> int | None:
    if value is not None and (isinstance(value, bool) or not isinstance(value, int) or value < 1):
        raise ValueError(f"{name}: expected a whole number of at least 1, got {value!r}")
    return value


def _one_of(name: str, value: str, choices: tuple[str, ...]) -> None:
    if value not in choices:
        raise ValueError(f"{name}: expected one of {', '.join(map(repr, choices))}, got {value!r}")


def _options_of(given: SessionOptions | None) -> SessionOptions:
    if given is not None and not isinstance(given, SessionOptions):
        raise TypeError(f"sess_options: expected headway.SessionOptions, got {type(given).__name__}")
    return given or SessionOptions()


class InferenceSession(OnnxRuntimeSurface, OrtValueCalls, Conventions):
    """A model that answers through every calling convention: blocking, callback, future, asyncio, stream.

    Args:
        path_or_bytes: A model file, its bytes, or a callable that takes a feed (``dict[str, ndarray]``) and returns
            a dict or a list of outputs.
        sess_options: Options under ONNX Runtime's names; explicit thread counts beat ``workers`` and ``hint``.
        providers: Execution providers, names or ``(name, options)`` pairs. A list that ends in
            ``CPUExecutionProvider`` is a preference list: what is missing is warned about once and listed in
            ``providers_report``. Without CPU in it, a missing provider raises LoadError.
        provider_options: One dict for each provider.
        engine: ``"onnxruntime"`` or ``"python"``; None chooses by the file.
        inputs: A callable's input names.
        outputs: A callable's output names.
        hint: ``"latency"``: one request uses all usable cores. ``"throughput"``: one lane per usable core, one
            thread each.
        workers: Lanes, a hard limit when given.
        queue_depth: Requests that may wait. Default ``max(4, 2 * workers)``, with batching two batches a lane.
        delivery_depth: Callbacks that may be outstanding before lanes start nothing new. Default ``queue_depth``.
        overflow: What happens to one request more: ``"block"``, ``"raise"``, ``"drop_oldest"``, ``"drop_newest"``.
        submit_timeout: Seconds that ``submit`` and ``run_async`` wait for room, then QueueFull. None: for ever.
        timeout: Default timeout of every request in seconds, from the call on; None: none.
        ordered: Callbacks and streams in submission order.
        serial: One request of a stream key at a time (stateful models).
        copy_inputs: Asynchronous calls copy their inputs, so that a frame may be refilled at once. False: they are
            held and must not be written to before the request has ended.
        wait: How threads wait, for work and for answers. ``"auto"``: they spin for 30 us before they sleep, with one
            usable core not at all. ``"park"``: they sleep at once (least processor time); the engine's own threads do
            not spin either. ``"spin"``: they spin for 1 ms before they sleep (lowest latency, on spare cores). A
            number: they spin for so many seconds, 0 to 1.
        batching: ``Batching(...)``: requests that look alike share a run of the model (docs/batching.md).
        on_missing_provider: ``"raise"`` or ``"warn"``; None: see ``providers``.
        on_drop: Called by the delivery thread as ``on_drop(ticket, reason)`` for every request that the overflow
            policy or a reset removed.
        enable_fallback: No effect: a session never changes its execution providers.
        disabled_optimizers: Names of graph optimizers to leave out.
        read_config_from_model: True: session options that the model carries (``ort_config`` in its metadata) take the
            place of the given ones. None: the environment variable ``ORT_LOAD_CONFIG_FROM_MODEL`` says so.

    Raises:
        LoadError: The model or the engine's library cannot be loaded.
        TypeError, ValueError: An argument is wrong.
    """

    #: False in `headway.ort`, whose programs know no `close()`.
    _warns_when_dropped = True

    def __init__(
        self,
        path_or_bytes: str | bytes | os.PathLike[str] | Callable[[dict[str, Any]], Any] | FakeEngine,
        sess_options: SessionOptions | None = None,
        providers: Sequence[Provider] | None = None,
        provider_options: Sequence[Mapping[str, Any]] | None = None,
        *,
        engine: str | None = None,
        inputs: Sequence[Any] | None = None,
        outputs: Sequence[Any] | None = None,
        hint: Hint = "latency",
        workers: int | None = None,
        queue_depth: int | None = None,
        delivery_depth: int | None = None,
        overflow: Overflow = "block",
        submit_timeout: float | None = 10.0,
        timeout: float | None = None,
        ordered: bool = True,
        serial: bool = False,
        copy_inputs: bool = True,
        wait: Wait = "auto",
        batching: Batching | None = None,
        on_missing_provider: MissingProvider | None = None,
        on_drop: Callable[[int, str], None] | None = None,
        enable_fallback: bool = True,
        disabled_optimizers: Iterable[str] | None = None,
        read_config_from_model: bool | None = None,
    ) -> None:
        _one_of("hint", hint, ("latency", "throughput"))
        _one_of("overflow", overflow, ("block", "raise", "drop_oldest", "drop_newest"))
        if on_missing_provider is not None:
            _one_of("on_missing_provider", on_missing_provider, ("raise", "warn"))
        if on_drop is not None and not callable(on_drop):
            raise TypeError(f"on_drop: expected a callable, got {type(on_drop).__name__}")
        if batching is not None and not isinstance(batching, Batching):
            raise TypeError(f"batching: expected headway.Batching, got {type(batching).__name__}")
        options = _options_of(sess_options)
        workers = _at_least_one("workers", workers)
        budget = _core.thread_budget()
        spin = spin_seconds(wait, _core.usable_cores())
        lanes = plan(hint, workers, budget, options.intra_op_num_threads)
        if wait in ("park", 0):
            # The engine's threads too: they spin for milliseconds after each request.
            lanes = lanes._replace(spinning=False)
        source = source_of(path_or_bytes, engine)
        self._engine, self._label = source.engine, source.label
        if isinstance(source.model, str):
            # Not public, but read by packages that wrap sessions.
            self._model_path = source.model
        if source.engine == "fake":
            loaded: Loaded = source.model._headway_load()
        elif source.engine == "python":
            loaded = load_callable(source.model, inputs, outputs)
        else:
            if read_config_from_model is None:
                read_config_from_model = os.environ.get("ORT_LOAD_CONFIG_FROM_MODEL") == "1"
            wanted = Wanted(
                providers,
                provider_options,
                on_missing_provider,
                disabled_optimizers,
                bool(read_config_from_model),
            )
            loaded = load_onnxruntime(source, options, lanes, wanted)
        depth = _at_least_one("queue_depth", queue_depth) or max(
            4, 2 * lanes.workers * (1 if batching is None else batching.max_size)
        )
        self._loaded = loaded._replace(model=None)  # type: ignore[arg-type]
        self._options = options
        intra_op, shared = loaded.threads or (1, False)
        self._threads = ThreadStats(budget, intra_op, shared, lanes.workers + lanes.caller_lanes)
        self._depth = depth
        self._workers = lanes.workers
        self._overflow = overflow
        self._open(
            loaded.model,
            workers=lanes.workers,
            caller_lanes=0 if self._engine == "python" else lanes.caller_lanes,
            queue_depth=depth,
            delivery_depth=_at_least_one("delivery_depth", delivery_depth) or depth,
            overflow=overflow,
            ordered=bool(ordered),
            serial=bool(serial),
            spin=spin,
            copy_inputs=bool(copy_inputs),
            timeout=timeout,
            submit_timeout=submit_timeout,
            on_drop=on_drop,
            batching=None if batching is None else batching._native(),
        )
        if self._engine == "python":
            self._start_lanes(path_or_bytes)

    def _start_lanes(self, call: Any) -> None:
        import threading

        from headway import _callable

        names = [name for name, _, _ in self._info()["outputs"]]
        for number in range(self._workers):
            threading.Thread(
                target=_callable.work,
                args=(self._lane(number), call, names),
                name=f"headway-lane-{number}",
                daemon=True,
            ).start()

    @classmethod
    async def acreate(cls, *args: Any, **kwargs: Any) -> Self:
        """Like the constructor, without blocking the event loop while the model loads."""
        import asyncio

        return await asyncio.to_thread(cls, *args, **kwargs)

    # ---- asyncio -----------------------------------------------------------------------------------------------

    async def arun(
        self,
        output_names: Sequence[str] | None,
        input_feed: Any,
        run_options: RunOptions | None = None,
        *,
        out: Any = None,
        **call: Any,
    ) -> list[Any]:
        """The outputs of one request. Waiting for room never blocks the loop; cancelling the task cancels the request.

        Args:
            output_names: Wanted outputs in this order; None for all.
            input_feed: A dict by input name, a list in input order, or one array.
            run_options: The request's own options.
            out: Arrays for the outputs, as for ``submit``.
            **call: ``timeout`` in seconds, ``priority``, ``stream``.

        Raises:
            What ``run`` raises. ``concurrent.futures.CancelledError`` when somebody else cancelled the request.
        """
        if out is not None:
            call["_out"] = out
        if call:
            future = self._line_up(input_feed, output_names, False, run_options, **call)
        else:
            future = self._line_up(input_feed, output_names, False, run_options)
        # As in `await_future`: a coroutine of its own for this costs as much as the waiting.
        try:
            if (waiter := waiter_of(future)) is not None:
                await waiter
        except BaseException:
            future.cancel()
            raise
        return future.result()

    async def asubmit(
        self, input_feed: Any, output_names: Sequence[str] | None = None, *, out: Any = None, **call: Any
    ) -> InferenceFuture:
        """Like ``submit``, waiting for room without blocking the loop (for ``submit_timeout`` at most).

        Args:
            input_feed: A dict by input name, a list in input order, or one array.
            output_names: Wanted outputs in this order; None for all.
            out: Arrays for the outputs, as for ``submit``.
            **call: ``timeout`` in seconds, ``priority``, ``stream``, ``run_options``.
        """
        if out is not None:
            call["_out"] = out
        return await await_admission(self._line_up(input_feed, output_names, bounded=True, **call))

    # ---- futures ----------------------------------------------------------------------------------------------

    def try_submit(
        self, input_feed: Any, output_names: Sequence[str] | None = None, **call: Any
    ) -> InferenceFuture | Refused:
        """Like ``submit``, never waiting: a falsy ``Refused`` when there is no room."""
        try:
            return self.submit(input_feed, output_names, block=False, **call)
        except QueueFull as full:
            return Refused(str(full))

    # ---- what it says of itself --------------------------------------------------------------------------------

    def stats(self) -> Stats:
        """Counters, lanes and times, taken in one look."""
        return stats_from(self._stats(), self._threads)

    def __repr__(self) -> str:
        device = f"{self._engine}/{self._loaded.device}" if hasattr(self, "_loaded") else "?"
        here, closing = self._state()
        if not here or closing:
            return f"<{type(self).__name__} {getattr(self, '_label', '?')} {device} [closed]>"
        stats = self._stats()
        lanes = sum(lane["worker"] for lane in stats["lanes"])
        plural = "lane" if lanes == 1 else "lanes"
        return (
            f"<{type(self).__name__} {self._label} {device} [{lanes} {plural}: {stats['running']} running, "
            f"{stats['waiting']} waiting, {stats['undelivered']} undelivered]>"
        )

    # ---- the end -----------------------------------------------------------------------------------------------

    def close(self, drain: bool = True, timeout: float | None = 30.0) -> CloseReport:
        """Stop admitting, finish (``drain``) or cancel what was admitted, deliver every outcome, free the engine.

        Args:
            drain: False cancels what waits and terminates what runs.
            timeout: Seconds for the drain; after it the rest is cancelled. None waits for ever.

        Returns:
            What it did. Calling it again gives the first report.
        """
        with self._profiling_to_the_end():
            drained, cancelled, abandoned, delivered = self._close(drain, timeout)
        return CloseReport(drained, cancelled, tuple(abandoned), delivered)

    async def aclose(self, drain: bool = True, timeout: float | None = 30.0) -> CloseReport:
        """Like ``close``, without blocking the event loop."""
        import asyncio

        return await asyncio.to_thread(self.close, drain, timeout)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close(drain=kind is None)

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.aclose(drain=kind is None)

    def __del__(self) -> None:
        here, closing = self._state()
        if here and not closing:
            if self._warns_when_dropped:
                self._warn_unclosed()
            self._abandon()

    def _warn_unclosed(self) -> None:
        warnings.warn(
            f"unclosed session {self!r}; use `with` or close()",
            ResourceWarning,
            stacklevel=1,
            source=self,
        )
