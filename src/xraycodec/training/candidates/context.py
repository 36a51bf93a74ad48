"""Conditional mixtures of the latents: hyperprior, groups of channels, two-pass checkerboards.

Channels come by falling variance. The first group is coded before the others, cells of one colour
of a checkerboard before those of the other; each pass is told of everything before it.

::

    means ─ windows ─┬──────────────┬──────────────┬─ ... ─┐
    hyper-latents ───┼──────────────┼──────────────┼─ ... ─┤
                 ┌───┴───┐ y[0] ┌───┴───┐ y[1] ┌───┴───┐ ┌─┴──────────┐
                 │ pass 0├──────┤ pass 1├──────┤ pass 2│ │ correction │
                 └───────┘      └───────┘      └───────┘ └────────────┘

Passes are networks of their own, or one recurrent network that carries its state over them.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from xraycodec.training.candidates.brightness import windows
from xraycodec.training.candidates.entropy import (
    PARAMETERS,
    choose,
    code_lengths,
    straight_through,
)
from xraycodec.training.network import ConvLSTM2d, State
from xraycodec.training.warm_start import GATE_BIAS

SIGNED = 24
"""First channels, of which the passes see signs; of the others' they see magnitudes alone."""
HYPER_CHANNELS = 8
MEAN_FEATURES = 9 + 1
TOLD = 48
"""Features of hyper-latents and means."""


@dataclass(frozen=True)
class ContextShape:
    """Sizes of the model.

    Attributes:
        latents: channels of the latents.
        groups: channels of each group; they add up to ``latents``.
        width: channels of the hidden layers.
        recurrent: whether one recurrent network serves all passes.
    """

    latents: int = 256
    groups: tuple[int, ...] = (32, 224)
    width: int = 96
    recurrent: bool = False

    @property
    def passes(self) -> list[tuple[int, int]]:
        """Group and colour of each pass."""
        return [(group, colour) for group in range(len(self.groups)) for colour in range(2)]

    @property
    def inputs(self) -> int:
        """Features that a pass sees."""
        return self.latents + SIGNED + TOLD


@dataclass(frozen=True)
class CodedLatents:
    """Latents that were coded: all ``(image, channel, row, column)`` but ``bits``, ``(image,)``.

    Attributes:
        bits: of hyper-latents and latents.
        values: integers, through which gradients pass.
        correction: what a decoder adds to them.
        state: hidden layer that the correction was made from.
    """

    bits: Tensor
    values: Tensor
    correction: Tensor
    state: Tensor


class Pair(nn.Module):
    """Two convolutions on a branch that starts weak."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.first = nn.Conv2d(channels, channels, 3, padding=1)
        self.second = nn.Conv2d(channels, channels, 3, padding=1)
        with torch.no_grad():
            self.second.weight.mul_(0.3)

    def forward(self, x: Tensor) -> Tensor:
        return F.relu(x + self.second(F.relu(self.first(x))))


class SeparatePasses(nn.Module):
    """A network for each pass, and one for the correction."""

    def __init__(self, shape: ContextShape) -> None:
        super().__init__()
        self.networks = nn.ModuleList(
            nn.Sequential(
                nn.Conv2d(shape.inputs, shape.width, 3, padding=1), nn.ReLU(), Pair(shape.width)
            )
            for _ in range(len(shape.passes) + 1)
        )

    def forward(self, number: int, features: Tensor, state: None) -> tuple[Tensor, None]:
        return self.networks[number](features), state


Carried = tuple[State, State]


class RecurrentPasses(nn.Module):
    """Two averaged RNN-Conv branches, as in `DeconvolutionModule`; the state passes on."""

    def __init__(self, shape: ContextShape) -> None:
        super().__init__()
        self.count = len(shape.passes) + 1
        inputs = shape.inputs + self.count
        self.before = ConvLSTM2d(inputs, shape.width, 2, 1, "before")
        self.after = ConvLSTM2d(inputs, shape.width, 2, 1, "after")
        self.pair = Pair(shape.width)
        with torch.no_grad():  # as `warm_start` opens gates: what goes in comes out
            for layer in (self.before, self.after):
                for gate in (0, 2):
                    layer.bias[gate * shape.width : (gate + 1) * shape.width] = GATE_BIAS

    def forward(
        self, number: int, features: Tensor, state: Carried | None
    ) -> tuple[Tensor, Carried]:
        which = features.new_zeros(len(features), self.count, *features.shape[2:])
        which[:, number] = 1
        x = torch.cat([features, which], 1)
        a, state_a = self.before(x, None if state is None else state[0])
        b, state_b = self.after(x, None if state is None else state[1])
        return self.pair((a + b) / 2), (state_a, state_b)


class LatentContext(nn.Module):
    """Codes latents, given whole means."""

    def __init__(self, shape: ContextShape) -> None:
        super().__init__()
        self.shape = shape
        self.hyper_analysis = nn.Sequential(
            nn.Conv2d(shape.latents + MEAN_FEATURES, 64, 3, padding=1),
            nn.ReLU(),
            nn.Conv2d(64, HYPER_CHANNELS, 4, stride=2, padding=1),
        )
        self.hyper_prior = nn.Sequential(
            nn.Conv2d(MEAN_FEATURES, 32, 4, stride=2, padding=1),
            nn.ReLU(),
            nn.Conv2d(32, PARAMETERS * HYPER_CHANNELS, 1),
        )
        self.hyper_synthesis = nn.Sequential(
            nn.Conv2d(HYPER_CHANNELS + MEAN_FEATURES, TOLD, 3, padding=1), nn.ReLU()
        )
        self.passes: nn.Module = (
            RecurrentPasses(shape) if shape.recurrent else SeparatePasses(shape)
        )
        self.heads = nn.ModuleList(
            nn.Conv2d(shape.width, PARAMETERS * shape.groups[group], 1) for group, _ in shape.passes
        )
        self.correct = nn.Conv2d(shape.width, shape.latents, 1)
        with torch.no_grad():
            for head in (*self.heads, self.hyper_prior[-1]):
                assert isinstance(head, nn.Conv2d)
                assert head.bias is not None
                head.weight.mul_(0.1)
                start = torch.tensor([0.0, -1.5, 1.0, -2.0])
                head.bias.copy_(start.repeat_interleave(len(head.bias) // PARAMETERS))
            for parameter in self.correct.parameters():
                parameter.zero_()

    def expect(self, deviations: Tensor) -> None:
        """Begin with these standard deviations of the latents, ``(channel,)``, in steps."""
        octaves = torch.log2(deviations * 0.55)
        for (group, _), head in zip(self.shape.passes, self.heads, strict=True):
            first, count = sum(self.shape.groups[:group]), self.shape.groups[group]
            assert isinstance(head, nn.Conv2d)
            assert head.bias is not None
            with torch.no_grad():
                head.bias[count : 2 * count] = octaves[first : first + count]

    def forward(self, latents: Tensor, plane: Tensor, thrift: float) -> CodedLatents:
        """Code latents in steps, ``(image, channel, row, column)``, sides even.

        Args:
            latents: not yet whole.
            plane: whole means, ``(image, 1, row, column)``.
            thrift: squared steps that a bit is worth.
        """
        means = mean_features(plane)
        bits, told = self._hyper(latents, means)
        coded = torch.zeros_like(latents)
        rows, columns = (torch.arange(side, device=latents.device) for side in latents.shape[2:])
        colours = (rows[:, None] + columns) % 2
        state = None
        for number, (group, colour) in enumerate(self.shape.passes):
            hidden, state = self.passes(number, self._features(coded, told), state)
            parameters = self.heads[number](hidden).unflatten(1, (PARAMETERS, -1))
            first = sum(self.shape.groups[:group])
            part = slice(first, first + self.shape.groups[group])
            here = colours == colour
            target = latents[:, part]
            value = straight_through(target, choose(target, parameters.detach(), thrift))
            bits = bits + (code_lengths(parameters, value) * here).sum((1, 2, 3))
            grown = coded.clone()
            grown[:, part] += value * here
            coded = grown
        hidden, _ = self.passes(len(self.heads), self._features(coded, told), state)
        correction = self.correct(hidden).clamp(-1, 1)
        return CodedLatents(bits, coded, correction, hidden)

    def hyper_latents(self, latents: Tensor, plane: Tensor) -> Tensor:
        """Not yet whole, ``(image, channel, row / 2, column / 2)``; only an encoder needs them."""
        return self._hyper_latents(latents, mean_features(plane))

    def _hyper_latents(self, latents: Tensor, means: Tensor) -> Tensor:
        loud = torch.asinh(latents.detach().abs())
        found: Tensor = self.hyper_analysis(torch.cat([loud, means], 1))
        return found

    def _hyper(self, latents: Tensor, means: Tensor) -> tuple[Tensor, Tensor]:
        """Bits of the hyper-latents, and what they and the means tell."""
        found = self._hyper_latents(latents, means)
        whole = straight_through(found, found.round())
        parameters = self.hyper_prior(means).unflatten(1, (PARAMETERS, -1))
        bits = code_lengths(parameters, whole).sum((1, 2, 3))
        spread = whole.repeat_interleave(2, 2).repeat_interleave(2, 3)
        return bits, self.hyper_synthesis(torch.cat([spread, means], 1))

    def _features(self, coded: Tensor, told: Tensor) -> Tensor:
        # Contexts learn from latents, which need not learn to please them.
        squeezed = torch.asinh(coded.detach())
        return torch.cat([squeezed.abs(), squeezed[:, :SIGNED], told], 1)


def mean_features(plane: Tensor) -> Tensor:
    """How the means about each cell differ from its own, and by how much they do."""
    apart = (windows(plane, 1) - plane).detach()
    unit = apart.abs().mean(1, keepdim=True).clamp_min(0.5)
    return torch.cat([torch.asinh(apart) / 2, torch.log2(unit) / 2], 1)
