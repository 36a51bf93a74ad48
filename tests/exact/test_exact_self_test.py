"""The choice of a backend, and its self-test."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from exact_building import random_input
from xraycodec.errors import ModelError
from xraycodec.exact import reference, runtime
from xraycodec.exact.onnx_reader import read_graph
from xraycodec.exact.operators import Addition, Convolution, Graph, Head
from xraycodec.exact.reference import evaluate
from xraycodec.exact.runtime import BACKENDS, BackendError, ExactNetwork
from xraycodec.exact.self_test import (
    DIGEST,
    SHAPES,
    InexactBackendWarning,
    self_test_digest,
    self_test_inputs,
    self_test_network,
)

X = random_input(np.random.default_rng(0), 1, 5, 6, 7)


@pytest.fixture(autouse=True)
def nothing_chosen(monkeypatch):
    monkeypatch.delenv("XRAYCODEC_BACKEND", raising=False)
    monkeypatch.delenv("XRAYCODEC_DEVICE", raising=False)


def off_by_one(_model, graph, _threads, _device):
    """A backend that errs in one pixel of one output."""

    def interpreter(x):
        outputs = evaluate(graph, x)
        outputs["parameters"].flat[0] ^= 1
        return outputs

    return interpreter


def broken(_model, _graph, _threads, _device):
    raise ModelError("the driver is too old")


def test_the_file_is_what_the_script_builds():
    self_test_script = pytest.importorskip("self_test_network", reason="needs onnx")
    built = self_test_script.build()
    assert read_graph(self_test_network()).outputs == built.outputs
    assert self_test_script.to_onnx(built) == self_test_network()


def test_the_constant_is_what_the_reference_gives():
    graph = read_graph(self_test_network())
    assert self_test_digest(lambda x: evaluate(graph, x)) == DIGEST


def test_the_spec_has_the_same_digest_and_inputs():
    spec = (Path(__file__).parents[2] / "spec" / "network.md").read_text("utf-8")
    assert f"```digest\n{DIGEST}\n```" in spec
    for t, x in enumerate(self_test_inputs()):
        z, values = t, []
        for _ in range(x.size):
            z = (1664525 * z + 1013904223) % 2**32
            values.append(min(max((z >> 23) - 128, 0), 255))
        assert x.ravel().tolist() == values
        assert str(x.shape) in spec


def test_the_network_meets_what_it_is_there_for():
    graph = read_graph(self_test_network())
    assert {type(operator) for operator in graph.operators} == {Convolution, Addition, Head}
    everything = Graph(graph.channels, graph.operators, tuple(op.name for op in graph.operators))
    x = self_test_inputs()[0]
    assert x.shape == SHAPES[0]
    held = {"x": x} | evaluate(everything, x)
    for values in held.values():
        if values.dtype == np.uint8:
            assert values.min() == 0
            assert values.max() == 255
            assert len(np.unique(values)) > 50
    for operator in graph.operators:
        if isinstance(operator, Convolution):
            assert operator.weight.max() == 64 or "halves" in (operator.name, operator.source)
    halves = next(op for op in graph.operators if op.name == "halves")
    assert (halves.weight[6, 6], halves.shift[6]) == (32, 6)
    assert {1, 3} <= set((held["sum"][:, 6] % 4).flat)  # ties above an even and an odd number
    assert abs(held["parameters"].astype(np.int64)).max() > 2**30


def test_rounding_ties_upwards_is_found(monkeypatch):
    def half_up(acc, operator):
        y = np.floor(np.ldexp(acc, -operator.shift[:, None]) + 0.5)
        return (y + 128 * operator.signed).clip(0, 255)

    graph = read_graph(self_test_network())
    monkeypatch.setattr(reference, "_requantise", half_up)
    assert self_test_digest(lambda x: evaluate(graph, x)) != DIGEST


@pytest.mark.parametrize("name", BACKENDS)
def test_backends_pass_here(name):
    if name == "torch":
        pytest.importorskip("torch")
    network = ExactNetwork(self_test_network(), 1, name, "cpu")
    assert network.backend == name
    for output, values in evaluate(network.graph, X).items():
        np.testing.assert_array_equal(network(X)[output], values)


@pytest.mark.parametrize("fault", [off_by_one, broken])
def test_a_backend_that_fails_is_refused_when_it_was_chosen(fault, monkeypatch):
    monkeypatch.setitem(BACKENDS, "onnxruntime", fault)
    with pytest.raises(BackendError, match="'onnxruntime' cannot be trusted"):
        ExactNetwork(self_test_network(), backend="onnxruntime")
    monkeypatch.setenv("XRAYCODEC_BACKEND", "onnxruntime")
    with pytest.raises(BackendError, match="'onnxruntime' cannot be trusted"):
        ExactNetwork(self_test_network())


@pytest.mark.parametrize(
    ("fault", "message"), [(off_by_one, f"not {DIGEST}"), (broken, "the driver is too old")]
)
def test_a_default_backend_that_fails_gives_way(fault, message, monkeypatch):
    monkeypatch.setitem(BACKENDS, "onnxruntime", fault)
    with pytest.warns(InexactBackendWarning, match=message) as caught:
        network = ExactNetwork(self_test_network())
    assert caught[0].filename == __file__
    assert network.backend == "reference"
    np.testing.assert_array_equal(network(X)["state"], evaluate(network.graph, X)["state"])


def test_a_reference_that_fails_is_refused_whoever_chose_it(monkeypatch):
    monkeypatch.setitem(BACKENDS, "onnxruntime", broken)
    monkeypatch.setitem(BACKENDS, "reference", off_by_one)
    with (
        pytest.warns(InexactBackendWarning),
        pytest.raises(BackendError, match="'reference' cannot be trusted"),
    ):
        ExactNetwork(self_test_network())


def test_the_self_test_runs_once_for_a_backend_and_device(monkeypatch):
    opened = []

    def counting(model, graph, threads, device):
        opened.append(device)
        return lambda x: evaluate(graph, x)

    monkeypatch.setitem(BACKENDS, "torch", counting)
    for device in ("a", "a", "b"):
        ExactNetwork(self_test_network(), backend="torch", device=device)
    assert opened == ["a", "a", "a", "b", "b"]  # a test and a network, a network, both again


def test_the_environment_chooses(monkeypatch):
    monkeypatch.setenv("XRAYCODEC_BACKEND", "reference")
    assert ExactNetwork(self_test_network()).backend == "reference"
    assert ExactNetwork(self_test_network(), backend="onnxruntime").backend == "onnxruntime"
    monkeypatch.setenv("XRAYCODEC_BACKEND", "abacus")
    with pytest.raises(BackendError, match="no backend 'abacus'; there are onnxruntime, core, ref"):
        ExactNetwork(self_test_network())


def test_the_environment_chooses_the_device(monkeypatch):
    pytest.importorskip("torch")
    monkeypatch.setenv("XRAYCODEC_DEVICE", "abacus")
    with pytest.raises(BackendError, match="no device 'abacus'"):
        ExactNetwork(self_test_network(), backend="torch")


def test_torch_that_is_not_installed(monkeypatch):
    monkeypatch.setitem(sys.modules, "torch", None)
    monkeypatch.delitem(sys.modules, "xraycodec.exact.torch_backend", raising=False)
    runtime._fault.cache_clear()
    with pytest.raises(BackendError, match="needs the package torch"):
        ExactNetwork(self_test_network(), backend="torch", device="cpu")
    runtime._fault.cache_clear()


def test_the_default_loads_neither_torch_nor_onnx():
    code = (
        "from xraycodec.exact.runtime import ExactNetwork\n"
        "from xraycodec.exact.self_test import self_test_network\n"
        "assert ExactNetwork(self_test_network(), 1).backend == 'onnxruntime'\n"
        "import sys; print('torch' in sys.modules, 'onnx' in sys.modules)"
    )
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", code],
        capture_output=True, text=True, check=True, timeout=600, env=dict(os.environ),
    )  # fmt: skip
    assert done.stdout.split() == ["False", "False"]
