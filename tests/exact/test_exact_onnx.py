"""The subset of ONNX: what the export writes is read, and nothing else is."""

from __future__ import annotations

import random
import re

import numpy as np
import pytest

from exact_building import pointwise, production_graph, random_graph, random_input, single
from xraycodec.errors import ModelError
from xraycodec.exact import onnx_file
from xraycodec.exact.onnx_reader import read_graph
from xraycodec.exact.operators import Addition, Graph
from xraycodec.exact.reference import evaluate
from xraycodec.exact.runtime import OnnxruntimeInterpreter
from xraycodec.exact.self_test import self_test_network

onnx = pytest.importorskip("onnx", reason="the export needs onnx")
exact_export = pytest.importorskip("xraycodec.training.exact_export")


def small_graph():
    return production_graph(np.random.default_rng(0), channels=3, width=4, parameters=2, pairs=1)


@pytest.fixture
def model():
    return onnx.load_from_string(exact_export.to_onnx(small_graph()))


def node(model, name):
    return next(node for node in model.graph.node if node.output[0] == name)


def initialiser(model, name):
    return next(tensor for tensor in model.graph.initializer if tensor.name == name)


def fill(model, name, array):
    initialiser(model, name).CopyFrom(onnx.numpy_helper.from_array(np.asarray(array), name))


@pytest.mark.parametrize("seed", range(20))
def test_graphs_come_back_as_they_went(seed):
    graph = random_graph(np.random.default_rng(seed))
    back = read_graph(exact_export.to_onnx(graph))
    assert (back.channels, back.outputs) == (graph.channels, graph.outputs)
    for found, expected in zip(back.operators, graph.operators, strict=True):
        assert type(found) is type(expected)
        assert vars(found).keys() == vars(expected).keys()
        for field, value in vars(expected).items():
            np.testing.assert_array_equal(vars(found)[field], value)
            if isinstance(value, np.ndarray):
                assert vars(found)[field].dtype == value.dtype


def test_the_same_graph_gives_the_same_bytes():
    assert exact_export.to_onnx(small_graph()) == exact_export.to_onnx(small_graph())


def test_the_export_refuses_what_is_not_proven():
    with pytest.raises(ModelError, match="allowed is up to 64"):
        exact_export.to_onnx(single(pointwise([[65]])))


def extra_attribute(name, value):
    def change(model):
        node(model, "entry").attribute.append(onnx.helper.make_attribute(name, value))

    return change


def swap_nodes(model):
    nodes = list(model.graph.node)
    del model.graph.node[:]
    model.graph.node.extend([nodes[1], nodes[0], *nodes[2:]])


def second_input(model):
    model.graph.input.append(model.graph.input[0])


def set_field(path, value):
    """Set ``a.b`` of the model."""

    def change(model):
        *parts, last = path.split(".")
        target = model
        for part in parts:
            target = target[int(part)] if part.isdigit() else getattr(target, part)
        setattr(target, last, value)

    return change


def node_input(name, position, value):
    def change(model):
        node(model, name).input[position] = value

    return change


def node_field(name, field, value):
    def change(model):
        setattr(node(model, name), field, value)

    return change


def filled(name, array):
    def change(model):
        fill(model, name, array)

    return change


def added(name, array):
    def change(model):
        model.graph.initializer.append(onnx.numpy_helper.from_array(np.asarray(array), name))

    return change


def attribute_ints(name, position, values):
    def change(model):
        attribute = node(model, name).attribute[position]
        del attribute.ints[:]
        attribute.ints.extend(values)

    return change


def external(model):
    tensor = initialiser(model, "entry.weight")
    tensor.data_location = onnx.TensorProto.EXTERNAL
    tensor.external_data.add(key="location", value="/etc/passwd")


def typed_data(model):
    tensor = initialiser(model, "entry.bias")
    tensor.ClearField("raw_data")
    tensor.int32_data.extend([0, 0, 0, 0])


def function(model):
    model.functions.add(name="f", domain="g")


def truncated_nodes(model):
    del model.graph.node[-1]


REJECTIONS = {
    "IR version": (set_field("ir_version", 9), "IR version 9"),
    "operator set": (set_field("opset_import.0.version", 18), "operator set 18"),
    "domain": (set_field("opset_import.0.domain", "com.microsoft"), "domain 'com.microsoft'"),
    "two operator sets": (
        lambda model: model.opset_import.add(domain="g", version=1),
        "'opset_import' more than 1 times",
    ),
    "doc string": (set_field("doc_string", "hello"), "the model has field 6"),
    "metadata": (lambda model: model.metadata_props.add(key="a"), "the model has field 14"),
    "function": (function, "the model has field 25"),
    "node domain": (node_field("entry", "domain", "com.microsoft"), "a node has field 7"),
    "unknown operator": (node_field("entry", "op_type", "Conv"), "operator 'Conv' after 0"),
    "operator inside": (node_field("state.sum", "op_type", "Sub"), "'Sub' with 2 inputs where Add"),
    "order": (swap_nodes, "which is no result before it"),
    "cut short": (truncated_nodes, "the graph ends within an operator"),
    "strides": (extra_attribute("strides", [1, 1]), "'attribute' more than 2 times"),
    "group": (
        lambda model: (
            node(model, "entry").attribute.pop(),
            extra_attribute("group", 1)(model),
        ),
        "an attribute of QLinearConv has field 3",
    ),
    "attribute twice": (
        lambda model: node(model, "entry").attribute[1].CopyFrom(node(model, "entry").attribute[0]),
        "is given twice",
    ),
    "attribute type": (
        lambda model: setattr(node(model, "entry").attribute[0], "type", 6),
        "not of type INTS",
    ),
    "pads": (attribute_ints("inner0", 1, [1, 1, 1, 0]), "'inner0' has attributes"),
    "kernel": (attribute_ints("entry", 0, [3, 3]), "'entry' has attributes"),
    "axes": (attribute_ints("parameters.last", 0, [0, 3, 2, 1]), "'parameters.last' has attr"),
    "axes back": (attribute_ints("parameters.second", 0, [0, 2, 3, 1]), "'parameters.second' h"),
    "input scale": (node_input("entry", 1, "entry.scale"), "needed is float32 of 0 dimensions"),
    "input zero": (node_input("entry", 2, "zero.128"), "initialiser 'zero.128' is 128, not 0"),
    "unit scale": (filled("scale.one", np.float32(0.5)), "'scale.one' is 0.5, not 1"),
    "weight zero": (filled("zero.weight", np.int8(1)), "'zero.weight' is 1, not 0"),
    "result zero": (filled("zero.128", np.uint8(127)), "is 127; allowed are 0 and 128"),
    "no bias": (lambda model: node(model, "entry").input.pop(), "with 8 inputs"),
    "scale": (filled("entry.scale", np.float32([1, 0.5, 0.3, 1])), "has scales other than"),
    "scale nan": (filled("entry.scale", np.float32([1, 1, 1, np.nan])), "has scales other than"),
    "scale 2": (filled("entry.scale", np.float32([1, 1, 1, 2])), "has scales other than"),
    "scale 2^-21": (
        filled("entry.scale", np.float32([1, 1, 1, 2**-21])), "has scales other than",
    ),
    "scales": (filled("entry.scale", np.ones(3, np.float32)), "has a scale of int32 (3,)"),
    "bias": (filled("entry.bias", np.full(4, 2**24, np.int32)), "allowed is below 2^24"),
    "bias type": (filled("entry.bias", np.zeros(4, np.float32)), "needed is int32 of 1 dim"),
    "weight": (filled("entry.weight", np.full((4, 3, 1, 1), -65, np.int8)), "|weight| 65"),
    "weight type": (
        filled("entry.weight", np.ones((4, 3, 1, 1), np.uint8)), "needed is int8 of 4 dimensions",
    ),
    "weight shape": (
        filled("entry.weight", np.ones((4, 3, 3, 1), np.int8)), "has weights (4, 3, 3, 1)",
    ),
    "kernel 5": (filled("inner0.weight", np.ones((4, 4, 5, 5), np.int8)), "that is 1x1 or 3x3"),
    "float16": (filled("entry.bias", np.zeros(4, np.float16)), "'entry.bias' of data type 10"),
    "multiplier": (
        filled("parameters.multiplier", np.full((1, 2, 1, 1), 3, np.int32)), "multipliers other",
    ),
    "minus": (
        filled("parameters.multiplier", np.full((1, 2, 1, 1), -(2**31), np.int32)),
        "multipliers other",
    ),
    "head bias shape": (
        filled("parameters.bias", np.zeros((1, 1, 2, 1), np.int32)), "not (1, channels, 1, 1)",
    ),
    "external data": (external, "an initialiser has field"),
    "typed data": (typed_data, "an initialiser has field 5"),
    "raw size": (
        lambda model: setattr(initialiser(model, "entry.bias"), "raw_data", b"\0" * 15),
        "has 15 bytes of raw_data for [4] of int32",
    ),
    "negative size": (
        lambda model: initialiser(model, "entry.bias").dims.insert(0, -1),
        "16 bytes of raw_data for [18446744073709551615, 4]",
    ),
    "empty": (filled("entry.bias", np.zeros(0, np.int32)), "has 0 bytes of raw_data"),
    "sparse": (lambda model: model.graph.sparse_initializer.add(), "the graph has field 15"),
    "types inside": (
        lambda model: model.graph.value_info.add(name="entry"), "the graph has field 13",
    ),
    "idle initialiser": (added("spare", np.float32(1)), "initialisers ['spare'] are not used"),
    "initialiser twice": (added("zero.0", np.uint8(0)), "'zero.0' is given twice"),
    "initialiser x": (added("x", np.uint8(0)), "has the name of the input"),
    "name taken": (node_field("state", "name", "a\nb"), "not a text of up to 128 printable"),
    "long name": (node_field("state", "name", "a" * 129), "not a text of up to 128 printable"),
    "result twice": (
        lambda model: node(model, "inner0").output.__setitem__(0, "zero.0"), "'zero.0' is taken",
    ),
    "two results": (
        lambda model: node(model, "entry").output.append("second"), "'output' more than 1 times",
    ),
    "other term": (node_input("state.sum", 0, "entry"), "does not read state.source"),
    "other product": (node_input("parameters.product", 0, "entry"), "does not read parameters.l"),
    "inner name read": (node_input("parameters.last", 0, "state.sum"), "which is no result"),
    "signed as source": (node_input("state.source", 0, "change0"), "is signed, not unsigned"),
    "two inputs": (second_input, "'input' more than 1 times"),
    "input name": (set_field("graph.input.0.name", "y"), "input 'y' of data type 2"),
    "input type": (
        set_field("graph.input.0.type.tensor_type.elem_type", 3), "input 'x' of data type 3",
    ),
    "input channels": (
        set_field("graph.input.0.type.tensor_type.shape.dim.1.dim_value", 4), "has weights (4, 3",
    ),
    "input rows": (
        set_field("graph.input.0.type.tensor_type.shape.dim.2.dim_value", 4), "has not the shape",
    ),
    "input axes": (
        lambda model: model.graph.input[0].type.tensor_type.shape.dim.pop(), "has not the shape",
    ),
    "output name": (set_field("graph.output.0.name", "stage"), "outputs ('stage', 'parameters')"),
    "output type": (
        set_field("graph.output.1.type.tensor_type.elem_type", 7),
        "output 'parameters' is declared as data type 7 of 2 channels; the operators give 6 of 2",
    ),
    "output channels": (
        set_field("graph.output.0.type.tensor_type.shape.dim.1.dim_value", 5),
        "output 'state' is declared as data type 2 of 5 channels",
    ),
    "output twice": (
        lambda model: model.graph.output[1].CopyFrom(model.graph.output[0]), "each once",
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", REJECTIONS)
def test_files_outside_the_subset_are_refused(name, model):
    change, message = REJECTIONS[name]
    change(model)
    with pytest.raises(ModelError, match=re.escape(message)):
        read_graph(model.SerializeToString())


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (b"", "IR version 0"),
        (b"\x08", "cut off"),
        (b"\x08\x80", "cut off"),
        (b"\x08" + b"\xff" * 10 + b"\x01", "over 64 bits"),
        (b"\x08" + b"\xff" * 9 + b"\x02", "over 64 bits"),
        (b"\x08\x08\x08\x08", "'ir_version' more than 1 times"),
        (b"\x0a\x01\x08", "wire type 2"),
        (b"\x3a\x05ab", "5 bytes are due, 2 are left"),
        (b"\x3a\xff\xff\xff\xff\xff\xff\xff\xff\x7f", "are due"),
        (b"\x0d\0\0\0\0", "wire type 5"),
        (b"\x38\x01", "wire type 0"),
        (b"\x00\x00", "field 0"),
        (b"\x0b", "wire type 3"),
        (b"PK\x03\x04", "field 10"),
    ],
)
def test_bytes_that_are_no_message(data, message):
    with pytest.raises(ModelError, match=message):
        read_graph(data)


def test_sizes_over_the_limits(monkeypatch):
    data = exact_export.to_onnx(small_graph())
    monkeypatch.setattr(onnx_file, "MAX_MODEL_BYTES", len(data))
    read_graph(data)
    monkeypatch.setattr(onnx_file, "MAX_MODEL_BYTES", len(data) - 1)
    with pytest.raises(ModelError, match=f"the limit is {len(data) - 1}"):
        read_graph(data)


def test_many_empty_fields_take_no_memory():
    nodes = b"\x0a\x00" * 1281
    body = b"\x3a" + bytes([len(nodes) & 127 | 128, len(nodes) >> 7]) + nodes
    start = b"\x08\x08\x42\x02\x10\x11"
    with pytest.raises(ModelError, match="'node' more than 1280 times"):
        read_graph(start + body)


def test_the_largest_graph_is_read():
    """Additions take the most nodes for the fewest operators, heads the most initialisers."""
    change = pointwise([[1]], name="change", signed=True)
    additions, before = [], "x"
    for n in range(255):
        additions.append(Addition(f"h{n}", before, "change"))
        before = f"h{n}"
    graph = Graph(1, (change, *additions), (before,))
    assert len(read_graph(exact_export.to_onnx(graph)).operators) == 256


def test_a_file_cut_anywhere_is_refused():
    data = exact_export.to_onnx(small_graph())
    for size in range(len(data)):
        with pytest.raises(ModelError):
            read_graph(data[:size])


def test_damaged_files_are_refused_or_run_alike_everywhere():
    """What the reader lets pass, onnxruntime must not understand in another way."""
    data = self_test_network()
    chance = random.Random(0)
    x = random_input(np.random.default_rng(0), 1, 5, 3, 5)
    refused = ran = 0
    for n in range(300):
        damaged = bytearray(data)
        # Most bytes are weights: half of the damage goes to the structure before and behind them.
        limit = len(data) if n % 2 else 1500
        for _ in range(chance.choice([1, 1, 2])):
            damaged[chance.randrange(limit)] ^= 1 << chance.randrange(8)
        try:
            graph = read_graph(bytes(damaged))
        except ModelError:
            refused += 1
            continue
        ran += 1
        found = OnnxruntimeInterpreter(bytes(damaged), 1)(x)
        expected = evaluate(graph, x)
        assert list(found) == list(expected)
        for name, values in expected.items():
            np.testing.assert_array_equal(found[name], values)
    assert refused > 100
    assert ran > 50
