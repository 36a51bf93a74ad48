"""A wide network that begins as a narrow one."""

# ruff: noqa: E402 - imports follow the check for torch
from __future__ import annotations

from dataclasses import replace

import pytest

torch = pytest.importorskip("torch", reason="training needs torch: xraycodec[train]")

from training_building import TINY, randomise

from xraycodec.errors import ModelError
from xraycodec.training.growth import grow
from xraycodec.training.network import CONFIGS, Config, ConvLSTM2d, RNNConv
from xraycodec.training.weights import load_weights, save_weights

WIDE = Config("paper", 6, (8, 12, 24), 20, (24, 20, 16, 12))
"""Wider than `TINY` by another amount in each layer, and in one of them not at all."""


def pixels(seed=0):
    return torch.rand((2, 1, 64, 64), generator=torch.Generator().manual_seed(seed))


def network(config, seed):
    torch.manual_seed(seed)
    return randomise(RNNConv(config), seed)


def assert_computes_the_same(narrow, wide):
    """Each network on its own, in float64: the codes between them would hide a difference."""
    narrow, wide = narrow.double(), wide.double()
    with torch.no_grad():
        latents = narrow.analysis(pixels().double())
        torch.testing.assert_close(
            wide.analysis(pixels().double()), latents, rtol=1e-10, atol=1e-12
        )
        torch.testing.assert_close(
            wide.synthesis(latents), narrow.synthesis(latents), rtol=1e-10, atol=1e-12
        )
        assert latents.std() > 1e-3
    for name, value in narrow.quantiser.state_dict().items():
        assert torch.equal(wide.quantiser.state_dict()[name], value)


@pytest.mark.parametrize("wide", [WIDE, replace(TINY, name="paper")], ids=["wider", "as wide"])
@pytest.mark.parametrize("time_steps", [1, 2])
def test_a_grown_network_computes_what_the_narrow_one_does(wide, time_steps):
    narrow = network(replace(TINY, time_steps=time_steps), 1)
    grown = network(replace(wide, time_steps=time_steps), 2)
    grow(narrow, grown)
    assert_computes_the_same(narrow, grown)


def test_the_channels_that_are_new_keep_their_own_weights():
    grown, before = network(WIDE, 2), network(WIDE, 2)
    grow(network(TINY, 1), grown)
    first = grown.analysis.layers[0]
    rows = torch.arange(4 * 8).reshape(4, 8)  # as wide as before: every row is the narrow one's
    assert (first.weight[rows.flatten(), 4:] == 0).all()
    second, kept = grown.analysis.layers[1], before.analysis.layers[1]
    for gate in range(4):
        new = slice(12 * gate + 8, 12 * gate + 12)
        assert torch.equal(second.weight[new], kept.weight[new])
        assert torch.equal(second.bias[new], kept.bias[new])


@pytest.mark.parametrize(
    "changes",
    [
        {"front": 3},
        {"encoder": (8, 7, 24)},
        {"expand": 15},
        {"modules": (24, 20, 16, 4)},
        {"beta": 64},
        {"time_steps": 2},
    ],
    ids=lambda changes: next(iter(changes)),
)
def test_a_network_that_does_not_hold_the_narrow_one_is_refused_and_left_alone(changes):
    config = replace(WIDE, **changes)
    wide, before = network(config, 2), network(config, 2)
    with pytest.raises(ModelError, match="'compact' does not fit into 'paper'"):
        grow(network(TINY, 1), wide)
    for name, value in before.state_dict().items():
        assert torch.equal(wide.state_dict()[name], value)


@pytest.fixture
def tiny_configurations(monkeypatch):
    monkeypatch.setitem(CONFIGS, "compact", TINY)
    monkeypatch.setitem(CONFIGS, "paper", WIDE)


def test_a_file_of_the_narrow_configuration_loads_into_the_wide_one(tmp_path, tiny_configurations):
    path = tmp_path / "compact.safetensors"
    save_weights(network(TINY, 1), path)
    narrow, wide = RNNConv(TINY), network(WIDE, 2)
    load_weights(narrow, path)
    load_weights(wide, path)
    assert_computes_the_same(narrow, wide)


def test_a_file_of_the_wide_configuration_does_not_load_into_the_narrow_one(
    tmp_path, tiny_configurations
):
    path = tmp_path / "paper.safetensors"
    save_weights(network(WIDE, 1), path)
    with pytest.raises(ModelError, match="'paper' does not fit into 'compact'"):
        load_weights(RNNConv(TINY), path)


def test_a_file_of_a_configuration_that_nobody_knows_is_refused(tmp_path, tiny_configurations):
    path = tmp_path / "other.safetensors"
    save_weights(network(replace(TINY, name="other"), 1), path)
    with pytest.raises(ModelError, match="holds configuration 'other', not 'paper'"):
        load_weights(RNNConv(WIDE), path)


def gradients(wide):
    """Backpropagate one batch; the gradient of each weight tensor by its layer's name."""
    wide.zero_grad()
    x = pixels(3)
    (wide(x, torch.tensor([128, 128])) - x).square().mean().backward()
    return {
        name: layer.weight.grad
        for name, layer in wide.named_modules()
        if isinstance(layer, ConvLSTM2d | torch.nn.Conv2d)
    }


def narrow_rows(name, weight, narrow):
    """Which output channels of a layer are those of the narrow network."""
    gates = 4 if isinstance(narrow[name], ConvLSTM2d) else 1
    channels, old = weight.shape[0] // gates, narrow[name].weight.shape[0] // gates
    return torch.arange(weight.shape[0]) % channels < old


def test_new_channels_learn_once_a_weight_that_reads_them_has_moved():
    narrow, wide = network(TINY, 1), network(WIDE, 2)
    grow(narrow, wide)
    layers = dict(narrow.named_modules())
    found = gradients(wide)
    reading = 0
    for name, gradient in found.items():
        old = narrow_rows(name, gradient, layers)
        assert (gradient[~old] == 0).all(), name  # nothing that counts reads them yet
        if gradient.shape[1] > layers[name].weight.shape[1]:
            reading += 1
            assert (gradient[old, layers[name].weight.shape[1] :] != 0).any(), name
    assert reading == 12  # all but the front end's two, the second encoder layer and expand
    with torch.no_grad():
        for parameter in wide.parameters():
            if parameter.grad is not None:
                parameter -= 0.1 * parameter.grad
    for name, gradient in gradients(wide).items():
        old = narrow_rows(name, gradient, layers)
        if not old.all():
            assert (gradient[~old] != 0).any(), name
