"""EfficientNet-Lite0 (ImageNet-1k) as an ONNX model, built from its PyTorch weights with numpy and onnx.

The network is a stem, seven stages of inverted residual blocks and a head. Batch normalisation is folded into
the convolution before it, so the graph holds Conv, Clip (ReLU6), Add, one pooling and one Gemm.
"""

import hashlib
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper

from .weights import WeightsError, read_weights

_SIZE = 224
_CLASSES = 1000
_EPSILON = 1e-3
_OPSET, _IR_VERSION = 17, 8  # read by every ONNX Runtime of the last years
_DIGEST = "579344248a93e23026e6b78f1f6faf0bc1d282386f6c881cdbaacd49cabf77db"


class _Stage(NamedTuple):
    repeats: int
    kernel: int
    stride: int
    expansion: int
    channels_in: int
    channels_out: int


_STAGES = (
    _Stage(1, 3, 1, 1, 32, 16),
    _Stage(2, 3, 2, 6, 16, 24),
    _Stage(2, 5, 2, 6, 24, 40),
    _Stage(3, 3, 2, 6, 40, 80),
    _Stage(3, 5, 1, 6, 80, 112),
    _Stage(4, 5, 2, 6, 112, 192),
    _Stage(1, 3, 1, 6, 192, 320),
)


class _Features(NamedTuple):
    """A feature map: the name of its tensor, and its height and width (the same)."""

    name: str
    size: int


@dataclass
class _Graph:
    weights: dict[str, NDArray[Any]]
    nodes: list[onnx.NodeProto] = field(default_factory=list)
    constants: list[onnx.TensorProto] = field(default_factory=list)

    def constant(self, name: str, values: NDArray[Any]) -> str:
        self.constants.append(numpy_helper.from_array(np.asarray(values, np.float32), name))
        return name

    def node(self, kind: str, inputs: list[str], output: str, **attributes: Any) -> str:
        self.nodes.append(helper.make_node(kind, inputs, [output], name=output, **attributes))
        return output

    def convolution(
        self, x: _Features, layer: str, norm: str, *, stride: int = 1, groups: int = 1
    ) -> _Features:
        """A convolution with its batch normalisation folded in, padded as TensorFlow's SAME does."""
        weight, bias = _fold(self.weights, layer, norm)
        kernel = weight.shape[2]
        size = -(-x.size // stride)
        padding = max((size - 1) * stride + kernel - x.size, 0)
        before, after = padding // 2, padding - padding // 2
        inputs = [x.name, self.constant(f"{layer}.weight", weight), self.constant(f"{layer}.bias", bias)]
        shape = {
            "kernel_shape": [kernel] * 2,
            "strides": [stride] * 2,
            "pads": [before, before, after, after],
        }
        return _Features(self.node("Conv", inputs, layer, group=groups, **shape), size)

    def activation(self, x: _Features) -> _Features:
        return _Features(self.node("Clip", [x.name, "zero", "six"], f"{x.name}.relu6"), x.size)

    def block(self, x: _Features, prefix: str, stage: _Stage, *, first: bool) -> _Features:
        """An inverted residual block: expand, filter each channel alone, project, and add the input back."""
        stride = stage.stride if first else 1
        channels = stage.channels_in if first else stage.channels_out
        y = x
        if stage.expansion != 1:
            y = self.activation(self.convolution(y, f"{prefix}_expand_conv", f"{prefix}_bn0"))
        groups = channels * stage.expansion
        y = self.convolution(y, f"{prefix}_depthwise_conv", f"{prefix}_bn1", stride=stride, groups=groups)
        y = self.convolution(self.activation(y), f"{prefix}_project_conv", f"{prefix}_bn2")
        if stride == 1 and channels == stage.channels_out:
            y = _Features(self.node("Add", [y.name, x.name], f"{prefix}add"), y.size)
        return y

    def head(self, x: _Features) -> str:
        pooled = self.node("GlobalAveragePool", [x.name], "pooled")
        flat = self.node("Flatten", [pooled], "flat")
        weight = self.constant("_fc.weight", self.weights["_fc.weight"])
        bias = self.constant("_fc.bias", self.weights["_fc.bias"])
        logits = self.node("Gemm", [flat, weight, bias], "logits", transB=1)
        return self.node("Softmax", [logits], "probabilities", axis=-1)


def _fold(weights: dict[str, NDArray[Any]], layer: str, norm: str) -> tuple[NDArray[Any], NDArray[Any]]:
    scale = weights[f"{norm}.weight"] / np.sqrt(weights[f"{norm}.running_var"] + _EPSILON)
    bias = weights[f"{norm}.bias"] - weights[f"{norm}.running_mean"] * scale
    return weights[f"{layer}.weight"] * scale[:, None, None, None], bias


def _network(weights: dict[str, NDArray[Any]]) -> tuple[_Graph, str]:
    graph = _Graph(weights)
    graph.constant("zero", np.zeros(()))
    graph.constant("six", np.full((), 6.0))
    x = graph.activation(graph.convolution(_Features("input", _SIZE), "_conv_stem", "_bn0", stride=2))
    blocks = ((stage, repeat == 0) for stage in _STAGES for repeat in range(stage.repeats))
    for index, (stage, first) in enumerate(blocks):
        x = graph.block(x, f"_blocks.{index}.", stage, first=first)
    x = graph.activation(graph.convolution(x, "_conv_head", "_bn1"))
    return graph, graph.head(x)


def build_model(checkpoint: bytes) -> bytes:
    """The ONNX model of an EfficientNet-Lite0 checkpoint, as bytes.

    Input `input` is float32 [batch, 3, 224, 224], RGB, (pixel - 127) / 128; the output `probabilities` is
    [batch, 1000].
    """
    if hashlib.sha256(checkpoint).hexdigest() != _DIGEST:
        raise WeightsError("not the EfficientNet-Lite0 weights that the demo knows (wrong checksum)")
    graph, output = _network(read_weights(checkpoint))
    values = helper.make_tensor_value_info
    proto = helper.make_graph(
        graph.nodes,
        "efficientnet-lite0",
        [values("input", TensorProto.FLOAT, ["batch", 3, _SIZE, _SIZE])],
        [values(output, TensorProto.FLOAT, ["batch", _CLASSES])],
        graph.constants,
    )
    opset = [helper.make_opsetid("", _OPSET)]
    model = helper.make_model(proto, opset_imports=opset, ir_version=_IR_VERSION, producer_name="headway")
    onnx.checker.check_model(model, full_check=True)
    content: bytes = model.SerializeToString()
    return content
