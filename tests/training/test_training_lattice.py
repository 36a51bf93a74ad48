from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from xraycodec import Lattice, compress, decompress
from xraycodec.codecs.lattice.fitting import fit_image
from xraycodec.codecs.lattice.geometry import EXTRAS, PHASES, SETS, levels
from xraycodec.codecs.lattice.model import CODEC_ID
from xraycodec.errors import ModelError
from xraycodec.exact.operators import prove
from xraycodec.exact.pack import SUFFIX
from xraycodec.exact.reference import evaluate
from xraycodec.training.lattice.export import export, phase_graph
from xraycodec.training.lattice.loop import Settings, Trainer
from xraycodec.training.lattice.network import (
    FEATURE_CENTRE,
    LatticeNetwork,
    Shape,
    code_lengths,
)
from xraycodec.training.lattice.samples import Draw, draw_batch, quantised, vary
from xraycodec.training.lattice.weights import load_weights, save_weights

SHAPE = Shape(channels=8, pairs=(2, 1, 1), components=2)
DRAW = Draw(batch=2, crop=32, per_image=1)
SETTINGS = Settings(SHAPE, DRAW, steps=4, validate_every=2, validation_images=2, quantise_from=0.5)


def radiographs(count: int = 3, side: int = 96) -> np.ndarray:
    random = np.random.default_rng(3)
    ramps = np.add.outer(np.arange(side), 2 * np.arange(side))[None] % 200
    return (ramps + random.normal(20, 3, (count, side, side))).clip(0, 255).astype(np.uint8)


def trainer(folder: Path, settings: Settings = SETTINGS) -> Trainer:
    folder.mkdir(exist_ok=True)
    return Trainer(settings, radiographs(), radiographs(2), folder)


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
            x = random.integers(0, 256, (2, described + SHAPE.channels, 5, 7), np.uint8)
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
    run = trainer(tmp_path / "run", replace(SETTINGS, steps=40, validate_every=40, warm_up=5))
    before, _ = run.validate()
    run.run(lambda line: None)
    after, near = run.validate()
    assert after < 0.97 * before
    assert near < after
    prior = fit_image([image.astype(np.int32) for image in radiographs()], 1, None)
    pack = export(run.averaged(), "lattice-best", prior, {})
    (tmp_path / f"lattice-best{SUFFIX}").write_bytes(pack)
    monkeypatch.setenv("XRAYCODEC_MODELS", str(tmp_path))
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


def test_resumed_run_equals_an_unbroken_one(tmp_path: Path) -> None:
    whole = trainer(tmp_path / "whole")
    whole.run(lambda line: None)
    first = trainer(tmp_path / "parts")
    first.settings = replace(SETTINGS, steps=2)
    # The schedule looks at its own end: the rate of each step must be that of the whole run.
    first._done = lambda: first.step / 4 if first.step < 2 else 1.0  # type: ignore[method-assign]
    first.run(lambda line: None)
    second = trainer(tmp_path / "parts")
    second.resume()
    assert second.step == 2
    second.run(lambda line: None)
    for name, value in whole.average.items():
        assert torch.equal(value, second.average[name]), name


def test_checkpoint_of_other_sizes_is_refused(tmp_path: Path) -> None:
    run = trainer(tmp_path / "run")
    run.save()
    other = trainer(tmp_path / "run", replace(SETTINGS, shape=Shape(channels=16)))
    with pytest.raises(ModelError, match="channels"):
        other.resume()


def test_weights_to_go_on_from(tmp_path: Path) -> None:
    run = trainer(tmp_path / "run")
    run.run(lambda line: None)
    run.save()
    save_weights(run.average, SHAPE, tmp_path / "w.safetensors")
    for source in (tmp_path / "w.safetensors", run.checkpoint):
        other = trainer(tmp_path / "other")
        other.start_from(source)
        for name, value in run.average.items():
            assert torch.equal(value, other.average[name])
    with pytest.raises(ModelError, match="channels"):
        load_weights(tmp_path / "w.safetensors", Shape(channels=16))
    with pytest.raises(ModelError, match="no weights"):
        load_weights(run.checkpoint, SHAPE)


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


def test_metrics_are_json_lines(tmp_path: Path) -> None:
    run = trainer(tmp_path / "run")
    run.run(lambda line: None)
    lines = [json.loads(line) for line in (run.folder / "metrics.jsonl").read_text().splitlines()]
    assert [line["step"] for line in lines] == [2, 4]
    assert all(0 < line["near_bpp"] < 30 for line in lines)


def test_drawing_depends_on_seed_and_step_alone() -> None:
    images = radiographs()
    one, two = (draw_batch(images, DRAW, 5, 7) for _ in range(2))
    other = draw_batch(images, DRAW, 5, 8)
    assert np.array_equal(one.levels[-1][0].features, two.levels[-1][0].features)
    assert not np.array_equal(one.levels[-1][0].features, other.levels[-1][0].features)
    assert len(one.levels) == len(levels(32, 32)) - 1
    assert one.pixels == 2 * 32 * 32


@pytest.mark.parametrize("seed", range(6))
def test_varied_images_stay_within_their_depth(seed: int) -> None:
    image, peak = vary(radiographs(1)[0], np.random.default_rng(seed), deep=True)
    assert image.dtype == np.int32
    assert 0 <= image.min() <= image.max() <= peak < 1 << 15
    known = quantised(image, peak, 5)
    assert np.abs(known - image).max() <= 2
