"""The networks of the wavelet codec in torch are those that the codec computes with integers."""

# ruff: noqa: E402 - imports follow the check for torch
from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

torch = pytest.importorskip("torch", reason="training needs torch: xraycodec[train]")

from model_folders import stand_in
from xraycodec.codecs.wavelet import features, kernels
from xraycodec.codecs.wavelet.encoder import LEAST, Encoder, Thrift
from xraycodec.codecs.wavelet.geometry import (
    BANDS,
    FEATURES,
    FINISH_FEATURES,
    PHASES,
    SETS,
    levels,
)
from xraycodec.codecs.wavelet.model import Model, model_by_digest, model_by_name
from xraycodec.codecs.wavelet.parameters import Parameters
from xraycodec.codecs.wavelet.transform import analyse
from xraycodec.codecs.wavelet.walk import Distributions, walk
from xraycodec.entropy.mixture_tables import powers, sigmoids
from xraycodec.errors import ModelError
from xraycodec.exact.operators import prove
from xraycodec.exact.pack import find_pack, named_pack
from xraycodec.exact.reference import evaluate
from xraycodec.training.wavelet import transform
from xraycodec.training.wavelet.export import cell_graph, export
from xraycodec.training.wavelet.network import CellNetwork, Shape, WaveletNetwork, describe

SHAPE = Shape(channels=8, pairs=((2, 1, 1),) * 3, components=2, finish=(8, 1))
SIDE = 64


def image(side: int = SIDE) -> np.ndarray:
    rng = np.random.default_rng(5)
    y, x = np.mgrid[:side, :side] / 9
    waves = 120 + 60 * np.sin(y) + 40 * np.cos(0.7 * x * y / 5) + rng.normal(0, 3, (side, side))
    return waves.round().clip(0, 255).astype(np.uint8)


@pytest.fixture(scope="module")
def network() -> WaveletNetwork:
    """Random, but for heads that tell more than heads do at the beginning."""
    torch.manual_seed(3)
    network = WaveletNetwork(SHAPE)
    with torch.no_grad():
        for module in network.modules():
            if isinstance(module, CellNetwork):
                module.head.weight.mul_(4)
                for parameter in module.parameters():  # biases that no multiple is are rounded
                    if parameter.ndim == 1:
                        parameter.copy_(torch.round(parameter * 2**10) / 2**10)
    network.quantise()
    return network.eval()


@pytest.fixture(scope="module")
def model(network: WaveletNetwork, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Model]:
    folder: Path = tmp_path_factory.mktemp("models")
    (folder / "wavelet.xrcpack").write_bytes(export(network, "wavelet", {"training": "none"}))
    caches: tuple[Any, ...] = (named_pack, find_pack, model_by_digest)
    with pytest.MonkeyPatch.context() as patch:
        stand_in(patch, folder, "wavelet")
        for cached in caches:
            cached.cache_clear()
        yield model_by_name("wavelet", 1)
    for cached in caches:
        cached.cache_clear()


def test_the_transform_is_that_of_the_codec() -> None:
    x = np.random.default_rng(0).integers(-(2**18), 2**18, (SIDE, SIDE)).astype(np.int32)
    low = torch.from_numpy(x).double()[None, None]
    found, last = analyse(x.copy())
    for bands in found:
        before = low
        low, expected = transform.analyse(low)
        torch.testing.assert_close(transform.synthesise(low, expected), before)
        cells = torch.nn.functional.pixel_unshuffle(expected[0, 0], 2).numpy()
        # Weights in 2^-16 are off by up to 10^-5 of values up to 2^20, more so at each level.
        assert np.abs(bands - cells.reshape(bands.shape)).max() < 80
    assert np.abs(last - low[0, 0].numpy()).max() < 80


@pytest.mark.parametrize("level", [0, 1, 5, 9])
@pytest.mark.parametrize("deviation", [0.3, 5, 300])
def test_features_are_those_of_the_codec(level: int, deviation: float) -> None:
    rng = np.random.default_rng(level)
    ramp = np.add.outer(np.arange(32), np.arange(32)) * 200
    low = (ramp + rng.normal(0, 256 * deviation, (32, 32))).round().astype(np.int32)
    unit, details = describe(torch.from_numpy(low / 256).float()[None, None], level)
    found = np.empty((FINISH_FEATURES, 16, 16), np.uint8)
    scales = np.empty((16, 16), np.uint8)
    features.describe(low, level, found, scales)
    expected = np.rint(details[0].numpy() * 32 + 128)
    # Float sums and rounded reciprocals part where a feature is all but half between two.
    different = found != expected
    assert different.mean() < 0.003
    assert np.abs(found - expected)[:-2].max() <= 1 or different[-2].any()
    codec_unit = features.UNITS[scales] / 2**16
    assert np.mean(codec_unit == unit[0, 0].numpy()) > 0.99


@pytest.mark.parametrize("carry", [True, False])
def test_rounded_networks_are_the_exported_integer_networks(
    network: WaveletNetwork, carry: bool
) -> None:
    random = np.random.default_rng(2)
    ours = (
        [network.network(number, index) for number in range(SETS) for index in range(5)]
        if carry
        else [network.finish]
    )
    for one in ours:
        graph = cell_graph(one, parameter_bits=20, carry=carry)
        prove(graph)
        described = FEATURES if carry else FINISH_FEATURES
        x = random.integers(0, 256, (2, described + SHAPE.channels, 5, 7), np.uint8)
        found = evaluate(graph, x)
        assert set(found) == ({"state", "numbers"} if carry else {"numbers"})
        with torch.no_grad():
            numbers, state = one(
                (torch.from_numpy(x[:, :described]).float() - 128) / 32,
                torch.from_numpy(x[:, described:]).float() / 32,
            )
        if carry:
            np.testing.assert_array_equal(found["state"], np.rint(state.numpy() * 32))
        # A head's unit is finer than float32 sums of its inputs show.
        assert np.abs(found["numbers"] / 2.0**20 - numbers.numpy()).max() < 4e-5


class Meter(Encoder):
    """An encoder that adds up what its coefficients cost without any adaptation."""

    bits = 0.0

    def phase(self, place: int, found: Distributions, coefficients: np.ndarray) -> None:
        super().phase(place, found, coefficients)
        starts, sizes = np.empty(BANDS, np.uint32), np.empty(BANDS, np.uint32)
        for (i, j), band in (
            (cell, t)
            for cell in np.ndindex(found.scales.shape)
            for t in range(3)
            if any(
                strip.coded[cell[0] - strip.top, cell[1]]
                for strip in self._at.strips
                if strip.top <= cell[0] < strip.end
            )
        ):
            here = (slice(i, i + 1), slice(j, j + 1))
            alone = np.array([band == other for other in range(BANDS)], np.int64)
            count = kernels.encode_cells(
                np.ascontiguousarray(coefficients[:, *here] << 8), alone, alone,
                np.ones((1, 1), bool),
                np.ascontiguousarray(found.scales[here]),
                np.ascontiguousarray(found.parameters[:, :, *here]), self._at.unit_shift,
                self._at.reach, 128, 0, sigmoids(), powers(), *kernels.fresh_adaptation(),
                np.zeros((BANDS, 1, 1), np.int32), starts, sizes,
            )  # fmt: skip
            assert count == 1
            self.bits += 24 - np.log2(float(sizes[0]))


@pytest.mark.parametrize("step", [2.0, 9.0])
def test_a_crop_costs_and_becomes_what_training_says(
    network: WaveletNetwork, model: Model, step: float
) -> None:
    pixels = image()
    parameters = Parameters(round(step * 256), int(pixels.min()), int(pixels.max()))
    steps = parameters.to_steps(pixels)
    bands, low = analyse(steps.copy())
    coder = Meter(bands, low, levels(*pixels.shape), model, Thrift(128, 0, LEAST), 1)
    decoded = walk(pixels.shape, model, coder)
    with torch.no_grad():
        x = torch.from_numpy(steps.astype(np.float32) / 256)[None, None]
        coded = network(x, 0.0, 0.5)  # a dead zone of a half rounds
        finished = network.finished(coded.pixels, coded.state)
    assert float(coded.bits) == pytest.approx(coder.bits, rel=0.02)
    difference = decoded / 256 - finished[0, 0].numpy()
    # Where a rounding differs, so does what follows, by a part of a step at few places.
    assert np.abs(difference).mean() < 0.03
    assert np.sqrt((difference**2).mean()) < 0.1


def test_coarse_levels_alone_cost_what_they_do_below_others(network: WaveletNetwork) -> None:
    """A low-pass band goes through the networks of its own levels."""
    x = torch.from_numpy(image().astype(np.float32) - 120)[None, None] / 5
    low = x
    for _ in range(3):
        low, _ = transform.analyse(low)
    with torch.no_grad():
        alone = network(low, 0.1, below=3)
        whole = network(x, 0.1)
    assert 0 < float(alone.bits) < float(whole.bits)
    assert alone.pixels.shape == low.shape
    assert float((alone.pixels - low).square().mean()) < 1


@pytest.mark.parametrize("what", ["sums", "heads"])
def test_export_refuses_what_has_no_proof(what: str) -> None:
    torch.manual_seed(0)
    network = WaveletNetwork(SHAPE)
    with torch.no_grad():
        if what == "sums":
            network.network(1, 2).entry.bias.fill_(3e3)  # type: ignore[union-attr]
        else:
            network.network(2, 4).head.bias.fill_(1e3)  # type: ignore[union-attr]
    with pytest.raises(ModelError):
        export(network, "wavelet", {})


def test_the_pack_says_what_the_codec_needs(model: Model) -> None:
    pack = find_pack(model.digest)
    assert pack.codec == "WAVE"
    assert pack.properties["training"] == "none"
    assert (model.channels, model.components) == (8, 2)
    assert 8 <= model.parameter_bits <= 24
    assert len(pack.members) == SETS * (len(PHASES) + 1) + 1
