"""Lattice networks that take a guide: drawn, begun from ones without, trained, exported."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from session_building import LATTICE as SETTINGS
from session_building import radiographs

from xraycodec.codecs.lattice.geometry import EXTRAS, PHASES, described_by
from xraycodec.codecs.lattice.guided import fit_guided
from xraycodec.errors import ModelError
from xraycodec.exact.pack import read_pack
from xraycodec.training.lattice.export import export
from xraycodec.training.lattice.loop import Trainer
from xraycodec.training.lattice.network import LatticeNetwork
from xraycodec.training.lattice.samples import Guides, draw_batches, vary, vary_all
from xraycodec.training.lattice.weights import load_weights, save_weights, with_guide

SHAPE, DRAW = SETTINGS.shape, SETTINGS.draw
GUIDED = replace(SHAPE, guided=True)


def guides(images: np.ndarray) -> Guides:
    """Half as deep as the images, so that they cannot be taken for them."""
    return Guides(np.arange(len(images)), images // 2)


def test_image_and_guide_are_varied_alike() -> None:
    image = radiographs(1, 96)[0]
    for seed in range(12):
        (varied, twin), peak = vary_all([image, image], np.random.default_rng(seed), deep=seed > 5)
        alone, same_peak = vary(image, np.random.default_rng(seed), deep=seed > 5)
        np.testing.assert_array_equal(varied, alone)
        assert peak == same_peak
        assert np.abs(varied - twin).mean() < 0.03 * peak


def test_samples_tell_of_the_guide() -> None:
    images = radiographs(side=96)
    (batch,) = draw_batches(images, DRAW, 5, 7, guides(images))
    for phases in batch.levels:
        for phase, sample in zip(PHASES, phases, strict=True):
            assert sample.features.shape[1] == described_by(phase, guided=True)
    (again,) = draw_batches(images, DRAW, 5, 7, guides(images))
    np.testing.assert_array_equal(batch.levels[-1][2].features, again.levels[-1][2].features)


def test_networks_begin_blind_to_the_guide() -> None:
    torch.manual_seed(3)
    plain = LatticeNetwork(SHAPE)
    wide = LatticeNetwork(GUIDED)
    wide.load_state_dict(with_guide(plain.state_dict()))
    for index, phase in enumerate(PHASES):
        near = phase.neighbours
        features = torch.rand(1, described_by(phase, guided=True), 5, 6)
        seen = torch.cat([features[:, :near], features[:, -EXTRAS:]], 1)
        state = torch.rand(1, SHAPE.channels[0], 5, 6)
        expected = plain.phase(1, index)(seen, state)[0]
        torch.testing.assert_close(wide.phase(1, index)(features, state)[0], expected)


def test_training_goes_on_from_weights_without_a_guide(tmp_path: Path) -> None:
    save_weights(LatticeNetwork(SHAPE).state_dict(), SHAPE, tmp_path / "plain.safetensors")
    images = radiographs(side=96)
    trainer = Trainer(
        replace(SETTINGS, shape=GUIDED),
        *(images, images[:2], tmp_path, (guides(images), guides(images[:2]))),
    )
    trainer.start_from(tmp_path / "plain.safetensors")
    trainer.run(lambda line: None)
    trainer.resume()
    assert trainer.step == SETTINGS.steps
    coefficients = fit_guided(
        [image.astype("i4") for image in images],
        [plane.astype("i4") for plane in guides(images).planes],
        *(1, None, 2000),
    )
    path = tmp_path / "tiny.xrcpack"
    path.write_bytes(export(trainer.averaged(), "tiny", coefficients, {}))
    pack = read_pack(path)
    assert pack.properties["guided"] is True
    save_weights(trainer.average, GUIDED, tmp_path / "guided.safetensors")
    assert load_weights(tmp_path / "guided.safetensors", GUIDED).keys() == trainer.average.keys()
    with pytest.raises(ModelError, match="this run has"):
        load_weights(tmp_path / "guided.safetensors", SHAPE)
    further = Trainer(
        replace(SETTINGS, shape=GUIDED),
        *(images, images[:2], tmp_path / "further", (guides(images), guides(images[:2]))),
    )
    further.start_from(tmp_path / "guided.safetensors")
    for name, weights in trainer.average.items():
        assert torch.equal(further.average[name], weights)
