# ruff: noqa: E402 - imports follow the check for torch
from __future__ import annotations

import copy

import numpy as np
import pytest

torch = pytest.importorskip("torch", reason="training needs torch: xraycodec[train]")

from training_building import NARROWEST_LINEAR, wavy_crops

from xraycodec.codecs.rnn_conv.model import model_for
from xraycodec.exact.pack import SEARCH_PATH, read_pack
from xraycodec.training import warm_start
from xraycodec.training.export import export_pack
from xraycodec.training.network import Config, RNNConv
from xraycodec.training.remainder import LEVELS, POSITION, add_remainder


@pytest.fixture(scope="module")
def crops():
    return wavy_crops(24, 64)


@pytest.fixture(scope="module")
def pixels(crops):
    return torch.from_numpy(crops.astype(np.float32) / 255)[:, None]


@pytest.fixture(scope="module")
def before(crops):
    torch.manual_seed(1)
    network = RNNConv(NARROWEST_LINEAR)
    warm_start.apply(network, crops)
    return network.eval()


@pytest.fixture(scope="module")
def network(before):
    network = copy.deepcopy(before)
    add_remainder(network)
    return network


def decoded(network, pixels, beta):
    with torch.no_grad():
        return network(pixels, torch.full((len(pixels),), beta))


def brightness_error(network, pixels, beta):
    left = torch.nn.functional.avg_pool2d(decoded(network, pixels, beta) - pixels, 16)
    return float(left.square().mean())


def test_fewer_channels_than_its_position_decode_as_before(before, network, pixels):
    assert torch.equal(decoded(network, pixels, POSITION), decoded(before, pixels, POSITION))


def test_brightness_is_what_it_was_but_for_a_fraction_of_a_step(network, pixels):
    with torch.no_grad():
        latents = network.analysis(pixels)
        values = network.quantiser(latents)
        step = float(network.quantiser.dequantise(torch.ones(1, 128, 1, 1))[0, 0])
    rounded = (values[:, 0] - latents[:, 0]).abs().max()
    left = (values[:, 0] + values[:, POSITION] - latents[:, 0]).abs().max()
    assert rounded > 0.4 * step
    assert left < 0.8 * step / LEVELS


def test_other_channels_move_up_by_one(before, network, pixels):
    with torch.no_grad():
        old = before.quantiser(before.analysis(pixels))
        new = network.quantiser(network.analysis(pixels))
    assert torch.equal(new[:, :POSITION], old[:, :POSITION])
    assert torch.equal(new[:, POSITION + 1 :], old[:, POSITION:-1])


def test_blocks_are_as_bright_as_they_were(before, network, pixels):
    for beta in (POSITION + 1, 32, 128):
        assert brightness_error(network, pixels, beta) < brightness_error(before, pixels, beta) / 9


def test_it_is_added_once(network):
    again = copy.deepcopy(network)
    add_remainder(again)
    for name, value in network.state_dict().items():
        assert torch.equal(again.state_dict()[name], value), name


def test_a_bottleneck_too_narrow_for_it_stays_as_it_is():
    narrow = RNNConv(Config("narrow", 4, (8, 8, 16), 16, (16, 16, 8, 8), beta=POSITION))
    add_remainder(narrow)
    assert not narrow.quantiser.remainder.any()


def test_weights_from_before_the_remainder_load_without_one(before, network):
    state = before.state_dict()
    del state["quantiser.remainder"]
    loaded = copy.deepcopy(network)
    loaded.load_state_dict(state)
    assert not loaded.quantiser.remainder.any()


def test_gradients_do_not_pass_through_the_remainder(network, pixels):
    latents = network.analysis(pixels[:2]).detach().requires_grad_()
    network.quantiser(latents)[:, POSITION].sum().backward()
    assert not latents.grad[:, 0].any()


def test_the_codec_codes_the_remainder_as_training_does(
    network, crops, pixels, tmp_path, monkeypatch
):
    path = tmp_path / "narrow.xrcpack"
    path.write_bytes(export_pack(network, "narrow", 64, crops, {}))
    assert read_pack(path).properties["remainder"] == POSITION
    monkeypatch.setenv(SEARCH_PATH, str(tmp_path))
    model = model_for(read_pack(path).digest)
    with torch.no_grad():
        latents = network.analysis(pixels[:1])
        due = network.quantiser.scale(latents)[0]
    codes = model.quantise(latents[0].numpy())
    # Halfway between two levels of a bent scale, rounding and the nearest level may differ.
    assert np.abs(codes - due.numpy()).max() < 0.52
    assert len(np.unique(codes[POSITION])) > 2
