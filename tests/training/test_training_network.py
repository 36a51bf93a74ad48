# ruff: noqa: E402 - imports follow the check for torch
from __future__ import annotations

import dataclasses
import math

import pytest

torch = pytest.importorskip("torch", reason="training needs torch: xraycodec[train]")

from training_building import (
    TINY,
    parameter_count,
    randomise,
    reference_conv_lstm,
)

from xraycodec.training.network import (
    COMPACT,
    PAPER,
    Analysis,
    ConvLSTM2d,
    DeconvolutionModule,
    FrontEnd,
    KneeReLU,
    Quantiser,
    RNNConv,
    Synthesis,
    hard_sigmoid,
)

CONV_LSTMS = [(3, 2, "before"), (3, 2, "after"), (2, 1, "before"), (2, 1, "after")]


def zero_state(layer, batch, height, width):
    zeros = torch.zeros(batch, layer.channels, height, width)
    return zeros, zeros.clone()


def conv_lstm(kernel, stride, side):
    return randomise(ConvLSTM2d(3, 5, kernel, stride, side), scale=0.5)


@pytest.fixture(scope="module")
def tiny():
    return randomise(RNNConv(TINY)).eval()


def test_the_paper_configuration_has_the_papers_parameters():
    with torch.device("meta"):
        network = RNNConv(dataclasses.replace(PAPER, beta=32))
    assert parameter_count(network) == 62_149_025
    assert parameter_count(network) == pytest.approx(62_080_312, rel=0.002)


def test_knees_and_quantiser_are_a_small_addition():
    with torch.device("meta"):
        network = RNNConv(dataclasses.replace(PAPER, beta=32))
    added = sum(p.numel() for p in network.parameters()) - parameter_count(network)
    assert 0 < added < 0.0002 * 62_080_312


@pytest.mark.parametrize("config", [PAPER, COMPACT], ids=lambda config: config.name)
@pytest.mark.parametrize("n", [128, 256])
def test_the_bottleneck_is_n_over_16(config, n):
    with torch.device("meta"):
        network = RNNConv(config)
        x = torch.empty(2, 1, n, n)
        latents = network.analysis(x)
        assert latents.shape == (2, 128, n // 16, n // 16)
        assert network.synthesis(latents).shape == x.shape


@pytest.mark.parametrize(("height", "width"), [(16, 16), (16, 48), (64, 32), (128, 128)])
def test_any_whole_blocks(tiny, height, width):
    x = torch.rand(2, 1, height, width)
    with torch.no_grad():
        assert tiny.analysis(x).shape == (2, 128, height // 16, width // 16)
        assert tiny(x, torch.tensor([128, 1])).shape == x.shape


def test_modules_expand_to_the_papers_shapes():
    """8 x 8 x 512 becomes 16 x 16 x 128."""
    with torch.device("meta"):
        out, _ = DeconvolutionModule(512, 512)(torch.empty(1, 512, 8, 8))
    assert out.shape == (1, 128, 16, 16)


def test_the_hard_sigmoid():
    x = torch.tensor([-9.0, -2.5, 0.0, 1.0, 2.5, 9.0])
    assert hard_sigmoid(x).tolist() == pytest.approx([0, 0, 0.5, 0.7, 1, 1])


def test_the_knee_moves_the_relu():
    relu = KneeReLU(2)
    with torch.no_grad():
        relu.knee[1] = 3
    x = torch.tensor([-5.0, -1.0, 2.0]).expand(1, 2, 1, 3)
    assert relu(x)[0, :, 0].tolist() == [[0, 0, 2], [-3, -1, 2]]


@pytest.mark.parametrize(("kernel", "stride", "side"), CONV_LSTMS)
def test_one_time_step_is_the_formula(kernel, stride, side):
    layer, x = conv_lstm(kernel, stride, side), torch.randn(2, 3, 8, 6)
    with torch.no_grad():
        h, (same_h, c) = layer(x)
        assert h.shape == (2, 5, 8 // stride, 6 // stride)
        zero = tuple(z.double() for z in zero_state(layer, *h.shape[::2], h.shape[3]))
        due_h, due_c = reference_conv_lstm(layer, x.double(), zero)
    assert h is same_h
    torch.testing.assert_close(h.double(), due_h, atol=1e-5, rtol=1e-5)
    torch.testing.assert_close(c.double(), due_c, atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize(("kernel", "stride", "side"), CONV_LSTMS)
def test_a_zero_state_is_the_shortcut_without_one(kernel, stride, side):
    layer, x = conv_lstm(kernel, stride, side), torch.randn(2, 3, 8, 6)
    with torch.no_grad():
        h, (_, c) = layer(x)
        full_h, (_, full_c) = layer(x, zero_state(layer, *h.shape[::2], h.shape[3]))
    torch.testing.assert_close(full_h, h, atol=1e-6, rtol=1e-5)
    torch.testing.assert_close(full_c, c, atol=1e-6, rtol=1e-5)


@pytest.mark.parametrize(("kernel", "stride", "side"), CONV_LSTMS)
def test_two_time_steps_are_the_recurrence(kernel, stride, side):
    layer, (x1, x2) = conv_lstm(kernel, stride, side), torch.randn(2, 2, 3, 8, 6)
    with torch.no_grad():
        h, state = layer(x1)
        zero = tuple(z.double() for z in zero_state(layer, *h.shape[::2], h.shape[3]))
        due = reference_conv_lstm(layer, x1.double(), zero)
        due_h, due_c = reference_conv_lstm(layer, x2.double(), due)
        h, (_, c) = layer(x2, state)
    torch.testing.assert_close(h.double(), due_h, atol=1e-5, rtol=1e-5)
    torch.testing.assert_close(c.double(), due_c, atol=1e-5, rtol=1e-5)


def test_a_network_of_two_time_steps_carries_the_state():
    config = dataclasses.replace(TINY, time_steps=2)
    once, twice = (randomise(RNNConv(c)).eval() for c in (TINY, config))
    x = torch.rand(1, 1, 32, 32)
    with torch.no_grad():
        front = once.analysis.front(x - 0.5)
        h, states = front, []
        for layer in once.analysis.layers:
            h, state = layer(h)
            states.append(state)
        h = front
        for layer, state in zip(once.analysis.layers, states, strict=True):
            h, _ = layer(h, state)
        due = once.analysis.bottleneck(h)
        assert not torch.allclose(once.analysis(x), due)
        torch.testing.assert_close(twice.analysis(x), due)
        assert not torch.allclose(twice.synthesis(due), once.synthesis(due))


def test_the_front_end_averages_its_branches():
    front = randomise(FrontEnd(2), scale=0.5)
    x = torch.randn(1, 1, 6, 8)
    with torch.no_grad():
        padded = torch.nn.functional.pad(x, (1, 0, 1, 0))
        a = front.relu_a(front.convolution(padded))
        b = front.relu_b(front.pooled(torch.nn.functional.avg_pool2d(x, 2)))
        torch.testing.assert_close(front(x), a / 2 + b / 2)


def test_a_latent_sees_seven_pixels_before_its_block_and_eight_behind(tiny):
    x = torch.zeros(1, 1, 64, 64, requires_grad=True)
    tiny.analysis(x)[0, :, 2, 1].abs().sum().backward()
    seen = x.grad[0, 0].nonzero()
    assert (seen.min(0).values >= torch.tensor([32 - 7, 16 - 7])).all()
    assert (seen.max(0).values <= torch.tensor([47 + 8, 31 + 8])).all()


def test_a_block_of_pixels_sees_latents_within_two_blocks():
    synthesis = randomise(Synthesis(TINY))
    y = torch.randn(1, 128, 9, 9, requires_grad=True)
    synthesis(y)[0, 0, 64:80, 64:80].sum().backward()
    seen = y.grad[0].abs().sum(0).nonzero()
    assert seen.min() >= 4 - 2
    assert seen.max() <= 4 + 2


def test_channels_beyond_beta_do_not_reach_the_output(tiny):
    x = torch.rand(3, 1, 32, 32)
    changed = RNNConv(TINY)
    changed.load_state_dict(tiny.state_dict())
    with torch.no_grad():
        changed.analysis.bottleneck.weight[7:] = 5
        changed.analysis.bottleneck.bias[7:] = -2
        for beta, same in (([7, 7, 7], True), ([1, 3, 7], True), ([7, 7, 8], False)):
            kept = torch.tensor(beta)
            assert torch.equal(tiny(x, kept), changed(x, kept)) is same


def test_beta_counts_for_each_sample_by_itself(tiny):
    x = torch.rand(1, 1, 32, 32).expand(3, -1, -1, -1)
    with torch.no_grad():
        mixed = tiny(x, torch.tensor([1, 16, 128]))
        for k, beta in enumerate((1, 16, 128)):
            alone = tiny(x[:1], torch.tensor([beta]))
            torch.testing.assert_close(mixed[k], alone[0], atol=1e-6, rtol=1e-5)
    assert not torch.allclose(mixed[0], mixed[2])


def test_codes_are_whole_numbers_within_8_bits():
    quantiser = randomise(Quantiser(4), scale=0.5)
    with torch.no_grad():
        scaled = quantiser.scale(torch.linspace(-9, 9, 1001).expand(1, 4, 1, -1))
    assert scaled.abs().max() == 127


@pytest.mark.parametrize("bend", [0.0, 0.1, 3.0, 6.0, 9.0])
def test_the_quantiser_undoes_its_codes(bend):
    quantiser = Quantiser(2)
    with torch.no_grad():
        quantiser.log_peak[:] = torch.tensor([0.5, -2.0])
        quantiser.bend[:] = bend
        codes = torch.arange(-127.0, 128).expand(1, 2, 1, -1)
        values = quantiser.dequantise(codes)
        torch.testing.assert_close(quantiser.scale(values), codes, atol=1e-3, rtol=1e-4)
        assert (values.diff(dim=3) > 0).all()
        assert values[0, :, 0, -1].tolist() == pytest.approx([math.exp(0.5), math.exp(-2)])
        torch.testing.assert_close(quantiser(values), values)


def test_rounding_passes_gradients_straight_through():
    quantiser = Quantiser(1)
    y = torch.tensor([0.1, -0.2, 0.4]).view(1, 1, 1, 3).requires_grad_()
    quantiser(y).sum().backward()
    torch.testing.assert_close(y.grad, torch.ones_like(y), atol=0.05, rtol=0)
    assert quantiser.bend.grad is not None


def test_analysis_needs_no_state_between_images():
    analysis = randomise(Analysis(TINY)).eval()
    x = torch.rand(2, 1, 32, 32)
    with torch.no_grad():
        first = analysis(x)
        analysis(torch.rand(1, 1, 64, 64))
        assert torch.equal(analysis(x), first)
