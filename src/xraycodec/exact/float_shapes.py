"""Shapes and costs of a network of floats, node by node (``spec/model-pack.md``, section 6).

A network of rnn-conv or toderici works on blocks of 16 x 16 pixels. Each of its tensors has a
number of *cells* on a side of a block: 16 for an image, 1 for latents. Channels and cells of every
result follow from those of the inputs, whatever the number of blocks.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from xraycodec.errors import ModelError
from xraycodec.exact.onnx_file import Node, OnnxFile
from xraycodec.exact.onnx_messages import FLOAT32

BLOCK = 16
MAX_CHANNELS = 4096
MAX_KERNEL = 16
MAX_MULTIPLICATIONS = 1 << 28
"""For a block; the paper's RNN-Conv takes half of it."""
MAX_VALUES = 1 << 21
"""Of all tensors together, for a block; as above."""

Array = npt.NDArray[Any]


@dataclass(frozen=True)
class Shape:
    """A tensor ``(batch, channels, cells x P, cells x Q)`` over P x Q blocks.

    ``channels`` of 0, in what is asked of a network's input, stands for any number.
    """

    channels: int
    cells: int

    @property
    def values(self) -> int:
        """Of one block."""
        return self.channels * self.cells**2


class Walk:
    """Follows the nodes of a graph in the order of the file.

    Attributes:
        shapes: of the inputs and of every result.
    """

    def __init__(self, file: OnnxFile, inputs: Mapping[str, Shape]) -> None:
        """Walk through all nodes of a file with inputs of these shapes.

        Raises:
            ModelError: an operator or constant is not allowed, or a bound is exceeded.
        """
        self.shapes = dict(inputs)
        self._constants = dict(file.constants)
        self._unread = {*self._constants}
        self._multiplications = 0
        self._values = sum(shape.values for shape in inputs.values())
        for name, array in self._constants.items():
            if name in self.shapes:
                raise ModelError(f"an initialiser has the name of the input {name!r}")
            if not np.isfinite(array).all():
                raise ModelError(f"initialiser {name!r} has values that are not finite")
        for node in file.nodes:
            self._add(node)
        if self._unread:
            raise ModelError(f"initialisers {sorted(self._unread)} are not used")

    def _add(self, node: Node) -> None:
        if node.type not in ("Cast", *_RULES):
            raise ModelError(f"operator {node.type!r}; allowed are Cast, {', '.join(_RULES)}")
        for name in node.outputs:
            if not name or name in self.shapes or name in self._constants:
                raise ModelError(f"{node.type} has no result, or its name {name!r} is taken")
        if len(node.outputs) != 1 and node.type != "Split":
            raise ModelError(f"{node.type} has {len(node.outputs)} results; it gives one")
        if node.type == "Cast":
            self._constants[node.output] = self._cast(node)
            return
        known, results = len(self.shapes), _RULES[node.type](self, node)
        self.shapes |= dict(zip(node.outputs, results, strict=True))
        if len(self.shapes) != len(results) + known:
            raise ModelError(f"{node.type} has two results of one name")
        self._values += sum(shape.values for shape in results)
        self._check_costs(node)

    def _check_costs(self, node: Node) -> None:
        channels = self.shapes[node.output].channels
        if not 1 <= channels <= MAX_CHANNELS:
            raise ModelError(
                f"{node.output!r} has {channels} channels; allowed are 1 to {MAX_CHANNELS}"
            )
        for what, found, limit in (
            ("multiplications", self._multiplications, MAX_MULTIPLICATIONS),
            ("values", self._values, MAX_VALUES),
        ):
            if found > limit:
                raise ModelError(
                    f"up to {node.output!r}, a block of {BLOCK} x {BLOCK} pixels takes {found}"
                    f" {what}; the limit is {limit}"
                )

    def _expect(self, node: Node, inputs: tuple[int, ...], *attributes: str) -> None:
        if len(node.inputs) not in inputs or not {*node.attributes} <= {*attributes}:
            raise ModelError(
                f"{node.type} {node.output!r} has {len(node.inputs)} inputs and the attributes"
                f" {sorted(node.attributes)}; allowed are {' or '.join(map(str, inputs))} inputs"
                f" and {sorted(attributes)}"
            )

    def _tensor(self, node: Node, number: int = 0) -> Shape:
        name = node.inputs[number]
        if name not in self.shapes:
            raise ModelError(
                f"{node.type} {node.output!r} reads {name!r}, which is no tensor before it"
            )
        return self.shapes[name]

    def _constant(self, node: Node, number: int, *shapes: tuple[int, ...]) -> Array:
        """A float32 constant of one of these shapes."""
        name = node.inputs[number]
        array = self._constants.get(name)
        if array is None or array.dtype != np.float32 or array.shape not in shapes:
            found = "missing" if array is None else f"{array.dtype} {array.shape}"
            raise ModelError(
                f"{node.type} {node.output!r} reads {name!r}, which is {found}; needed is float32"
                f" {' or '.join(map(str, shapes))}"
            )
        self._unread.discard(name)
        return array

    def _cast(self, node: Node) -> Array:
        self._expect(node, (1,), "to")
        array = self._constants.get(node.inputs[0])
        if array is None or array.dtype != np.float16 or node.attributes != {"to": FLOAT32}:
            raise ModelError(
                f"Cast {node.output!r} of {node.inputs[0]!r} with {node.attributes}; needed is a"
                " float16 initialiser, to float32"
            )
        self._unread.discard(node.inputs[0])
        return array.astype(np.float32)

    def _weight(self, node: Node, axis: int, channels: int) -> tuple[int, int]:
        """The other channels and the kernel of a convolution's weights."""
        array = self._constants.get(node.inputs[1])
        shape = () if array is None else array.shape
        kernel = shape[3] if len(shape) == 4 else 0
        if not 1 <= kernel <= MAX_KERNEL or shape[2] != kernel or shape[axis] != channels:
            raise ModelError(
                f"{node.type} {node.output!r} of {channels} channels has weights {shape}; needed"
                f" are these channels and a square kernel of up to {MAX_KERNEL}"
            )
        self._constant(node, 1, shape)
        sizes = _sizes(node, "kernel_shape", [kernel] * 2)
        if sizes != [kernel] * 2:
            raise ModelError(
                f"{node.type} {node.output!r} has kernel_shape {sizes} and weights {shape}"
            )
        return shape[1 - axis], kernel

    def convolution(self, node: Node) -> list[Shape]:
        self._expect(node, (2, 3), "kernel_shape", "pads", "strides")
        x = self._tensor(node)
        channels, kernel = self._weight(node, 1, x.channels)
        if len(node.inputs) == 3:
            self._constant(node, 2, (channels,))
        strides, edges = _sizes(node, "strides", [1, 1]), _sizes(node, "pads", [0] * 4)
        stride = strides[0]
        if strides != [stride] * 2 or stride < 1 or x.cells % stride:
            raise ModelError(f"Conv {node.output!r} has strides {strides} for {x.cells} cells")
        # As many results as cells over stride, whatever the number of blocks.
        if any(not 0 <= edges[n] + edges[n + 2] - (kernel - stride) < stride for n in (0, 1)):
            raise ModelError(
                f"Conv {node.output!r} has pads {edges} for a kernel of {kernel} and stride"
                f" {stride}; the size must be divided by the stride alone"
            )
        y = Shape(channels, x.cells // stride)
        self._multiplications += y.values * x.channels * kernel**2
        return [y]

    def transposed(self, node: Node) -> list[Shape]:
        self._expect(node, (2,), "kernel_shape", "strides")
        x = self._tensor(node)
        channels, kernel = self._weight(node, 0, x.channels)
        self._check_strides(node, kernel)
        if x.cells * kernel > BLOCK:
            raise ModelError(f"ConvTranspose {node.output!r} gives more values than pixels")
        self._multiplications += x.values * channels * kernel**2
        return [Shape(channels, x.cells * kernel)]

    def average(self, node: Node) -> list[Shape]:
        self._expect(node, (1,), "kernel_shape", "strides")
        x = self._tensor(node)
        sizes = _sizes(node, "kernel_shape", [0, 0])
        kernel = sizes[0]
        if sizes != [kernel] * 2 or not 1 <= kernel <= x.cells or x.cells % kernel:
            raise ModelError(
                f"AveragePool {node.output!r} has kernel_shape {sizes} for {x.cells} cells"
            )
        self._check_strides(node, kernel)
        return [Shape(x.channels, x.cells // kernel)]

    @staticmethod
    def _check_strides(node: Node, kernel: int) -> None:
        strides = _sizes(node, "strides", [1, 1])
        if strides != [kernel] * 2:
            raise ModelError(
                f"{node.type} {node.output!r} has strides {strides}; needed is its kernel, {kernel}"
            )

    def pointwise(self, node: Node) -> list[Shape]:
        """Two tensors of one shape, or one and a constant for all of it or for each channel."""
        self._expect(node, (2,))
        tensors = [number for number, name in enumerate(node.inputs) if name in self.shapes]
        if not tensors:
            self._tensor(node)
        x = self._tensor(node, tensors[0])
        if len(tensors) == 1:
            self._constant(node, 1 - tensors[0], (), (1,), (x.channels, 1, 1))
        elif self._tensor(node, 1) != x:
            raise ModelError(
                f"{node.type} {node.output!r} reads {x} and {self._tensor(node, 1)}; needed are"
                " tensors of one shape"
            )
        return [x]

    def unary(self, node: Node) -> list[Shape]:
        self._expect(node, (1,))
        return [self._tensor(node)]

    def clip(self, node: Node) -> list[Shape]:
        self._expect(node, (3,))
        for number in (1, 2):
            self._constant(node, number, (), (1,))
        return [self._tensor(node)]

    def split(self, node: Node) -> list[Shape]:
        self._expect(node, (1,), "axis")
        x, parts = self._tensor(node), len(node.outputs)
        if node.attributes != {"axis": 1} or parts < 2 or x.channels % parts:
            raise ModelError(
                f"Split {node.output!r} of {x.channels} channels into {parts} with"
                f" {node.attributes}; needed are equal parts along axis 1"
            )
        return [Shape(x.channels // parts, x.cells)] * parts

    def depth_to_space(self, node: Node) -> list[Shape]:
        self._expect(node, (1,), "blocksize", "mode")
        x = self._tensor(node)
        fits = x.channels % 4 == 0 and 2 * x.cells <= BLOCK
        if node.attributes != {"blocksize": 2, "mode": b"CRD"} or not fits:
            raise ModelError(
                f"DepthToSpace {node.output!r} of {x} with {node.attributes}; needed are blocks of"
                f" 2, mode CRD, a multiple of 4 channels and up to {BLOCK // 2} cells"
            )
        return [Shape(x.channels // 4, 2 * x.cells)]


def _sizes(node: Node, name: str, default: list[int]) -> list[int]:
    """An attribute of as many integers as its default has."""
    value = node.attributes.get(name, default)
    if not isinstance(value, list) or len(value) != len(default):
        raise ModelError(
            f"{node.type} {node.output!r} has {name} {value!r}; needed are {len(default)} integers"
        )
    return value


_RULES: dict[str, Callable[[Walk, Node], list[Shape]]] = {
    "Conv": Walk.convolution,
    "ConvTranspose": Walk.transposed,
    "AveragePool": Walk.average,
    "Add": Walk.pointwise,
    "Sub": Walk.pointwise,
    "Mul": Walk.pointwise,
    "Max": Walk.pointwise,
    "Sigmoid": Walk.unary,
    "Tanh": Walk.unary,
    "Identity": Walk.unary,
    "Clip": Walk.clip,
    "Split": Walk.split,
    "DepthToSpace": Walk.depth_to_space,
}
