"""The phase networks in torch, as trained: spec/lattice.md, section 5, rounding straight through.

Activations are multiples of 1/32 from 0 to 255/32, weights multiples of a power of two. While
``quantised`` is off, the same network runs on real numbers, clipped alike.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from xraycodec.codecs.lattice.geometry import PHASES, SETS, carried_from, described_by, set_of
from xraycodec.training.lattice.samples import Batch, Sample

ACTIVATION_UNIT = 32.0
ACTIVATION_PEAK = 255 / ACTIVATION_UNIT
BRANCH_LOW, BRANCH_PEAK = -128 / ACTIVATION_UNIT, 127 / ACTIVATION_UNIT
FEATURE_CENTRE = 128
WEIGHT_PEAK = 64
UNIT_RANGE = (2.0**-12, 1.0)
"""Finer units would let a bias of 8 break the bound on sums; coarser ones need no weight here."""
FLOOR = 2.0**-22
"""Least probability of a level: the coder's own."""


def round_through(x: Tensor) -> Tensor:
    """Round; the gradient passes as if it had not been."""
    return x + (x.round() - x).detach()


def weight_units(weight: Tensor) -> Tensor:
    """The power of two of which each output channel's weights become multiples, at most 64."""
    peak = weight.abs().amax((1, 2, 3), keepdim=True).clamp_min(1e-6)
    return torch.exp2(torch.ceil(torch.log2(peak / (WEIGHT_PEAK + 0.49)))).clamp(*UNIT_RANGE)


def quantise_weight(weight: Tensor) -> Tensor:
    """Weights as multiples of their channel's unit."""
    unit = weight_units(weight.detach())
    return round_through(weight / unit).clamp(-WEIGHT_PEAK, WEIGHT_PEAK) * unit


@dataclass(frozen=True)
class Shape:
    """Sizes of the networks.

    Attributes:
        channels: of every hidden layer, for each set of levels.
        pairs: residual pairs of the three phases, for each set of levels.
        components: logistic distributions in a mixture.
        carry: whether the state passes on over phases and levels.
        guided: whether features tell of a guide.
    """

    channels: tuple[int, ...] = (32,) * SETS
    pairs: tuple[tuple[int, ...], ...] = ((2, 1, 1),) * SETS
    components: int = 1
    carry: bool = True
    guided: bool = False

    def facts(self) -> dict[str, object]:
        """What files keep of it; those from before there were guides say nothing of them."""
        found = asdict(self)
        return found if self.guided else {k: v for k, v in found.items() if k != "guided"}


class PhaseNetwork(nn.Module):
    """From features and the carried state to mixture parameters and the next state.

    ::

        features ─┬─ 1x1 ─▶ h ─┬─ 3x3 ─▶ 3x3 ─(+)─▶ h ... ─┬─▶ state
        state ────┘            └──────────────┘            └─ 1x1 ─▶ parameters
    """

    def __init__(self, features: int, before: int, channels: int, pairs: int, shape: Shape) -> None:
        """Take the channels of the state that comes in, and of the one that goes on."""
        super().__init__()
        self.features = features
        self.carry = shape.carry
        self.quantised = False
        self.entry = nn.Conv2d(features + before, channels, 1)
        self.pairs = nn.ModuleList(
            nn.ModuleList(nn.Conv2d(channels, channels, 3, padding=1) for _ in range(2))
            for _ in range(pairs)
        )
        self.head = nn.Conv2d(channels, 3 * shape.components - 1, 1)
        self._begin()

    def _begin(self) -> None:
        """Start near a network without branches, so that every depth learns from the first step."""
        with torch.no_grad():
            for first, second in self.layer_pairs():
                nn.init.kaiming_normal_(first.weight)
                nn.init.zeros_(bias_of(first))
                second.weight.mul_(0.3)
                nn.init.zeros_(bias_of(second))
            self.head.weight.mul_(0.1)
            if not self.carry:
                self.entry.weight[:, self.features :] = 0  # and stays: its inputs are zeros

    def layer_pairs(self) -> list[tuple[nn.Conv2d, nn.Conv2d]]:
        return [(pair[0], pair[1]) for pair in self.pairs]  # type: ignore[index]

    def _convolve(self, layer: nn.Conv2d, x: Tensor) -> Tensor:
        weight = quantise_weight(layer.weight) if self.quantised else layer.weight
        return F.conv2d(x, weight, layer.bias, padding=layer.kernel_size[0] // 2)

    def _activate(self, x: Tensor, low: float = 0.0, high: float = ACTIVATION_PEAK) -> Tensor:
        if self.quantised:
            x = round_through(x * ACTIVATION_UNIT) / ACTIVATION_UNIT
        return F.hardtanh(x, low, high)

    def forward(self, features: Tensor, state: Tensor) -> tuple[Tensor, Tensor]:
        """Return parameters and state, both ``(crop, channel, row, column)``."""
        if not self.carry:
            state = torch.zeros_like(state)
        h = self._activate(self._convolve(self.entry, torch.cat([features, state], 1)))
        for first, second in self.layer_pairs():
            u = self._activate(self._convolve(first, h))
            v = self._convolve(second, u)
            if self.quantised:
                v = self._activate(v, BRANCH_LOW, BRANCH_PEAK)
            h = F.hardtanh(h + v, 0.0, ACTIVATION_PEAK)
        return self._convolve(self.head, h), h


def bias_of(layer: nn.Conv2d) -> Tensor:
    assert layer.bias is not None
    return layer.bias


class LatticeNetwork(nn.Module):
    """All networks: for each set of levels its three phases."""

    def __init__(self, shape: Shape) -> None:
        super().__init__()
        self.shape = shape
        self.sets = nn.ModuleList(
            nn.ModuleList(
                PhaseNetwork(
                    described_by(phase, guided=shape.guided),
                    shape.channels[carried_from(number, index)],
                    shape.channels[number],
                    shape.pairs[number][index],
                    shape,
                )
                for index, phase in enumerate(PHASES)
            )
            for number in range(SETS)
        )

    def phase(self, number: int, index: int) -> PhaseNetwork:
        """The network of a set and phase."""
        network: PhaseNetwork = self.sets[number][index]  # type: ignore[index]
        return network

    def quantise(self, on: bool = True) -> None:
        """Turn rounding of weights and activations on or off."""
        for module in self.modules():
            if isinstance(module, PhaseNetwork):
                module.quantised = on

    def forward(self, batch: Batch) -> list[Tensor]:
        """Bits of each level, from the top, summed over phases and crops."""
        device = next(self.parameters()).device
        steps = torch.from_numpy(batch.steps).to(device)
        peaks = torch.from_numpy(batch.peaks).to(device)
        top = self.shape.channels[set_of(len(batch.levels) + batch.lowest)]
        state = torch.zeros(len(batch.steps), top, 1, 1, device=device)
        bits = []
        for place, phases in enumerate(batch.levels):
            number = set_of(len(batch.levels) - 1 - place + batch.lowest)
            height, width = phases[0].features.shape[2:]
            state = state.repeat_interleave(2, 2).repeat_interleave(2, 3)[:, :, :height, :width]
            total = torch.zeros((), device=device)
            for index, sample in enumerate(phases):
                features = torch.from_numpy(sample.features).to(device).float()
                features = (features - FEATURE_CENTRE) / ACTIVATION_UNIT
                parameters, state = self.phase(number, index)(features, state)
                total = total + _bits(parameters, sample, steps, peaks)
            bits.append(total)
        return bits


def _bits(parameters: Tensor, sample: Sample, steps: Tensor, peaks: Tensor) -> Tensor:
    """Bits of all pixels of a phase."""
    prediction, unit, target, valid = (
        torch.from_numpy(x).to(parameters.device)
        for x in (sample.predictions, sample.units, sample.targets, sample.valid)
    )
    return code_lengths(parameters, prediction, unit, target, steps, peaks).mul(valid).sum()


def code_lengths(
    parameters: Tensor,
    prediction: Tensor,
    unit: Tensor,
    target: Tensor,
    steps: Tensor,
    peaks: Tensor,
) -> Tensor:
    """Bits of each pixel under its mixture: ``(crop, 1, row, column)``."""
    components = (parameters.shape[1] + 1) // 3
    parameters = parameters.float()
    shift, spread, logit = parameters.split(  # type: ignore[no-untyped-call]
        [components, components, components - 1], 1
    )
    centre = prediction + unit * shift.clamp(-8, 8)
    scale = unit * torch.exp2(spread.clamp(-6, 4) - 1.5)
    weight = torch.softmax(torch.cat([torch.zeros_like(shift[:, :1]), logit], 1) * 0.6931472, 1)
    mean = (weight * centre).sum(1, keepdim=True).detach()
    anchor = torch.minimum(mean.round().clamp_min(0), peaks)
    bins = torch.round((target - anchor) / steps)
    low = anchor + (bins - 0.5) * steps
    high = low + steps
    flip = torch.where(low + high > 2 * centre, -1.0, 1.0)
    lower = torch.where(low <= 0, torch.full_like(low, -1e9), low)
    upper = torch.where(high >= peaks, torch.full_like(high, 1e9), high)
    # On the side where sigmoids are small, their difference is exact.
    a = torch.sigmoid(flip * (upper - centre) / scale)
    b = torch.sigmoid(flip * (lower - centre) / scale)
    mass = (weight * (a - b).abs()).sum(1, keepdim=True)
    return -torch.log2(mass * (1 - 256 * FLOOR) + FLOOR)
