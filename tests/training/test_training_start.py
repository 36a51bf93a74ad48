# ruff: noqa: E402 - imports follow the check for torch
from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

torch = pytest.importorskip("torch", reason="training needs torch: xraycodec[train]")

from training_building import NARROWEST_LINEAR, TINY, randomise, wavy_crops

from xraycodec.evaluation.klt import learn_klt, reconstruct
from xraycodec.training import warm_start
from xraycodec.training.conditioning import FLOOR, condition
from xraycodec.training.network import COMPACT, RNNConv

BEND = 3.0


@pytest.fixture(scope="module")
def crops():
    return wavy_crops(24, 64)


@pytest.fixture(scope="module")
def klt(crops):
    transform = learn_klt(crops, 16)
    # The start makes room for full-scale brightness, which these crops do not reach.
    return replace(transform, peaks=np.append(np.fmax(transform.peaks[:1], 8), transform.peaks[1:]))


@pytest.fixture(scope="module", params=[NARROWEST_LINEAR, COMPACT], ids=lambda config: config.name)
def network(request, crops):
    torch.manual_seed(1)
    network = RNNConv(request.param)
    warm_start.apply(network, crops)
    with torch.no_grad():
        network.quantiser.bend[1:] = BEND
    return network.eval()


def send(network, crops, beta):
    pixels = torch.from_numpy(crops.astype(np.float32) / 255)[:, None]
    with torch.no_grad():
        out = network(pixels, torch.full((len(crops),), beta))
    return out[:, 0].mul(255).round().clamp(0, 255).numpy().astype(int)


@pytest.mark.parametrize("beta", [1, 4, 32, 128])
def test_a_linear_start_is_the_klt(network, crops, klt, beta):
    due = reconstruct(klt, crops, beta, BEND).astype(int)
    difference = np.abs(send(network, crops, beta) - due)
    # A latent halfway between two codes may fall to either side: rare, and a step at most.
    assert (difference > 1).mean() < 0.002
    assert difference.mean() < 0.01


def test_latents_are_the_coefficients(network, crops, klt):
    pixels = torch.from_numpy(crops.astype(np.float32) / 255)[:, None]
    with torch.no_grad():
        latents = network.analysis(pixels).permute(0, 2, 3, 1).reshape(-1, 128).numpy()
    rows = crops.reshape(-1, 4, 16, 4, 16).transpose(0, 1, 3, 2, 4).reshape(-1, 256) / 255 - 0.5
    assert np.allclose(latents, rows @ klt.basis[:128].T, atol=1e-4)


def test_the_bottleneck_is_ordered(network, crops):
    errors = [np.mean((send(network, crops, beta) - crops) ** 2.0) for beta in (1, 4, 16, 64)]
    assert (np.diff(errors) < 0).all()


def test_the_trained_bend_starts_lower_for_brightness(crops):
    network = RNNConv(NARROWEST_LINEAR)
    warm_start.apply(network, crops)
    assert network.quantiser.bend[0] == 1.0
    assert (network.quantiser.bend[1:] == BEND).all()


def test_every_convolution_can_learn_from_there(network, crops):
    """Neurons beyond the linear chain are silent, but the gradient reaches some weights."""
    pixels = torch.from_numpy(crops[:4].astype(np.float32) / 255)[:, None]
    out = network(pixels, torch.full((4,), 128))
    (out - pixels).abs().mean().backward()
    for name, value in network.named_parameters():
        if name.endswith("weight"):
            assert value.grad.abs().sum() > 0, name
    network.zero_grad()


def test_quadrants_are_top_left_top_right_bottom_left_bottom_right():
    basis = np.arange(16.0)[None]
    assert warm_start.quadrants(basis).tolist() == [
        [[0, 1, 4, 5], [2, 3, 6, 7], [8, 9, 12, 13], [10, 11, 14, 15]]
    ]


def test_conditioning_keeps_what_the_network_computes(crops):
    network = randomise(RNNConv(TINY)).eval()
    pixels = torch.from_numpy(crops[:4].astype(np.float32) / 255)[:, None]
    beta = torch.full((4,), 128)
    with torch.no_grad():
        before = network.analysis(pixels)
        decoded = network.synthesis(before)
        condition(network, pixels)
        torch.testing.assert_close(network.analysis(pixels), before, atol=1e-4, rtol=1e-4)
        torch.testing.assert_close(network.synthesis(before), decoded, atol=1e-4, rtol=1e-4)
        weights = [value.clone() for value in network.parameters()]
        condition(network, pixels)  # in the same units already
        for value, due in zip(network.parameters(), weights, strict=True):
            torch.testing.assert_close(value, due, atol=1e-6, rtol=0.05)
        assert network(pixels, beta).shape == pixels.shape


def test_conditioning_measures_the_input_of_each_layer(crops):
    network = randomise(RNNConv(TINY)).eval()
    pixels = torch.from_numpy(crops[:4].astype(np.float32) / 255)[:, None]
    condition(network, pixels)
    with torch.no_grad():
        front = network.analysis.front(pixels - 0.5)
    due = front.square().mean((0, 2, 3)).sqrt().clamp_min(FLOOR)
    torch.testing.assert_close(network.analysis.layers[0].input_rms, due)
