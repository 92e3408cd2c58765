"""Mistakes in making a session: models, files, options, providers; and in submitting with a callback."""

from __future__ import annotations

import copy
import pickle
import threading
from typing import Any

import numpy as np
import onnx
from onnx import TensorProto, helper

from .kit import BOTH, CPU, Kit, Mistake, X, identity, product

PATIENCE = 30.0


def file_of(content: bytes) -> Any:
    def make(kit: Kit) -> Any:
        path = kit.folder / "model.onnx"
        path.write_bytes(content)
        return kit.load(str(path))

    return make


def _graph(nodes: list[onnx.NodeProto], outputs: tuple[str, ...] = ("z",), edit: Any = None) -> Any:
    """A model made of these nodes, valid or not."""
    row = [helper.make_tensor_value_info(name, TensorProto.FLOAT, ["N", 3]) for name in ("x", "y", *outputs)]
    graph = helper.make_graph(nodes, "wrong", row[:2], row[2:])
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    if edit is not None:
        edit(model)
    content: bytes = model.SerializeToString()
    return lambda kit: kit.load(content)


def _external(model: onnx.ModelProto) -> None:
    """A weight that lies in a file that is not there."""
    tensor = model.graph.initializer.add(name="w", data_type=TensorProto.FLOAT, dims=[3])
    tensor.data_location = TensorProto.EXTERNAL
    tensor.external_data.add(key="location", value="absent.bin")


def _node(kind: str, inputs: str, outputs: str, **attributes: Any) -> onnx.NodeProto:
    return helper.make_node(kind, inputs.split(), outputs.split(), **attributes)


GIVEN = (
    Mistake("no file", lambda kit: kit.load(str(kit.folder / "absent.onnx"))),
    Mistake("no file, a Path", lambda kit: kit.load(kit.folder / "absent.onnx")),
    Mistake("no file, a relative path", lambda kit: kit.load("absent-from-everywhere.onnx")),
    Mistake("empty path", lambda kit: kit.load("")),
    Mistake("a directory", lambda kit: kit.load(kit.folder)),
    Mistake("path with NUL", lambda kit: kit.load("a\0b.onnx")),
    Mistake("file of garbage", file_of(b"not a model at all" * 9)),
    Mistake("empty file", file_of(b"")),
    Mistake("half a file", file_of(product()[:40])),
    Mistake("bytes of garbage", lambda kit: kit.load(b"not a model" * 9)),
    Mistake("no bytes", lambda kit: kit.load(b"")),
    Mistake("half a model", lambda kit: kit.load(product()[:40])),
    Mistake("zeros", lambda kit: kit.load(bytes(64))),
    Mistake("bytearray", lambda kit: kit.load(bytearray(product()))),
    Mistake("memoryview of a model", lambda kit: kit.load(memoryview(product()))),
    Mistake("ModelProto", lambda kit: kit.load(onnx.ModelProto())),
    Mistake("model is a number", lambda kit: kit.load(5)),
    Mistake("model is None", lambda kit: kit.load(None)),
    Mistake("model is a list", lambda kit: kit.load([product()])),
    Mistake("no model", lambda kit: kit.load()),
)

MODELS = (
    Mistake("unknown operator", lambda kit: kit.load(product(operator="Nope"))),
    Mistake("IR version of the future", lambda kit: kit.load(product(ir_version=99))),
    Mistake("opset of the future", lambda kit: kit.load(product(opset=99))),
    Mistake("operator of an unknown domain", _graph([_node("Mul", "x y", "z", domain="nope")])),
    Mistake("unknown attribute", _graph([_node("Mul", "x y", "z", colour=1)])),
    Mistake("too many inputs", _graph([_node("Mul", "x y x", "z")])),
    Mistake("too few inputs", _graph([_node("Mul", "x", "z")])),
    Mistake("edge from nowhere", _graph([_node("Mul", "x nowhere", "z")])),
    Mistake("output that nothing makes", _graph([_node("Mul", "x y", "z")], ("z", "ghost"))),
    Mistake(
        "a cycle", _graph([_node("Mul", "x b", "a"), _node("Mul", "a y", "b"), _node("Add", "a b", "z")])
    ),
    Mistake("two nodes make one value", _graph([_node("Mul", "x y", "z"), _node("Add", "x y", "z")])),
    Mistake("types that do not fit", _graph([_node("And", "x y", "z")])),
    Mistake("no graph", _graph([], edit=lambda model: model.ClearField("graph"))),
    Mistake(
        "no opset", _graph([_node("Mul", "x y", "z")], edit=lambda model: model.ClearField("opset_import"))
    ),
    Mistake("weights in an absent file", _graph([_node("Add", "x w", "z")], edit=_external)),
    Mistake("no kernel", lambda kit: kit.load(identity_of_int2())),
)


def identity_of_int2() -> bytes:
    return identity(TensorProto.INT2)


def _options(call: Any) -> Any:
    """A session made with options to which `call` did something."""

    def make(kit: Kit) -> Any:
        options = kit.options(intra_op_num_threads=1)
        call(options, kit)
        return kit.load(product(), options)

    return make


def _field(name: str, value: Any) -> Any:
    return _options(lambda options, kit: setattr(options, name, value))


def _entry(key: Any, value: Any) -> Any:
    return _options(lambda options, kit: options.add_session_config_entry(key, value))


OPTIONS = (
    Mistake("session options are a number", lambda kit: kit.load(product(), 5)),
    Mistake("session options are a dict", lambda kit: kit.load(product(), {"intra_op_num_threads": 1})),
    Mistake("session options are run options", lambda kit: kit.load(product(), kit.run_options())),
    Mistake("unknown field of SessionOptions", _field("colour", "red")),
    Mistake("field of SessionOptions that is not read", lambda kit: kit.options().colour),
    Mistake("threads are a str", _field("intra_op_num_threads", "2")),
    Mistake("threads are a float", _field("intra_op_num_threads", 1.5)),
    Mistake("threads are None", _field("intra_op_num_threads", None)),
    Mistake("threads are negative", _field("inter_op_num_threads", -3)),
    Mistake("optimization level is a str", _field("graph_optimization_level", "all")),
    Mistake("optimization level is a number", _field("graph_optimization_level", 99)),
    Mistake("execution mode is a str", _field("execution_mode", "sequential")),
    Mistake("log id is a number", _field("logid", 5)),
    Mistake("severity is a str", _field("log_severity_level", "error")),
    Mistake("arena is a str", _field("enable_cpu_mem_arena", "yes")),
    Mistake("profiling is a str", lambda kit: kit.options(enable_profiling="yes")),
    Mistake("profile prefix is a number", _field("profile_file_prefix", 5)),
    Mistake("optimized path is a number", _field("optimized_model_filepath", 5)),
    Mistake(
        "optimized path in no directory",
        _options(
            lambda options, kit: setattr(
                options, "optimized_model_filepath", str(kit.folder / "absent" / "m.onnx")
            )
        ),
    ),
    Mistake("entry is missing", lambda kit: kit.options().get_session_config_entry("zz")),
    Mistake("entry's value is a number", _entry("session.intra_op.allow_spinning", 1)),
    Mistake("entry's key is a number", _entry(1, "1")),
    Mistake("entry's key is empty", _entry("", "1")),
    Mistake("entry nobody reads", _entry("no.such.key", "1")),
    Mistake("entry of a wrong value", _entry("session.load_model_format", "nope")),
    Mistake("entry's key is long", _entry("k" * 2000, "1")),
    Mistake("entry's value is long", _entry("no.such.key", "v" * 5000)),
    Mistake("CPU fallback disabled and not needed", _entry("session.disable_cpu_ep_fallback", "1")),
    Mistake(
        "free dimension is a str",
        _options(lambda options, kit: options.add_free_dimension_override_by_name("N", "2")),
    ),
    Mistake(
        "free dimension is negative",
        _options(lambda options, kit: options.add_free_dimension_override_by_name("N", -2)),
    ),
    Mistake(
        "free dimension of another name",
        _options(lambda options, kit: options.add_free_dimension_override_by_name("nope", 2)),
    ),
    Mistake(
        "free dimension's name is a number",
        _options(lambda options, kit: options.add_free_dimension_override_by_denotation(5, 2)),
    ),
    Mistake(
        "custom operators in an absent library",
        _options(lambda options, kit: options.register_custom_ops_library(str(kit.folder / "absent.so"))),
    ),
    Mistake(
        "custom operators in what is no library",
        _options(lambda options, kit: options.register_custom_ops_library(__file__)),
    ),
    Mistake(
        "custom operators' path is a number",
        _options(lambda options, kit: options.register_custom_ops_library(5)),
    ),
    Mistake("initializer is an array", _options(lambda options, kit: options.add_initializer("w", X))),
    Mistake(
        "initializer that the model has not",
        _options(lambda options, kit: options.add_initializer("nope", kit.value())),
    ),
    Mistake("options copied", lambda kit: copy.copy(kit.options())),
    Mistake("options pickled", lambda kit: pickle.dumps(kit.options())),
    Mistake(
        "shared threads that nobody made",
        lambda kit: kit.load(product(), kit.options(use_per_session_threads=False)),
    ),
    Mistake("unknown keyword of the session", lambda kit: kit.load(product(), colour="red")),
    Mistake("disabled optimizers are a number", lambda kit: kit.load(product(), disabled_optimizers=5)),
    Mistake("session pickled", lambda kit: pickle.dumps(kit["product"])),
    Mistake("absent method", lambda kit: kit["product"].run_fast),
)

PROVIDERS = (
    Mistake("absent provider alone", lambda kit: kit.load(product(), providers=["CUDAExecutionProvider"])),
    Mistake("unknown provider alone", lambda kit: kit.load(product(), providers=["NopeProvider"])),
    Mistake("unknown provider, then CPU", lambda kit: kit.load(product(), providers=["NopeProvider", *CPU])),
    Mistake("providers are a str", lambda kit: kit.load(product(), providers="CPUExecutionProvider")),
    Mistake("providers are numbers", lambda kit: kit.load(product(), providers=[5])),
    Mistake("providers are a number", lambda kit: kit.load(product(), providers=5)),
    Mistake("provider's options are a number", lambda kit: kit.load(product(), providers=[(CPU[0], 5)])),
    Mistake("provider pair of three", lambda kit: kit.load(product(), providers=[(CPU[0], {}, 5)])),
    Mistake("provider twice", lambda kit: kit.load(product(), providers=[*CPU, *CPU])),
    Mistake("options of more providers", lambda kit: kit.load(product(), provider_options=[{}, {}])),
    Mistake("options of no provider", lambda kit: kit.load(product(), providers=None, provider_options=[{}])),
    Mistake("provider options are no dicts", lambda kit: kit.load(product(), provider_options=[5])),
    Mistake("provider options are a dict", lambda kit: kit.load(product(), provider_options={"a": "b"})),
    Mistake(
        "unknown option of the CPU", lambda kit: kit.load(product(), provider_options=[{"colour": "red"}])
    ),
    Mistake(
        "options given twice",
        lambda kit: kit.load(product(), providers=[(CPU[0], {"a": "b"})], provider_options=[{"c": "d"}]),
    ),
)


MODULE = (
    Mistake("default severity is a str", lambda kit: kit.ort.set_default_logger_severity("x")),
    Mistake("default severity of 99", lambda kit: kit.ort.set_default_logger_severity(99)),
    Mistake("a provider for options that nobody knows", lambda kit: kit.options().add_provider("Nope", {})),
    Mistake("a provider for options without options", lambda kit: kit.options().add_provider(CPU[0])),
    Mistake("devices for options that are none", lambda kit: kit.options().add_provider_for_devices([], {})),
    Mistake(
        "fewer external initializers than names",
        lambda kit: kit.options().add_external_initializers(["w"], []),
    ),
    Mistake(
        "new providers that nobody knows", lambda kit: kit.load(product()).set_providers(["NopeProvider"])
    ),
    Mistake(
        "custom operators' registration without a path",
        lambda kit: kit.options().register_custom_ops_library(),
    ),
    Mistake("an adapter that is not there", lambda kit: _adapter(kit, str(kit.folder / "absent.adapter"))),
)


def _adapter(kit: Kit, path: str) -> Any:
    adapter = kit.ort.LoraAdapter()
    adapter.Load(path)
    return adapter


def _handed_over(kit: Kit, names: Any, feed: Any, *rest: Any) -> Any:
    """`run_async`, with the message that the callback got as a RuntimeError."""
    got: list[tuple[Any, ...]] = []
    ended = threading.Event()

    def callback(*arguments: Any) -> None:
        got.append(arguments)
        ended.set()

    kit["product"].run_async(names, feed, callback, "mine", *rest)
    assert ended.wait(PATIENCE)
    results, _, error = got[0]
    if error:
        raise HandedOver(error)
    return results


class HandedOver(Exception):
    """The message that a callback got."""


def _one_thread(kit: Kit) -> Any:
    session = kit.load(product(), kit.options(intra_op_num_threads=1))
    ended = threading.Event()
    session.run_async(None, BOTH, lambda *arguments: ended.set(), None)
    assert ended.wait(PATIENCE)


CALLBACKS = (
    Mistake("callback: missing input", lambda kit: _handed_over(kit, None, {"x": X})),
    Mistake("callback: unknown input", lambda kit: _handed_over(kit, None, {**BOTH, "q": X})),
    Mistake("callback: unknown output", lambda kit: _handed_over(kit, ["nope"], BOTH)),
    Mistake("callback: dtype", lambda kit: _handed_over(kit, None, {**BOTH, "x": X.astype(np.float64)})),
    Mistake("callback: rank", lambda kit: _handed_over(kit, None, {**BOTH, "x": X[0]})),
    Mistake(
        "callback: terminated", lambda kit: _handed_over(kit, None, BOTH, kit.run_options(terminate=True))
    ),
    Mistake("callback: run options are a number", lambda kit: _handed_over(kit, None, BOTH, 5)),
    Mistake("callback: feed is None", lambda kit: _handed_over(kit, None, None)),
    Mistake("callback is a number", lambda kit: kit["product"].run_async(None, BOTH, 5, None)),
    Mistake("callback is missing", lambda kit: kit["product"].run_async(None, BOTH)),
    Mistake("callback with one intra-op thread", _one_thread),
)

ALL = (*GIVEN, *MODELS, *OPTIONS, *PROVIDERS, *MODULE, *CALLBACKS)
