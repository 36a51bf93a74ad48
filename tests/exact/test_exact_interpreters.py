"""Three interpreters, one result: the promise of spec/network.md."""

from __future__ import annotations

import numpy as np
import pytest

from exact_building import pointwise, production_graph, random_graph, random_input, single, vector
from xraycodec.errors import ModelError
from xraycodec.exact import reference
from xraycodec.exact.onnx_reader import read_graph
from xraycodec.exact.operators import Addition, Convolution, Graph, Head, prove, reach
from xraycodec.exact.reference import evaluate
from xraycodec.exact.runtime import ExactNetwork, OnnxruntimeInterpreter

exact_export = pytest.importorskip("xraycodec.training.exact_export", reason="needs onnx")

LEVELS = ("DISABLE_ALL", "ENABLE_BASIC", "ENABLE_EXTENDED", "ENABLE_ALL")
SIZES = ((1, 1), (1, 23), (19, 1), (2, 3), (16, 16), (21, 17))


def assert_same(found, expected):
    assert list(found) == list(expected)
    for name, values in expected.items():
        assert found[name].dtype == values.dtype
        np.testing.assert_array_equal(found[name], values, err_msg=name)


def by_definition(operator, x):
    """Section 2 and 3 of the spec in Python's integers, pixel by pixel."""
    images, channels, height, width = x.shape
    margin = operator.weight.shape[-1] // 2 if operator.weight.ndim == 4 else 0
    weight = operator.weight.reshape(len(operator.weight), channels, 2 * margin + 1, -1)
    out = np.zeros((images, len(weight), height, width), np.int64)
    for n, o, r, c in np.ndindex(out.shape):
        acc = int(operator.bias[o])
        for i, dr, dc in np.ndindex(weight.shape[1:]):
            row, column = r + dr - margin, c + dc - margin
            if 0 <= row < height and 0 <= column < width:
                acc += int(weight[o, i, dr, dc]) * int(x[n, i, row, column])
        if isinstance(operator, Head):
            out[n, o, r, c] = acc << int(operator.exponent[o])
            continue
        shift = int(operator.shift[o])
        q, rest = acc >> shift, acc & ((1 << shift) - 1)
        q += 2 * rest > (1 << shift) or (2 * rest == (1 << shift) and q % 2 == 1)
        low = -128 if operator.signed else 0
        out[n, o, r, c] = min(max(q, low), low + 255) - low
    return out


@pytest.mark.parametrize("seed", range(10))
def test_random_graphs_give_the_same_bits_everywhere(seed):
    rng = np.random.default_rng(seed)
    graph = random_graph(rng)
    model = exact_export.to_onnx(graph)
    torch_backend = pytest.importorskip("xraycodec.exact.torch_backend", reason="needs torch")
    in_torch = torch_backend.TorchInterpreter(graph, "cpu")
    sessions = {
        (level, threads): OnnxruntimeInterpreter(model, threads, level)
        for level, threads in (*((level, 1) for level in LEVELS), ("ENABLE_ALL", 2))
    }
    for n, size in enumerate(SIZES):
        x = random_input(rng, (1, 3)[n % 2], graph.channels, *size)
        expected = evaluate(read_graph(model), x)
        assert_same(in_torch(x), expected)
        for session in sessions.values():
            assert_same(session(x), expected)


def test_the_reference_does_what_the_definition_says():
    rng = np.random.default_rng(5)
    for seed in range(6):
        graph = random_graph(np.random.default_rng(seed))
        x = random_input(rng, 1, graph.channels, 3, 4)
        held = {"x": x} | evaluate(
            Graph(graph.channels, graph.operators, tuple(op.name for op in graph.operators)), x
        )
        for operator in graph.operators:
            if isinstance(operator, Addition):
                total = held[operator.source].astype(int) + held[operator.change] - 128
                expected = total.clip(0, 255)
            else:
                expected = by_definition(operator, held[operator.source])
            np.testing.assert_array_equal(held[operator.name], expected)


def test_blocks_of_the_reference_do_not_show(monkeypatch):
    graph = production_graph(np.random.default_rng(0), channels=5, width=6, parameters=3)
    x = random_input(np.random.default_rng(1), 2, 5, 29, 41)
    whole = evaluate(graph, x)
    monkeypatch.setattr(reference, "BLOCK_COLUMNS", 7)
    monkeypatch.setattr(reference, "BLOCK_VALUES", 1000)
    assert_same(evaluate(graph, x), whole)


def every_backend(graph):
    model = exact_export.to_onnx(graph)
    pytest.importorskip("torch")
    return [ExactNetwork(model, 1, name, "cpu") for name in ("reference", "onnxruntime", "torch")]


def test_ties_go_to_even_and_results_are_clipped():
    x = np.arange(256, dtype=np.uint8).reshape(1, 1, 16, 16)
    halves = [round(v / 2) for v in range(256)]  # Python's round takes ties to even as well
    cases = [
        (pointwise([[1]], shift=1), halves),
        (pointwise([[-1]], shift=1, signed=True), [128 - half for half in halves]),
        (pointwise([[3]], bias=-100), [min(max(3 * v - 100, 0), 255) for v in range(256)]),
        (
            pointwise([[3]], bias=-300, signed=True),
            [min(max(3 * v - 300, -128), 127) + 128 for v in range(256)],
        ),
    ]
    for operator, expected in cases:
        for network in every_backend(single(operator)):
            assert network(x)["y"].ravel().tolist() == expected, network.backend


def test_sums_just_below_the_bounds_keep_their_last_bit():
    x = np.array([0, 1, 2, 254, 255], np.uint8).reshape(1, 1, 1, 5)
    bias = 2**24 - 1 - 64 * 255
    head = Head(
        "y", "x", np.array([[64], [-64], [1]], np.int8), vector(bias, -bias, bias), vector(7, 7, 0)
    )
    edge = 254 * 65536 + 32768  # a tie of shift 16, to be told from the sums beside it
    near = pointwise([[1]], bias=edge - 1, shift=16)
    for network in every_backend(single(head)):
        expected = [
            [(w * int(v) + b) << m for v in x.flat]
            for w, b, m in ((64, bias, 7), (-64, -bias, 7), (1, bias, 0))
        ]
        assert network(x)["y"][0, :, 0].tolist() == expected
    for network in every_backend(single(near)):
        assert network(x)["y"].ravel().tolist() == [254, 254, 255, 255, 255]


def test_extreme_weights_on_the_brightest_input():
    weight = np.full((3, 40, 3, 3), 64, np.int8)
    weight[1] = -64
    weight[2, ::2] = -64
    graph = single(
        Convolution("y", "x", weight, vector(0, 0, 0), vector(13, 13, 13), True), channels=40
    )
    x = np.full((1, 40, 5, 9), 255, np.uint8)
    expected = by_definition(graph.operators[0], x[:, :, :2, :2])[:, :, 0, 0]  # a corner's sum
    for network in every_backend(graph):
        y = network(x)["y"]
        np.testing.assert_array_equal(y[:, :, 0, 0], expected)
        inner = 40 * 9 * 64 * 255 / 8192
        assert y[0, :, 2, 4].tolist() == [255, 0, 128], inner


@pytest.mark.parametrize("backend", ["reference", "onnxruntime", "torch"])
def test_tiles_agree_with_the_whole_inside_their_margin(backend):
    if backend == "torch":
        pytest.importorskip("torch")
    graph = production_graph(np.random.default_rng(2), channels=7, width=12)
    network = ExactNetwork(exact_export.to_onnx(graph), 1, backend, "cpu")
    margin = reach(network.graph)
    assert margin == 4
    x = random_input(np.random.default_rng(3), 1, 7, 40, 48)
    whole = network(x)
    for top, left, height, width in ((0, 0, 24, 20), (8, 12, 32, 36), (16, 28, 13, 20)):
        tile = network(x[:, :, top : top + height, left : left + width])
        for name, values in whole.items():
            inside = [
                slice(margin if start else 0, size if start + size == full else size - margin)
                for start, size, full in ((top, height, 40), (left, width, 48))
            ]
            cut = values[:, :, top : top + height, left : left + width]
            np.testing.assert_array_equal(tile[name][:, :, *inside], cut[:, :, *inside])


def test_threads_and_batches_of_the_production_shape():
    graph = production_graph(np.random.default_rng(4))
    model = exact_export.to_onnx(graph)
    assert prove(graph)["parameters"].channels == 8
    one, two = (ExactNetwork(model, threads, "onnxruntime") for threads in (1, 2))
    x = random_input(np.random.default_rng(5), 3, 71, 37, 61)
    expected = evaluate(graph, x)
    assert_same(one(x), expected)
    assert_same(two(x), expected)
    assert_same(two(x[1:2]), {name: values[1:2] for name, values in expected.items()})


def test_torch_settings_of_the_caller_are_overruled_and_left_as_they_were():
    torch = pytest.importorskip("torch")
    from xraycodec.exact.torch_backend import TorchInterpreter

    graph = production_graph(np.random.default_rng(6), width=16)
    x = random_input(np.random.default_rng(7), 1, 71, 9, 9)
    before = torch.backends.mkldnn.matmul.fp32_precision
    torch.backends.mkldnn.matmul.fp32_precision = "bf16"
    try:
        with torch.autocast("cpu", dtype=torch.bfloat16):
            found = TorchInterpreter(graph, "cpu")(x)
        assert torch.backends.mkldnn.matmul.fp32_precision == "bf16"
    finally:
        torch.backends.mkldnn.matmul.fp32_precision = before
    assert_same(found, evaluate(graph, x))


def test_torch_without_the_device():
    pytest.importorskip("torch")
    from xraycodec.exact.torch_backend import TorchInterpreter

    with pytest.raises(ModelError, match="no device 'abacus'"):
        TorchInterpreter(single(pointwise([[1]])), "abacus")


@pytest.mark.parametrize(
    "x",
    [
        np.zeros((1, 2, 4, 4), np.uint8),
        np.zeros((1, 1, 4, 4), np.int16),
        np.zeros((1, 4, 4), np.uint8),
        np.zeros((1, 1, 0, 4), np.uint8),
        np.zeros((0, 1, 4, 4), np.uint8),
    ],
    ids=["channels", "type", "axes", "rows", "batch"],
)
def test_inputs_of_another_form_are_refused(x):
    network = ExactNetwork(exact_export.to_onnx(single(pointwise([[1]]))), 1, "reference")
    with pytest.raises(ModelError, match=r"needed is uint8 \(batch, 1, row, column\)"):
        network(x)


def test_inputs_too_large_to_count_are_refused():
    network = ExactNetwork(exact_export.to_onnx(single(pointwise([[1]] * 1024))), 1, "reference")
    huge = np.broadcast_to(np.uint8(0), (1, 1, 1, 2048 * 2048))
    with pytest.raises(ModelError, match="split it into tiles"):
        network(huge)


@pytest.mark.parametrize("batch", [1, 3])
@pytest.mark.parametrize("positions", [1, 17 * 3, 17 * 11])
def test_large_inputs_are_evaluated_in_bands(monkeypatch, batch, positions):
    """To the bit: a band sees as far beyond its rows as the network does."""
    rng = np.random.default_rng(positions)
    for seed in range(10):
        graph = random_graph(np.random.default_rng(seed))
        x = random_input(rng, batch, graph.channels, 21, 17)
        network = ExactNetwork(exact_export.to_onnx(graph), 1, "onnxruntime")
        monkeypatch.setattr("xraycodec.exact.runtime.BAND_POSITIONS", 1 << 17)
        expected = network(x)
        monkeypatch.setattr("xraycodec.exact.runtime.BAND_POSITIONS", batch * positions)
        assert_same(network(x), expected)


def test_inputs_need_not_be_contiguous():
    network = ExactNetwork(exact_export.to_onnx(single(pointwise([[1]]))), 1, "onnxruntime")
    x = random_input(np.random.default_rng(8), 1, 1, 8, 10)
    np.testing.assert_array_equal(network(x[:, :, ::2, ::-1])["y"], x[:, :, ::2, ::-1])
