"""Every bound and every rule of form in spec/network.md, broken once."""

from __future__ import annotations

import re
from itertools import pairwise

import numpy as np
import pytest

from exact_building import pointwise, production_graph, single, vector
from xraycodec.errors import ModelError
from xraycodec.exact import operators
from xraycodec.exact.operators import (
    Addition,
    Convolution,
    Graph,
    Head,
    Kind,
    prove,
    reach,
    spent,
)


def convolution(weight, bias=0, shift=0):
    weight = np.asarray(weight)
    full = (np.full(len(weight), value, np.int32) for value in (bias, shift))
    return Convolution("y", "x", weight, *full)


def head(weights, bias=0, exponent=0, name="y", source="x"):
    full = (np.full(len(weights), value, np.int32) for value in (bias, exponent))
    return Head(name, source, np.array(weights, np.int8), *full)


def test_what_names_stand_for():
    tensors = prove(production_graph(np.random.default_rng(0)))
    assert tensors["x"].channels == 71
    assert tensors["inner0"].kind == tensors["state"].kind == Kind.UNSIGNED
    assert tensors["change1"].kind == Kind.SIGNED
    assert (tensors["parameters"].channels, tensors["parameters"].kind) == (8, Kind.WIDE)


def test_tensors_are_freed_after_their_last_use_and_outputs_never():
    graph = production_graph(np.random.default_rng(0))
    assert spent(graph) == (
        ("x",), (), ("inner0",), ("entry", "change0"), (), ("inner1",), ("h0", "change1"), (),
    )  # fmt: skip
    assert reach(graph) == 4


def test_the_largest_values_are_allowed():
    prove(single(pointwise([[64, -64]], bias=2**24 - 1 - 2 * 64 * 255, shift=20), channels=2))
    prove(single(pointwise([[0]], bias=-(2**24) + 1)))
    prove(single(head([[64]], bias=2**24 - 1 - 64 * 255, exponent=7)))
    prove(single(head([[0]], bias=1, exponent=30)))
    prove(single(convolution(np.full((1, 114, 3, 3), -64, np.int8)), channels=114))


@pytest.mark.parametrize(
    ("operator", "message"),
    [
        (pointwise([[1], [65]]), "channel 1 of 'y' has |weight| 65; allowed is up to 64"),
        (pointwise([[-65]]), "|weight| 65;"),
        (pointwise([[-128]]), "|weight| 128;"),
        (head([[65]]), "|weight| 65;"),
        (
            pointwise([[64]], bias=2**24 - 64 * 255),
            "has sum |weight| x 255 + |bias| 16777216; allowed is below 2^24",
        ),
        (pointwise([[-64]], bias=-(2**24) + 64 * 255), "|bias| 16777216;"),
        (pointwise([[0]], bias=-(2**31)), "|bias| 2147483648;"),
        (head([[64]], bias=2**24 - 64 * 255), "|bias| 16777216;"),
        (pointwise([[1]], shift=-1), "has shift -1; allowed is 0 to 20"),
        (pointwise([[1]], shift=21), "has shift 21;"),
        (head([[1]], exponent=-1), "has exponent -1; allowed is 0 to 30"),
        (head([[0]], exponent=31), "has exponent 31;"),
        (head([[0]], bias=2, exponent=30), "has peak x 2^exponent 2147483648; allowed is below"),
        (convolution(np.zeros((1, 1, 2, 2), np.int8)), "has weights (1, 1, 2, 2)"),
        (convolution(np.zeros((1, 1, 1, 3), np.int8)), "has weights (1, 1, 1, 3)"),
        (convolution(np.zeros((1, 2, 3, 3), np.int8)), "has weights (1, 2, 3, 3)"),
        (convolution(np.zeros((1, 1), np.int8)), "has weights (1, 1)"),
        (convolution(np.zeros((1, 1, 1, 1), np.int16)), "weights of int16, not int8"),
        (convolution(np.zeros((0, 1, 1, 1), np.int8)), "has 0 channels"),
        (convolution(np.zeros((1025, 1, 1, 1), np.int8)), "has 1025 channels"),
        (head([[0, 0]]), "has weights (1, 2); needed are (channels, 1)"),
        (
            Convolution("y", "x", np.zeros((2, 1, 1, 1), np.int8), vector(0), vector(0, 0)),
            "has a bias of int32 (1,); needed is int32 (2,)",
        ),
        (
            Convolution("y", "x", np.zeros((1, 1, 1, 1), np.int8), vector(0), np.zeros(1)),
            "has a scale of float64 (1,)",
        ),
        (pointwise([[1]], source="z"), "'y' reads 'z', which is no result before it"),
        (pointwise([[1]], name="x"), "'x' is the name of two tensors"),
        (pointwise([[1]], name="y.z"), "name 'y.z' is not of the form"),
        (pointwise([[1]], name=""), "name '' is not of the form"),
        (Addition("y", "x", "x"), "'y' reads 'x', which is unsigned, not signed"),
    ],
)
def test_operators_that_are_refused(operator, message):
    with pytest.raises(ModelError, match=re.escape(message)):
        prove(single(operator))


SIGNED = pointwise([[1]], name="s", signed=True)
WIDE = pointwise([[1], [1]], name="w")


@pytest.mark.parametrize(
    ("graph", "message"),
    [
        (Graph(0, (SIGNED,), ("s",)), "input of 0 channels; allowed are 1 to 1024"),
        (Graph(1025, (SIGNED,), ("s",)), "input of 1025 channels"),
        (Graph(1, (), ("x",)), "0 operators; allowed are 1 to 256"),
        (Graph(1, (SIGNED,), ()), "outputs ()"),
        (Graph(1, (SIGNED,), ("s", "s")), "each once"),
        (Graph(1, (SIGNED,), ("s", "x")), "needed are one or more results of operators"),
        (Graph(1, (SIGNED,), ("t",)), "outputs ('t',)"),
        (Graph(1, (SIGNED, WIDE), ("s",)), "results ['w'] are neither outputs nor read"),
        (Graph(1, (SIGNED, SIGNED), ("s",)), "'s' is the name of two tensors"),
        (
            Graph(1, (SIGNED, pointwise([[1]], source="s")), ("y",)),
            "'y' reads 's', which is signed, not unsigned",
        ),
        (Graph(1, (SIGNED, head([[1]], source="s")), ("y",)), "which is signed, not unsigned"),
        (
            Graph(1, (head([[1]]), pointwise([[1]], name="z", source="y")), ("z",)),
            "'z' reads 'y', which is wide, not unsigned",
        ),
        (Graph(1, (WIDE, SIGNED, Addition("y", "w", "s")), ("y",)), "'y' adds 1 channels to 2"),
        (Graph(1, (Addition("y", "x", "s"), SIGNED), ("y",)), "'s', which is no result before it"),
        (
            Graph(1, tuple(pointwise([[1]], name=f"t{n}") for n in range(257)), ("t0",)),
            "257 operators",
        ),
    ],
)
def test_graphs_that_are_refused(graph, message):
    with pytest.raises(ModelError, match=re.escape(message)):
        prove(graph)


def test_work_is_bounded_where_weights_are_shared(monkeypatch):
    shared = pointwise(np.ones((64, 64), np.int8))
    names = ["x", "a", "b", "c", "d", "e"]
    chain = [
        Convolution(name, source, shared.weight, shared.bias, shared.shift)
        for source, name in pairwise(names)
    ]
    graph = Graph(64, tuple(chain), ("e",))
    monkeypatch.setattr(operators, "MAX_MULTIPLICATIONS", 5 * 64 * 64)
    prove(graph)
    monkeypatch.setattr(operators, "MAX_MULTIPLICATIONS", 5 * 64 * 64 - 1)
    with pytest.raises(ModelError, match="takes 20480 multiplications for a pixel; the limit is"):
        prove(graph)
