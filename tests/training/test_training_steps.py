# ruff: noqa: E402 - imports follow the check for torch
from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest

torch = pytest.importorskip("torch", reason="training needs torch: xraycodec[train]")

from training_building import TINY, wavy_crops

from xraycodec.training.loop import (
    REPORTED_BETAS,
    Settings,
    draw_batch,
    draw_betas,
    learning_rate_at,
    loss_of,
    optimisers_for,
    validate,
)
from xraycodec.training.muon import Muon, orthogonalise
from xraycodec.training.network import RNNConv


@pytest.fixture(scope="module")
def crops():
    return wavy_crops(12, 32)


def singular_values(matrix):
    return torch.linalg.svdvals(matrix.double())


@pytest.mark.parametrize("shape", [(8, 8), (8, 40), (40, 8), (96, 432)])
def test_orthogonalised_matrices_have_singular_values_near_one(shape):
    matrix = torch.randn(shape, generator=torch.Generator().manual_seed(3))
    values = singular_values(orthogonalise(matrix))
    assert values.min() > 0.3
    assert values.max() < 1.3


def test_orthogonalising_keeps_the_singular_vectors():
    matrix = torch.randn((6, 9), generator=torch.Generator().manual_seed(3))
    u, _, v = torch.linalg.svd(matrix, full_matrices=False)
    core = u.T @ orthogonalise(matrix) @ v.T
    torch.testing.assert_close(core, core.diagonal().diag(), atol=1e-4, rtol=0)


def test_orthogonalising_ignores_the_scale():
    matrix = torch.randn((6, 9), generator=torch.Generator().manual_seed(3))
    torch.testing.assert_close(orthogonalise(1e-3 * matrix), orthogonalise(matrix))


def test_a_step_of_muon_has_the_size_of_a_step_of_adam():
    weight = torch.nn.Parameter(torch.zeros(64, 32, 3, 3))
    weight.grad = torch.randn(weight.shape, generator=torch.Generator().manual_seed(3))
    Muon([(weight, 4)], lr=0.01).step()
    rms = weight.detach().square().mean().sqrt()
    assert float(rms) == pytest.approx(0.2 * 0.01, rel=0.3)


def test_muon_takes_each_gate_for_a_matrix_and_skips_silent_ones():
    weight = torch.nn.Parameter(torch.zeros(8, 5, 1, 1))
    weight.grad = torch.randn(weight.shape, generator=torch.Generator().manual_seed(3))
    weight.grad[6:] = 0
    Muon([(weight, 4)], lr=1.0).step()
    gates = weight.detach().view(4, 2, 5)
    for gate in gates[:3]:
        assert (singular_values(gate) / (0.2 * 5**0.5) - 1).abs().max() < 0.4
    assert not gates[3].any()


def test_muon_descends():
    target = torch.randn((4, 6, 1, 1), generator=torch.Generator().manual_seed(3))
    weight = torch.nn.Parameter(torch.zeros(4, 6, 1, 1))
    optimiser = Muon([(weight, 1)], lr=0.1)
    losses = []
    for _ in range(40):
        loss = (weight - target).square().sum()
        losses.append(float(loss.detach()))
        weight.grad = None
        loss.backward()
        optimiser.step()
    assert losses[-1] < 0.1 * losses[0]


@pytest.mark.parametrize("optimiser", ["adam", "muon"])
def test_every_parameter_is_optimised_once(optimiser):
    network = RNNConv(TINY)
    groups = [
        group
        for part in optimisers_for(network, Settings(optimiser=optimiser))
        for group in part.param_groups
    ]
    found = [id(parameter) for group in groups for parameter in group["params"]]
    assert sorted(found) == sorted(id(parameter) for parameter in network.parameters())


def test_the_learning_rate_rises_then_falls_to_its_end_points():
    settings = Settings(steps=1000, warm_up=100, learning_rate=2e-4, final_learning_rate=2e-6)
    rates = [learning_rate_at(settings, step) for step in range(1001)]
    assert rates[0] == pytest.approx(2e-6)
    assert rates[99] == rates[100] == pytest.approx(2e-4)
    assert rates[550] == pytest.approx((2e-4 + 2e-6) / 2)
    assert rates[1000] == pytest.approx(2e-6)
    assert (np.diff(rates[:100]) > 0).all()
    assert (np.diff(rates[100:]) < 0).all()
    assert learning_rate_at(settings, 5000) == pytest.approx(2e-6)


@pytest.mark.parametrize(("steps", "warm_up"), [(1, 0), (3, 0), (3, 3), (3, 100)])
def test_short_runs_have_a_rate(steps, warm_up):
    settings = Settings(steps=steps, warm_up=warm_up)
    for step in range(steps):
        assert 0 < learning_rate_at(settings, step) <= settings.learning_rate


def test_a_batch_depends_on_seed_and_step_alone(crops):
    settings = Settings(batch=5, augment=True)

    def batch(seed, step):
        return draw_batch(crops, np.random.default_rng((seed, step)), settings)

    assert torch.equal(batch(1, 7), batch(1, 7))
    assert not torch.equal(batch(1, 7), batch(1, 8))
    assert not torch.equal(batch(1, 7), batch(2, 7))


def test_a_batch_holds_different_crops_in_0_to_1(crops):
    batch = draw_batch(crops, np.random.default_rng(0), Settings(batch=12))
    assert (batch.shape, batch.dtype) == ((12, 1, 32, 32), torch.float32)
    assert np.array_equal((batch[:, 0] * 255).round().numpy(), crops)


def test_augmentation_turns_and_flips(crops):
    settings = Settings(batch=12, augment=True)
    batch = draw_batch(crops, np.random.default_rng(0), settings)
    pixels = (batch[:, 0] * 255).round().numpy()
    kinds = set()
    for crop, found in zip(crops, pixels, strict=True):
        allowed = [np.rot90(turned, k) for turned in (crop, crop[:, ::-1]) for k in range(4)]
        (kind,) = [k for k, image in enumerate(allowed) if np.array_equal(image, found)]
        kinds.add(kind)
    assert len(kinds) >= 4


def test_betas_favour_the_papers_ratios_and_reach_all():
    betas = draw_betas(np.random.default_rng(0), 20_000).numpy()
    assert (betas.min(), betas.max()) == (1, 128)
    shares = {beta: (betas == beta).mean() for beta in (8, 16, 32, 64, 100)}
    assert min(shares[8], shares[16], shares[64]) > 0.1
    assert shares[32] > 0.2
    assert 0 < shares[100] < 0.01


def test_losses():
    target = torch.zeros(2, 1, 4, 4)
    output = torch.stack([torch.full((1, 4, 4), 0.1), torch.full((1, 4, 4), -0.01)])
    assert float(loss_of("l1", output, target)) == pytest.approx(0.055)
    due = (math.log(0.01 + 2e-6) + math.log(0.0001 + 2e-6)) / 2
    assert float(loss_of("log-mse", output, target)) == pytest.approx(due, rel=1e-5)
    assert math.isfinite(loss_of("log-mse", target, target))


class Lossless:
    """Stands in for a network: channel 0 carries the whole image, later ones nothing."""

    analysis = staticmethod(lambda pixels: pixels.repeat(1, 128, 1, 1))
    quantiser = staticmethod(lambda latents: latents)
    synthesis = staticmethod(lambda latents: latents[:, :1])


def test_validation_takes_exact_crops_for_100_db(crops):
    assert validate(Lossless(), crops, "cpu", batch=5) == dict.fromkeys(REPORTED_BETAS, 100.0)


def test_validation_is_the_mean_psnr_over_crops(crops):
    class Darker(Lossless):
        synthesis = staticmethod(lambda latents: latents[:, :1] - 2 / 255)

    bright = np.maximum(crops, 2)
    found = validate(Darker(), bright, "cpu", batch=5)
    assert found[32] == pytest.approx(10 * math.log10(255**2 / 4))


@pytest.mark.parametrize("loss", ["l1", "log-mse"])
@pytest.mark.parametrize("optimiser", ["adam", "muon"])
def test_a_few_steps_lower_the_loss(crops, loss, optimiser):
    torch.manual_seed(0)
    network = RNNConv(TINY)
    settings = Settings(optimiser=optimiser, learning_rate=3e-3)
    parts = optimisers_for(network, replace(settings))
    x = draw_batch(crops, np.random.default_rng(0), Settings(batch=4))
    losses = []
    for _ in range(12):
        value = loss_of(loss, network(x, torch.full((4,), 128)), x)
        losses.append(float(value.detach()))
        network.zero_grad(set_to_none=True)
        value.backward()
        for part in parts:
            part.step()
    assert losses[-1] < losses[0]
