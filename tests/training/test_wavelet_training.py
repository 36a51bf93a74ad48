"""Training of the wavelet codec's networks: it learns, goes on where it stopped, and exports."""

# ruff: noqa: E402 - imports follow the check for torch
from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

torch = pytest.importorskip("torch", reason="training needs torch: xraycodec[train]")

from session_building import WAVELET as SETTINGS
from session_building import radiographs, wavelet_trainer

from model_folders import stand_in
from xraycodec.codecs.wavelet import Wavelet
from xraycodec.codecs.wavelet.model import model_by_digest
from xraycodec.errors import ModelError
from xraycodec.exact.pack import SUFFIX, find_pack, named_pack
from xraycodec.pipeline import compress, decompress
from xraycodec.training.wavelet.export import export
from xraycodec.training.wavelet.finish import FinishSettings, train_finish
from xraycodec.training.wavelet.loop import THRIFT, Trainer, draw, draw_whole, low_pass_bands
from xraycodec.training.wavelet.network import WaveletNetwork
from xraycodec.training.wavelet.weights import load_weights, save_weights

SHAPE = SETTINGS.shape


def cost(run: Trainer) -> float:
    """Rate and distortion of the averaged networks on images that stay the same."""
    x = torch.from_numpy(radiographs(2).astype(np.float32) - 110)[:, None] / 6
    with torch.no_grad():
        coded = run.averaged()(x, THRIFT)
    return float((THRIFT * coded.bits + coded.errors).sum()) / x.numel()


def test_ten_steps_lower_the_loss_and_export_a_codec(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = wavelet_trainer(tmp_path / "run", replace(SETTINGS, steps=10, validate_every=10))
    before = cost(run)
    run.run(lambda line: None)
    assert cost(run) < 0.98 * before
    (tmp_path / f"wavelet{SUFFIX}").write_bytes(export(run.averaged(), "wavelet", {}))
    stand_in(monkeypatch, tmp_path, "wavelet")
    caches: tuple[Any, ...] = (named_pack, find_pack, model_by_digest)
    for cached in caches:
        cached.cache_clear()
    try:
        image = radiographs(1)[0]
        data = compress(image, Wavelet(threads=1))
        assert np.abs(decompress(data, threads=1).pixels.astype(int) - image).mean() < 8
    finally:
        for cached in caches:
            cached.cache_clear()


def test_larger_networks_go_on_from_smaller_ones(tmp_path: Path) -> None:
    """Deeper and with more sets, they begin as what they came from."""
    run = wavelet_trainer(tmp_path / "run")
    run.run(lambda line: None)
    save_weights(run.average, SHAPE, tmp_path / "w.safetensors")
    larger = replace(SHAPE, pairs=((1, 1, 1), (2, 1, 1), (1, 1, 2), (2, 3, 2), (1, 1, 1)))
    grown = WaveletNetwork(larger)
    grown.load_state_dict(load_weights(tmp_path / "w.safetensors", larger))
    crops = torch.from_numpy(radiographs()[:2, None].astype(np.float32)) / 7
    with torch.no_grad():
        grown.quantise()
        before, after = run.averaged()(crops, 0.12), grown(crops, 0.12)
    assert torch.equal(before.bits, after.bits)
    assert torch.equal(before.pixels, after.pixels)
    for smaller in (((1, 1, 1),) * 2, ((1, 1, 1), (1, 1, 1), (1, 1, 0))):
        with pytest.raises(ModelError, match="pairs"):
            load_weights(tmp_path / "w.safetensors", replace(SHAPE, pairs=smaller))


def test_metrics_tell_rates_and_errors_of_each_step(tmp_path: Path) -> None:
    run = wavelet_trainer(tmp_path / "run")
    run.run(lambda line: None)
    for line in map(json.loads, run.metrics.read_text().splitlines()):
        assert set(line["validation"]) == {"2", "5", "12", "30"}
        rates = [line["validation"][step][0] for step in ("2", "5", "12", "30")]
        assert rates == sorted(rates, reverse=True)


def test_drawing_depends_on_seed_and_step_alone() -> None:
    images = radiographs()
    one, again, other = (draw(images, SETTINGS, step) for step in (7, 7, 8))
    for a, b in zip(one[:2], again[:2], strict=True):
        np.testing.assert_array_equal(a, b)
    assert one[2] == again[2]
    assert not np.array_equal(one[0], other[0])
    crops, steps, thrift = one
    assert crops.shape == (2, 1, 32, 32)
    assert ((steps >= SETTINGS.finest) & (steps <= SETTINGS.coarsest)).all()
    assert SETTINGS.thrift[0] <= thrift <= SETTINGS.thrift[1]


def test_whole_images_are_drawn_as_bands_of_level_2() -> None:
    images = np.full((2, 64, 64), 77, np.uint8)
    bands = low_pass_bands(images)
    assert bands.shape == (2, 16, 16)
    np.testing.assert_allclose(bands, 4 * 77, rtol=1e-4)
    found, steps = draw_whole(low_pass_bands(radiographs()), SETTINGS, 3)
    assert found.shape == (2, 1, 16, 16)
    assert steps.shape == (2,)


def test_the_finish_is_trained_alone(tmp_path: Path) -> None:
    run = wavelet_trainer(tmp_path / "run")
    before = {name: value.clone() for name, value in run.network.state_dict().items()}
    seen: list[str] = []
    chosen = FinishSettings(minutes=1e-6, crops=4, passes=1, held_out=4, batch=2)
    train_finish(
        run.network, radiographs(), radiographs(2), SETTINGS, chosen, tmp_path, seen.append
    )
    changed = {
        name.split(".")[0]
        for name, value in run.network.state_dict().items()
        if not torch.equal(value, before[name])
    }
    assert changed == {"finish"}
    (line,) = (json.loads(line) for line in (tmp_path / "finish.jsonl").read_text().splitlines())
    assert line["step"] == 2
    assert np.isfinite([line["gain_db"], line["validation_gain_db"]]).all()
