"""The messages of ``onnx.proto`` and their fields, as far as the specification allows them.

A file with a field that is missing here is refused: external data, subgraphs, functions and
operators of other domains are such fields. ``EXACT`` is the subset of spec/network.md, section 5,
``FLOAT`` that of spec/model-pack.md, section 6.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from xraycodec.exact.protobuf import Field, Schema, Wire

MAX_NODES = 1280
"""256 operators of five nodes."""
MAX_INITIALISERS = 1024
MAX_OUTPUTS = 256

MODEL_FIELDS: Schema = {
    1: Field("ir_version", Wire.VARINT),
    2: Field("producer_name", Wire.BYTES),
    3: Field("producer_version", Wire.BYTES),
    7: Field("graph", Wire.BYTES),
    8: Field("opset_import", Wire.BYTES),
}
OPSET_FIELDS: Schema = {1: Field("domain", Wire.BYTES), 2: Field("version", Wire.VARINT)}
GRAPH_FIELDS: Schema = {
    1: Field("node", Wire.BYTES, MAX_NODES),
    2: Field("name", Wire.BYTES),
    5: Field("initializer", Wire.BYTES, MAX_INITIALISERS),
    11: Field("input", Wire.BYTES),
    12: Field("output", Wire.BYTES, MAX_OUTPUTS),
}
NODE_FIELDS: Schema = {
    1: Field("input", Wire.BYTES, 9),
    2: Field("output", Wire.BYTES),
    3: Field("name", Wire.BYTES),
    4: Field("op_type", Wire.BYTES),
    5: Field("attribute", Wire.BYTES, 2),
}
ATTRIBUTE_FIELDS: Schema = {
    1: Field("name", Wire.BYTES),
    8: Field("ints", Wire.VARINT, 4),
    20: Field("type", Wire.VARINT),
}
TENSOR_FIELDS: Schema = {
    1: Field("dims", Wire.VARINT, 4),
    2: Field("data_type", Wire.VARINT),
    8: Field("name", Wire.BYTES),
    9: Field("raw_data", Wire.BYTES),
}
VALUE_FIELDS: Schema = {1: Field("name", Wire.BYTES), 2: Field("type", Wire.BYTES)}
TYPE_FIELDS: Schema = {1: Field("tensor_type", Wire.BYTES)}
TENSOR_TYPE_FIELDS: Schema = {1: Field("elem_type", Wire.VARINT), 2: Field("shape", Wire.BYTES)}
SHAPE_FIELDS: Schema = {1: Field("dim", Wire.BYTES, 4)}
DIMENSION_FIELDS: Schema = {1: Field("dim_value", Wire.VARINT), 2: Field("dim_param", Wire.BYTES)}

FLOAT32, UINT8, INT8, INT32, FLOAT16 = 1, 2, 3, 6, 10
INT, STRING, INTS = 2, 3, 7
"""Values of AttributeProto.type."""


@dataclass(frozen=True)
class Subset:
    """What a kind of network may be made of.

    Attributes:
        graph, node, attribute: fields of these messages.
        initialisers: NumPy's name for each data type that initialisers may have.
        attributes: the field that holds an attribute of each type.
    """

    graph: Schema
    node: Schema
    attribute: Schema
    initialisers: Mapping[int, str]
    attributes: Mapping[int, str]


EXACT = Subset(
    GRAPH_FIELDS,
    NODE_FIELDS,
    ATTRIBUTE_FIELDS,
    {FLOAT32: "<f4", UINT8: "u1", INT8: "i1", INT32: "<i4"},
    {INTS: "ints"},
)
FLOAT = Subset(
    {**GRAPH_FIELDS, 11: Field("input", Wire.BYTES, 16), 12: Field("output", Wire.BYTES, 16)},
    {
        **NODE_FIELDS,
        1: Field("input", Wire.BYTES, 3),
        2: Field("output", Wire.BYTES, 4),
        5: Field("attribute", Wire.BYTES, 3),
    },
    {**ATTRIBUTE_FIELDS, 3: Field("i", Wire.VARINT), 4: Field("s", Wire.BYTES)},
    {FLOAT32: "<f4", FLOAT16: "<f2"},
    {INT: "i", STRING: "s", INTS: "ints"},
)
