from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from session_building import LATTICE as SETTINGS
from session_building import lattice_trainer, radiographs

from model_folders import stand_in
from xraycodec import Lattice, compress, decompress
from xraycodec.codecs.lattice.fitting import fit_image
from xraycodec.codecs.lattice.geometry import EXTRAS, PHASES, SETS, carried_from, levels
from xraycodec.codecs.lattice.model import CODEC_ID
from xraycodec.exact.operators import prove
from xraycodec.exact.pack import SUFFIX
from xraycodec.exact.reference import evaluate
from xraycodec.training.lattice.export import export, phase_graph
from xraycodec.training.lattice.network import FEATURE_CENTRE, LatticeNetwork, code_lengths
from xraycodec.training.lattice.samples import draw_batches, quantised, vary
from xraycodec.training.lattice.weights import grown

SHAPE, DRAW = SETTINGS.shape, SETTINGS.draw


def test_rounded_training_network_is_the_exported_integer_network() -> None:
    torch.manual_seed(1)
    network = LatticeNetwork(SHAPE)
    network.quantise()
    random = np.random.default_rng(2)
    with torch.no_grad():
        for parameter in network.parameters():  # biases that are no multiples are rounded
            if parameter.ndim == 1:
                parameter.copy_(torch.round(parameter * 2**10) / 2**10)
    for number in range(SETS):
        for index, phase in enumerate(PHASES):
            one = network.phase(number, index)
            graph = phase_graph(one, parameter_bits=20)
            prove(graph)
            described = phase.neighbours + EXTRAS
            carried = SHAPE.channels[carried_from(number, index)]
            x = random.integers(0, 256, (2, described + carried, 5, 7), np.uint8)
            found = evaluate(graph, x)
            features = (torch.from_numpy(x[:, :described]).float() - FEATURE_CENTRE) / 32
            with torch.no_grad():
                parameters, state = one(features, torch.from_numpy(x[:, described:]).float() / 32)
            assert np.array_equal(found["state"], np.rint(state.numpy() * 32))
            # A head's unit is finer than float32 sums of its inputs show.
            assert np.abs(found["parameters"] / 2.0**20 - parameters.numpy()).max() < 2e-5


def test_training_lowers_the_rate_and_exports_a_codec(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = lattice_trainer(
        tmp_path / "run", replace(SETTINGS, steps=40, validate_every=40, warm_up=5)
    )
    before, _ = run.validate()
    run.run(lambda line: None)
    after, near = run.validate()
    assert after < 0.97 * before
    assert near < after
    prior = fit_image([image.astype(np.int32) for image in radiographs(side=96)], 1, None)
    pack = export(run.averaged(), "lattice-best", prior, {})
    (tmp_path / f"lattice-best{SUFFIX}").write_bytes(pack)
    stand_in(monkeypatch, tmp_path, "lattice-best")
    for cached in _caches():
        cached.cache_clear()
    try:
        image = radiographs(1, 96)[0]
        data = compress(image, Lattice(tile=64))
        assert CODEC_ID.encode() in data[:84]
        assert np.array_equal(decompress(data).pixels, image)
        # What the codec spends is what training promised, but for borders and headers.
        assert 8 * len(data) / image.size < 1.5 * after + 1
    finally:
        for cached in _caches():
            cached.cache_clear()


def _caches() -> list:  # type: ignore[type-arg]
    from xraycodec.codecs.lattice import model
    from xraycodec.exact import pack

    return [pack.named_pack, pack.find_pack, model.model_by_digest]


@pytest.mark.parametrize("components", [1, 2, 3])
def test_a_mixture_of_equal_parts_costs_what_its_one_distribution_does(components: int) -> None:
    parameters = torch.zeros(1, 3 * components - 1, 2, 2)
    pixels = [torch.full((1, 1, 2, 2), value) for value in (100.0, 2.0, 101.0)]
    steps, peaks = torch.ones(1, 1, 1, 1), torch.full((1, 1, 1, 1), 255.0)
    scale = 2 * 2**-1.5
    mass = torch.sigmoid(torch.tensor(1.5 / scale)) - torch.sigmoid(torch.tensor(0.5 / scale))
    found = code_lengths(parameters, *pixels, steps, peaks)
    torch.testing.assert_close(
        found, torch.full_like(found, -float(mass.log2())), atol=0.01, rtol=0
    )


def test_metrics_tell_both_rates(tmp_path: Path) -> None:
    run = lattice_trainer(tmp_path / "run")
    run.run(lambda line: None)
    for line in map(json.loads, run.metrics.read_text().splitlines()):
        assert 0 < line["near_bpp"] < line["lossless_bpp"] < 30


def test_drawing_depends_on_seed_and_step_alone() -> None:
    images = radiographs(side=96)
    (one,), (two,) = (draw_batches(images, DRAW, 5, 7) for _ in range(2))
    (other,) = draw_batches(images, DRAW, 5, 8)
    assert np.array_equal(one.levels[-1][0].features, two.levels[-1][0].features)
    assert not np.array_equal(one.levels[-1][0].features, other.levels[-1][0].features)
    assert len(one.levels) == len(levels(32, 32)) - 1
    assert one.pixels == 2 * 32 * 32


def test_coarse_levels_get_crops_of_their_own() -> None:
    images = radiographs(side=160)
    batches = draw_batches(images, replace(DRAW, coarse=1, deep=0.0), 5, 7)
    assert [batch.lowest for batch in batches] == [0, 1, 2]
    assert [batch.pixels // (32 * 32) for batch in batches] == [DRAW.batch, 1, 1]
    network = LatticeNetwork(SHAPE)
    rates = [float(sum(network(batch)).detach()) / batch.pixels for batch in batches]
    assert all(0 < rate < 30 for rate in rates)


def test_larger_networks_begin_with_what_smaller_ones_have_learned() -> None:
    torch.manual_seed(3)
    small = LatticeNetwork(replace(SHAPE, components=2))
    grown_shape = replace(
        SHAPE,
        channels=tuple(width + 8 * number for number, width in enumerate(SHAPE.channels)),
        pairs=((2, 1, 1), (2, 1, 1), (2, 2, 2)),
        components=2,
    )
    large = LatticeNetwork(grown_shape)
    large.load_state_dict(grown(small.state_dict(), large))
    (batch,) = draw_batches(radiographs(side=96), DRAW, 5, 7)
    with torch.no_grad():
        before, after = (torch.stack(network(batch)) for network in (small, large))
    torch.testing.assert_close(after, before, rtol=1e-4, atol=1e-2)


@pytest.mark.parametrize("seed", range(6))
def test_varied_images_stay_within_their_depth(seed: int) -> None:
    image, peak = vary(radiographs(1, 96)[0], np.random.default_rng(seed), deep=True)
    assert image.dtype == np.int32
    assert 0 <= image.min() <= image.max() <= peak < 1 << 15
    known = quantised(image, peak, 5)
    assert np.abs(known - image).max() <= 2
