"""Conventions built on the native ones: pipeline, stream, list, batch split, push / pull, warm-up."""

from __future__ import annotations

from collections.abc import AsyncGenerator, AsyncIterable, Callable, Iterable, Iterator, Sequence
from typing import TYPE_CHECKING, Any, NoReturn

from headway import _core
from headway._checks import as_session, at_least, at_least_one, known
from headway._nodes import names_of

if TYPE_CHECKING:
    from headway._core import InferenceFuture
    from headway._nodes import NodeArg
    from headway._options import Overflow, RunOptions
    from headway._pipeline import Pipeline
    from headway._stream import OnError, Stream
    from headway.run import Preset, Run

    Keep = Callable[..., object]


@as_session
class Conventions(_core.Session):
    """What ``InferenceSession`` offers beside ``run``, ``run_async``, ``submit`` and ``arun``."""

    _depth: int
    _workers: int
    _engine: str
    _overflow: str
    #: The one behind ``run_pipeline``, and the output names it was made for.
    _pipe: tuple[Pipeline, list[str] | None] | None = None

    if TYPE_CHECKING:

        def get_inputs(self) -> list[NodeArg]: ...
        def get_outputs(self) -> list[NodeArg]: ...

    # ---- streams -----------------------------------------------------------------------------------------------

    def stream(
        self,
        feeds: Iterable[Any],
        *,
        depth: int | None = None,
        ordered: bool = True,
        output_names: Sequence[str] | None = None,
        on_error: OnError = "raise",
        **call: Any,
    ) -> Stream:
        """The results of many feeds, with bounded look-ahead.

        Args:
            feeds: Any iterable; it is read as results are taken. Its length hint is the stream's, for progress bars.
            depth: Requests ahead of the result that is taken next. Default: lanes + queue_depth.
            ordered: Results in the order of the feeds; False: as they are done.
            output_names: Wanted outputs in this order; None for all.
            on_error: ``"raise"`` ends the stream at the first error; ``"yield"`` gives the error in its place.
                Neighbours that the overflow policy dropped are one ``Dropped`` with their ``count``.
            **call: ``timeout``, ``priority``, ``stream``, ``run_options`` of every request.
        """
        from headway._stream import Stream, check_feeds, check_on_error

        known(Conventions.stream, call)
        check_feeds(feeds)
        check_on_error(on_error)
        wanted, ahead = self._wanted(output_names, call), self._ahead(depth)
        options = call.pop("run_options", None)

        def submit(feed: Any, keep: Keep) -> InferenceFuture:
            return self._line_up(feed, wanted, False, options, keep, **call)

        return Stream(feeds, submit, ahead, ordered, on_error)

    def astream(
        self,
        feeds: Iterable[Any] | AsyncIterable[Any],
        *,
        depth: int | None = None,
        ordered: bool = True,
        output_names: Sequence[str] | None = None,
        on_error: OnError = "raise",
        **call: Any,
    ) -> AsyncGenerator[Any, None]:
        """Like ``stream``, for ``async for``; the feeds may come from an asynchronous iterable.

        Leaving the loop early cancels what was submitted once the iterator is closed (``aclosing``).
        """
        from headway._astream import astream
        from headway._stream import check_feeds, check_on_error

        # Here, not in the generator: that begins with the first iteration.
        known(Conventions.astream, call)
        check_feeds(feeds, asynchronous=True)
        check_on_error(on_error)
        wanted, ahead = self._wanted(output_names, call), self._ahead(depth)
        options = call.pop("run_options", None)

        def submit(feed: Any, keep: Keep) -> InferenceFuture:
            return self._line_up(feed, wanted, False, options, keep, **call)

        return astream(feeds, submit, ahead, ordered, on_error)

    def _wanted(self, output_names: Sequence[str] | None, call: dict[str, Any]) -> Any:
        """The names, once they and the call's options are seen to be such as a request takes."""
        wanted = names_of(output_names)
        _core.check_call(self, wanted, **call)
        return wanted

    def _ahead(self, depth: int | None) -> int:
        depth = at_least_one("depth", depth)
        return self._bound(self._workers + self._depth) if depth is None else min(depth, self._bound(depth))

    def _bound(self, ahead: int) -> int:
        """How many requests look-ahead may have in flight: where no room means a drop or an error, only as many as
        find room by themselves."""
        from headway._delivery import delivers

        return ahead if self._overflow == "block" and not delivers() else min(ahead, self._depth)

    # ---- pipelines ---------------------------------------------------------------------------------------------

    def pipeline(self, depth: int = 3, *, output_names: Sequence[str] | None = None, **call: Any) -> Pipeline:
        """A pipeline of its own: ``push`` gives the result of ``depth`` pushes ago. Any number on one session.

        Args:
            depth: Frames in flight.
            output_names: Wanted outputs in this order; None for all.
            **call: ``timeout``, ``priority``, ``stream``, ``run_options`` of every frame.
        """
        from headway._pipeline import Pipeline

        known(Conventions.pipeline, call)
        wanted = self._wanted(output_names, call)

        def submit(feed: Any, keep: tuple[Keep, Any], **own: Any) -> InferenceFuture:
            options = {**call, **own}
            return self._line_up(feed, wanted, False, options.pop("run_options", None), keep, **options)

        return Pipeline(submit, depth, self._bound, self._drop)

    def run_pipeline(
        self,
        input_feed: Any,
        depth: int = 3,
        reset: bool = False,
        output_names: Sequence[str] | None = None,
        **call: Any,
    ) -> list[Any] | None:
        """Queue a frame; the outputs of the frame ``depth`` calls earlier, None while the first ``depth`` calls fill.

        Args:
            input_feed: A dict by input name, a list in input order, or one array.
            depth: Frames in flight. A new depth ends what was pending as dropped("pipeline_reset").
            reset: End what was pending before this frame.
            output_names: Wanted outputs in this order; None for all. Other ones reset as a new depth does.
            **call: ``timeout``, ``priority``, ``stream``, ``run_options`` of this frame.

        Raises:
            InputError, QueueFull, SessionClosed: The new frame was refused; what was pending still is, and comes back
                from later calls.
            EngineError, DeadlineExceeded, ...: What ended the frame whose result this call would have returned; the
                new frame is queued.
        """
        if call:
            known(Conventions.run_pipeline, call)
        wanted = names_of(output_names)
        pipe = self._pipe
        if pipe is None or pipe[1] != wanted or reset or pipe[0].depth != depth:
            fresh = self.pipeline(depth, output_names=wanted)
            # What a session was given it finishes, when it is dropped too.
            fresh._cancels = False

            def instead(pending: list[InferenceFuture], keep: tuple[Keep, Any]) -> None:
                _core.line_up_instead(self, pending, input_feed, wanted, keep, **call)

            try:
                fresh._follow(None if pipe is None else pipe[0], instead)
                self._pipe = (fresh, wanted)
            except BaseException:
                # When a signal's handler raised after the frame had been queued, it is the next calls' all the same.
                if fresh._frames:
                    self._pipe = (fresh, wanted)
                raise
            return None
        frame = pipe[0].push(input_feed, **call)
        return None if frame is None else frame.outputs

    def drain_pipeline(self) -> Iterator[list[Any]]:
        """The remaining results of ``run_pipeline`` in order. An error is raised in its place; call again to go on."""
        if self._pipe is not None:
            for frame in self._pipe[0].drain():
                yield frame.outputs

    # ---- lists -------------------------------------------------------------------------------------------------

    def run_parallel(
        self,
        feeds: Iterable[Any],
        output_names: Sequence[str] | None = None,
        *,
        timeout: float | None = None,
        max_concurrency: int | None = None,
        **call: Any,
    ) -> list[list[Any]]:
        """The outputs of every feed, in order; several run at once on the one model, also under ``hint="latency"``.

        Args:
            feeds: The feeds; ``[]`` gives ``[]``.
            output_names: Wanted outputs in this order; None for all.
            timeout: One deadline in seconds for the whole list.
            max_concurrency: At most so many at once. Default: usable cores.
            **call: ``priority``, ``stream``, ``run_options`` of every request.

        Raises:
            The first error, in the order of the feeds; the rest is cancelled.
        """
        from headway._parallel import run_list
        from headway._stream import check_feeds

        known(Conventions.run_parallel, call)
        check_feeds(feeds)
        ahead, submit = self._window(max_concurrency), self._list_submit(output_names, timeout, call)
        return run_list(feeds, submit, timeout, ahead)

    async def arun_parallel(
        self,
        feeds: Iterable[Any],
        output_names: Sequence[str] | None = None,
        *,
        timeout: float | None = None,
        max_concurrency: int | None = None,
        **call: Any,
    ) -> list[list[Any]]:
        """Like ``run_parallel``, without blocking the event loop."""
        from headway._parallel import arun_list
        from headway._stream import check_feeds

        known(Conventions.arun_parallel, call)
        check_feeds(feeds)
        ahead, submit = self._window(max_concurrency), self._list_submit(output_names, timeout, call)
        return await arun_list(feeds, submit, timeout, ahead)

    def _window(self, max_concurrency: int | None) -> int:
        from headway._parallel import window

        self._staff()
        return self._bound(window(max_concurrency, max(self._workers, _core.usable_cores())))

    def _list_submit(
        self, output_names: Sequence[str] | None, timeout: float | None, call: dict[str, Any]
    ) -> Any:
        wanted = self._wanted(output_names, {**call, "timeout": timeout})
        options = call.pop("run_options", None)

        def submit(feed: Any, timeout: float | None, keep: Keep) -> InferenceFuture:
            own = call if timeout is None else {**call, "timeout": timeout}
            return self._line_up(feed, wanted, False, options, keep, any_lane=True, **own)

        return submit

    def run_batch(
        self,
        output_names: Sequence[str] | None,
        input_feed: Any,
        *,
        timeout: float | None = None,
        **call: Any,
    ) -> list[Any]:
        """One batch, split along axis 0 over the lanes; the answers joined. Sizes need not be even.

        A model whose own batch size is fixed gets pieces of that size. Inputs without an axis go into every piece, and
        an output that does not grow with the batch is given once.

        Raises:
            InputError: The inputs differ in axis 0, or the model's fixed batch size does not divide it; or an output
                does not grow with the batch and is not the same for every piece.
        """
        from headway._batch import batch_size, join, split
        from headway._parallel import run_list

        known(Conventions.run_batch, call)
        ahead = self._window(None)
        wanted = names_of(output_names)
        submit = self._list_submit(wanted, timeout, call)
        feeds = split(input_feed, self.get_inputs(), max(self._workers, _core.usable_cores()))
        parts = run_list(feeds, submit, timeout, ahead)
        nodes = {node.name: node for node in self.get_outputs()}
        return join(
            parts, [batch_size(feed) for feed in feeds], [nodes.get(name) for name in wanted or nodes]
        )

    # ---- push / pull -------------------------------------------------------------------------------------------

    def open(
        self,
        *,
        preset: Preset = "balanced",
        queue_depth: int | None = None,
        overflow: Overflow | None = None,
        output_names: Sequence[str] | None = None,
        timeout: float | None = None,
        sample: Any = None,
    ) -> Run:
        """A push / pull flow on this session, with a queue and a policy of its own. Flows are served fairly.

        Args:
            preset: Fills what is left None: ``"realtime"`` (1, drop_oldest), ``"balanced"`` (4, block),
                ``"reliable"`` (8, block).
            queue_depth: Feeds that may wait; so many outputs may wait to be pulled.
            overflow: What happens to one feed more.
            output_names: Wanted outputs; None for all.
            timeout: Seconds from the push on, for every feed.
            sample: A feed to try first, so that a wrong shape fails here; it is not counted in the run.
        """
        from headway.run import Run, bounds_of

        bounds = bounds_of(preset, queue_depth, overflow)
        wanted = self._wanted(output_names, {"timeout": timeout})
        if sample is not None:
            self.run(wanted, sample)
        return Run(self, bounds, wanted, timeout)

    # ---- warm-up -----------------------------------------------------------------------------------------------

    def warmup(
        self, n: int = 1, feeds: Sequence[Any] | None = None, run_options: RunOptions | None = None
    ) -> None:
        """Run the model ``n`` times on every lane, so that the first real request meets no first-time cost.

        Args:
            n: Rounds.
            feeds: What to run; None makes zeros of the inputs' shapes, with 1 for every open dimension.
            run_options: Options of these requests.

        Raises:
            InputError: No feed can be made up for the model's inputs; pass ``feeds``.
        """
        from headway._stream import check_feeds
        from headway._warmup import zeros

        n = at_least(1, "n", n)
        if feeds is not None:
            check_feeds(feeds)
        given = list(feeds) if feeds is not None else [zeros(self.get_inputs())]
        lanes = max(self._workers, 1)
        options: dict[str, Any] = {} if run_options is None else {"run_options": run_options}
        for _ in range(n):
            self.run_parallel([feed for feed in given for _ in range(lanes)], **options)

    def __reduce__(self) -> NoReturn:
        raise TypeError(
            f"cannot pickle {type(self).__name__!r} object: a session belongs to its process; make one in each, in a "
            "pool's initializer"
        )
