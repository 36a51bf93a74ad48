"""The networks that the wavelet was compared with: they start linear, code honestly and learn."""

# ruff: noqa: E402 - imports follow the check for torch
from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

torch = pytest.importorskip("torch", reason="training needs torch: xraycodec[train]")

from session_building import WAVELET, radiographs

from xraycodec.training.candidates import loop
from xraycodec.training.candidates.brightness import MeansHierarchy, SmoothImage, means
from xraycodec.training.candidates.entropy import PARAMETERS, choose, code_lengths
from xraycodec.training.candidates.loop import CandidateTrainer
from xraycodec.training.candidates.network import TransformNetwork
from xraycodec.training.wavelet.loop import draw

SETTINGS = replace(
    WAVELET, batch=2, crop=64, steps=3, warm_up=1, learning_rate=2e-3, validate_every=100
)
SIDE = 64
recurrence = pytest.mark.parametrize("recurrent", [False, True], ids=["convolutions", "recurrent"])


def crops(count: int = 24) -> np.ndarray:
    """Crops with noise, which keeps all 256 latents of a block apart."""
    return radiographs(count, SIDE).astype(np.float32)


@pytest.fixture(params=[False, True], ids=["convolutions", "recurrent"])
def network(request: pytest.FixtureRequest) -> TransformNetwork:
    torch.manual_seed(3)
    network = TransformNetwork(request.param)
    network.start(crops(), finest=0.5, typical=4.0)
    return network


@torch.no_grad()
def test_it_starts_as_a_transform_that_gives_back_what_it_took(network: TransformNetwork) -> None:
    step = 0.5
    x = torch.from_numpy(crops(3))[:, None]
    plane, base, latents = network.analyse(x / step)
    again = base + network.transform.synthesise(latents, latents.new_zeros(3, 96, 4, 4))
    assert float((again * step - x).abs().max()) < 0.01
    # Orthonormal: latents hold what the means leave, no more and no less.
    left = float((x / step - base).square().sum())
    assert float(latents.square().sum()) == pytest.approx(left, rel=1e-3)
    assert torch.equal(plane, plane.round())
    # Rounding is all that is lost; the choice for rate is left out by a multiplier of 0.
    coded = network(x / step, 0.0)
    assert float((coded.pixels * step - x).square().mean().sqrt()) < 0.6 * step
    assert coded.errors.sum() == pytest.approx(float((coded.pixels - x / step).square().sum()))


@torch.no_grad()
def test_code_lengths_are_those_of_a_distribution() -> None:
    torch.manual_seed(1)
    parameters = torch.randn(2, PARAMETERS, 3, 1, 1)
    parameters[0, 0] = 7.3
    values = torch.arange(-400.0, 401.0)[None, None, None].expand(2, 3, -1, -1)
    found = torch.exp2(-code_lengths(parameters, values))
    torch.testing.assert_close(found.sum(-1), torch.ones(2, 3, 1), atol=3e-4, rtol=0)
    assert float(values[0, 0, 0, found[0, 0].argmax()]) == 7
    between = values[0, 0, 0] - 0.25  # about a mean of four
    scaled = torch.exp2(-code_lengths(parameters, between[None, None, None], 2.5))
    torch.testing.assert_close(scaled.sum(-1), torch.ones(2, 3, 1), atol=3e-4, rtol=0)


@torch.no_grad()
def test_what_is_chosen_costs_least() -> None:
    torch.manual_seed(2)
    parameters, target = torch.randn(1, PARAMETERS, 64, 4, 4), 3 * torch.randn(1, 64, 4, 4)

    def cost(value: torch.Tensor) -> torch.Tensor:
        return (value - target).square() + 0.3 * code_lengths(parameters, value)

    chosen, nearest = choose(target, parameters, 0.3), target.round()
    assert torch.equal(chosen, chosen.round())
    for other in (nearest, nearest - nearest.sign(), torch.zeros_like(nearest)):
        assert (cost(chosen) <= cost(other) + 1e-4).all()
    assert not torch.equal(chosen, nearest)
    assert torch.equal(choose(target, parameters, 0.0), nearest)


@torch.no_grad()
def test_later_passes_do_not_tell_earlier_ones(
    network: TransformNetwork, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What a pass codes changes nothing in what was coded before it."""
    context = network.context
    x = torch.from_numpy(crops(1))[:, None] / 4
    plane, _, latents = network.analyse(x)
    # Hyper-latents tell of all latents, and are coded before any of them.
    monkeypatch.setattr(context, "_hyper_latents", lambda *_: torch.zeros(1, 8, 2, 2))
    seen: list[list[torch.Tensor]] = []
    for change in (0.0, 9.0):
        outputs: list[torch.Tensor] = []
        hooks = [
            head.register_forward_hook(lambda _, __, found, kept=outputs: kept.append(found))
            for head in context.heads
        ]
        changed = latents.clone()
        changed[:, 40:, 1::2, ::2] += change  # the second group, cells of the second colour
        context(changed, plane, 0.1)
        for hook in hooks:
            hook.remove()
        seen.append(outputs)
    assert len(seen[0]) == 4
    for before, after in zip(*seen, strict=True):
        assert torch.equal(before, after)


@torch.no_grad()
def test_means_are_coded_by_what_lies_around_them() -> None:
    torch.manual_seed(4)
    hierarchy, smooth = MeansHierarchy(), SmoothImage()
    smooth.fit(crops())
    x = torch.from_numpy(crops(2))[:, None]
    plane = means(x).round()
    bits = hierarchy(plane)
    assert bits.shape == (2,)
    assert (bits > 4 * 16).all()
    flat = hierarchy(torch.full_like(plane, 700.0))
    assert (flat < bits).all()
    left = (x - smooth(plane)).square().mean()
    assert left < (x - plane.repeat_interleave(16, 2).repeat_interleave(16, 3) / 16).square().mean()


@recurrence
def test_steps_of_training_lower_the_loss(
    recurrent: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """On crops that stay the same, as few steps on changing ones tell little."""
    run = CandidateTrainer(SETTINGS, radiographs(8, 128), tmp_path, recurrent=recurrent)
    same = draw(run.images, SETTINGS, 0)
    monkeypatch.setattr(loop, "draw", lambda *_: same)
    before = run._loss()[0].item()
    run.run(lambda line: None)
    assert run._loss()[0].item() < before
    assert run.step == SETTINGS.steps
    again = CandidateTrainer(SETTINGS, radiographs(8, 128), tmp_path, recurrent=recurrent)
    again.resume()
    assert again.step == run.step
    for name, value in again.averaged().state_dict().items():
        assert torch.equal(value, run.average[name])
