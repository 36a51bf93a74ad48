"""The one-shot LSTM framework of Toderici et al. (CVPR 2017), in torch.

*Full Resolution Image Compression with Recurrent Neural Networks*: section 2 and figure 1 give
the layers, section 3.1 ("one-shot reconstruction", gamma = 0 in equation 2) how iterations join::

    b_t = B(E_t(r_{t-1}))      32 bits for each 16 x 16 block, 1/8 bit a pixel
    x_t = D_t(b_t)             each decoder output is the whole image, not a correction
    r_t = x - x_t,  r_0 = x

Shapes are ``(batch, channel, height, width)``; pixels are floats in 0 .. 1, of which 0.5 is taken.
Where the paper is silent, ``docs/decisions/0006-toderici-details.md`` has what was chosen.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor, nn

BLOCK = 16
"""Pixels on a side of the block that one position of the bits stands for."""
BITS = 32
"""Binary channels of one iteration (the paper: "m = 32 bits per 16 x 16 block")."""
MAX_ITERATIONS = 32
"""At 1/8 bit a pixel each: the ratio 2 of an 8-bit image."""

State = tuple[Tensor, Tensor]
States = list[State | None]


@dataclass(frozen=True)
class Config:
    """Channel counts: encoder convolution, its LSTMs, decoder convolution, its LSTMs."""

    name: str
    front: int
    encoder: tuple[int, int, int]
    expand: int
    decoder: tuple[int, int, int, int]


PAPER = Config("paper", 64, (256, 512, 512), 512, (512, 512, 256, 128))
COMPACT = Config("compact", 16, (48, 96, 128), 128, (128, 128, 64, 32))
CONFIGS = {config.name: config for config in (PAPER, COMPACT)}

ENCODER_HIDDEN = (1, 1, 1)
DECODER_HIDDEN = (1, 1, 3, 3)
"""Kernels over the hidden state, figure 1."""


class ConvLSTM2d(nn.Module):
    """Convolutional LSTM (section 2.1, equations 3 to 5): 3 x 3 over inputs.

    ::

        f, i, o, j = W_x * x + W_h * h + b
        c' = sigma(f) c + sigma(i) tanh(j);   h' = sigma(o) tanh(c')
    """

    def __init__(self, in_channels: int, channels: int, stride: int, hidden: int) -> None:
        super().__init__()
        self.channels, self.stride, self.hidden = channels, stride, hidden
        self.input = nn.Conv2d(in_channels, 4 * channels, 3, stride, 1)
        self.recurrent = nn.Conv2d(channels, 4 * channels, hidden, 1, hidden // 2, bias=False)
        assert self.input.bias is not None
        with torch.no_grad():
            self.input.bias.zero_()
            self.input.bias[:channels] = 1  # remember, until told otherwise

    def forward(self, x: Tensor, state: State | None) -> State:
        gates = self.input(x)
        if state is not None:
            gates = gates + self.recurrent(state[0])
        f, i, o, j = gates.chunk(4, 1)
        c = i.sigmoid() * j.tanh()
        if state is not None:
            c = c + f.sigmoid() * state[1]
        return o.sigmoid() * c.tanh(), c


class Encoder(nn.Module):
    """E of figure 1: a convolution and three LSTMs, stride 2 each, and the binarizer's 1 x 1."""

    def __init__(self, config: Config) -> None:
        super().__init__()
        self.front = nn.Conv2d(1, config.front, 3, 2, 1)
        widths = (config.front, *config.encoder)
        self.layers = nn.ModuleList(
            ConvLSTM2d(widths[k], widths[k + 1], 2, ENCODER_HIDDEN[k]) for k in range(3)
        )
        self.binarizer = nn.Conv2d(config.encoder[2], BITS, 1)

    def forward(self, r: Tensor, states: States) -> tuple[Tensor, States]:
        """Residual to the binarizer's input before tanh, ``(batch, BITS, P, Q)``."""
        h = self.front(r)
        after: States = []
        for layer, state in zip(self.layers, states, strict=True):
            h, c = layer(h, state)
            after.append((h, c))
        return self.binarizer(h), after


class Decoder(nn.Module):
    """D of figure 1: a 1 x 1 convolution, four LSTMs with depth-to-space, a 1 x 1 convolution."""

    def __init__(self, config: Config) -> None:
        super().__init__()
        self.expand = nn.Conv2d(BITS, config.expand, 1)
        inputs = (config.expand, *(width // 4 for width in config.decoder))
        self.layers = nn.ModuleList(
            ConvLSTM2d(inputs[k], config.decoder[k], 1, DECODER_HIDDEN[k]) for k in range(4)
        )
        self.combine = nn.Conv2d(inputs[4], 1, 1)

    def forward(self, b: Tensor, states: States) -> tuple[Tensor, States]:
        """Bits of -1 and +1 to pixels about 0 .. 1, ``(batch, 1, 16 P, 16 Q)``."""
        x = self.expand(b)
        after: States = []
        for layer, state in zip(self.layers, states, strict=True):
            h, c = layer(x, state)
            after.append((h, c))
            x = F.pixel_shuffle(h, 2)
        return self.combine(x) + 0.5, after


def binarize(y: Tensor, noise: Tensor | None) -> Tensor:
    """Bits of -1 and +1 (section 2): stochastic with ``noise`` in 0 .. 1, else the sign.

    Training draws +1 with probability ``(1 + tanh y) / 2``, the expectation of which is
    ``tanh y``; gradients pass as if the bit were that. Deployed, the likelier bit is taken.
    """
    soft = y.tanh()
    hard = torch.where(soft >= 0 if noise is None else (1 + soft) / 2 > noise, 1.0, -1.0)
    return soft + (hard - soft).detach()


class Toderici(nn.Module):
    """Encoder, binarizer and decoder, iterated."""

    def __init__(self, config: Config) -> None:
        super().__init__()
        self.config = config
        self.encoder = Encoder(config)
        self.decoder = Decoder(config)

    def start(self) -> tuple[States, States]:
        """States of both before the first iteration: nothing remembered."""
        return [None] * 3, [None] * 4

    def step(
        self, r: Tensor, states: tuple[States, States], noise: Tensor | None = None
    ) -> tuple[Tensor, Tensor, tuple[States, States]]:
        """One iteration: bits, the image that they give with those before, the new states."""
        y, encoder = self.encoder(r, states[0])
        bits = binarize(y, noise)
        image, decoder = self.decoder(bits, states[1])
        return bits, image, (encoder, decoder)


def detached(states: tuple[States, States]) -> tuple[States, States]:
    """The same states, through which no gradient passes."""

    def cut(group: States) -> States:
        return [None if s is None else (s[0].detach(), s[1].detach()) for s in group]

    return cut(states[0]), cut(states[1])
