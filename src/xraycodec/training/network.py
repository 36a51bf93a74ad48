"""The RNN-Conv network of Sushmit et al. (2019), ``y = D(B(E(x)))``, in torch.

Shapes are ``(batch, channel, height, width)``. Pixels enter and leave as floats in 0 .. 1.
Each layer names the sentence of the paper that it implements; where the paper is silent the
choice is ours and ``docs/decisions/0003-rnn-conv-details.md`` gives the reasons.

::

    x ─ front end ─ ConvLSTM ─ ConvLSTM ─ ConvLSTM ─ 1x1 conv ─▶ y      E, then B
        (1/2)       (1/4)      (1/8)      (1/16)     beta channels
                                                        │ 8-bit codes, the first beta kept
    x' ◀ linear ─ module ─ module ─ module ─ module ─ 1x1 conv ◀        D
                  (1)      (1/2)    (1/4)    (1/8)     (1/16)
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

import torch
import torch.nn.functional as F
from torch import Tensor, nn

BLOCK = 16
"""Pixels on a side of the block that one latent position stands for (P = Q = N/16)."""

MAX_BETA = 128
"""Bottleneck channels of a variable-rate network: beta = 128 is the paper's ratio 2."""

CODE_LIMIT = 127
"""Largest code of a latent; codes are 8 bits."""

Side = Literal["before", "after"]
State = tuple[Tensor, Tensor]


@dataclass(frozen=True)
class Config:
    """Channel counts of one RNN-Conv network.

    ``front`` is the front end, ``encoder`` the three RNN-Conv layers, ``expand`` the 1x1
    convolution that opens the decoder, ``modules`` the channels of each deconvolution module
    before depth-to-space, ``beta`` the bottleneck.
    """

    name: str
    front: int
    encoder: tuple[int, int, int]
    expand: int
    modules: tuple[int, int, int, int]
    beta: int = MAX_BETA
    time_steps: int = 1


PAPER = Config("paper", 64, (128, 128, 512), 512, (512, 512, 512, 512))
COMPACT = Config("compact", 16, (48, 96, 192), 256, (256, 256, 128, 32))
CONFIGS = {config.name: config for config in (PAPER, COMPACT)}


def hard_sigmoid(x: Tensor) -> Tensor:
    """Gate of the ConvLSTM: piecewise linear, so that an integer decoder can follow it."""
    return (0.2 * x + 0.5).clamp(0, 1)


def pad_one_side(x: Tensor, amount: int, side: Side) -> Tensor:
    """Zero-pad height and width by ``amount`` on one side only."""
    low, high = (amount, 0) if side == "before" else (0, amount)
    return F.pad(x, (low, high, low, high))


class KneeReLU(nn.Module):
    """ReLU whose knee sits at ``-knee`` per channel: ``max(x, -knee)``.

    It is the paper's "ReLU after each neuron" with the constant that a shifted ReLU adds to its
    output moved into the next layer's bias; a large knee lets a neuron start out linear.
    """

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.knee = nn.Parameter(torch.zeros(channels))

    def forward(self, x: Tensor) -> Tensor:
        return torch.maximum(x, -self.knee[:, None, None])


class ConvLSTM2d(nn.Module):
    """2-D convolutional LSTM (Shi et al. 2015), the paper's "RNN-Conv layer".

    ``i, f, o`` are hard sigmoids, candidate and output pass the paper's ReLU::

        i, g, o, f = W_x * x + W_h * h + b
        c' = sigma(f) c + sigma(i) relu(g);   h' = sigma(o) relu(c')

    The state of the first time step is zero, so its recurrent products and its forget gate are
    skipped; the parameters exist (the paper's count includes them) and serve further steps.

    ``weight`` is W_x times ``input_rms``, the root mean square of each input channel
    (`xraycodec.training.conditioning`): a step of the optimiser then moves the output equally
    through every channel, be it brightness or the faintest detail. Ones leave it plain.
    """

    input_rms: Tensor

    def __init__(
        self, in_channels: int, channels: int, kernel: int, stride: int, side: Side
    ) -> None:
        super().__init__()
        self.channels, self.kernel, self.stride, self.side = channels, kernel, stride, side
        self.weight = nn.Parameter(torch.empty(4 * channels, in_channels, kernel, kernel))
        self.recurrent = nn.Parameter(torch.empty(4 * channels, channels, kernel, kernel))
        self.register_buffer("input_rms", torch.ones(in_channels))
        self.bias = nn.Parameter(torch.zeros(4 * channels))
        self.relu = KneeReLU(channels)
        nn.init.kaiming_uniform_(self.weight, a=1.0)
        nn.init.kaiming_uniform_(self.recurrent, a=1.0)

    def forward(self, x: Tensor, state: State | None = None) -> tuple[Tensor, State]:
        x = pad_one_side(x, self.kernel - self.stride, self.side)
        used = 3 * self.channels if state is None else 4 * self.channels
        weight = self.weight[:used] / self.input_rms[:, None, None]
        gates = F.conv2d(x, weight, self.bias[:used], self.stride)
        if state is not None:
            h = pad_one_side(state[0], self.kernel - 1, self.side)
            gates = gates + F.conv2d(h, self.recurrent)
        i, g, o = gates[:, : 3 * self.channels].chunk(3, 1)
        c = hard_sigmoid(i) * self.relu(g)
        if state is not None:
            c = c + hard_sigmoid(gates[:, 3 * self.channels :]) * state[1]
        h = hard_sigmoid(o) * self.relu(c)
        return h, (h, c)


class Pointwise(nn.Conv2d):
    """1x1 convolution whose weight is held in units of its input, as in `ConvLSTM2d`."""

    input_rms: Tensor
    bias: Tensor

    def __init__(self, in_channels: int, channels: int) -> None:
        super().__init__(in_channels, channels, 1)
        self.register_buffer("input_rms", torch.ones(in_channels))

    def forward(self, x: Tensor) -> Tensor:
        return F.conv2d(x, self.weight / self.input_rms[:, None, None], self.bias)


class FrontEnd(nn.Module):
    """Two averaged branches: (a) 3x3 convolution, stride 2; (b) 2x2 pooling, 1x1 convolution."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.convolution = nn.Conv2d(1, channels, 3, stride=2)
        self.pooled = nn.Conv2d(1, channels, 1)
        self.relu_a, self.relu_b = KneeReLU(channels), KneeReLU(channels)

    def forward(self, x: Tensor) -> Tensor:
        a = self.relu_a(self.convolution(pad_one_side(x, 1, "before")))
        b = self.relu_b(self.pooled(F.avg_pool2d(x, 2)))
        mean: Tensor = (a + b) / 2
        return mean


class Analysis(nn.Module):
    """Compression sub-network E and the bottleneck convolution: image to latents.

    ``(batch, 1, N, N)`` pixels to ``(batch, beta, N/16, N/16)`` latents. The layers pad on
    alternating sides, so that a latent sees 7 pixels before its block and 8 behind it.
    """

    def __init__(self, config: Config) -> None:
        super().__init__()
        self.time_steps = config.time_steps
        self.front = FrontEnd(config.front)
        widths = (config.front, *config.encoder)
        sides: tuple[Side, Side, Side] = ("before", "before", "after")
        self.layers = nn.ModuleList(
            ConvLSTM2d(widths[k], widths[k + 1], 3, 2, sides[k]) for k in range(3)
        )
        self.bottleneck = Pointwise(config.encoder[2], config.beta)

    def forward(self, x: Tensor) -> Tensor:
        front = self.front(x - 0.5)
        states: list[State | None] = [None] * 3
        for _ in range(self.time_steps):
            h = front
            for k, layer in enumerate(self.layers):
                h, states[k] = layer(h, states[k])
        latents: Tensor = self.bottleneck(h)
        return latents


class DeconvolutionModule(nn.Module):
    """Two RNN-Conv branches, kernel 2x2, stride 1, averaged, then depth-to-space.

    One branch pads before, the other behind: together they see every neighbour.
    """

    def __init__(self, in_channels: int, channels: int) -> None:
        super().__init__()
        self.before = ConvLSTM2d(in_channels, channels, 2, 1, "before")
        self.after = ConvLSTM2d(in_channels, channels, 2, 1, "after")

    def forward(
        self, x: Tensor, state: tuple[State, State] | None = None
    ) -> tuple[Tensor, tuple[State, State]]:
        a, state_a = self.before(x, None if state is None else state[0])
        b, state_b = self.after(x, None if state is None else state[1])
        return F.pixel_shuffle((a + b) / 2, 2), (state_a, state_b)


class Synthesis(nn.Module):
    """Decompression sub-network D: dequantised latents to pixels."""

    def __init__(self, config: Config) -> None:
        super().__init__()
        self.time_steps = config.time_steps
        self.expand = Pointwise(config.beta, config.expand)
        self.relu = KneeReLU(config.expand)
        inputs = (config.expand, *(width // 4 for width in config.modules))
        self.modules_ = nn.ModuleList(
            DeconvolutionModule(inputs[k], config.modules[k]) for k in range(4)
        )
        self.combine = Pointwise(inputs[4], 1)

    def forward(self, y: Tensor) -> Tensor:
        expanded = self.relu(self.expand(y))
        states: list[tuple[State, State] | None] = [None] * 4
        for _ in range(self.time_steps):
            h = expanded
            for k, module in enumerate(self.modules_):
                h, states[k] = module(h, states[k])
        pixels: Tensor = self.combine(h) + 0.5
        return pixels


class Quantiser(nn.Module):
    """8-bit codes with a trained, companded step per channel.

    ``q = clip(round(127 / t * asinh(y sinh(t) / peak)), -127, 127)``, and back through the
    inverse. ``t`` near 0 is a uniform step of ``peak / 127``; a larger ``t`` makes steps finer
    about zero, where most values lie, and coarser at the edges. Rounding passes gradients
    straight through; ``peak`` and ``t`` learn from the rounding error.

    ``remainder``, ``(channel,)``, is 1 in a channel that codes no latent of its own but what
    rounding has left of channel 0 (`xraycodec.training.remainder`), and 0 in all others.
    """

    remainder: Tensor

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.log_peak = nn.Parameter(torch.zeros(channels))
        self.bend = nn.Parameter(torch.full((channels,), 3.0))
        self.register_buffer("remainder", torch.zeros(channels))

    def _load_from_state_dict(self, state_dict: dict[str, Any], prefix: str, *rest: Any) -> None:
        # Checkpoints are older than the remainder.
        state_dict.setdefault(f"{prefix}remainder", torch.zeros_like(self.remainder))
        super()._load_from_state_dict(state_dict, prefix, *rest)

    def shape(self) -> tuple[Tensor, Tensor]:
        """Return peak and ``t``, each ``(channel, 1, 1)``."""
        return self.log_peak.exp()[:, None, None], self.bend.clamp(0.1, 6.0)[:, None, None]

    def scale(self, y: Tensor) -> Tensor:
        """Latents to the scale of codes, not yet rounded."""
        first = self._scale(y)[:, :1].round()
        left = y[:, :1] - self.dequantise(first)[:, :1]
        return self._scale(torch.where(self.remainder[:, None, None] > 0, left.detach(), y))

    def _scale(self, y: Tensor) -> Tensor:
        peak, t = self.shape()
        scaled = CODE_LIMIT / t * torch.asinh(y * torch.sinh(t) / peak)
        return scaled.clamp(-CODE_LIMIT, CODE_LIMIT)

    def dequantise(self, codes: Tensor) -> Tensor:
        """Codes, ``(batch, channel, height, width)``, to latents."""
        peak, t = self.shape()
        values: Tensor = peak / torch.sinh(t) * torch.sinh(codes * t / CODE_LIMIT)
        return values

    def forward(self, y: Tensor) -> Tensor:
        scaled = self.scale(y)
        return self.dequantise(scaled + (scaled.round() - scaled).detach())


class RNNConv(nn.Module):
    """The whole network; ``beta`` per sample keeps the first channels of the bottleneck."""

    def __init__(self, config: Config) -> None:
        super().__init__()
        self.config = config
        self.analysis = Analysis(config)
        self.quantiser = Quantiser(config.beta)
        self.synthesis = Synthesis(config)

    def forward(self, x: Tensor, beta: Tensor) -> Tensor:
        """Reconstruct ``x`` from the first ``beta[s]`` channels of each sample ``s``."""
        y = self.quantiser(self.analysis(x).float())
        channel = torch.arange(self.config.beta, device=x.device)
        keep = (channel < beta[:, None])[:, :, None, None]
        result: Tensor = self.synthesis(y * keep)
        return result
