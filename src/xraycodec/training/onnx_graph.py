"""RNN-Conv as an ONNX graph, built node by node from a small set of operators.

Only Conv, AveragePool, Add, Mul, Sub, Max, Clip, Split, DepthToSpace and Cast appear
(``spec/model-pack.md``). Weights are stored as float16 and cast once, when the graph is loaded.
Constants that a neighbour can carry are folded into its weights: the slope of the hard sigmoid,
the mean of two branches.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import onnx
import torch
from onnx import TensorProto, helper, numpy_helper
from torch import Tensor

from xraycodec.exact.onnx_file import IR_VERSION, OPSET
from xraycodec.training.network import (
    Analysis,
    ConvLSTM2d,
    DeconvolutionModule,
    FrontEnd,
    KneeReLU,
    Pointwise,
    Synthesis,
)

State = tuple[str, str]


class Graph:
    """Collects nodes and initialisers; every method returns the name of its result."""

    def __init__(self) -> None:
        self.nodes: list[Any] = []
        self.initialisers: list[Any] = []

    def node(self, operator: str, *inputs: str, **attributes: Any) -> str:
        name = f"t{len(self.nodes)}"
        self.nodes.append(helper.make_node(operator, list(inputs), [name], **attributes))
        return name

    def constant(self, value: Tensor, *, exact: bool = False) -> str:
        """Add an initialiser, as float16 unless ``exact``."""
        array = value.detach().cpu().numpy().astype(np.float32 if exact else np.float16)
        name = f"w{len(self.initialisers)}"
        self.initialisers.append(numpy_helper.from_array(np.ascontiguousarray(array), name))
        return name if exact else self.node("Cast", name, to=TensorProto.FLOAT)

    def scalar(self, value: float) -> str:
        return self.constant(torch.tensor(value), exact=True)

    def split(self, x: str, parts: int) -> list[str]:
        names = [f"t{len(self.nodes)}_{k}" for k in range(parts)]
        self.nodes.append(helper.make_node("Split", [x], names, axis=1))
        return names

    def conv(
        self, x: str, weight: Tensor, bias: Tensor | None, stride: int, pads: list[int]
    ) -> str:
        inputs = [x, self.constant(weight)]
        if bias is not None:
            inputs.append(self.constant(bias, exact=True))
        kernel = list(weight.shape[2:])
        return self.node("Conv", *inputs, kernel_shape=kernel, strides=[stride] * 2, pads=pads)

    def knee(self, x: str, relu: KneeReLU) -> str:
        return self.node("Max", x, self.constant(-relu.knee[:, None, None], exact=True))

    def gate(self, x: str) -> str:
        """Clip a gate whose convolution already carries the hard sigmoid's slope and offset."""
        return self.node("Clip", x, self.scalar(0.0), self.scalar(1.0))

    def to_bytes(self, output: str) -> bytes:
        """Close the graph: one input ``x``, one output, sizes free but for the channels."""
        return self.close("rnn-conv", {"x": None}, {output: output})

    def close(
        self, name: str, inputs: Mapping[str, int | None], outputs: Mapping[str, str]
    ) -> bytes:
        """Close the graph over named inputs, each with its channels if they are known.

        ``outputs`` maps the names outside to those inside. All are float32 of four axes.
        """
        value = helper.make_tensor_value_info
        for outside, inside in outputs.items():
            if outside != inside:
                self.nodes.append(helper.make_node("Identity", [inside], [outside]))
        graph = helper.make_graph(
            self.nodes,
            name,
            [
                value(x, TensorProto.FLOAT, ["batch", channels, f"height_{x}", f"width_{x}"])
                if len(inputs) > 1
                else value(x, TensorProto.FLOAT, ["batch", channels, "height", "width"])
                for x, channels in inputs.items()
            ],
            [value(y, TensorProto.FLOAT, ["batch", None, None, None]) for y in outputs],
            self.initialisers,
        )
        model = helper.make_model(
            graph, opset_imports=[helper.make_opsetid("", OPSET)], ir_version=IR_VERSION
        )
        onnx.checker.check_model(model)
        data: bytes = model.SerializeToString()
        return data


def one_sided(amount: int, side: str) -> list[int]:
    """ONNX pads: top, left, bottom, right."""
    return [amount, amount, 0, 0] if side == "before" else [0, 0, amount, amount]


def plain_weight(layer: ConvLSTM2d | Pointwise) -> Tensor:
    """Return the weight as the convolution applies it."""
    return (layer.weight / layer.input_rms[:, None, None]).detach().cpu()


def conv_lstm(
    graph: Graph, x: str, layer: ConvLSTM2d, state: State | None, input_scale: float
) -> tuple[str, State]:
    n = layer.channels
    slope = torch.full((4 * n, 1, 1, 1), 0.2)
    slope[n : 2 * n] = 1
    offset = torch.full((4 * n,), 0.5)
    offset[n : 2 * n] = 0
    used = 3 * n if state is None else 4 * n
    weight = plain_weight(layer) * slope * input_scale
    bias = layer.bias.detach().cpu() * slope[:, 0, 0, 0] + offset
    pads = one_sided(layer.kernel - layer.stride, layer.side)
    gates = graph.conv(x, weight[:used], bias[:used], layer.stride, pads)
    if state is not None:
        recurrent = layer.recurrent.detach().cpu() * slope
        pads = one_sided(layer.kernel - 1, layer.side)
        gates = graph.node("Add", gates, graph.conv(state[0], recurrent, None, 1, pads))
    parts = graph.split(gates, used // n)
    c = graph.node("Mul", graph.gate(parts[0]), graph.knee(parts[1], layer.relu))
    if state is not None:
        c = graph.node("Add", c, graph.node("Mul", graph.gate(parts[3]), state[1]))
    h = graph.node("Mul", graph.gate(parts[2]), graph.knee(c, layer.relu))
    return h, (h, c)


def front_end(graph: Graph, x: str, layer: FrontEnd) -> str:
    """Sum of the branches; the next layer's weights carry the mean's half."""
    a, b = layer.convolution, layer.pooled
    assert a.bias is not None
    assert b.bias is not None
    left = graph.knee(graph.conv(x, a.weight, a.bias, 2, one_sided(1, "before")), layer.relu_a)
    pooled = graph.node("AveragePool", x, kernel_shape=[2, 2], strides=[2, 2])
    right = graph.knee(graph.conv(pooled, b.weight, b.bias, 1, [0] * 4), layer.relu_b)
    return graph.node("Add", left, right)


def analysis_graph(network: Analysis) -> bytes:
    """Pixels in 0 .. 1, ``(batch, 1, 16 P, 16 Q)``, to latents ``(batch, beta, P, Q)``."""
    graph = Graph()
    front = front_end(graph, graph.node("Sub", "x", graph.scalar(0.5)), network.front)
    states: list[State | None] = [None] * 3
    h = front
    for _ in range(network.time_steps):
        h = front
        for k, layer in enumerate(network.layers):
            assert isinstance(layer, ConvLSTM2d)
            h, states[k] = conv_lstm(graph, h, layer, states[k], 0.5 if k == 0 else 1.0)
    weight = plain_weight(network.bottleneck)
    return graph.to_bytes(graph.conv(h, weight, network.bottleneck.bias, 1, [0] * 4))


def synthesis_graph(network: Synthesis) -> bytes:
    """Dequantised latents ``(batch, beta, P, Q)`` to pixels about 0 .. 1, not clipped."""
    graph = Graph()
    expand, combine = network.expand, network.combine
    expanded = graph.knee(
        graph.conv("x", plain_weight(expand), expand.bias, 1, [0] * 4), network.relu
    )
    states: list[tuple[State, State] | None] = [None] * 4
    h = expanded
    for _ in range(network.time_steps):
        h = expanded
        for k, module in enumerate(network.modules_):
            assert isinstance(module, DeconvolutionModule)
            old = states[k] or (None, None)
            scale = 1.0 if k == 0 else 0.5
            a, state_a = conv_lstm(graph, h, module.before, old[0], scale)
            b, state_b = conv_lstm(graph, h, module.after, old[1], scale)
            states[k] = (state_a, state_b)
            h = graph.node("DepthToSpace", graph.node("Add", a, b), blocksize=2, mode="CRD")
    weight = plain_weight(combine) * 0.5
    return graph.to_bytes(graph.conv(h, weight, combine.bias + 0.5, 1, [0] * 4))
