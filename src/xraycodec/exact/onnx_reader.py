"""From the bytes of an ONNX file to a :class:`Graph`, without the onnx package.

Only the subset of spec/network.md, section 5, is read. It gives each network one form, and a file
that holds anything else is refused: what this module has not understood, onnxruntime might run.
"""

from __future__ import annotations

from itertools import islice
from typing import Any

import numpy as np
import numpy.typing as npt

from xraycodec.errors import ModelError
from xraycodec.exact.onnx_file import Attributes, Node, OnnxFile, Value, read_file
from xraycodec.exact.onnx_messages import EXACT, INT32, UINT8
from xraycodec.exact.operators import (
    EXPONENT_LIMIT,
    INPUT,
    SHIFT_LIMIT,
    Addition,
    Convolution,
    Graph,
    Head,
    Int32,
    Kind,
    Operator,
    Tensor,
    prove,
)

_DATA_TYPES = {Kind.UNSIGNED: UINT8, Kind.SIGNED: UINT8, Kind.WIDE: INT32}
_CONVOLUTION = {
    kernel: {"kernel_shape": [kernel] * 2, "pads": [kernel // 2] * 4} for kernel in (1, 3)
}
_TO_LAST: Attributes = {"perm": [0, 2, 3, 1]}
_TO_SECOND: Attributes = {"perm": [0, 3, 1, 2]}


def read_graph(data: bytes) -> Graph:
    """Read a network and prove it exact.

    Raises:
        ModelError: the bytes are no ONNX file of the subset, or ``prove`` refuses the network.
    """
    file = read_file(data, EXACT)
    if len(file.inputs) != 1:
        raise ModelError(f"the network has {len(file.inputs)} inputs; needed is one")
    (source,) = file.inputs
    channels = _channels(source, "the input")
    if (source.name, source.data_type) != (INPUT, UINT8):
        raise ModelError(
            f"input {source.name!r} of data type {source.data_type}; needed is {INPUT!r}, uint8"
        )
    values = [(each.name, each.data_type, _channels(each, "an output")) for each in file.outputs]
    operators = _Nodes(file).operators()
    graph = Graph(channels, operators, tuple(name for name, _, _ in values))
    tensors = prove(graph)
    for name, data_type, width in values:
        _check_output(name, data_type, width, tensors[name])
    return graph


def _check_output(name: str, data_type: int, channels: int, tensor: Tensor) -> None:
    needed = (_DATA_TYPES[tensor.kind], tensor.channels)
    if (data_type, channels) != needed:
        raise ModelError(
            f"output {name!r} is declared as data type {data_type} of {channels} channels; the"
            f" operators give {needed[0]} of {needed[1]}"
        )


def _channels(value: Value, place: str) -> int:
    """Channels of an input or output, whose other sizes have to be free."""
    if len(value.sizes) == 4:
        batch, channels, row, column = value.sizes
        if type(channels) is int and (batch, row, column) == ("batch", "row", "column"):
            return channels
    raise ModelError(
        f"{place} {value.name!r} has not the shape (batch, channels, row, column)"
        " of which channels alone is a number"
    )


class _Nodes:
    """Nodes of a graph, grouped into operators as they are read."""

    def __init__(self, file: OnnxFile) -> None:
        self._nodes = iter(file.nodes)
        self._constants = file.constants
        self._names = {INPUT, *self._constants}
        if INPUT in self._constants:
            raise ModelError(f"an initialiser has the name of the input, {INPUT!r}")
        self._read: set[str] = set()

    def operators(self) -> tuple[Operator, ...]:
        """Read all nodes."""
        groups = {
            "QLinearConv": self._convolution,
            "DequantizeLinear": self._addition,
            "Transpose": self._head,
        }
        operators: list[Operator] = []
        for node in self._nodes:
            if node.type not in groups:
                raise ModelError(
                    f"operator {node.type!r} after {len(operators)} operators; one begins with"
                    f" {', '.join(groups)}"
                )
            operators.append(groups[node.type](node))
        idle = sorted(self._constants.keys() - self._read)
        if idle:
            raise ModelError(f"initialisers {idle} are not used")
        return tuple(operators)

    def _convolution(self, node: Node) -> Operator:
        self._expect(node, "QLinearConv", 9)
        source, x_scale, x_zero, weight, scale, w_zero, y_scale, y_zero, bias = node.inputs
        self._scalar(x_scale, np.float32, 1)
        self._scalar(x_zero, np.uint8, 0)
        self._scalar(w_zero, np.int8, 0)
        self._scalar(y_scale, np.float32, 1)
        signed = self._zero_point(y_zero)
        weights = self._constant(weight, np.int8, 4)
        if node.attributes != _CONVOLUTION.get(weights.shape[-1]):
            raise ModelError(
                f"{node.output!r} has attributes {node.attributes}; needed are kernel_shape and"
                f" pads of a kernel {weights.shape[2:]} that is 1x1 or 3x3, the size kept"
            )
        shift = _shift(node.output, self._constant(scale, np.float32, 1))
        return Convolution(
            node.output, source, weights, self._constant(bias, np.int32, 1), shift, signed
        )

    def _addition(self, first: Node) -> Operator:
        second, total, last = self._following(3)
        inputs = (3, 3, 2, 3)
        names = ("DequantizeLinear", "DequantizeLinear", "Add", "QuantizeLinear")
        for node, name, count in zip((first, second, total, last), names, inputs, strict=True):
            self._expect(node, name, count, {})
        self._chain(total, (first.output, second.output))
        self._chain(last, (total.output,))
        for node, zero in ((first, 0), (second, 128), (last, 0)):
            self._scalar(node.inputs[1], np.float32, 1)
            self._scalar(node.inputs[2], np.uint8, zero)
        return Addition(last.output, first.inputs[0], second.inputs[0])

    def _head(self, first: Node) -> Operator:
        product, back, total, last = self._following(4)
        self._expect(first, "Transpose", 1, _TO_LAST)
        self._expect(product, "MatMulInteger", 2, {})
        self._expect(back, "Transpose", 1, _TO_SECOND)
        self._expect(total, "Add", 2, {})
        self._expect(last, "Mul", 2, {})
        for node, before in ((product, first), (back, product), (total, back), (last, total)):
            self._chain(node, (before.output,))
        weight = self._constant(product.inputs[1], np.int8, 2).T
        bias = self._per_channel(total.inputs[1])
        exponent = _exponent(last.output, self._per_channel(last.inputs[1]))
        return Head(last.output, first.inputs[0], np.ascontiguousarray(weight), bias, exponent)

    def _following(self, count: int) -> list[Node]:
        nodes = list(islice(self._nodes, count))
        if len(nodes) < count:
            raise ModelError("the graph ends within an operator")
        return nodes

    def _expect(
        self, node: Node, kind: str, inputs: int, attributes: Attributes | None = None
    ) -> None:
        if node.type != kind or len(node.inputs) != inputs:
            raise ModelError(
                f"node {node.type!r} with {len(node.inputs)} inputs where {kind} with {inputs}"
                " is needed"
            )
        if attributes is not None and node.attributes != attributes:
            raise ModelError(
                f"{kind} {node.output!r} has attributes {node.attributes}; needed are {attributes}"
            )
        if not node.output or node.output in self._names:
            raise ModelError(f"{kind} has no result, or its name {node.output!r} is taken")
        self._names.add(node.output)

    @staticmethod
    def _chain(node: Node, sources: tuple[str, ...]) -> None:
        if tuple(node.inputs[: len(sources)]) != sources:
            raise ModelError(f"{node.type} {node.output!r} does not read {', '.join(sources)}")

    def _constant(self, name: str, dtype: type[Any], dimensions: int) -> npt.NDArray[Any]:
        array = self._constants.get(name)
        if array is None or array.dtype != dtype or array.ndim != dimensions:
            found = "missing" if array is None else f"{array.dtype} {array.shape}"
            raise ModelError(
                f"initialiser {name!r} is {found}; needed is {dtype.__name__} of {dimensions}"
                " dimensions"
            )
        self._read.add(name)
        return array

    def _scalar(self, name: str, dtype: type[Any], value: int) -> None:
        if self._constant(name, dtype, 0) != value:
            raise ModelError(f"initialiser {name!r} is {self._constants[name]}, not {value}")

    def _zero_point(self, name: str) -> bool:
        value = int(self._constant(name, np.uint8, 0))
        if value not in (0, 128):
            raise ModelError(f"zero point {name!r} is {value}; allowed are 0 and 128")
        return value == 128

    def _per_channel(self, name: str) -> Int32:
        array = self._constant(name, np.int32, 4)
        if array.shape != (1, array.size, 1, 1):
            raise ModelError(f"initialiser {name!r} is {array.shape}, not (1, channels, 1, 1)")
        return array.reshape(-1)


def _shift(name: str, scale: npt.NDArray[np.float32]) -> Int32:
    powers = np.exp2(-np.arange(SHIFT_LIMIT + 1, dtype=np.float32))
    return _positions(scale, powers, f"{name!r} has scales other than 2^0 to 2^-{SHIFT_LIMIT}")


def _exponent(name: str, multiplier: Int32) -> Int32:
    powers = np.left_shift(np.int32(1), np.arange(EXPONENT_LIMIT + 1, dtype=np.int32))
    return _positions(
        multiplier, powers, f"{name!r} has multipliers other than 2^0 to 2^{EXPONENT_LIMIT}"
    )


def _positions(values: npt.NDArray[Any], powers: npt.NDArray[Any], message: str) -> Int32:
    """Where in ``powers`` each value stands."""
    matches: npt.NDArray[np.bool_] = values[:, None] == powers
    if not matches.any(axis=1).all():
        raise ModelError(message)
    return np.nonzero(matches)[1].astype(np.int32)
