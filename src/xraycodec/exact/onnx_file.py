"""From the bytes of an ONNX file to nodes, constants and values, without the onnx package.

What a file may hold is said by a subset (``onnx_messages.py``); what its nodes may mean is up to
the two readers above: ``onnx_reader.py`` for exact networks, ``float_reader.py`` for the others.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from xraycodec.errors import ModelError
from xraycodec.exact.onnx_messages import (
    DIMENSION_FIELDS,
    MODEL_FIELDS,
    OPSET_FIELDS,
    SHAPE_FIELDS,
    TENSOR_FIELDS,
    TENSOR_TYPE_FIELDS,
    TYPE_FIELDS,
    VALUE_FIELDS,
    Subset,
)
from xraycodec.exact.protobuf import Message

IR_VERSION = 8
OPSET = 17
MAX_MODEL_BYTES = 1 << 26

Attribute = int | bytes | list[int]
Attributes = Mapping[str, Attribute]
_TYPE_NAMES = {2: "INT", 3: "STRING", 7: "INTS"}


@dataclass(frozen=True)
class Value:
    """An input or output of a graph.

    Attributes:
        name: of the tensor.
        data_type: TensorProto.DataType.
        sizes: of each axis a number, the name of a free size, or ``None``.
    """

    name: str
    data_type: int
    sizes: tuple[int | str | None, ...]


@dataclass(frozen=True)
class Node:
    """An operator of a graph.

    Attributes:
        type: the operator's name, in ONNX's own domain.
        inputs, outputs: names of tensors and constants.
        attributes: by name, integers as unsigned numbers of 64 bits.
    """

    type: str
    inputs: tuple[str, ...]
    outputs: tuple[str, ...]
    attributes: Attributes

    @property
    def output(self) -> str:
        """The first result; no text if there is none."""
        return next(iter(self.outputs), "")


@dataclass(frozen=True, eq=False)
class OnnxFile:
    """A graph as it stands in a file.

    Attributes:
        inputs, outputs: of the graph.
        nodes: in the order of the file.
        constants: initialisers by name, in the machine's byte order.
    """

    inputs: tuple[Value, ...]
    outputs: tuple[Value, ...]
    nodes: tuple[Node, ...]
    constants: Mapping[str, npt.NDArray[Any]]


def read_file(data: bytes, subset: Subset) -> OnnxFile:
    """Read a file that holds nothing but what a subset has.

    Raises:
        ModelError: the bytes are no such file, or of another version of ONNX.
    """
    if len(data) > MAX_MODEL_BYTES:
        raise ModelError(f"network of {len(data)} bytes; the limit is {MAX_MODEL_BYTES}")
    model = Message(memoryview(data), MODEL_FIELDS, "the model")
    model.texts("producer_name")
    model.texts("producer_version")
    opset = Message(model.message("opset_import"), OPSET_FIELDS, "opset_import")
    found = (model.integer("ir_version"), opset.text("domain"), opset.integer("version"))
    if found != (IR_VERSION, "", OPSET):
        raise ModelError(
            f"network of IR version {found[0]}, domain {found[1]!r}, operator set {found[2]};"
            f" allowed are {IR_VERSION}, '', {OPSET}"
        )
    body = Message(model.message("graph"), subset.graph, "the graph")
    body.texts("name")
    constants: dict[str, npt.NDArray[Any]] = {}
    for content in body.messages("initializer"):
        name, array = _tensor(content, subset)
        if name in constants:
            raise ModelError(f"initialiser {name!r} is given twice")
        constants[name] = array
    return OnnxFile(
        tuple(_value(content, "the input") for content in body.messages("input")),
        tuple(_value(content, "an output") for content in body.messages("output")),
        tuple(_node(content, subset) for content in body.messages("node")),
        constants,
    )


def _value(data: memoryview, place: str) -> Value:
    value = Message(data, VALUE_FIELDS, place)
    kind = Message(value.message("type"), TYPE_FIELDS, place)
    tensor = Message(kind.message("tensor_type"), TENSOR_TYPE_FIELDS, place)
    shape = Message(tensor.message("shape"), SHAPE_FIELDS, place)
    sizes: list[int | str | None] = []
    for content in shape.messages("dim"):
        size = Message(content, DIMENSION_FIELDS, place)
        known: list[int | str] = [*size.integers("dim_value"), *size.texts("dim_param")]
        if len(known) > 1:
            raise ModelError(f"a size of {place} is a number and free at once")
        sizes.append(next(iter(known), None))
    return Value(value.text("name"), tensor.integer("elem_type"), tuple(sizes))


def _node(data: memoryview, subset: Subset) -> Node:
    node = Message(data, subset.node, "a node")
    node.texts("name")
    kind = node.text("op_type")
    attributes: dict[str, Attribute] = {}
    for content in node.messages("attribute"):
        attribute = Message(content, subset.attribute, f"an attribute of {kind}")
        name, number = attribute.text("name"), attribute.integer("type")
        if name in attributes or number not in subset.attributes:
            names = " or ".join(_TYPE_NAMES[allowed] for allowed in subset.attributes)
            raise ModelError(f"{attribute.place}, {name!r}, is given twice or not of type {names}")
        attributes[name] = _attribute(attribute, number, subset)
    return Node(kind, tuple(node.texts("input")), tuple(node.texts("output")), attributes)


def _attribute(message: Message, number: int, subset: Subset) -> Attribute:
    """The value of an attribute, which has to be in the field of its type alone."""
    field = subset.attributes[number]
    others = [name for name in subset.attributes.values() if name != field]
    if any(message.integers(name) or message.messages(name) for name in others):
        raise ModelError(f"{message.place} has values of several types")
    if field == "ints":
        return message.integers(field)
    values: list[Attribute] = [*message.integers(field), *map(bytes, message.messages(field))]
    if not values:
        raise ModelError(f"{message.place} has no value")
    return values[0]


def _tensor(data: memoryview, subset: Subset) -> tuple[str, npt.NDArray[Any]]:
    """Name and array of an initialiser."""
    tensor = Message(data, TENSOR_FIELDS, "an initialiser")
    name = tensor.text("name")
    kind = subset.initialisers.get(tensor.integer("data_type"))
    if not name or kind is None:
        raise ModelError(f"initialiser {name!r} of data type {tensor.integer('data_type')}")
    shape = tensor.integers("dims")
    raw = tensor.message("raw_data")
    dtype = np.dtype(kind)
    if math.prod(shape) * dtype.itemsize != len(raw) or not len(raw):
        raise ModelError(
            f"initialiser {name!r} has {len(raw)} bytes of raw_data for {shape} of {dtype}"
        )
    array = np.frombuffer(raw, dtype).reshape(shape).astype(dtype.newbyteorder("="))
    return name, array
