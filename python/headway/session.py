"""``InferenceSession``: a loaded model, its lanes, bounded admission and delivery."""

from __future__ import annotations

import os
import time
import warnings
from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import partial
from types import TracebackType
from typing import TYPE_CHECKING, Any, Literal, Self

from headway import _core
from headway._arguments import check_objects, check_words, isolation_of, options_of
from headway._batching import Batching
from headway._binding import OrtValueCalls
from headway._checks import at_least_one, known, seconds
from headway._conventions import Conventions
from headway._delivery import await_admission, waiter_of
from headway._engines.words import Asked, Loaded, Wanted
from headway._errors import QueueFull
from headway._load import load, source_of
from headway._metrics import CloseReport, NodeTiming, Stats, ThreadStats, stats_from
from headway._options import Hint, Overflow, SessionOptions, Wait
from headway._providers import MissingProvider, Provider
from headway._record import Record
from headway._surface import OnnxRuntimeSurface
from headway._threads import plan, spin_seconds

if TYPE_CHECKING:
    from headway._core import InferenceFuture
    from headway._engine import Engine
    from headway._health import Health
    from headway._lanes import Lanes
    from headway._options import RunOptions
    from headway.testing import FakeEngine


class Refused(Record):
    """What ``try_submit`` gives when there is no room. Falsy."""

    #: Why.
    reason: str

    def __bool__(self) -> bool:
        return False


class InferenceSession(OnnxRuntimeSurface, OrtValueCalls, Conventions):
    """A model that answers through every calling convention: blocking, callback, future, asyncio, stream.

    Args:
        path_or_bytes: A model file, its bytes, a callable that takes a feed (``dict[str, ndarray]``) and returns a dict
            or a list of outputs, a ``headway.Engine`` or its class, or what the engine that is named takes.
        sess_options: Options under ONNX Runtime's names; explicit thread counts beat ``workers`` and ``hint``.
        providers: Execution providers, names or ``(name, options)`` pairs. A list that ends in
            ``CPUExecutionProvider`` is a preference list: what is missing is warned about once and listed in
            ``providers_report``. Without CPU in it, a missing provider raises LoadError.
        provider_options: One dict for each provider.
        engine: ``"onnxruntime"``, ``"openvino"``, ``"rknn"``, ``"python"``, the name of an installed engine
            (docs/engines.md) or a subclass of ``headway.Engine``. None chooses by the file.
        inputs: A callable's inputs: names, or ``(name, dtype, shape)``, which feeds are checked against.
        outputs: A callable's outputs, in the same way.
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
        wait: How threads wait, for work, for room and for answers. ``"auto"``: they spin for 30 us before they sleep,
            with one usable core not at all. ``"park"``: they sleep at once (least processor time); the engine's own
            threads do not spin either. ``"spin"``: they spin for 1 ms before they sleep (lowest latency, on spare
            cores). A number: they spin for so many seconds, 0 to 1.
        batching: ``Batching(...)``: requests that look alike share a run of the model (docs/batching.md).
        engine_options: Options of the engine by its own names; the page of each engine lists them.
        isolation: ``"process"``: each lane lives in a process of its own, so that a crash of the engine is one
            request's ``LaneCrashed`` (docs/isolation.md). A callable must then be importable, and has ``inputs``;
            ``engine_options={"memory_limit": 500}`` replaces a process that uses more megabytes of its own.
        retries: Process lanes: how often a request whose process died is run again.
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
    #: The threads of a Python engine.
    _lanes: Lanes | None = None

    def __init__(
        self,
        path_or_bytes: str
        | bytes
        | os.PathLike[str]
        | Callable[[dict[str, Any]], Any]
        | Engine
        | type[Engine]
        | FakeEngine
        | object,
        sess_options: SessionOptions | None = None,
        providers: Sequence[Provider] | None = None,
        provider_options: Sequence[Mapping[str, Any]] | None = None,
        *,
        engine: str | type[Engine] | None = None,
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
        engine_options: Mapping[str, Any] | None = None,
        isolation: Literal["thread", "process"] = "thread",
        retries: int = 0,
        on_missing_provider: MissingProvider | None = None,
        on_drop: Callable[[int, str], None] | None = None,
        enable_fallback: bool = True,
        disabled_optimizers: Iterable[str] | None = None,
        read_config_from_model: bool | None = None,
    ) -> None:
        check_words(hint, overflow, isolation, on_missing_provider)
        check_objects(on_drop, batching, engine_options)
        own = dict(engine_options or {})
        apart = isolation_of(isolation, retries, own)
        options = options_of(sess_options)
        workers = at_least_one("workers", workers)
        budget = _core.thread_budget()
        spin = spin_seconds(wait, _core.usable_cores())
        lanes = plan(hint, workers, budget, options.intra_op_num_threads, shared=apart is None)
        if wait in ("park", 0):
            # The engine's threads too: they spin for milliseconds after each request.
            lanes = lanes._replace(spinning=False)
        source = source_of(path_or_bytes, engine)
        self._engine, self._label = source.engine, source.label
        if isinstance(source.model, str):
            # Not public, but read by packages that wrap sessions.
            self._model_path = source.model
        if read_config_from_model is None:
            read_config_from_model = os.environ.get("ORT_LOAD_CONFIG_FROM_MODEL") == "1"
        wanted = Wanted(
            providers,
            provider_options,
            on_missing_provider,
            disabled_optimizers,
            bool(read_config_from_model),
        )
        queue_depth = at_least_one("queue_depth", queue_depth)
        delivery_depth = at_least_one("delivery_depth", delivery_depth)
        timeout, submit_timeout = seconds("timeout", timeout), seconds("submit_timeout", submit_timeout)
        asked = Asked(source, options, lanes, wanted, inputs, outputs, own, workers is not None, hint)
        loaded = load(asked, apart)
        lanes = loaded.plan or lanes
        depth = queue_depth or max(4, 2 * lanes.workers * (1 if batching is None else batching.max_size))
        self._loaded: Loaded = loaded._replace(model=None, lanes=None)  # type: ignore[arg-type]
        self._options = options
        intra_op, shared = loaded.threads or (1, False)
        self._threads = ThreadStats(budget, intra_op, shared, lanes.workers + lanes.caller_lanes)
        self._depth = depth
        self._workers = lanes.workers
        self._overflow = overflow
        start = self._open if loaded.lanes is None else partial(self._open_python, loaded.lanes)
        start(
            loaded.model,
            workers=lanes.workers,
            caller_lanes=lanes.caller_lanes,
            queue_depth=depth,
            delivery_depth=delivery_depth or depth,
            overflow=overflow,
            ordered=bool(ordered),
            serial=bool(serial),
            spin=spin,
            copy_inputs=bool(copy_inputs),
            timeout=timeout,
            submit_timeout=submit_timeout,
            on_drop=on_drop,
            batching=None if batching is None else batching._native(),
            placement=loaded.placement,
            run_timeout=loaded.run_timeout,
        )

    def _open_python(self, lanes: Lanes, model: _core.Model, **settings: Any) -> None:
        """The flow, and the threads of its lanes; neither is left when this raises."""
        try:
            self._open(model, **settings)
        except BaseException:
            lanes.discard()
            raise
        self._lanes = lanes
        try:
            lanes.start(self._lane, self._workers)
        except BaseException:
            self.close(drain=False)
            raise

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
        if call:
            known(InferenceSession.arun, call)
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
        if call:
            known(InferenceSession.asubmit, call)
        if out is not None:
            call["_out"] = out
        return await await_admission(self._line_up(input_feed, output_names, bounded=True, **call))

    # ---- futures ----------------------------------------------------------------------------------------------

    def try_submit(
        self, input_feed: Any, output_names: Sequence[str] | None = None, **call: Any
    ) -> InferenceFuture | Refused:
        """Like ``submit``, never waiting: a falsy ``Refused`` when there is no room."""
        if call:
            known(InferenceSession.try_submit, call, ("out",))
        try:
            return self.submit(input_feed, output_names, block=False, **call)
        except QueueFull as full:
            return Refused(str(full))

    # ---- what it says of itself --------------------------------------------------------------------------------

    def stats(self) -> Stats:
        """Counters, lanes and times, taken in one look."""
        return stats_from(self._stats(), self._threads, self._loaded.places)

    def profiling_info(self) -> list[NodeTiming]:
        """What each node took in the last request that ended, on the ``openvino`` engine.

        Empty before the first request. On ``onnxruntime`` see ``SessionOptions.enable_profiling``.

        Raises:
            InputError: The engine does not count, or was not asked to: ``engine_options={"PERF_COUNT": True}``.
            SessionClosed: The session is closed.
        """
        return [NodeTiming(*one) for one in _core.openvino_profile(self)]

    def health(
        self, probe: bool = False, *, feed: Any = None, timeout: float = 5.0, stall_after: float = 30.0
    ) -> Health:
        """Whether the session can answer: its state, each lane, and what went wrong last.

        Args:
            probe: Run one request too, a canary; it counts as any other.
            feed: The canary's feed. Default: zeros in the shapes that the model says, open lengths taken as 1.
            timeout: Seconds that the canary may take; beyond it the session has failed.
            stall_after: Seconds on one request after which a lane counts as stalled.

        Raises:
            InputError: The canary's feed is wrong, or none can be made up.
        """
        from headway import _health

        found = _health.look(self, stall_after)
        return _health.probe(self, found, feed, timeout) if probe and found.state != "closed" else found

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
            timeout: Seconds for the drain; after it the rest is cancelled. None waits for ever. A lane that has
                not ended a few seconds later is left to itself and named in the report's ``abandoned``.

        Returns:
            What it did. Calling it again gives the first report.
        """
        started = time.monotonic()
        with self._profiling_to_the_end():
            drained, cancelled, abandoned, delivered = self._close(drain, timeout)
        lanes = tuple(abandoned)
        if self._lanes is not None:
            left = None if timeout is None else timeout - (time.monotonic() - started)
            lanes = self._lanes.join(left, lanes)
        return CloseReport(drained, cancelled, lanes, delivered)

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
