"""Write an exact network as ONNX, in the one form that ``exact/onnx_reader.py`` reads."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
import onnx
from onnx import TensorProto, helper, numpy_helper

from xraycodec.exact.onnx_file import IR_VERSION, OPSET
from xraycodec.exact.operators import (
    INPUT,
    ZERO_POINT,
    Addition,
    Convolution,
    Graph,
    Head,
    Kind,
    Tensor,
    prove,
)

_ELEMENTS = {
    Kind.UNSIGNED: TensorProto.UINT8,
    Kind.SIGNED: TensorProto.UINT8,
    Kind.WIDE: TensorProto.INT32,
}


class _Writer:
    """Collects nodes and initialisers. Names with a dot are its own; no operator has one."""

    def __init__(self) -> None:
        self.nodes: list[Any] = []
        self.initialisers: dict[str, Any] = {}

    def node(self, kind: str, inputs: list[str], output: str, **attributes: list[int]) -> str:
        self.nodes.append(helper.make_node(kind, inputs, [output], **attributes))
        return output

    def constant(self, name: str, array: npt.NDArray[Any]) -> str:
        self.initialisers[name] = numpy_helper.from_array(np.asarray(array, order="C"), name)
        return name

    def scalar(self, name: str, value: np.generic) -> str:
        return self.constant(name, np.array(value)) if name not in self.initialisers else name

    def one(self) -> str:
        return self.scalar("scale.one", np.float32(1))

    def zero_point(self, value: int) -> str:
        return self.scalar(f"zero.{value}", np.uint8(value))

    def convolution(self, operator: Convolution) -> None:
        name, kernel = operator.name, operator.weight.shape[-1]
        inputs = [
            operator.source,
            self.one(),
            self.zero_point(0),
            self.constant(f"{name}.weight", operator.weight),
            self.constant(f"{name}.scale", np.exp2(-operator.shift.astype(np.float32))),
            self.scalar("zero.weight", np.int8(0)),
            self.one(),
            self.zero_point(ZERO_POINT if operator.signed else 0),
            self.constant(f"{name}.bias", operator.bias),
        ]
        self.node("QLinearConv", inputs, name, kernel_shape=[kernel] * 2, pads=[kernel // 2] * 4)

    def addition(self, operator: Addition) -> None:
        """As floats: onnxruntime makes one 8-bit operator of the four nodes."""
        name = operator.name
        terms = [
            self.node(
                "DequantizeLinear", [source, self.one(), self.zero_point(zero)], f"{name}.{part}"
            )
            for part, source, zero in (
                ("source", operator.source, 0),
                ("change", operator.change, ZERO_POINT),
            )
        ]
        total = self.node("Add", terms, f"{name}.sum")
        self.node("QuantizeLinear", [total, self.one(), self.zero_point(0)], name)

    def head(self, operator: Head) -> None:
        """As a matrix product over channels last: ConvInteger takes seven times as long."""
        name = operator.name
        multiplier = np.left_shift(np.int32(1), operator.exponent)
        rows = self.node("Transpose", [operator.source], f"{name}.last", perm=[0, 2, 3, 1])
        weight = self.constant(f"{name}.weight", operator.weight.T)
        product = self.node("MatMulInteger", [rows, weight], f"{name}.product")
        planes = self.node("Transpose", [product], f"{name}.second", perm=[0, 3, 1, 2])
        bias = self.constant(f"{name}.bias", operator.bias.reshape(1, -1, 1, 1))
        total = self.node("Add", [planes, bias], f"{name}.sum")
        factor = self.constant(f"{name}.multiplier", multiplier.reshape(1, -1, 1, 1))
        self.node("Mul", [total, factor], name)


def _value(name: str, tensor: Tensor) -> Any:
    shape = ["batch", tensor.channels, "row", "column"]
    return helper.make_tensor_value_info(name, _ELEMENTS[tensor.kind], shape)


def to_onnx(graph: Graph) -> bytes:
    """Prove a graph exact and return its ONNX file (spec/network.md, section 5).

    Raises:
        ModelError: ``prove`` refuses the graph.
    """
    tensors = prove(graph)
    writer = _Writer()
    for operator in graph.operators:
        match operator:
            case Convolution():
                writer.convolution(operator)
            case Addition():
                writer.addition(operator)
            case Head():
                writer.head(operator)
    body = helper.make_graph(
        writer.nodes,
        "exact",
        [_value(INPUT, tensors[INPUT])],
        [_value(name, tensors[name]) for name in graph.outputs],
        list(writer.initialisers.values()),
    )
    model = helper.make_model(
        body, opset_imports=[helper.make_opsetid("", OPSET)], ir_version=IR_VERSION
    )
    onnx.checker.check_model(model)
    data: bytes = model.SerializeToString()
    return data
