"""Headway's native half: the contract between the Rust door and the Python package.

Public are ``InferenceFuture``, ``OrtValue`` and ``IOBinding`` (as ``headway.InferenceFuture`` and so on),
``ManualClock`` (as ``headway.testing.ManualClock``) and the methods of ``Session`` without a leading underscore, which
``headway.InferenceSession`` inherits. The rest is for Headway's own Python files.

Times are seconds (float); negative ones count as 0. A *feed* is a dict by input name, a list or tuple in input order,
or, for a model with one input, that input alone. An input is a numpy array, any object that gives one (DLPack, the
buffer protocol, ``__array__``), an ``OrtValue``, or a Python number or list, which takes the model's dtype. An array's
dtype must be the model's: nothing is cast in silence. Strides and byte order are converted. An input that is a
``seq(tensor(T))`` takes a list of arrays, a ``map(K,V)`` a dict, a ``seq(map(K,V))`` a list of dicts, a sparse tensor a
``headway.SparseTensor``; an ``optional(T)`` takes None, or may be left out. Outputs come in the same forms.

Native results are new C-contiguous numpy arrays in native byte order; they stay valid after the session is closed.
"""

import os
from collections.abc import Callable, Generator, Mapping, Sequence
from typing import Any, Self, TypeAlias, final

from numpy.typing import NDArray
from typing_extensions import disjoint_base

from headway._metrics import Timing
from headway._options import RunOptions
from headway._pyfeed import Fed
from headway._sparse import SparseTensor

_Feed: TypeAlias = Any
_Callback: TypeAlias = Callable[[list[Any], Any, str], object]
_StreamKey: TypeAlias = str | int
_Out: TypeAlias = Mapping[str, NDArray[Any] | None] | Sequence[NDArray[Any] | None] | NDArray[Any]
_Keep: TypeAlias = (
    Callable[[InferenceFuture], object] | tuple[Callable[[tuple[InferenceFuture, Any]], object], Any]
)
_Piece: TypeAlias = tuple[Any, Any, BaseException | None, tuple[float, float | None, float | None], int]
_Node: TypeAlias = tuple[str, int, list[int | None] | None]
_Spec: TypeAlias = tuple[str, int | None, list[int | str | None] | None]

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
        out: _Out | None = None,
    ) -> list[Any]:
        """Run the model and wait for its outputs.

        Runs on the calling thread when nothing waits and a lane is free. The inputs are borrowed, not copied. Waits
        for room as long as its timeout allows: ``submit_timeout`` is for submitting calls.

        Args:
            output_names: Wanted outputs, in this order; None or an empty list for all.
            input_feed: The inputs.
            timeout: Seconds from the call on, then DeadlineExceeded; None: for ever. Default: the session's.
            priority: Higher ones are taken first from what waits.
            stream: Whose order is kept: a str or a whole number.
            run_options: ``headway.RunOptions``, as in ``onnxruntime``.
            out: Arrays that the outputs are written into: a dict by output name, a list in the order of the wanted
                outputs, or one array for one output. Each is a writable, C-contiguous numpy array of the output's
                dtype and shape, and shares no memory with an input or another output. None, or no entry: a new array.
                What they hold after an error, or before the engine has returned from a request that timed out, is
                not defined.

        Returns:
            One array for each wanted output; those of ``out`` themselves.

        Raises:
            InputError: The feed does not fit the model, or an array in ``out`` its output; the message names it.
            QueueFull, SessionClosed: There is no room, or no session.
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
        out: _Out | None = None,
    ) -> InferenceFuture:
        """Submit a request; its future gives the outputs.

        The inputs are copied before it returns, unless the session was made with ``copy_inputs=False``. Waits for room
        for up to ``submit_timeout`` seconds, except on a thread whose event loop is running.

        Args:
            input_feed: The inputs.
            output_names: Wanted outputs, in this order; None or an empty list for all.
            block: False never waits for room: QueueFull at once.
            timeout: Seconds from the call on, then DeadlineExceeded; None: for ever. Default: the session's.
            priority: Higher ones are taken first from what waits.
            stream: Whose order is kept: a str or a whole number.
            run_options: ``headway.RunOptions``, as in ``onnxruntime``.
            out: Arrays that the outputs are written into, as for ``run``. They are held until the engine has returned,
                also from a request that was cancelled or timed out, and are filled once ``result()`` has given them:
                read nothing in them before. They may share memory with inputs that are copied.

        Raises:
            InputError: The feed does not fit the model; the message says which input, and how.
            QueueFull, SessionClosed: There is no room, or no session.
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

    def run_with_ort_values(
        self,
        output_names: Sequence[str] | None,
        input_dict_ort_values: Mapping[str, Any],
        run_options: RunOptions | None = None,
        *,
        timeout: float | None = ...,
        priority: int = 0,
        stream: _StreamKey | None = None,
    ) -> list[OrtValue]:
        """Like ``run``, on values that the program keeps: nothing is copied on the way in or out.

        Args:
            output_names: Wanted outputs, in this order; None or an empty list for all.
            input_dict_ort_values: A value for each input; anything that ``run`` takes will do.

        Returns:
            One value for each wanted output.

        Raises:
            What ``run`` raises. TypeError: the session runs a Python callable.
        """

    def run_with_iobinding(
        self,
        iobinding: IOBinding,
        run_options: RunOptions | None = None,
        *,
        timeout: float | None = ...,
        priority: int = 0,
        stream: _StreamKey | None = None,
    ) -> None:
        """Run the model on what is bound; ``iobinding.get_outputs()`` has the outputs.

        Runs on the calling thread when nothing waits and a lane is free, as ``run`` does.

        Raises:
            ValueError: The binding was made by another session.
            InputError: No output is bound, a bound name is wrong, an input is missing or does not fit the model, or
                another request uses the binding. It is a ``RuntimeError`` too.
            EngineError: The engine failed on it. It is a ``RuntimeError`` too.
            DeadlineExceeded, Dropped, concurrent.futures.CancelledError: As for ``run``.
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
        batching: tuple[int, float, dict[str, int | None]] | None = None,
        ez_rknn: bool = False,
        placement: tuple[list[int], list[int], bool] | None = None,
        run_timeout: float | None = None,
    ) -> None:
        """Build the flow on a loaded model, once. Takes the engine out of ``model``."""

    def _lane(self, number: int) -> Lane:
        """The handle with which a Python thread drives lane ``number``."""

    def _line_up(
        self,
        input_feed: _Feed,
        output_names: Sequence[str] | None = None,
        bounded: bool = False,
        run_options: RunOptions | None = None,
        _keep: _Keep | None = None,
        *,
        any_lane: bool = False,
        timeout: float | None = ...,
        priority: int = 0,
        stream: _StreamKey | None = None,
        _out: _Out | None = None,
    ) -> InferenceFuture:
        """Submit without blocking: the future may still be waiting for room.

        Args:
            bounded: It waits for room for ``submit_timeout`` at most.
            _keep: A list's or deque's ``append``, called with the future before this returns: between that and a place
                for it in Python code a signal's handler may raise. With a tag, it gets the pair.
            any_lane: Lanes for callers may run it too, see ``_staff``.
            _out: As ``submit``'s ``out``. No ``out``: what gives one set of options to many requests refuses it so.
        """

    def _submit_values(
        self,
        input: IOBinding | Mapping[str, Any],
        output_names: Sequence[str] | None = None,
        *,
        waits: bool,
        block: bool = True,
        timeout: float | None = ...,
        priority: int = 0,
        stream: _StreamKey | None = None,
        run_options: RunOptions | None = None,
    ) -> InferenceFuture:
        """Submit a binding, or a feed of values: the future of a list of values.

        Args:
            waits: It waits for room, for ``submit_timeout`` at most; else the future may still be waiting for room.
            block: False never waits for room: QueueFull at once.
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
class OrtValue:
    """A tensor, a list, a dict, a sparse tensor or nothing, in the form that requests take and give.

    It holds memory of its own or shares that of an array or of another library, and keeps it alive; what is written
    there is seen by every later run. It may be fed wherever an array may, and is checked as an array is. On the CPU
    unless an output was bound to a device: such a value can be fed, and ``numpy()`` copies it.

    Every method that does not fit what the value holds raises InputError, which is a ``RuntimeError`` here, as in
    onnxruntime.
    """

    @classmethod
    def ortvalue_from_numpy(
        cls, numpy_obj: NDArray[Any], /, device_type: str = "cpu", device_id: int = 0, vendor_id: int = ...
    ) -> OrtValue:
        """A value over an array's memory: nothing is copied.

        Strings, elements of less than a byte, and arrays that are strided, misaligned or of the other byte order are
        copied. Over a read-only array the value is read-only.

        Args:
            numpy_obj: The array; ``ml_dtypes`` types too.
            device_type: ``"cpu"``.
            device_id: No effect.
            vendor_id: No effect.

        Raises:
            InputError: Not an array of a type that a model can have, or another device.
        """

    @classmethod
    def ortvalue_from_numpy_with_onnx_type(cls, data: NDArray[Any], /, onnx_element_type: int) -> OrtValue:
        """A value over an array's memory whose elements are read as another type of the same size.

        Args:
            data: The array. Elements of 4 and 2 bits are made of one byte each, and copied.
            onnx_element_type: ONNX's number of the type: 16 is bfloat16.

        Raises:
            InputError: The sizes of the elements differ.
        """

    @classmethod
    def ortvalue_from_shape_and_type(
        cls,
        shape: Sequence[int],
        element_type: object,
        device_type: str = "cpu",
        device_id: int = 0,
        vendor_id: int = ...,
        memory_info: object = None,
    ) -> OrtValue:
        """A value of zeros in memory of its own, to be bound as an output or filled with ``update_inplace``.

        Args:
            shape: Its dimensions.
            element_type: A numpy dtype, or ONNX's number of a type.
            device_type: ``"cpu"``.
            device_id: No effect.
            vendor_id: No effect.
            memory_info: Something whose ``name`` is a device's; takes the place of ``device_type``.

        Raises:
            InputError: No such type, no such shape, or another device.
            MemoryError: There is not so much memory.
        """

    @classmethod
    def ort_value_from_sparse_tensor(cls, sparse_tensor: SparseTensor) -> OrtValue:
        """A value that holds a sparse tensor."""

    @classmethod
    def from_dlpack(cls, data: object, /) -> OrtValue:
        """A value over another library's memory: nothing is copied.

        Args:
            data: An object with ``__dlpack__``, or a DLPack capsule that nobody has used.

        Raises:
            TypeError: It is neither.
            InputError: The data is on another device, not contiguous, or of a type that no model has.
            BufferError: The exporter will not share it.
        """

    def __dlpack__(
        self,
        *,
        stream: object = None,
        max_version: tuple[int, int] | None = None,
        dl_device: tuple[int, int] | None = None,
        copy: bool | None = None,
    ) -> object:
        """A DLPack capsule over the value's memory, which it keeps alive.

        Args:
            stream: No effect: memory of the CPU has no streams.
            max_version: From ``(1, 0)`` on, a versioned capsule, which can say that memory is read-only.
            dl_device: ``(1, 0)`` or None.
            copy: True copies.

        Raises:
            BufferError: DLPack has no word for the type (strings, packed elements), or, without a version, for
                read-only memory.
        """

    def __dlpack_device__(self) -> tuple[int, int]:
        """``(1, 0)``: the CPU."""

    def numpy(self) -> NDArray[Any]:
        """The tensor as an array over the same memory; strings, elements of less than a byte, and what is on a device
        are copied."""

    def __array__(self, dtype: object = None, copy: bool | None = None) -> NDArray[Any]: ...
    def shape(self) -> list[int]:
        """Dimensions of the tensor, or of the dense tensor that a sparse one stands for."""

    def data_type(self) -> str:
        """The type in ONNX Runtime's words: ``tensor(float)``, ``seq(map(int64,tensor(float)))``."""

    def element_type(self) -> int:
        """ONNX's number of the element type: 1 is float32."""

    def device_name(self) -> str:
        """Where the elements are: ``cpu``."""

    def data_ptr(self) -> int:
        """The address of the first element; 0 when there is none."""

    def tensor_size_in_bytes(self) -> int:
        """Bytes that the elements take (packed, where they are narrower than a byte)."""

    def has_value(self) -> bool:
        """False for an optional output that is not there, and for an output that has not been run."""

    def is_tensor(self) -> bool:
        """True when it holds a tensor."""

    def is_sparse_tensor(self) -> bool:
        """True when it holds a sparse tensor."""

    def is_tensor_sequence(self) -> bool:
        """True when it holds a list of tensors."""

    def as_sparse_tensor(self) -> SparseTensor:
        """The sparse tensor that it holds, over the same memory."""

    def update_inplace(self, data: NDArray[Any] | OrtValue) -> None:
        """Write an array's or another value's elements into this one's memory; its address stays.

        Not while a request that reads it is on its way: it would see half of it.

        Args:
            data: Of this value's dtype and shape: nothing is cast.

        Raises:
            TypeError: Neither an array nor an ``OrtValue``.
            InputError: Dtype or shape differ, or the value is read-only or made of strings.
        """

    @staticmethod
    def _sparse(
        format: int, dense_shape: Sequence[int], values: NDArray[Any], indices: Sequence[Any]
    ) -> OrtValue:
        """A sparse tensor over arrays. ``format`` is 1 (COO: positions) or 2 (CSR: columns, rows' beginnings)."""

    def _parts(self) -> tuple[int, str, list[int], NDArray[Any], list[NDArray[Any]]]:
        """``(format, type, dense shape, values, indices)`` of a sparse tensor, over its own memory."""

@final
class PreparedCall:
    """A call with fixed arrays: fill the inputs, run, read the outputs. Made by ``session.prepare()``."""

    def __new__(
        cls, session: Session, binding: IOBinding, inputs: dict[str, Any], outputs: tuple[Any, ...]
    ) -> Self: ...
    @property
    def inputs(self) -> dict[str, Any]:
        """The input arrays by name: what is written into them is what the next run reads."""

    @property
    def outputs(self) -> list[Any]:
        """The output arrays, in the order of the wanted outputs: every run writes into them."""

    def run(self, *, timeout: float | None = ...) -> list[Any]:
        """Run the model on what the input arrays hold, and give the output arrays, the same ones each time.

        Args:
            timeout: Seconds from now on; None for ever. Default: the session's.

        Raises:
            InputError: It runs already, in another thread (also a RuntimeError).
            EngineError, DeadlineExceeded, SessionClosed: As ``run``.
        """

@final
class IOBinding:
    """Inputs and the places of outputs of one session, bound once and run many times.

    Made by ``session.io_binding()``. It holds all memory that is bound. One request at a time runs it: while that is on
    its way, another run and every change or look raises InputError (a ``RuntimeError``), and nothing is lost. Several
    bindings of one session may run at once.
    """

    def __new__(cls, session: Session) -> Self: ...
    def bind_cpu_input(self, name: str, arr_on_cpu: Any) -> None:
        """Bind an input to an array, which is held: later runs see what is written to it.

        Args:
            name: The input.
            arr_on_cpu: The array (a list or dict, where the input is one). What an engine cannot read as it lies is
                copied now. Dtype and shape are checked when it runs.

        Raises:
            InputError: There is no such input, or it is not an array. It is a ``RuntimeError`` too.
        """

    def bind_input(
        self,
        name: str,
        device_type: str,
        device_id: int,
        element_type: object,
        shape: Sequence[int],
        buffer_ptr: int,
    ) -> None:
        """Bind an input to memory by its address.

        The memory must stay valid and readable until something else is bound in its place and every run has ended.
        Nothing can check that: memory that is freed before crashes the process or gives wrong answers.

        Args:
            name: The input.
            device_type: ``"cpu"``.
            device_id: 0.
            element_type: A numpy dtype, or ONNX's number of a type.
            shape: The dimensions; C order, native byte order.
            buffer_ptr: The address, aligned for the type.

        Raises:
            InputError: No such input, another device, a null or misaligned address. It is a ``RuntimeError`` too.
        """

    def bind_ortvalue_input(self, name: str, ortvalue: OrtValue) -> None:
        """Bind an input to a value, which is held.

        Raises:
            InputError: There is no such input. It is a ``RuntimeError`` too.
        """

    def bind_output(
        self,
        name: str,
        device_type: str = "cpu",
        device_id: int = 0,
        element_type: object = None,
        shape: Sequence[int] | None = None,
        buffer_ptr: int | None = None,
    ) -> None:
        """Bind an output to new memory at every run, or to memory by its address.

        New memory is never written to again: values of earlier runs stay as they are. Memory by its address must stay
        valid and writable until something else is bound in its place and every run has ended: nothing can check that.

        Args:
            name: The output. That there is one of this name is checked when it runs.
            device_type: Where new memory is to be: ``"cpu"``, ``"cuda"``, ... The engine decides where it has no such
                device.
            device_id: Which of them.
            element_type: With ``buffer_ptr``: a numpy dtype, or ONNX's number of a type.
            shape: With ``buffer_ptr``: the dimensions.
            buffer_ptr: The address, on the CPU.

        Raises:
            ValueError: An address without type and shape.
            InputError: No such device, a null or misaligned address. It is a ``RuntimeError`` too.
        """

    def bind_ortvalue_output(self, name: str, ortvalue: OrtValue) -> None:
        """Bind an output to a value's memory, which every run writes to.

        Raises:
            InputError: The value is read-only, made of strings, or no tensor. It is a ``RuntimeError`` too.
        """

    def synchronize_inputs(self) -> None:
        """Nothing to wait for: a run waits for the copies of its inputs."""

    def synchronize_outputs(self) -> None:
        """Nothing to wait for: a run waits for the copies of its outputs."""

    def get_outputs(self) -> list[OrtValue]:
        """The outputs of the last run, in the order in which they were bound.

        Before a run, and after one that failed, an output without memory of its own has no value.
        """

    def get_outputs_as_ortvaluevector(self) -> list[OrtValue]:
        """The same list."""

    def copy_outputs_to_cpu(self) -> list[Any]:
        """The outputs of the last run as arrays, lists and dicts, which no later run writes to."""

    def clear_binding_inputs(self) -> None:
        """Bind no input any more."""

    def clear_binding_outputs(self) -> None:
        """Bind no output any more."""

def load_rknn(
    model: str | bytes | os.PathLike[str],
    *,
    library: str | None,
    lanes: Sequence[tuple[int | None, str]],
    layout: str,
    outputs: str,
    zero_copy: bool,
    zero_copy_layout: str,
    buffers: int,
    priority: str,
    sram: bool,
    perf: bool,
    dup_context: bool,
    custom_ops: Sequence[str],
    share_weights: Session | None,
) -> tuple[Model, dict[str, Any]]:
    """Load an RKNN model from a path or from bytes (which are not kept), and make a context for each lane.

    Args:
        lanes: Each lane's core mask (None leaves the choice to the runtime) and what people call its place.

    Returns:
        The model, and what the runtime says of itself and of the model.

    Raises:
        LoadError: The runtime or the model cannot be loaded; everything that was made is unmade.
    """

def rknn_perf_detail(session: Session) -> str | None:
    """Times of every layer of the session's last run, as the runtime writes them; None without ``perf=True``."""

@final
class Model:
    """A loaded engine on its way into one session, which takes it out."""

    @staticmethod
    def onnxruntime(
        model: str | bytes | os.PathLike[str],
        *,
        candidates: Sequence[str],
        session: dict[str, Any],
        providers: Sequence[tuple[str, Sequence[tuple[str, str]]]],
    ) -> Model:
        """Load an ONNX model from a path or from bytes (which are not kept).

        Args:
            model: Path or bytes.
            candidates: Paths of the onnxruntime C library to try, unless the environment variable names one.
            session: Session options by ONNX Runtime's names; a missing one is the engine's default.
            providers: Execution providers with their options, in order of preference.

        Raises:
            LoadError: The library or the model cannot be loaded; names every path tried.
        """

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

    @property
    def metadata(self) -> dict[str, str]:
        """The model's own key-value pairs."""

    @property
    def threads(self) -> tuple[int, bool] | None:
        """``(intra_op, shared)``: threads of one operator, whether they are the shared pool's; None elsewhere."""

    def profiler(self) -> Profiler | None:
        """What ends its profiling; None when a session has taken the model."""

@final
class Lane:
    """What a Python lane's thread works with."""

    def take(self) -> list[Fed] | None:
        """Wait for work: feed and wanted outputs of each request; None when the lane is closed.

        After None, the interpreter's exit waits until ``leave``.
        """

    def complete(self, results: Sequence[tuple[bool, Any]]) -> None:
        """End the work: ``(True, outputs)`` or ``(False, exception)`` for each request."""

    def leave(self) -> None:
        """The thread has put away what it had."""

    @property
    def cancelled(self) -> bool:
        """True while the request that the lane runs is to stop."""

    def terminations(self) -> Terminations:
        """What tells of the session's lanes whose requests are to stop."""

@final
class Terminations:
    """Lanes whose terminate flag went up, for the Python thread that calls their ``terminate``."""

    def next(self) -> int | None:
        """Wait for a flag that goes up: the lane's number; None after ``close``."""

    def close(self) -> None:
        """End the waiting."""

@final
class ServedLane:
    """This process's lane, in a process that a session started (``headway._lane``); Linux only."""

    @staticmethod
    def inherit() -> ServedLane:
        """Take over the standard input, which is the session's socket."""

    def description(self) -> bytes:
        """What to load, as JSON."""

    def model(self) -> bytes | None:
        """The model's bytes, once; None where it is a file or a callable."""

    def fail(self, kind: str, message: str, code: int | None) -> None:
        """Say why the model cannot be loaded: ``kind`` is ``"load"`` or ``"input"``."""

    def serve(self, model: Model, facts: str) -> None:
        """Run a loaded model until the session closes."""

    def open(self, model: Model, facts: str) -> None:
        """Open the lane of a Python engine, which ``take`` and ``complete`` drive."""

    def take(self) -> list[tuple[dict[str, Any] | Exception, list[str] | None]] | None:
        """Wait for work: feed and wanted outputs of each request; None when the session has closed.

        In the place of a feed that cannot be made stands what was raised.
        """

    def complete(self, results: list[tuple[bool, Any]]) -> None:
        """Answer the work: ``(True, arrays)`` or ``(False, (exception, traceback))`` each; empties the list.

        The traceback is empty where the exception came in the place of a feed.
        """

@final
class Deliveries:
    """What the delivery thread works with."""

    def __iter__(self) -> Self: ...
    def __next__(self) -> tuple[Callable[..., object], tuple[Any, ...]]:
        """Wait for the next due callback: ``(callable, args)``. Asking says that the one before has returned."""

    def report(self, callback: object, raised: BaseException) -> None:
        """Tell ``sys.unraisablehook`` what a callback raised."""

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

@final
class LoadFlag:
    """Stops the loads it was given to."""

    def __new__(cls) -> Self: ...
    def get(self) -> bool:
        """True when loads are to stop."""

    def set(self, canceled: bool) -> None:
        """Stop loads, those that run too; False lets later ones run."""

@final
class RunFlag:
    """Terminates the requests that were made with it."""

    def __new__(cls) -> Self: ...
    def get(self) -> bool:
        """True when requests are to stop."""

    def set(self, terminate: bool) -> None:
        """Stop requests, those that run too; False lets later ones run."""

@final
class LoraAdapter:
    """Parameters that a request adds to its model."""

    @staticmethod
    def load(path: str | os.PathLike[str], candidates: Sequence[str]) -> LoraAdapter:
        """Load an adapter file."""

@final
class Profiler:
    """Ends an engine's profile; holds the engine only between ``hold`` and ``release``."""

    def start_ns(self) -> int:
        """When profiling began, in nanoseconds on the engine's clock."""

    def end(self) -> str:
        """End profiling; the name of the file it wrote."""

    def hold(self) -> None:
        """Hold the engine over the session's end."""

    def release(self) -> None:
        """Let go of the engine."""

def load_python(
    name: str,
    *,
    inputs: Sequence[_Spec] | None,
    outputs: Sequence[_Spec] | None,
    metadata: Sequence[tuple[str, str]],
    can_cancel: bool,
    clock: ManualClock | None,
) -> Model:
    """The model of a Python engine: without inputs it takes any dict, without outputs it gives what it gives."""

def check_call(
    session: Session,
    output_names: Sequence[str] | None,
    *,
    timeout: float | None = ...,
    priority: int = 0,
    stream: str | int | None = None,
    run_options: RunOptions | None = None,
) -> None:
    """Raise what every request of a call with these arguments would raise."""

def line_up_instead(
    session: Session,
    old: Sequence[InferenceFuture],
    input_feed: _Feed,
    output_names: Sequence[str] | None,
    keep: _Keep,
    *,
    timeout: float | None = ...,
    priority: int = 0,
    stream: str | int | None = None,
    run_options: RunOptions | None = None,
) -> InferenceFuture:
    """Submit in the place of a pipeline's frames, which end as dropped("pipeline_reset"). Refused, they go on.

    The future may still be waiting for room. ``keep`` is as ``_line_up``'s.
    """

def set_dynamic_options(session: Session, pairs: Sequence[tuple[str, str]]) -> None:
    """Change options of the execution providers that a session uses."""

def load_openvino(
    model: str | bytes | os.PathLike[str],
    *,
    weights: bytes | None,
    candidates: Sequence[str],
    device: str,
    properties: Sequence[tuple[str, str]],
    asked: Sequence[str],
) -> tuple[Model, list[str | None], bool]:
    """Load and compile a model on OpenVINO.

    Args:
        model: Path or bytes.
        weights: The .bin file that belongs to the bytes of an .xml file.
        candidates: Paths of OpenVINO's C library to try, unless the environment variable names one.
        device: OpenVINO's name of a device.
        properties: OpenVINO's properties with their values in words.
        asked: Properties of the compiled model to be told.

    Returns:
        The model; the value of each of ``asked`` in OpenVINO's words, None where the device has no such property; and
        whether the shape of an input is open.

    Raises:
        LoadError: The library or the model cannot be loaded; names every path tried.
    """

def openvino_devices(candidates: Sequence[str]) -> tuple[str, list[str]]:
    """Version of the OpenVINO library at hand, and the devices that it finds on this machine.

    Raises:
        LoadError: No library can be loaded; names every path tried.
    """

def openvino_profile(session: Session) -> list[tuple[str, str, str, str, int, int]]:
    """What the nodes took in a session's last request: name, operation, way of running, status, microseconds, CPU's.

    Raises:
        InputError: The session's engine does not count, or was not asked to.
        SessionClosed: The session is closed.
    """

def load_isolated(
    engine: str,
    lanes: int,
    *,
    command: Sequence[str],
    environment: Sequence[tuple[str, str]],
    description: bytes,
    model: bytes | None,
    retries: int,
    memory_limit: int | None,
    spin: float,
) -> tuple[Model, str]:
    """Start a process for each lane and wait until all have the model: it, and what the first one told of it.

    ``memory_limit`` is in bytes, ``spin`` in seconds. Linux only.
    """

def lane_processes(session: Session) -> tuple[list[tuple[str, int | None, int]], str | None] | None:
    """``(state, pid, restarts)`` of each lane's process, and what went wrong last; None where lanes are threads."""

def available_providers(candidates: Sequence[str]) -> list[str]:
    """Providers that the onnxruntime library at hand was built with.

    Raises:
        LoadError: No library can be loaded; names every path tried.
    """

def onnxruntime_version(candidates: Sequence[str]) -> str:
    """Version of the onnxruntime library at hand.

    Raises:
        LoadError: No library can be loaded; names every path tried.
    """

def build_info(candidates: Sequence[str]) -> str:
    """How the onnxruntime library at hand was built."""

def set_telemetry(on: bool, candidates: Sequence[str]) -> None:
    """Turn the library's telemetry on or off."""

def register_provider_library(name: str, path: str | os.PathLike[str], candidates: Sequence[str]) -> None:
    """Register a library of execution providers."""

def unregister_provider_library(name: str, candidates: Sequence[str]) -> None:
    """Unregister a library of execution providers."""

_Pairs = list[tuple[str, str]]
_Hardware = tuple[int, str, int, int, _Pairs]

def ep_devices(candidates: Sequence[str]) -> list[tuple[str, str, _Pairs, _Pairs, _Hardware, int]]:
    """Every device that a provider can run on: ``(name, vendor, metadata, options, hardware, handle)``."""

def set_log_severity(severity: int) -> None:
    """From which severity on the engine logs: 0 verbose to 4 fatal."""

def set_shared_pool_sizes(intra: int, inter: int) -> None:
    """Sizes of the thread pools that sessions may share.

    Raises:
        Fail: The pools exist already, or their sizes were set before.
    """

def thread_budget() -> int:
    """The threads that this process's sessions are meant to use in all."""

def set_thread_budget(budget: int | None) -> None:
    """Set the thread budget; None is the usable cores."""

def engine_log() -> list[tuple[int, str, str]]:
    """Engine log lines since the last call: ``(severity 0 to 4, category, message)``."""

def usable_cores() -> int:
    """Cores that this process may use: affinity and cgroup quota, at least 1."""

def _core_round_trip() -> float | None:
    """How long a line of memory takes from one usable core to another and back, in seconds; None with one core.

    For benchmarks: it takes a few milliseconds of two cores.
    """

def _exit() -> None:
    """The ``atexit`` hook: cancel, terminate, deliver, join; then wait until every thread is back in Python."""

def _forking() -> None:
    """To be called before a fork: takes the locks that the child will need."""

def _forked(child: bool) -> None:
    """To be called after a fork in both processes; in the child, what the parent made is left alone."""
