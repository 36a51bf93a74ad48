"""Networks with several inputs and outputs in onnxruntime."""

from __future__ import annotations

import numpy as np
import pytest

onnx = pytest.importorskip("onnx", reason="networks are built with onnx")
from onnx import TensorProto, helper  # noqa: E402 - behind the check for onnx

from xraycodec.errors import ModelError  # noqa: E402 - as above
from xraycodec.exact.session import NamedNetwork  # noqa: E402 - as above


def network(kind: int = TensorProto.FLOAT) -> bytes:
    def described(name, channels):
        return helper.make_tensor_value_info(name, kind, ["n", channels, None, "w"])

    nodes = [
        helper.make_node("Add", ["a", "b"], ["sum"]),
        helper.make_node("Sub", ["a", "b"], ["difference"]),
    ]
    graph = helper.make_graph(
        nodes,
        "two",
        [described("a", 2), described("b", 2)],
        [described("sum", 2), described("difference", 2)],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)])
    model.ir_version = 8
    return model.SerializeToString()


A = np.arange(24, dtype=np.float32).reshape(1, 2, 3, 4)
B = np.ones_like(A)


def test_inputs_and_outputs_have_names_and_shapes():
    found = NamedNetwork(network(), 1)
    assert found.inputs == {"a": (None, 2, None, None), "b": (None, 2, None, None)}
    assert found.outputs == ("sum", "difference")


def test_outputs_come_in_the_order_asked_for():
    found = NamedNetwork(network(), 1)
    difference, total = found({"b": B, "a": A}, ["difference", "sum"])
    np.testing.assert_array_equal(difference, A - 1)
    np.testing.assert_array_equal(total, A + 1)
    (total,) = found({"a": A, "b": B}, ["sum"])
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
def test_what_it_does_not_take(inputs, outputs):
    found = NamedNetwork(network(), 1)
    with pytest.raises(ModelError, match=r"onnxruntime fails on inputs of a \(1, 2, 3, 4\)"):
        found(inputs, outputs)


def test_what_is_no_network():
    with pytest.raises(ModelError, match="onnxruntime refuses the network"):
        NamedNetwork(b"nothing of the kind")


def test_networks_of_other_types():
    with pytest.raises(ModelError, match=r"input 'a' of the network is a tensor\(double\)"):
        NamedNetwork(network(TensorProto.DOUBLE))
