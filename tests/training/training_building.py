"""What the tests of training share: tiny networks, tiny crops, a reference ConvLSTM."""

from __future__ import annotations

import numpy as np
import torch
import torch.nn.functional as F

from xraycodec.training.network import Config

TINY = Config("compact", 4, (8, 8, 16), 16, (16, 16, 8, 8))
"""The smallest sensible widths, under the name that the command line knows."""

NARROWEST_LINEAR = Config("narrow", 4, (16, 64, 128), 128, (256, 64, 16, 4))
"""Just wide enough for the linear start: 4, 16 and 64 coefficients of 2, 4 and 8 pixels."""


def parameter_count(network):
    """Parameters that the paper counts: without our knees and quantiser."""
    return sum(
        value.numel()
        for name, value in network.named_parameters()
        if not name.endswith("knee") and not name.startswith("quantiser")
    )


def wavy_crops(count, size, seed=0):
    """Smooth 8-bit images with a little noise, ``(crop, size, size)``."""
    rng = np.random.default_rng(seed)
    y, x = np.mgrid[:size, :size] / size
    waves = np.array([np.sin(a * x + b * y + c) for a, b, c in rng.uniform(-9, 9, (count, 3))])
    contrast = rng.uniform(20, 100, (count, 1, 1))
    pixels = 128 + contrast * waves + rng.normal(0, 3, (count, size, size))
    return pixels.round().clip(0, 255).astype(np.uint8)


def randomise(network, seed=0, scale=0.1):
    """Give every parameter and every measured input scale a random value."""
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for name, value in network.named_parameters():
            noise = torch.randn(value.shape, generator=generator)
            spread = scale if value.ndim < 4 else value[0].numel() ** -0.5
            value.copy_(noise.abs() * spread if name.endswith("knee") else noise * spread)
        for name, value in network.named_buffers():
            if name.endswith("remainder"):
                continue
            value.copy_(0.5 + torch.rand(value.shape, generator=generator))
    return network


def reference_conv_lstm(layer, x, state):
    """One step of the ConvLSTM by its formula, gate by gate, in float64; returns ``h, c``."""
    n, grow = layer.channels, layer.kernel - layer.stride
    before = layer.side == "before"
    weight = (layer.weight / layer.input_rms[:, None, None]).detach().double()
    recurrent, bias = layer.recurrent.detach().double(), layer.bias.detach().double()
    knee = layer.relu.knee.detach().double()[:, None, None]
    h, c = state
    pads = [(grow, 0, grow, 0) if before else (0, grow, 0, grow)]
    grow = layer.kernel - 1
    pads.append((grow, 0, grow, 0) if before else (0, grow, 0, grow))

    def gate(k):
        rows = slice(k * n, (k + 1) * n)
        return (
            F.conv2d(F.pad(x, pads[0]), weight[rows], stride=layer.stride)
            + F.conv2d(F.pad(h, pads[1]), recurrent[rows])
            + bias[rows, None, None]
        )

    def sigma(values):
        return torch.clip(values / 5 + 0.5, 0, 1)

    def relu(values):
        return torch.where(values > -knee, values, -knee)

    i, g, o, f = (gate(k) for k in range(4))
    c = sigma(f) * c + sigma(i) * relu(g)
    return sigma(o) * relu(c), c
