"""The names of EZ RKNN Async: a program written for it runs with one changed import.

    from headway import ez_rknn      # was: import ztu_somemodelruntime_ez_rknn_async as ez_rknn

On ``.rknn`` files it runs on the NPU, on ``.onnx`` and other files on the engine that Headway chooses for them. Its
defaults are EZ RKNN Async's: three requests may wait, eight callbacks may be outstanding, submitting waits ten
seconds for room, callbacks come in order and get ``results is None`` on failure. Every exception is a
``RuntimeError`` too. docs/ez_rknn.md says what differs.
"""

from __future__ import annotations

from typing import Any

import headway
from headway import ModelMetadata, NodeArg
from headway.ez_rknn import _options
from headway.ez_rknn._session import InferenceSession
from headway.ez_rknn._values import IOBinding, OrtValue

#: What ``make_provider_options`` gives.
RknnProviderOptions = dict[str, Any]
Rknpu2ProviderOptions = RknnProviderOptions
SessionIOBinding = IOBinding
__version__ = headway.__version__

__all__ = [
    "IOBinding",
    "InferenceSession",
    "ModelMetadata",
    "NodeArg",
    "OrtValue",
    "RknnProviderOptions",
    "Rknpu2ProviderOptions",
    "SessionIOBinding",
    "make_provider_options",
    "make_rknpu2_provider_options",
]


def make_provider_options(**options: Any) -> RknnProviderOptions:
    """Provider options, checked.

    Args:
        layout: How 4-D inputs are fed: ``"original"`` = ``"nchw"`` (default), ``"nchw_software"``, ``"nhwc"``,
            ``"any"``.
        max_queue_size: Requests that may wait. Default 3.
        threads_per_core: Lanes for each core of ``schedule``; in all without one. Default 1.
        submit_timeout_ms: How long a call waits for room. Default 10000.
        sequential_callbacks: Callbacks in the order of submission. Default True.
        schedule: Cores that requests are spread over, ``[0, 1, 2]`` or ``"0,1,2"``; a core that stands twice gets twice
            the work. The first free core takes the next request.
        pin: Request ``i`` runs on core ``schedule[i % len(schedule)]``, even while another core is free. Default False.
        tp_mode: Cores that work on each request together: ``"auto"``, ``"all"``, ``"0"``, ``"0,1"``, ...
        enable_pacing: Hold submitters back to the rate of the lanes. Default False.
        disable_dup_context, custom_op_path, custom_op_paths: NPU only, as in the original.
        custom_op_default_path, load_custom_ops_from_default_path: Take the custom operators of
            ``/usr/lib/rknpu/op_plugins`` as well. A file that is none is warned about. NPU only. Default False.
        zero_copy_layout: ``"native"`` binds memory in the NPU's own form to every lane. NPU only. Default ``"nhwc"``:
            the runtime copies.

    Raises:
        RuntimeError: There is no such option, or not with this value.
        ValueError: ``schedule`` together with ``tp_mode``; a ``RuntimeError`` too.
    """
    given = {name: value for name, value in options.items() if value is not None}
    if "schedule" in given and "tp_mode" in given:
        raise _options.conflict()
    _options.read(given)
    return given


make_rknpu2_provider_options = make_provider_options
