"""The names of onnxruntime that Headway does not offer, and what to do instead."""

from __future__ import annotations

_TUNING = "tuning records need onnxruntime's own session; make them with the onnxruntime package"
_COMPILE = "compile with the onnxruntime package; the file that it writes loads here like any other"
_CONTEXT = "it serves EP contexts read or written by a program; let the execution provider use files"
_GRAPH = "set the session's log_severity_level to 0: the log says which node runs on which provider"
_MEMORY = "`bind_output(name, device)` says where an output goes, `OrtValue.device_name()` where a value is"
_STREAM = "the execution provider makes its own streams; requests of several lanes run side by side"
_MODEL_PACKAGE = "use it of the onnxruntime package; the model files in a package load here"
_PACKAGE = "it describes the onnxruntime package; ask `importlib.metadata`, or `get_build_info()`"

#: Name -> what to do. `Class.name` stands for a member.
ABSENT = {
    "AdapterFormat": "write adapter files with the onnxruntime package; `LoraAdapter` loads them",
    "ModelCompiler": _COMPILE,
    "ModelPackage": _MODEL_PACKAGE,
    "ModelPackageComponentContext": _MODEL_PACKAGE,
    "ModelPackageContext": _MODEL_PACKAGE,
    "ModelPackageOptions": _MODEL_PACKAGE,
    "ModelPackageWriteMode": _MODEL_PACKAGE,
    "OrtCompileApiFlags": _COMPILE,
    "OrtEpAssignedNode": _GRAPH,
    "OrtEpAssignedSubgraph": _GRAPH,
    "OrtEpContextData": _CONTEXT,
    "OrtEpContextDataBuffer": _CONTEXT,
    "OrtExternalInitializerInfo": _COMPILE,
    "OrtSyncStream": _STREAM,
    "cuda_version": _PACKAGE,
    "has_collective_ops": _PACKAGE,
    "import_capi_exception": _PACKAGE,
    "package_name": _PACKAGE,
    "preload_dlls": "call it on the onnxruntime package before the first session: it loads them for the process",
    "print_debug_info": "call it on the onnxruntime package",
    "set_default_logger_callback": "the engine's lines go to the `headway` logger: add a `logging.Handler` to it",
    "version": _PACKAGE,
    "InferenceSession.create_ortvalue_from_shape_and_type": "use `OrtValue.ortvalue_from_shape_and_type`",
    "InferenceSession.get_input_epdevices": _MEMORY,
    "InferenceSession.get_input_memory_infos": _MEMORY,
    "InferenceSession.get_output_memory_infos": _MEMORY,
    "InferenceSession.get_provider_graph_assignment_info": _GRAPH,
    "InferenceSession.get_tuning_results": _TUNING,
    "InferenceSession.release_captured_graph": "close the session: its captured graphs go with it",
    "InferenceSession.run_with_ortvaluevector": "use `run_with_ort_values`, or an `IOBinding`",
    "InferenceSession.set_tuning_results": _TUNING,
    "OrtEpDevice.create_sync_stream": _STREAM,
    "OrtEpDevice.memory_info": _MEMORY,
    "SessionOptions.clear_ep_context_data_read_func": _CONTEXT,
    "SessionOptions.set_ep_context_data_read_func": _CONTEXT,
    "SessionOptions.set_provider_selection_policy_delegate": "choose among `get_ep_devices()` and hand the chosen ones "
    "to `add_provider_for_devices`",
}


def refuse(name: str, owner: str | None = None, *, obj: object = None) -> AttributeError:
    """The error for a name that is not here: a plain one where onnxruntime has no such name either."""
    reason = ABSENT.get(name if owner is None else f"{owner}.{name}")
    if reason is not None:
        return AttributeError(f"Headway does not offer onnxruntime's {name}: {reason}", name=name, obj=obj)
    if owner is None:
        return AttributeError(f"module 'headway.ort' has no attribute {name!r}", name=name, obj=obj)
    return AttributeError(f"{owner!r} object has no attribute {name!r}", name=name, obj=obj)
