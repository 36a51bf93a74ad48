# ruff: noqa: E402 - imports follow the check for torch
from __future__ import annotations

import math

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
    validate,
)
from xraycodec.training.network import RNNConv


@pytest.fixture(scope="module")
def crops():
    return wavy_crops(12, 32)


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
def test_a_few_steps_lower_the_loss(crops, loss):
    torch.manual_seed(0)
    network = RNNConv(TINY)
    optimiser = torch.optim.Adam(network.parameters(), 3e-3)
    x = draw_batch(crops, np.random.default_rng(0), Settings(batch=4))
    losses = []
    for _ in range(12):
        value = loss_of(loss, network(x, torch.full((4,), 128)), x)
        losses.append(float(value.detach()))
        optimiser.zero_grad()
        value.backward()
        optimiser.step()
    assert losses[-1] < losses[0]
