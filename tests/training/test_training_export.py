# ruff: noqa: E402 - imports follow the check for torch
from __future__ import annotations

import dataclasses

import numpy as np
import pytest

torch = pytest.importorskip("torch", reason="training needs torch: xraycodec[train]")
onnx = pytest.importorskip("onnx", reason="export needs onnx: xraycodec[train]")

from training_building import NARROWEST_LINEAR, TINY, randomise, wavy_crops

from xraycodec import entropy
from xraycodec.entropy import FrequencyTables
from xraycodec.exact.float_shapes import Shape
from xraycodec.exact.pack import read_pack
from xraycodec.exact.session import Network
from xraycodec.training import warm_start
from xraycodec.training.conditioning import condition
from xraycodec.training.export import (
    ANALYSIS,
    DEQUANTISER,
    SYNTHESIS,
    TABLES,
    code_counts,
    dequantiser_table,
    export_pack,
    frequency_tables,
)
from xraycodec.training.network import COMPACT, RNNConv
from xraycodec.training.onnx_graph import analysis_graph, synthesis_graph

OPERATORS = {
    "Add",
    "AveragePool",
    "Cast",
    "Clip",
    "Conv",
    "DepthToSpace",
    "Max",
    "Mul",
    "Split",
    "Sub",
}


@pytest.fixture(scope="module")
def crops():
    return wavy_crops(24, 64)


IMAGE = Shape(1, 16)


def latents_of(network):
    return Shape(network.config.beta, 1)


def as_pixels(crops):
    return torch.from_numpy(crops.astype(np.float32) / 255)[:, None]


@pytest.fixture(scope="module", params=[NARROWEST_LINEAR, COMPACT], ids=lambda config: config.name)
def trained(request, crops):
    """A network that codes images, with every weight a little off its linear start."""
    torch.manual_seed(1)
    network = RNNConv(request.param)
    warm_start.apply(network, crops)
    with torch.no_grad():
        for value in network.parameters():
            value += 0.01 * value.abs().mean() * torch.randn_like(value)
    condition(network, as_pixels(crops[:4]))
    return network.eval()


@pytest.mark.parametrize("beta", [4, 32, 128])
def test_the_exported_networks_agree_with_torch(trained, crops, beta):
    pixels = as_pixels(crops[:6])
    analysis = Network(analysis_graph(trained.analysis), IMAGE, latents_of(trained))
    synthesis = Network(synthesis_graph(trained.synthesis), latents_of(trained), IMAGE)
    with torch.no_grad():
        latents = trained.analysis(pixels)
        kept = trained.quantiser(latents)
        kept[:, beta:] = 0
        due = trained.synthesis(kept)
    # float16 weights: 11 significant bits each
    assert np.abs(analysis(pixels.numpy()) - latents.numpy()).max() < 2e-3 * latents.abs().max()
    assert 255 * np.abs(synthesis(kept.numpy()) - due.numpy()).max() < 0.5


@pytest.mark.parametrize("steps", [1, 2, 3])
def test_time_steps_are_unrolled(steps):
    network = randomise(RNNConv(dataclasses.replace(TINY, time_steps=steps)))
    x = torch.rand(2, 1, 32, 48)
    with torch.no_grad():
        latents = network.analysis(x)
        pixels = network.synthesis(latents)
    given = latents_of(network)
    found = Network(analysis_graph(network.analysis), IMAGE, given)(x.numpy())
    assert np.abs(found - latents.numpy()).max() < 2e-3 * latents.abs().max()
    found = Network(synthesis_graph(network.synthesis), given, IMAGE)(latents.numpy())
    assert np.abs(found - pixels.numpy()).max() < 2e-3 * pixels.abs().max()


@pytest.mark.parametrize("steps", [1, 2])
def test_graphs_keep_to_the_operators_of_the_specification(steps):
    network = randomise(RNNConv(dataclasses.replace(TINY, time_steps=steps)))
    found = set()
    for data in (analysis_graph(network.analysis), synthesis_graph(network.synthesis)):
        model = onnx.load_from_string(data)
        assert [(opset.domain, opset.version) for opset in model.opset_import] == [("", 17)]
        assert [value.name for value in model.graph.input] == ["x"]
        assert len(model.graph.output) == 1
        found |= {node.op_type for node in model.graph.node}
    assert found == OPERATORS


def test_weights_are_float16_and_biases_float32():
    model = onnx.load_from_string(synthesis_graph(randomise(RNNConv(TINY)).synthesis))
    float16, float32 = onnx.TensorProto.FLOAT16, onnx.TensorProto.FLOAT
    for value in model.graph.initializer:
        assert value.data_type == (float16 if len(value.dims) == 4 else float32)
    widened = {node.input[0] for node in model.graph.node if node.op_type == "Cast"}
    assert widened == {v.name for v in model.graph.initializer if v.data_type == float16}


def test_the_graph_of_the_same_network_has_the_same_bytes():
    first, second = (randomise(RNNConv(TINY)) for _ in range(2))
    assert analysis_graph(first.analysis) == analysis_graph(second.analysis)
    assert synthesis_graph(first.synthesis) == synthesis_graph(second.synthesis)


def test_the_dequantiser_rises_and_is_odd(trained):
    table = dequantiser_table(trained)
    assert (table.shape, table.dtype) == ((128, 255), np.float32)
    assert (np.diff(table) > 0).all()
    assert (table[:, 127] == 0).all()
    assert np.allclose(table, -table[:, ::-1])
    with torch.no_grad():
        peak = trained.quantiser.log_peak.exp().numpy()
    assert np.allclose(table[:, -1], peak, rtol=1e-5)


def test_codes_are_counted_per_channel(trained, crops):
    counts = code_counts(trained, crops, batch=5)
    assert counts.shape == (128, 255)
    assert (counts.sum(1) == len(crops) * 16).all()
    with torch.no_grad():
        codes = trained.quantiser.scale(trained.analysis(as_pixels(crops))).round()
    for channel in (0, 40, 127):
        due = np.bincount(codes[:, channel].flatten().int().numpy() + 127, minlength=255)
        assert (counts[channel] == due).all()


def test_tables_span_the_codes_that_were_seen():
    counts = np.zeros((2, 255), np.int64)
    counts[0, 127] = 5
    counts[1, [120, 130]] = 1, 3
    tables = frequency_tables(counts)
    assert tables.minimums.tolist() == [0, -7]
    assert tables.counts.tolist() == [1, 11]
    values = np.array([0, 0, 127, -127, 3, -7], np.int32)  # some by escape
    index = np.array([0, 0, 0, 1, 1, 1], np.uint16)
    data = entropy.encode(values, index, tables)
    assert (entropy.decode(data, index, tables) == values).all()


def test_a_pack_holds_what_the_specification_lists(crops, tmp_path):
    network = randomise(RNNConv(TINY)).eval()
    data = export_pack(network, "tiny", 64, crops, {"seed": 1})
    (tmp_path / "tiny.xrcpack").write_bytes(data)
    pack = read_pack(tmp_path / "tiny.xrcpack")
    assert (pack.name, pack.codec) == ("tiny", "RNNC")
    assert pack.properties == {
        "segment": 64,
        "block": 16,
        "beta": 128,
        "configuration": "compact",
        "training": {"seed": 1},
    }
    assert set(pack.members) == {ANALYSIS, SYNTHESIS, DEQUANTISER, TABLES}
    table = np.frombuffer(pack.members[DEQUANTISER], "<f4").reshape(128, 255)
    assert (table == dequantiser_table(network)).all()
    assert len(FrequencyTables.from_bytes(pack.members[TABLES])) == 128
    assert export_pack(network, "tiny", 64, crops, {"seed": 1}) == data
