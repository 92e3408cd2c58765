"""Headway's native half: the contract between the Rust door and the Python package.

Public are ``InferenceFuture`` (as ``headway.InferenceFuture``), ``ManualClock`` (as ``headway.testing.ManualClock``)
and the methods of ``Session`` without a leading underscore, which ``headway.InferenceSession`` inherits. The rest is
for Headway's own Python files.

Times are seconds (float); negative ones count as 0. A *feed* is a dict by input name, a list or tuple in input order,
or, for a model with one input, that input alone. An input is a numpy array, any object that gives one (DLPack, the
buffer protocol, ``__array__``), or a Python number or list, which takes the model's dtype. An array's dtype must be the
model's: nothing is cast in silence. Strides and byte order are converted.

Native results are new C-contiguous numpy arrays in native byte order; they stay valid after the session is closed.
"""

import os
from collections.abc import Callable, Generator, Sequence
from typing import Any, Self, TypeAlias, final

from typing_extensions import disjoint_base

from headway._callable import Fed
from headway._metrics import Timing
from headway._options import RunOptions

_Feed: TypeAlias = Any
_Callback: TypeAlias = Callable[[list[Any], Any, str], object]
_StreamKey: TypeAlias = str | int
_Piece: TypeAlias = tuple[Any, Any, BaseException | None, tuple[float, float | None, float | None], int]
_Node: TypeAlias = tuple[str, int, list[int | None] | None]

@disjoint_base
class Session:
    """The native half of ``headway.InferenceSession``: the flow from submission to delivery.

    Every method that takes a feed takes these keyword arguments too:

    Args:
        timeout: Seconds from the call until the request expires. Not given: the session's ``timeout``. None: never.
        priority: Higher ones are taken first from what waits. Default 0.
        stream: Whose order and (with ``serial=True``) whose turn it is: a str or an int. Default: one stream for all.
        run_options: The request's own ``headway.RunOptions``. A ``python`` engine takes none.

    and raises these before there is a request (it counts as ``rejected``):

    Raises:
        InputError: A name, dtype, rank or dimension does not fit the model; the message names the input, what was
            expected and what was got. ONNX Runtime's own words for it are ``InvalidArgument``.
        QueueFull: There was no room for ``submit_timeout`` seconds, or at once with ``overflow="raise"``.
        SessionClosed: The session is closed, belongs to another process (before a fork), or the interpreter exits.
        TypeError: An argument is of a wrong type.
    """

    def __new__(cls, *_args: object, **_kwargs: object) -> Self: ...
    def run(
        self,
        output_names: Sequence[str] | None,
        input_feed: _Feed,
        run_options: RunOptions | None = None,
        *,
        timeout: float | None = ...,
        priority: int = 0,
        stream: _StreamKey | None = None,
    ) -> list[Any]:
        """Run the model and wait for its outputs.

        Runs on the calling thread when nothing waits and a lane is free. The inputs are borrowed, not copied. Waits
        for room as long as its timeout allows: ``submit_timeout`` is for submitting calls.

        Args:
            output_names: Wanted outputs, in this order; None or an empty list for all.
            input_feed: The inputs.

        Returns:
            One array for each wanted output.

        Raises:
            EngineError: The engine failed on this request; ``code`` is its own status code.
            DeadlineExceeded: The timeout passed; ``running`` tells whether a lane had it.
            Dropped: The overflow policy removed it; ``reason`` tells why.
            concurrent.futures.CancelledError: Somebody cancelled it.
        """

    def submit(
        self,
        input_feed: _Feed,
        output_names: Sequence[str] | None = None,
        *,
        block: bool = True,
        timeout: float | None = ...,
        priority: int = 0,
        stream: _StreamKey | None = None,
        run_options: RunOptions | None = None,
    ) -> InferenceFuture:
        """Submit a request; its future gives the outputs.

        The inputs are copied before it returns, unless the session was made with ``copy_inputs=False``. Waits for room
        for up to ``submit_timeout`` seconds, except on a thread whose event loop is running.

        Args:
            input_feed: The inputs.
            output_names: Wanted outputs, in this order; None or an empty list for all.
            block: False never waits for room: QueueFull at once.

        Raises:
            DeadlineExceeded: The timeout passed while it waited for room.
        """

    def run_async(
        self,
        output_names: Sequence[str] | None,
        input_feed: _Feed,
        callback: _Callback,
        user_data: object = None,
        run_options: RunOptions | None = None,
        *,
        timeout: float | None = ...,
        priority: int = 0,
        stream: _StreamKey | None = None,
    ) -> None:
        """Submit a request; ``callback(results, user_data, err)`` gets its outputs on the delivery thread.

        On success ``err`` is ``""``. On failure ``results`` is ``[]`` and ``err`` the message. Callbacks come one at a
        time, in submission order unless the session was made with ``ordered=False``. One that raises is reported to
        ``sys.unraisablehook`` and counted in ``stats().callback_errors``. Copies its inputs and waits for room as
        ``submit`` does.

        Raises:
            DeadlineExceeded: The timeout passed while it waited for room.
        """

    def cancel_all(self) -> None:
        """Cancel what waits and terminate what runs; the session stays usable."""

    @property
    def engine_can_cancel(self) -> bool:
        """True when a running request can be stopped, at least between two operators."""

    def _open(
        self,
        model: Model,
        *,
        workers: int,
        caller_lanes: int,
        queue_depth: int,
        delivery_depth: int,
        overflow: str,
        ordered: bool,
        serial: bool,
        spin: float,
        copy_inputs: bool,
        timeout: float | None,
        submit_timeout: float | None,
        on_drop: Callable[[int, str], object] | None,
    ) -> None:
        """Build the flow on a loaded model, once. Takes the engine out of ``model``."""

    def _lane(self, number: int) -> Lane:
        """The handle with which a Python thread drives lane ``number``."""

    def _line_up(
        self,
        input_feed: _Feed,
        output_names: Sequence[str] | None = None,
        *,
        bounded: bool,
        any_lane: bool = False,
        timeout: float | None = ...,
        priority: int = 0,
        stream: _StreamKey | None = None,
        run_options: RunOptions | None = None,
    ) -> InferenceFuture:
        """Submit without blocking: the future may still be waiting for room.

        Args:
            bounded: It waits for room for ``submit_timeout`` at most.
            any_lane: Lanes for callers may run it too, see ``_staff``.
        """

    def _staff(self) -> None:
        """Let every lane run what is submitted with ``any_lane``."""

    def _drop(self, future: InferenceFuture) -> bool:
        """End a request as dropped("pipeline_reset"). False when it had ended."""

    def _open_flow(self, queue_depth: int, overflow: str) -> Flow:
        """Open a flow whose outcomes are pulled."""

    def _close(self, drain: bool, timeout: float | None) -> tuple[bool, int, list[int], bool]:
        """Close: ``(drained, cancelled, abandoned lanes, delivered)``."""

    def _abandon(self) -> None:
        """Stop admission; what was admitted finishes in the background."""

    def _state(self) -> tuple[bool, bool]:
        """``(open in this process, closing)``."""

    def _info(self) -> dict[str, Any]:
        """``inputs``, ``outputs``, ``initializers`` as ``(name, type, shape)``, and ``meta``."""

    def _stats(self) -> dict[str, Any]:
        """What ``_metrics.stats_from`` makes a record of."""

@final
class Flow:
    """One flow of a session: feeds are pushed in, outcomes pulled out. The native half of ``headway.Run``."""

    def push(
        self,
        input_feed: _Feed,
        output_names: Sequence[str] | None,
        sample: object,
        *,
        block: bool,
        room: float | None,
        timeout: float | None = ...,
        priority: int = 0,
        stream: _StreamKey | None = None,
    ) -> tuple[int, bool]:
        """Push a feed: ``(ticket, kept)``; not kept when the policy dropped it at once.

        Args:
            sample: Comes back with the outcome.
            block: It may wait for room.
            room: For so many seconds; None: for ``submit_timeout``.
        """

    def pull(self, timeout: float | None) -> _Piece:
        """The next outcome: ``(sample, outputs, error, timing, gap)``.

        ``timing`` is what ``Timing`` takes. With ``gap`` above 0 it stands for that many dropped items instead.

        Raises:
            TimeoutError: Nothing came in time (the builtin class).
            EndOfStream: The flow is closed and everything has been pulled.
        """

    def subscribe(self, bell: Bell, number: int) -> bool:
        """Have ``bell`` rung with ``number`` when there is an outcome or the end. False when that is so now."""

    def unsubscribe(self, bell: Bell, number: int) -> None:
        """Take back a ``subscribe``, for one that gave up waiting."""

    def close(self) -> None:
        """Admit nothing more."""

    def drain(self, timeout: float | None) -> None:
        """Close and let everything finish for at most ``timeout`` seconds; what nobody pulls is dropped."""

    def stop(self) -> None:
        """Close and cancel what waits and runs."""

    def tally(self) -> tuple[int, int, int, int, int, int]:
        """``(pushed, pulled, failed, dropped, expired, cancelled)`` so far."""

@final
class InferenceFuture:
    """A request on its way, as ``submit`` gives it: the protocol of ``concurrent.futures.Future``, and awaitable.

    No Python thread stands behind it: waiting reads the native request. Awaiting it in a task that is then cancelled
    cancels the request.
    """

    def result(self, timeout: float | None = None) -> list[Any]:
        """Wait for the outputs; every call gives the same list.

        Args:
            timeout: Seconds to wait; None waits for ever.

        Raises:
            TimeoutError: Not there in time (the builtin class); the request goes on.
            EngineError, DeadlineExceeded, Dropped, concurrent.futures.CancelledError: How it ended.
        """

    def exception(self, timeout: float | None = None) -> BaseException | None:
        """Wait for the end: the exception it ended with, or None.

        Raises:
            TimeoutError: Not ended in time (the builtin class); the request goes on.
            concurrent.futures.CancelledError: It was cancelled.
        """

    def done(self) -> bool:
        """True once it has ended in any way."""

    def running(self) -> bool:
        """True while a lane runs it."""

    def cancelled(self) -> bool:
        """True when it was cancelled."""

    def cancel(self) -> bool:
        """Cancel it, waiting or running. False when it had ended otherwise before.

        A running request ends at once for its caller; its lane is free again when the engine has returned.
        """

    def add_done_callback(self, fn: Callable[[InferenceFuture], object], /) -> None:
        """Have ``fn(future)`` called on the delivery thread when it ends; here and now when it has ended."""

    @property
    def timing(self) -> Timing:
        """When it was submitted, started and ended, in seconds on the session's clock."""

    def __await__(self) -> Generator[Any, None, list[Any]]: ...
    def _subscribe(self, bell: Bell, number: int, admitted: bool) -> bool:
        """Have ``bell`` rung with ``number`` once admitted (or else ended). False when that is past."""

    def _unsubscribe(self, bell: Bell) -> None:
        """The bell is not rung for it any more."""

    def _raise_refusal(self) -> None:
        """Raise what refused it before it got a ticket, if something did."""

@final
class Model:
    """A loaded engine on its way into one session, which takes it out."""

    @staticmethod
    def onnxruntime(
        model: str | bytes | os.PathLike[str],
        *,
        library: str | os.PathLike[str] | None,
        candidates: Sequence[str],
        session: dict[str, Any],
        providers: Sequence[tuple[str, Sequence[tuple[str, str]]]],
    ) -> Model:
        """Load an ONNX model from a path or from bytes (which are not kept).

        Args:
            model: Path or bytes.
            library: The onnxruntime C library; None: the environment variable, then the first usable candidate.
            candidates: Paths to try.
            session: Session options by ONNX Runtime's names; a missing one is the engine's default.
            providers: Execution providers with their options, in order of preference.

        Raises:
            LoadError: The library or the model cannot be loaded; names every path tried.
        """

    @staticmethod
    def callable(inputs: Sequence[str], outputs: Sequence[str], clock: ManualClock | None) -> Model:
        """A Python callable with the given names; its session drives it on Python threads."""

    @staticmethod
    def fake(
        inputs: Sequence[_Node],
        outputs: Sequence[_Node],
        *,
        can_cancel: bool,
        held: bool,
        clock: ManualClock | None,
    ) -> tuple[Model, FakeControl]:
        """A fake engine whose outputs are its inputs, and its steering."""

@final
class Lane:
    """What a Python lane's thread works with."""

    def take(self) -> list[Fed] | None:
        """Wait for work: feed and wanted outputs of each request; None when the lane is closed."""

    def complete(self, results: Sequence[tuple[bool, Any]]) -> None:
        """End the work: ``(True, outputs)`` or ``(False, exception)`` for each request."""

@final
class Deliveries:
    """What the delivery thread works with."""

    def next(self) -> list[list[tuple[Callable[..., object], tuple[Any, ...]]]] | None:
        """Wait for due callbacks: ``[(callable, args), ...]`` of each request; None when there will be none."""

    def report(self, callback: object, raised: BaseException) -> None:
        """Tell ``sys.unraisablehook`` what a callback raised."""

    def returned(self, raised: bool) -> None:
        """The callbacks of the oldest request given out have returned; one of them raised."""

@final
class Bell:
    """Wakes one event loop: native threads ring it, the loop watches its descriptor."""

    def __new__(cls) -> Bell: ...
    def fileno(self) -> int:
        """The descriptor to watch for reading (POSIX only)."""

    def answer(self) -> list[int]:
        """The numbers it was rung for since the last look."""

@final
class ManualClock:
    """A clock that stands still until it is moved; for a session on ``headway.testing.FakeEngine``."""

    def __new__(cls) -> ManualClock: ...
    def advance(self, seconds: float) -> None:
        """Move time forward and let expire what is due."""

    def now(self) -> float:
        """Seconds since the clock was made."""

@final
class FakeControl:
    """Steers a fake engine; ``headway.testing.FakeEngine`` is its public face."""

    def hold(self) -> None:
        """Requests block on their lanes from now on."""

    def release(self, n: int) -> None:
        """Let ``n`` blocked requests finish."""

    def open(self) -> None:
        """Let everything through from now on."""

    def fail_nth(self, nth: int, message: str) -> None:
        """Request number ``nth`` (from 0) fails with EngineError."""

    def set_busy(self, seconds: float) -> None:
        """Every request keeps a core busy for this long."""

    def wait_running(self, n: int) -> None:
        """Wait until ``n`` requests are running."""

    def wait_finished(self, n: int) -> None:
        """Wait until ``n`` requests have finished in all."""

    def counts(self) -> tuple[int, int, int, int]:
        """``(started, finished, terminated, running)``."""

def available_providers(library: str | None, candidates: Sequence[str]) -> list[str]:
    """Providers that the onnxruntime library at hand was built with.

    Raises:
        LoadError: No library can be loaded; names every path tried.
    """

def onnxruntime_version(library: str | None, candidates: Sequence[str]) -> tuple[str, os.PathLike[str]]:
    """Version and path of the onnxruntime library at hand.

    Raises:
        LoadError: No library can be loaded; names every path tried.
    """

def engine_log() -> list[tuple[int, str, str]]:
    """Engine log lines since the last call: ``(severity 0 to 4, category, message)``."""

def usable_cores() -> int:
    """Cores that this process may use: affinity and cgroup quota, at least 1."""

def _exit() -> None:
    """The ``atexit`` hook: cancel, terminate, deliver, join; then wait until every thread is back in Python."""

def _forked() -> None:
    """To be called in a forked child: what the parent made is left alone."""
