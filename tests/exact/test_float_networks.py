"""Networks of floats: which are run, and what is refused before anything is."""

from __future__ import annotations

import random
import re
from collections.abc import Callable, Mapping
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pytest

onnx = pytest.importorskip("onnx", reason="networks are built with onnx")
from onnx import TensorProto, helper, numpy_helper  # noqa: E402 - behind the check for onnx

from xraycodec.errors import ModelError  # noqa: E402 - as above
from xraycodec.exact import float_shapes, onnx_file, session  # noqa: E402 - as above
from xraycodec.exact.float_reader import read_shapes  # noqa: E402 - as above
from xraycodec.exact.float_shapes import Shape  # noqa: E402 - as above
from xraycodec.exact.ort import open_session  # noqa: E402 - as above
from xraycodec.exact.pack import read_pack  # noqa: E402 - as above
from xraycodec.exact.session import NamedNetwork, Network  # noqa: E402 - as above

X = {"x": Shape(4, 16)}
ROOT = Path(__file__).parents[2]


def model(
    *nodes: Any, inputs: Mapping[str, Any] | None = None, output: str = "y", **constants: Any
) -> Any:
    """A network of these nodes, from ``x`` of 4 channels to ``y``."""
    described = [
        helper.make_tensor_value_info(name, TensorProto.FLOAT, ["n", channels, "h", "w"])
        for name, channels in (inputs or {"x": 4}).items()
    ]
    result = helper.make_tensor_value_info(output, TensorProto.FLOAT, ["n", None, None, None])
    initialisers = [numpy_helper.from_array(np.asarray(a), name) for name, a in constants.items()]
    graph = helper.make_graph(list(nodes), "small", described, [result], initialisers)
    built = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)])
    built.ir_version = 8
    return built


def node(operator: str, *inputs: str, to: str = "y", **attributes: Any) -> Any:
    return helper.make_node(operator, list(inputs), to.split(), **attributes)


def weights(*shape: int, kind: Any = np.float32) -> Any:
    return np.linspace(-1, 1, int(np.prod(shape)), dtype=np.float32).reshape(shape).astype(kind)


def conv(
    kernel: int = 3, stride: int = 1, pads: tuple[int, ...] = (1, 1, 1, 1), **more: Any
) -> Any:
    """A convolution of 4 to 8 channels."""
    more = {"strides": [stride] * 2, "pads": list(pads)} | more
    return model(node("Conv", "x", "w", **more), w=weights(8, 4, kernel, kernel))


def found(built: Any, inputs: Mapping[str, Shape] = X) -> Shape:
    return read_shapes(built.SerializeToString(), inputs)[1]["y"]


ALLOWED = {
    "convolution": (conv(), Shape(8, 16)),
    "halving, zeros before": (conv(3, 2, (1, 1, 0, 0)), Shape(8, 8)),
    "halving, zeros around": (conv(3, 2), Shape(8, 8)),
    "to one cell": (conv(16, 16, (0, 0, 0, 0)), Shape(8, 1)),
    "pointwise, with kernel_shape": (conv(1, 1, (0,) * 4, kernel_shape=[1, 1]), Shape(8, 16)),
    "bias": (
        model(node("Conv", "x", "w", "b"), w=weights(8, 4, 1, 1), b=weights(8)), Shape(8, 16),
    ),
    "half precision": (
        model(
            helper.make_node("Cast", ["h"], ["w"], to=1),
            node("Conv", "x", "w"),
            h=weights(8, 4, 1, 1, kind=np.float16),
        ),
        Shape(8, 16),
    ),
    "average": (
        model(node("AveragePool", "x", kernel_shape=[4, 4], strides=[4, 4])), Shape(4, 4),
    ),
    "there and back": (
        model(
            node("AveragePool", "x", to="t", kernel_shape=[2, 2], strides=[2, 2]),
            node("ConvTranspose", "t", "w", strides=[2, 2]),
            w=weights(4, 3, 2, 2),
        ),
        Shape(3, 16),
    ),
    "depth to space": (
        model(
            node("AveragePool", "x", to="t", kernel_shape=[2, 2], strides=[2, 2]),
            node("DepthToSpace", "t", blocksize=2, mode="CRD"),
        ),
        Shape(1, 16),
    ),
    "gates": (
        model(
            node("Split", "x", to="a b", axis=1),
            node("Sigmoid", "a", to="c"),
            node("Tanh", "b", to="d"),
            node("Mul", "c", "d", to="e"),
            node("Clip", "e", "low", "high", to="f"),
            node("Max", "f", "knee", to="g"),
            node("Sub", "one", "g", to="i"),
            node("Add", "i", "i"),
            low=np.float32([0]), high=np.float32(1), one=np.float32([1]), knee=weights(2, 1, 1),
        ),
        Shape(2, 16),
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", ALLOWED)
def test_shapes_are_those_that_onnxruntime_gives(name: str) -> None:
    built, due = ALLOWED[name]
    assert found(built) == due
    network = NamedNetwork(built.SerializeToString(), X, 1)
    for down, across in ((1, 1), (2, 3)):
        (y,) = network({"x": weights(2, 4, 16 * down, 16 * across)}, ["y"])
        assert y.shape == (2, due.channels, due.cells * down, due.cells * across)


def folder_of_packs() -> list[Path]:
    folders = ("src/xraycodec/models", "weights", "spec/vectors/models")
    return [path for folder in folders for path in sorted((ROOT / folder).glob("*.xrcpack"))]


@pytest.mark.parametrize("path", folder_of_packs(), ids=lambda path: path.stem)
def test_every_pack_of_the_repository_is_read(path: Path) -> None:
    pack = read_pack(path)
    if pack.codec == "RNNC":
        latents = Shape(pack.properties["beta"], 1)
        image = Shape(1, 16)
        for member, taken, given in (("analysis", image, latents), ("synthesis", latents, image)):
            _, outputs = read_shapes(pack.members[f"{member}.onnx"], {"x": taken})
            assert [*outputs.values()] == [given]


def with_attribute(built: Any, **attributes: Any) -> Any:
    for name, value in attributes.items():
        built.graph.node[0].attribute.append(helper.make_attribute(name, value))
    return built


def changed(built: Any, change: Callable[[Any], object]) -> Any:
    change(built)
    return built


def body() -> Any:
    """A subgraph."""
    value = helper.make_tensor_value_info("z", TensorProto.FLOAT, [1])
    return helper.make_graph([node("Identity", "x", to="z")], "body", [], [value])


def external(built: Any) -> None:
    tensor = built.graph.initializer[0]
    tensor.ClearField("raw_data")
    tensor.data_location = TensorProto.EXTERNAL
    tensor.external_data.add(key="location", value="/etc/passwd")


def of_size(*dims: int) -> Callable[[Any], None]:
    def change(built: Any) -> None:
        del built.graph.initializer[0].dims[:]
        built.graph.initializer[0].dims.extend(dims)

    return change


def free_channels(built: Any) -> None:
    built.graph.input[0].type.tensor_type.shape.dim[1].Clear()


def wide(channels: int, times: int) -> Any:
    """The same pointwise convolution again and again: little file, much work."""
    names = ["x", *(f"t{n}" for n in range(times - 1)), "y"]
    nodes = [node("Conv", a, "w", to=b) for a, b in pairwise(names)]
    return model(*nodes, inputs={"x": channels}, w=weights(channels, channels, 1, 1))


REJECTIONS: dict[str, tuple[Any, str]] = {
    "loop": (
        model(helper.make_node("Loop", ["m", "c", "x"], ["y"], body=body()),
              m=np.float32(1e9), c=np.float32(1)),
        "an attribute of Loop has field 6",
    ),
    "if": (
        model(helper.make_node("If", ["c"], ["y"], then_branch=body(), else_branch=body()),
              c=np.float32(1)),
        "an attribute of If has field 6",
    ),
    "loop without a body": (model(node("Loop", "x")), "operator 'Loop'; allowed are Cast, Conv"),
    "another operator": (model(node("MatMul", "x", "x")), "operator 'MatMul'; allowed are"),
    "external data": (changed(conv(), external), "an initialiser has field 1"),
    "domain": (
        changed(conv(), lambda m: setattr(m.graph.node[0], "domain", "com.microsoft")),
        "a node has field 7",
    ),
    "two operator sets": (
        changed(conv(), lambda m: m.opset_import.add(domain="com.microsoft", version=1)),
        "'opset_import' more than 1 times",
    ),
    "another operator set": (
        changed(conv(), lambda m: setattr(m.opset_import[0], "version", 21)), "operator set 21",
    ),
    "functions": (
        changed(conv(), lambda m: m.functions.add(name="f", domain="g")), "the model has field 25",
    ),
    "sparse": (
        changed(conv(), lambda m: m.graph.sparse_initializer.add()), "the graph has field 15",
    ),
    "a huge size": (changed(conv(), of_size(2**31, 2**31, 1, 1)), "bytes of raw_data for [21474"),
    "a negative size": (changed(conv(), of_size(-8, -4, 3, 3)), "bytes of raw_data for [184467"),
    "a huge size of nothing": (changed(conv(), of_size(2**62, 0)), "bytes of raw_data for [4611"),
    "typed data": (
        changed(conv(), lambda m: m.graph.initializer[0].float_data.append(1.0)),
        "an initialiser has field 4",
    ),
    "integers": (model(node("Add", "x", "c"), c=np.int32(1)), "'c' of data type 6"),
    "not a number": (
        model(node("Add", "x", "c"), c=np.float32(np.nan)), "'c' has values that are not finite",
    ),
    "infinite half": (
        model(helper.make_node("Cast", ["h"], ["w"], to=1), node("Conv", "x", "w"),
              h=np.full((8, 4, 1, 1), np.inf, np.float16)),
        "'h' has values that are not finite",
    ),
    "a cycle": (
        model(node("Add", "x", "t", to="u"), node("Add", "u", "x", to="t"), node("Add", "t", "x")),
        "reads 't', which is missing",
    ),
    "reads itself": (model(node("Identity", "y")), "reads 'y', which is no tensor before it"),
    "output of nothing": (model(node("Identity", "x", to="z")), "output 'y' is no result"),
    "the input for output": (
        model(node("Identity", "x", to="z"), output="x"), "output 'x' is no result",
    ),
    "a name twice": (
        model(node("Identity", "x"), node("Tanh", "x")), "has no result, or its name 'y' is taken",
    ),
    "two results of one name": (
        changed(model(node("Split", "x", to="y z", axis=1)),
                lambda m: m.graph.node[0].output.__setitem__(1, "y")),
        "two results of one name",
    ),
    "constant named as the input": (
        model(node("Add", "x", "x"), x=np.float32(1)), "has the name of the input 'x'",
    ),
    "idle constant": (model(node("Tanh", "x"), c=np.float32(1)), "['c'] are not used"),
    "two results": (model(node("Tanh", "x", to="y z")), "Tanh has 2 results; it gives one"),
    "negative pads": (conv(pads=(-1, -1, 3, 3)), "has pads [18446744073709551615, 1844"),
    "one negative pad": (conv(pads=(3, 3, -1, -1)), "has pads [3, 3, 18446744073709551615"),
    "huge pads": (conv(pads=(2**31, 1, 1, 1)), "has pads [2147483648, 1, 1, 1]"),
    "size not kept": (conv(pads=(0, 0, 0, 0)), "has pads [0, 0, 0, 0] for a kernel of 3"),
    "three pads": (conv(pads=(1, 1, 1)), "has pads [1, 1, 1]; needed are 4 integers"),
    "unlike strides": (conv(strides=[1, 2]), "has strides [1, 2] for 16 cells"),
    "stride 0": (conv(strides=[0, 0]), "has strides [0, 0]"),
    "stride 3": (conv(strides=[3, 3]), "has strides [3, 3] for 16 cells"),
    "negative stride": (conv(strides=[-1, -1]), "has strides [1844"),
    "groups": (model(node("Conv", "x", "w", group=4), w=weights(8, 1, 1, 1)), "['group']"),
    "group 1": (
        model(node("Conv", "x", "w", group=1), w=weights(8, 4, 1, 1)),
        "['group']; allowed are 2 or 3 inputs",
    ),
    "dilations": (
        model(node("Conv", "x", "w", dilations=[9, 9]), w=weights(8, 4, 1, 1)), "['dilations']",
    ),
    "automatic pads": (
        model(node("Conv", "x", "w", auto_pad="SAME_UPPER"), w=weights(8, 4, 1, 1)),
        "['auto_pad']",
    ),
    "a wide kernel": (conv(17, pads=(8, 8, 8, 8)), "square kernel of up to 16"),
    "oblong kernel": (
        model(node("Conv", "x", "w"), w=weights(8, 4, 1, 2)), "square kernel of up to 16",
    ),
    "another kernel_shape": (conv(kernel_shape=[1, 1]), "has kernel_shape [1, 1] and weights"),
    "weights that are computed": (
        model(node("Tanh", "x", to="w"), node("Conv", "x", "w")), "has weights ()",
    ),
    "bias of another length": (
        model(node("Conv", "x", "w", "b"), w=weights(8, 4, 1, 1), b=weights(7)),
        "float32 (7,); needed is float32 (8,)",
    ),
    "half precision, not cast": (
        model(node("Conv", "x", "w"), w=weights(8, 4, 1, 1, kind=np.float16)),
        "which is float16 (8, 4, 1, 1); needed is float32",
    ),
    "cast of a tensor": (
        model(helper.make_node("Cast", ["x"], ["y"], to=1)), "needed is a float16 initialiser",
    ),
    "cast to another type": (
        model(helper.make_node("Cast", ["h"], ["w"], to=7), node("Conv", "x", "w"),
              h=weights(8, 4, 1, 1, kind=np.float16)),
        "needed is a float16 initialiser, to float32",
    ),
    "attribute of two types": (
        changed(conv(), lambda m: setattr(m.graph.node[0].attribute[0], "i", 1)),
        "an attribute of Conv has values of several types",
    ),
    "attribute without a value": (
        changed(model(node("Split", "x", to="y z", axis=1)),
                lambda m: m.graph.node[0].attribute[0].ClearField("i")),
        "an attribute of Split has no value",
    ),
    "attribute of floats": (
        with_attribute(model(node("Tanh", "x")), alpha=1.5), "an attribute of Tanh has field 2",
    ),
    "attribute where none belongs": (
        with_attribute(model(node("Tanh", "x")), axis=1), "the attributes ['axis']",
    ),
    "attribute twice": (
        with_attribute(conv(), pads=[1, 1, 1, 1]), "'pads', is given twice or not of type INT or",
    ),
    "no room for it": (
        model(node("ConvTranspose", "x", "w", strides=[2, 2]), w=weights(4, 3, 2, 2)),
        "gives more values than pixels",
    ),
    "transposed, overlapping": (
        model(node("AveragePool", "x", to="t", kernel_shape=[4, 4], strides=[4, 4]),
              node("ConvTranspose", "t", "w", strides=[1, 1]), w=weights(4, 3, 2, 2)),
        "has strides [1, 1]; needed is its kernel, 2",
    ),
    "pooling, overlapping": (
        model(node("AveragePool", "x", kernel_shape=[4, 4], strides=[1, 1])),
        "has strides [1, 1]; needed is its kernel, 4",
    ),
    "pooling of 3": (
        model(node("AveragePool", "x", kernel_shape=[3, 3], strides=[3, 3])),
        "has kernel_shape [3, 3] for 16 cells",
    ),
    "pooling of nothing": (
        model(node("AveragePool", "x", kernel_shape=[0, 0], strides=[0, 0])), "kernel_shape [0, 0]",
    ),
    "tensors of unlike shape": (
        model(node("AveragePool", "x", to="t", kernel_shape=[2, 2], strides=[2, 2]),
              node("Add", "x", "t")),
        "needed are tensors of one shape",
    ),
    "a constant that widens": (
        model(node("Add", "x", "c"), c=weights(9, 4, 1, 1)), "(9, 4, 1, 1); needed is float32 ()",
    ),
    "two constants": (
        model(node("Add", "c", "c"), c=np.float32(1)), "reads 'c', which is no tensor before it",
    ),
    "unequal parts": (
        model(node("Split", "x", to="y a b", axis=1)), "of 4 channels into 3 with",
    ),
    "another axis": (model(node("Split", "x", to="y z", axis=2)), "needed are equal parts along"),
    "depth, not enough": (
        model(node("DepthToSpace", "x", blocksize=2, mode="CRD")), "up to 8 cells",
    ),
    "depth, huge": (
        model(node("DepthToSpace", "x", blocksize=2**31, mode="CRD")), "needed are blocks of 2",
    ),
    "clip between tensors": (model(node("Clip", "x", "x", "x")), "reads 'x', which is missing"),
    "no channels": (changed(model(node("Tanh", "x")), free_channels), "'x' has 0 channels"),
    "size given": (
        changed(conv(), lambda m: setattr(
            m.graph.input[0].type.tensor_type.shape.dim[2], "dim_value", 2**31)),
        "of which channels alone may be a number",
    ),
    "three axes": (
        changed(conv(), lambda m: m.graph.input[0].type.tensor_type.shape.dim.pop()),
        "'x' is declared as data type 1 ('n', 4, 'h')",
    ),
    "double": (
        changed(conv(), lambda m: setattr(m.graph.input[0].type.tensor_type, "elem_type", 11)),
        "'x' is declared as data type 11",
    ),
    "no input": (changed(conv(), lambda m: m.graph.input.pop()), "the network takes ; needed"),
    "another input": (model(node("Tanh", "z"), inputs={"z": 4}), "takes z; needed are x"),
    "an input twice": (
        changed(conv(), lambda m: m.graph.input.append(m.graph.input[0])), "takes x, x; needed",
    ),
    "no output": (changed(conv(), lambda m: m.graph.output.pop()), "the network has no output"),
    "an output twice": (
        changed(conv(), lambda m: m.graph.output.append(m.graph.output[0])), "is listed twice",
    ),
    "output of other channels": (
        changed(conv(), lambda m: setattr(
            m.graph.output[0].type.tensor_type.shape.dim[1], "dim_value", 9)),
        "'y' is declared with 9 channels; it has 8",
    ),
    "a giant convolution": (
        model(node("Conv", "x", "w", pads=[7, 7, 8, 8]), w=weights(2048, 4, 16, 16)),
        "takes 536870912 multiplications; the limit is 268435456",
    ),
    "a small file, much work": (wide(1024, 2), "multiplications; the limit is"),
    "much memory": (
        model(*(node("Tanh", "x", to=f"t{n}") for n in range(1200)), node("Tanh", "x"),
              inputs={"x": 100}),
        "values; the limit is 2097152",
    ),
    "too many channels": (
        model(node("Conv", "x", "w"), w=weights(4097, 4, 1, 1)), "'y' has 4097 channels",
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", REJECTIONS)
def test_a_network_is_refused_before_onnxruntime_sees_it(
    name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    def opened(*_: object, **__: object) -> None:
        raise AssertionError

    built, message = REJECTIONS[name]
    monkeypatch.setattr(session, "open_session", opened)
    inputs = {"x": Shape(0, 16)}
    with pytest.raises(ModelError, match=re.escape(message)):
        NamedNetwork(built.SerializeToString(), inputs)


def test_an_input_of_other_channels_than_the_codec_gives() -> None:
    with pytest.raises(ModelError, match="'x' is declared with 4 channels; it has 5"):
        found(conv(), {"x": Shape(5, 16)})


def test_limits_are_inclusive(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(float_shapes, "MAX_MULTIPLICATIONS", 8 * 4 * 9 * 256)
    monkeypatch.setattr(float_shapes, "MAX_VALUES", (4 + 8) * 256)
    assert found(conv()) == Shape(8, 16)
    for name in ("MAX_MULTIPLICATIONS", "MAX_VALUES"):
        with monkeypatch.context() as patch:
            patch.setattr(float_shapes, name, getattr(float_shapes, name) - 1)
            with pytest.raises(ModelError, match="the limit is"):
                found(conv())
    data = conv().SerializeToString()
    monkeypatch.setattr(onnx_file, "MAX_MODEL_BYTES", len(data) - 1)
    with pytest.raises(ModelError, match=f"network of {len(data)} bytes"):
        read_shapes(data, X)


@pytest.mark.parametrize("data", [b"", b"nothing of the kind", b"\0\0\0\0ORTM"])
def test_what_is_no_network(data: bytes) -> None:
    with pytest.raises(ModelError, match=r"the model|IR version 0"):
        NamedNetwork(data, X)


def test_a_file_cut_anywhere_is_refused() -> None:
    data = ALLOWED["gates"][0].SerializeToString()
    for size in range(len(data)):
        with pytest.raises(ModelError):
            read_shapes(data[:size], X)


def two_outputs() -> bytes:
    built = model(node("Add", "a", "b", to="sum"), node("Sub", "a", "b"), inputs={"a": 2, "b": 2})
    built.graph.output.append(
        helper.make_tensor_value_info("sum", TensorProto.FLOAT, ["n", 2, None, None])
    )
    data: bytes = built.SerializeToString()
    return data


AB = {"a": Shape(2, 1), "b": Shape(0, 1)}
A = np.arange(24, dtype=np.float32).reshape(1, 2, 3, 4)
B = np.ones_like(A)


def test_outputs_come_in_the_order_asked_for() -> None:
    network = NamedNetwork(two_outputs(), AB, 1)
    assert (network.inputs, network.outputs) == (
        {"a": Shape(2, 1), "b": Shape(2, 1)},
        {"y": Shape(2, 1), "sum": Shape(2, 1)},
    )
    difference, total = network({"b": B, "a": A}, ["y", "sum"])
    np.testing.assert_array_equal(difference, A - 1)
    np.testing.assert_array_equal(total, A + 1)
    (total,) = network({"a": A, "b": B}, ["sum"])
    np.testing.assert_array_equal(total, A + 1)


@pytest.mark.parametrize(
    ("inputs", "outputs"),
    [
        ({"a": A}, ["sum"]),
        ({"a": A, "b": B[:, :1]}, ["sum"]),
        ({"a": A, "b": B, "c": B}, ["sum"]),
        ({"a": A.astype(np.float64), "b": B}, ["sum"]),
        ({"a": A, "b": B}, ["product"]),
    ],
)
def test_what_it_does_not_take(inputs: dict[str, Any], outputs: list[str]) -> None:
    network = NamedNetwork(two_outputs(), AB, 1)
    with pytest.raises(ModelError, match=r"onnxruntime fails on inputs of a \(1, 2, 3, 4\)"):
        network(inputs, outputs)


def test_results_that_are_no_numbers() -> None:
    huge = np.float32(3e38)
    network = Network(
        model(node("Mul", "x", "c"), c=huge).SerializeToString(), Shape(4, 1), Shape(4, 1), 1
    )
    assert network(np.ones((1, 4, 1, 1), np.float32)).max() == huge
    with pytest.raises(ModelError, match="gives values of 'y' that are not finite"):
        network(np.full((1, 4, 1, 1), 2, np.float32))


def test_a_network_that_gives_another_shape() -> None:
    with pytest.raises(ModelError, match=r"channels=8, cells=16\)}; needed is one .*channels=9"):
        Network(conv().SerializeToString(), Shape(4, 16), Shape(9, 16))


def test_damaged_files_are_refused_or_give_the_shapes_that_were_read() -> None:
    """What the reader lets pass, onnxruntime must not understand in another way."""
    chance = random.Random(0)
    refused = ran = 0
    for built, _ in ALLOWED.values():
        data = built.SerializeToString()
        for _ in range(40):
            damaged = bytearray(data)
            damaged[chance.randrange(len(data))] ^= 1 << chance.randrange(8)
            try:
                _, outputs = read_shapes(bytes(damaged), X)
            except ModelError:
                refused += 1
                continue
            ran += 1
            x = weights(1, 4, 32, 16)
            session = open_session(bytes(damaged), 1)
            for (name, due), values in zip(
                outputs.items(), session.run([*outputs], {"x": x}), strict=True
            ):
                assert values.shape == (1, due.channels, 2 * due.cells, due.cells), name
    assert refused > 100
    assert ran > 50
