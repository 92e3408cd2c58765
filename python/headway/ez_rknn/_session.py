"""``InferenceSession`` with EZ RKNN Async's arguments, defaults and callback convention."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

import headway
from headway._batch import batch_size, join, length, named
from headway._load import source_of
from headway.ez_rknn import _options, _plugins
from headway.ez_rknn._errors import OptionError, speaks_runtime_error
from headway.ez_rknn._options import EzOptions, truth
from headway.ez_rknn._pace import Pace
from headway.ez_rknn._values import IOBinding

#: Completed requests whose callbacks have not returned, before lanes start nothing new.
_CALLBACKS = 8
#: The only run option there is.
_SPLIT = "ztu_modelrt_dispatch_batch"
_NPU = {"RKNPU2ExecutionProvider", "RKNNExecutionProvider"}


def _splits(run_options: object) -> bool:
    """Whether run options ask for a batch to be split: a dict, or an object with ``get_run_config_entry``."""
    value: object = None
    if isinstance(run_options, Mapping):
        value = run_options.get(_SPLIT)
    elif (entry := getattr(run_options, "get_run_config_entry", None)) is not None:
        try:
            value = entry(_SPLIT)
        except (KeyError, RuntimeError):
            return False
    return value is not None and value != "" and truth(_SPLIT, value)


def _npu_only(given: Sequence[Any] | str | None) -> bool:
    """True where the NPU's provider was asked for, or nothing was."""
    names = [given] if isinstance(given, str) else list(given or ())
    return all((one if isinstance(one, str) else one[0]) in _NPU for one in names)


class InferenceSession(headway.InferenceSession):
    """A model with EZ RKNN Async's calls, on the NPU (``.rknn``) or on another engine (``.onnx``, ...).

    Args:
        path_or_bytes: A model file, or its bytes.
        sess_options: Taken by the onnxruntime engine; without effect on the NPU.
        providers: ``RKNPU2ExecutionProvider`` or ``RKNNExecutionProvider``, or onnxruntime's for an ``.onnx`` file.
            A provider of the NPU changes nothing on another engine.
        provider_options: A dict (or a list with one): see ``make_provider_options``.
        use_weight_from: A session on the NPU whose weights this one shares.
        **more: Keywords of ``headway.InferenceSession``.

    Every exception is a ``RuntimeError`` too. Callbacks of failed requests get None for results. ``close()`` and
    ``with`` are there; a session that is dropped finishes its work in the background.
    """

    _warns_when_dropped = False
    _pace: Pace | None = None

    @speaks_runtime_error
    def __init__(
        self,
        path_or_bytes: Any,
        sess_options: Any = None,
        providers: Sequence[Any] | str | None = None,
        provider_options: Any = None,
        *,
        use_weight_from: headway.InferenceSession | None = None,
        **more: Any,
    ) -> None:
        options = _options.read(_options.of_session(provider_options))
        engine = source_of(path_or_bytes, more.get("engine")).engine
        if engine == "rknn":
            more["engine_options"] = _on_npu(options, use_weight_from) | dict(
                more.get("engine_options") or {}
            )
        else:
            _options.only_default(options, engine)
            if use_weight_from is not None:
                raise OptionError(f"use_weight_from: the {engine} engine does not share weights")
            more.setdefault("workers", options.lanes)
        more.setdefault("queue_depth", options.max_queue_size)
        more.setdefault("delivery_depth", _CALLBACKS)
        more.setdefault("submit_timeout", options.submit_timeout_ms / 1000)
        more.setdefault("ordered", options.sequential_callbacks)
        if isinstance(providers, str):
            providers = [providers]
        super().__init__(path_or_bytes, sess_options, None if _npu_only(providers) else providers, **more)
        if options.enable_pacing:
            self._pace = Pace(options.lanes, lambda: self.stats().run.mean, options.submit_timeout_ms / 1000)

    @property
    def input_names(self) -> list[str]:
        """The model's inputs."""
        return [node.name for node in self.get_inputs()]

    @property
    def output_names(self) -> list[str]:
        """The model's outputs."""
        return [node.name for node in self.get_outputs()]

    @speaks_runtime_error
    def run(
        self, output_names: Sequence[str] | None, input_feed: Any, run_options: Any = None, **call: Any
    ) -> list[Any]:
        """The outputs of one request.

        Args:
            output_names: Wanted outputs in this order; None for all.
            input_feed: A dict by input name, a list in input order, or one array.
            run_options: ``{"ztu_modelrt_dispatch_batch": True}`` splits the batch along axis 0 into one sample a
                request, and joins the answers.
            **call: ``timeout``, ``priority``, ``stream``.
        """
        if _splits(run_options):
            return self._dispatch(output_names, input_feed, call)
        self._wait_for_turn()
        return super().run(output_names, input_feed, _plain(run_options), **call)

    def _dispatch(self, output_names: Sequence[str] | None, feed: Any, call: dict[str, Any]) -> list[Any]:
        values = named(feed, self.get_inputs())
        size = batch_size(values)
        if size == 0:
            raise OptionError("Batch size must be greater than 0")
        one_by_one = [
            {
                # What has no axis goes whole into every request.
                name: value if length(value) is None else value[place : place + 1]
                for name, value in values.items()
            }
            for place in range(size)
        ]
        return join(self.run_parallel(one_by_one, output_names, **call))

    @speaks_runtime_error
    def run_async(  # type: ignore[override]  # the original's callbacks get None
        self,
        output_names: Sequence[str] | None,
        input_feed: Any,
        callback: Callable[[list[Any] | None, Any, str], object],
        user_data: Any = None,
        run_options: Any = None,
        **call: Any,
    ) -> None:
        """Queue a request; later ``callback(results, user_data, err)``, with ``results is None`` on failure.

        Raises:
            QueueFull: There was no room within ``submit_timeout_ms``.
        """
        if _splits(run_options):
            raise OptionError(f"run_async does not support {_SPLIT}=True; run() does")
        self._wait_for_turn()
        super().run_async(output_names, input_feed, callback, user_data, _plain(run_options), **call)

    @speaks_runtime_error
    def run_pipeline(
        self,
        input_feed: Any,
        depth: int = 3,
        reset: bool = False,
        output_names: Sequence[str] | None = None,
        **call: Any,
    ) -> list[Any] | None:
        """Queue a frame; the outputs of the frame ``depth`` calls earlier, None while the first ``depth`` calls fill.

        ``drain_pipeline()`` gives the rest.
        """
        self._wait_for_turn()
        return super().run_pipeline(input_feed, depth, reset, output_names, **call)

    @speaks_runtime_error
    def drain_pipeline(self) -> Iterator[list[Any]]:
        """The remaining results of ``run_pipeline`` in order."""
        return super().drain_pipeline()

    @speaks_runtime_error
    def io_binding(self) -> Any:
        """A binding of this session's inputs and outputs."""
        return IOBinding(self)

    @speaks_runtime_error
    def run_with_iobinding(  # type: ignore[override]  # the original's name of the argument
        self, io_binding: Any, run_options: Any = None, **call: Any
    ) -> None:
        """Run what is bound."""
        bound = io_binding._ready() if isinstance(io_binding, IOBinding) else io_binding
        super().run_with_iobinding(bound, _plain(run_options), **call)

    def _wait_for_turn(self) -> None:
        if self._pace is not None and not self._pace.wait():
            raise headway.QueueFull("pacing: no turn within submit_timeout_ms")

    @speaks_runtime_error
    def close(self, drain: bool = True, timeout: float | None = 30.0) -> Any:
        """Stop admitting, finish or cancel what was admitted, deliver every outcome, free the engine."""
        if self._pace is not None:
            self._pace.end()
        return super().close(drain, timeout)

    def _open(self, *args: Any, **kwargs: Any) -> None:
        super()._open(*args, **kwargs, ez_rknn=True)


def _plain(run_options: Any) -> Any:
    """Run options for the engine: of a dict nothing is left."""
    return None if isinstance(run_options, Mapping) else run_options


def _on_npu(options: EzOptions, weights: headway.InferenceSession | None) -> dict[str, Any]:
    """The same in the words of the rknn engine."""
    operators = [*options.custom_op_paths]
    if options.custom_op_default_path:
        operators += [path for path in _plugins.installed() if path not in operators]
    own: dict[str, Any] = {
        "layout": options.layout,
        "threads_per_core": options.threads_per_core,
        "custom_ops": operators,
        "dup_context": not options.disable_dup_context,
    }
    if options.zero_copy_layout != "nhwc":
        # It is about bound memory, which lanes have here; without it nothing would come of the option.
        own["zero_copy"], own["zero_copy_layout"] = True, options.zero_copy_layout
    if options.schedule is not None:
        own["schedule"], own["pin"] = list(options.schedule), options.pin
    elif options.tp_mode is not None:
        own["tp_mode"] = options.tp_mode
    if weights is not None:
        own["share_weights"] = weights
    return own


InferenceSession.__module__ = "headway.ez_rknn"
