"""The wavelet codec's networks in torch, as trained: spec/wavelet.md, sections 4 and 5.

Features are what the codec computes, but for rounding; what is quantised is what the codec would
choose to code, so that the networks learn from the coefficients that they will meet.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from xraycodec.codecs.wavelet.encoder import LEAST, MOST_CODED
from xraycodec.codecs.wavelet.geometry import (
    BANDS,
    BLOCK,
    CELL,
    FEATURES,
    FINISH_FEATURES,
    FRACTION,
    ORTHONORMAL_LEVELS,
    PHASES,
    set_of,
)
from xraycodec.training.lattice.network import (
    ACTIVATION_PEAK,
    ACTIVATION_UNIT,
    BRANCH_LOW,
    BRANCH_PEAK,
    bias_of,
    quantise_weight,
    round_through,
)
from xraycodec.training.wavelet.transform import analyse, synthesise

CENTRE = 128 / ACTIVATION_UNIT
FLOOR = 2.0**-22
"""Least probability of a coefficient."""
CORRECTION_UNIT = 64.0
BOX = 9
"""Side of the box whose mean is taken from the low-pass band."""


@dataclass(frozen=True)
class Shape:
    """Sizes of the networks.

    Attributes:
        channels: of every hidden layer.
        pairs: of each set of levels, the finest first: residual pairs of the first phase, each
            other phase, and the synthesis. Coarse levels have few cells: depth costs little there.
        components: logistic distributions in a mixture.
        finish: channels and residual pairs of the network that corrects the image itself.
    """

    channels: int = 32
    pairs: tuple[tuple[int, int, int], ...] = ((2, 1, 2), (2, 1, 2), (3, 2, 3), (3, 2, 3))
    components: int = 2
    finish: tuple[int, int] = (24, 1)


class CellNetwork(nn.Module):
    """From features and the carried state of cells to numbers for each cell and the next state.

    ::

        features ─┬─ 3x3 ─▶ h ─┬─ 3x3 ─▶ 3x3 ─(+)─▶ h ... ─┬─▶ state
        state ────┘            └──────────────┘            └─ 1x1 ─▶ numbers
    """

    def __init__(
        self, features: int, carried: int, outputs: int, pairs: int, channels: int
    ) -> None:
        super().__init__()
        self.quantised = False
        self.features = features
        self.entry = nn.Conv2d(features + carried, channels, 3, padding=1)
        self.pairs = nn.ModuleList(
            nn.ModuleList(nn.Conv2d(channels, channels, 3, padding=1) for _ in range(2))
            for _ in range(pairs)
        )
        self.head = nn.Conv2d(channels, outputs, 1)
        with torch.no_grad():
            for first, second in self.layer_pairs():
                nn.init.kaiming_normal_(first.weight)
                nn.init.zeros_(bias_of(first))
                second.weight.mul_(0.3)
                nn.init.zeros_(bias_of(second))
            self.head.weight.mul_(0.1)

    def layer_pairs(self) -> list[tuple[nn.Conv2d, nn.Conv2d]]:
        return [(pair[0], pair[1]) for pair in self.pairs]  # type: ignore[index]

    def _convolve(self, layer: nn.Conv2d, x: Tensor) -> Tensor:
        weight = quantise_weight(layer.weight) if self.quantised else layer.weight
        return F.conv2d(x, weight, layer.bias, padding=layer.kernel_size[0] // 2)

    def _activate(self, x: Tensor, low: float = 0.0, high: float = ACTIVATION_PEAK) -> Tensor:
        if self.quantised:  # rounding and clipping at once; gradients pass within the range
            lowest, highest = round(low * ACTIVATION_UNIT), round(high * ACTIVATION_UNIT)
            return torch.fake_quantize_per_tensor_affine(x, 1 / ACTIVATION_UNIT, 0, lowest, highest)
        return F.hardtanh(x, low, high)

    def forward(self, features: Tensor, state: Tensor) -> tuple[Tensor, Tensor]:
        """Return numbers and state, both ``(crop, channel, row, column)`` of cells."""
        # Features are stored with a centre of 128, so what surrounds the cells is not 0 but -128.
        weight = quantise_weight(self.entry.weight) if self.quantised else self.entry.weight
        bias = bias_of(self.entry) - CENTRE * weight[:, : self.features].sum((1, 2, 3))
        stored = torch.cat([features + CENTRE, state], 1)
        stored = stored.contiguous(memory_format=torch.channels_last)
        h = self._activate(F.conv2d(stored, weight, bias, padding=1))
        for first, second in self.layer_pairs():
            u = self._activate(self._convolve(first, h))
            v = self._convolve(second, u)
            if self.quantised:
                v = self._activate(v, BRANCH_LOW, BRANCH_PEAK)
            h = F.hardtanh(h + v, 0.0, ACTIVATION_PEAK)
        return self._convolve(self.head, h), h


@dataclass(frozen=True)
class Coded:
    """What coding a batch of crops gives.

    Attributes:
        bits: of each crop, ``(crop,)``.
        errors: of each crop likewise: squared, in steps, of all bands and, so that every level is
            worth correcting, of each corrected low-pass band.
        pixels: decoded but for the last correction, in steps, ``(crop, 1, row, column)``.
        state: after level 1, ``(crop, channel, row, column)`` of its cells.
    """

    bits: Tensor
    errors: Tensor
    pixels: Tensor
    state: Tensor


class WaveletNetwork(nn.Module):
    """All networks: for each set of levels its four phases and its synthesis."""

    def __init__(self, shape: Shape) -> None:
        super().__init__()
        self.shape = shape
        parameters = BANDS * (3 * shape.components - 1)
        self.sets = nn.ModuleList(
            nn.ModuleList(
                [CellNetwork(FEATURES, shape.channels, parameters, first, shape.channels)]
                + [
                    CellNetwork(FEATURES, shape.channels, parameters, other, shape.channels)
                    for _ in PHASES[1:]
                ]
                + [CellNetwork(FEATURES, shape.channels, (BANDS + 1) * CELL, last, shape.channels)]
            )
            for first, other, last in shape.pairs
        )
        width, pairs = shape.finish
        self.finish = CellNetwork(FINISH_FEATURES, shape.channels, CELL, pairs, width)
        with torch.no_grad():
            for network in (*(networks[-1] for networks in self.sets), self.finish):  # type: ignore[index]
                network.head.weight.mul_(0.1)
                network.head.bias.zero_()
            # What the state tells comes later: at first it only hides the little there is to gain.
            self.finish.entry.weight[:, FINISH_FEATURES:] = 0

    def network(self, number: int, index: int) -> CellNetwork:
        """The network of a set: of a phase, or of the synthesis after the phases."""
        network: CellNetwork = self.sets[number][index]  # type: ignore[index]
        return network

    def quantise(self, on: bool = True) -> None:
        """Turn rounding of weights and activations on or off."""
        for module in self.modules():
            if isinstance(module, CellNetwork):
                module.quantised = on

    def forward(
        self, pixels: Tensor, thrift: float, dead_zone: float | None = None, below: int = 0
    ) -> Coded:
        """Code crops whose values are in steps of quantisation.

        Args:
            pixels: ``(crop, 1, row, column)``, sides a power of two.
            thrift: Lagrange multiplier: squared steps that a bit is worth.
            dead_zone: quantise so instead: what is closer than this to the lower integer is it.
            below: level that ``pixels`` are the low-pass band of; 0 is the image itself.
        """
        levels: list[tuple[Tensor, Tensor]] = []
        low = pixels
        while low.shape[-1] > 2:
            low, bands = analyse(low)
            if below + len(levels) >= ORTHONORMAL_LEVELS:
                low, bands = low / 2, bands / 2
            levels.append((low, bands[:, 0]))
        known = low.round()
        cells = (known.shape[-2] // 2, known.shape[-1] // 2)
        state = torch.zeros(len(pixels), self.shape.channels, *cells, device=pixels.device)
        bits = torch.zeros(len(pixels), device=pixels.device)
        errors = torch.zeros_like(bits)
        for level in range(below + len(levels), below, -1):
            truth, bands = levels[level - below - 1]
            if level < below + len(levels):
                state = state.repeat_interleave(2, 2).repeat_interleave(2, 3)
            rate, error, known, state = self._level(
                level, truth, bands, known, state, thrift, dead_zone
            )
            bits = bits + rate
            errors = errors + error
        return Coded(bits, errors, known, state)

    def finished(self, pixels: Tensor, state: Tensor) -> Tensor:
        """Correct decoded pixels, in steps, by the state after level 1."""
        _, details = describe(pixels, 0)
        state = state.repeat_interleave(2, 2).repeat_interleave(2, 3)
        numbers, _ = self.finish(details, state)
        correction = numbers.clamp(-1, 1)
        correction = round_through(correction * CORRECTION_UNIT) / CORRECTION_UNIT
        return pixels + F.pixel_shuffle(correction, 2)

    def _level(
        self,
        level: int,
        truth: Tensor,
        bands: Tensor,
        known: Tensor,
        state: Tensor,
        thrift: float,
        dead_zone: float | None,
    ) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        number = set_of(level, len(self.sets))
        unit, details = describe(known, level)
        targets = _unflatten(F.pixel_unshuffle(bands, 2), BANDS)
        blocks = coded_blocks(targets)
        coded = torch.zeros_like(targets)
        bits = torch.zeros(len(bands), device=bands.device)
        for index, (row, column) in enumerate(PHASES):
            place = 2 * row + column
            features = torch.cat([_scaled(coded, unit), details], 1)
            parameters, passed = self.network(number, index)(features, state)
            state = torch.where(blocks, passed, state)
            parameters = _unflatten(parameters, BANDS)
            target = targets[:, :, place]
            if dead_zone is None:
                chosen = choose(target, parameters.detach(), unit, thrift)
            else:
                chosen = target.sign() * (target.abs() + 1 - dead_zone).floor()
            chosen = chosen * blocks
            bits = bits + (code_lengths(parameters, unit, chosen) * blocks).sum((1, 2, 3))
            coded = coded.clone()
            coded[:, :, place] = chosen
        features = torch.cat([_scaled(coded, unit), details], 1)
        numbers, state = self.network(number, len(PHASES))(features, state)
        correction = numbers.clamp(-1, 1)
        quantised = round_through(correction * CORRECTION_UNIT) / CORRECTION_UNIT
        found = coded + _unflatten(quantised[:, : BANDS * CELL], BANDS)
        low = F.pixel_unshuffle(known, 2) + quantised[:, BANDS * CELL :]
        left = (low - F.pixel_unshuffle(truth, 2)).square().sum((1, 2, 3))
        error = (found - targets).square().sum((1, 2, 3, 4)) + (0.5 if level > 1 else 1.0) * left
        with torch.no_grad():
            gain = 2.0 if level > ORTHONORMAL_LEVELS else 1.0
            low = F.pixel_shuffle(low, 2) * gain
            high = F.pixel_shuffle(found.flatten(1, 2), 2) * gain
            known = synthesise(low, high.unsqueeze(1))
        return bits, error, known, state


@torch.no_grad()
def coded_blocks(targets: Tensor) -> Tensor:
    """Which cells an encoder would code, ``(crop, 1, row, column)``: those of blocks worth it.

    Args:
        targets: in steps, ``(crop, band, place, row, column)``.
    """
    rows, columns = targets.shape[-2:]
    worthy = (targets.abs().amax((1, 2)) > LEAST / (1 << FRACTION)).float()
    padded = F.pad(worthy[:, None], (0, -columns % BLOCK, 0, -rows % BLOCK))
    flags = F.max_pool2d(padded, BLOCK)
    flags = torch.where(flags.mean((1, 2, 3), keepdim=True) > MOST_CODED, 1.0, flags)
    cells = flags.repeat_interleave(BLOCK, 2).repeat_interleave(BLOCK, 3)
    return cells[..., :rows, :columns] > 0


def _unflatten(x: Tensor, groups: int) -> Tensor:
    """Channels in groups: ``(crop, group, channel, row, column)``."""
    return x.reshape(len(x), groups, -1, *x.shape[2:])


def _scaled(coded: Tensor, unit: Tensor) -> Tensor:
    """Coefficients as features, ``(crop, band x place, row, column)``."""
    flat = coded.flatten(1, 2) / unit
    return (flat * ACTIVATION_UNIT).round().clamp(-128, 127) / ACTIVATION_UNIT


@torch.no_grad()
def describe(known: Tensor, level: int) -> tuple[Tensor, Tensor]:
    """What a low-pass band tells of the cells.

    Args:
        known: in steps, ``(crop, 1, row, column)``.
        level: that it is the low-pass band of.

    Returns:
        The unit of the cells' coefficients, in steps, ``(crop, 1, row, column)``, and features.
    """
    padded = F.pad(known, (1, 1, 1, 1), mode="replicate")
    middle = 2 * known
    rows = (middle - padded[..., :-2, 1:-1] - padded[..., 2:, 1:-1]).abs()
    columns = (middle - padded[..., 1:-1, :-2] - padded[..., 1:-1, 2:]).abs()
    bends = F.avg_pool2d(rows + columns, 2) / 4
    octave = torch.log2(bends.clamp_min(1.0))
    # Quarters of an octave as the codec has them: linear between powers of two.
    whole = octave.floor()
    quarter = ((torch.exp2(octave - whole) - 1) * 4).floor().clamp(0, 3)
    unit = torch.exp2(whole) * (1 + (2 * quarter + 1) / 8)
    step = 4 * whole + quarter
    reach = BOX // 2
    wide = F.pad(known, (reach,) * 4, mode="replicate")
    detail = F.pixel_unshuffle(known - F.avg_pool2d(wide, BOX, 1), 2) / unit
    fine = (detail * 16).round().clamp(-128, 127) / ACTIVATION_UNIT
    coarse = (detail * 2).round().clamp(-128, 127) / ACTIVATION_UNIT
    scale = (step * 6).clamp(0, 255) / ACTIVATION_UNIT - 4
    place = torch.full_like(scale, min(level, 8) * 24 / ACTIVATION_UNIT - 4)
    return unit, torch.cat([fine, coarse, scale, place], 1)


def mixture(parameters: Tensor, unit: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Centres, scales and weights, ``(crop, band, component, row, column)``, of parameters."""
    components = (parameters.shape[2] + 1) // 3
    shift, spread, logit = parameters.split(  # type: ignore[no-untyped-call]
        [components, components, components - 1], 2
    )
    unit = unit.unsqueeze(1)
    centre = unit * shift.clamp(-8, 8)
    scale = unit * torch.exp2(spread.clamp(-6, 4) - 1.5)
    weight = torch.softmax(torch.cat([torch.zeros_like(shift[:, :, :1]), logit], 2) * 0.6931472, 2)
    return centre, scale, weight


def _lengths(centre: Tensor, scale: Tensor, weight: Tensor, value: Tensor) -> Tensor:
    value = value.unsqueeze(2)
    distance = (value - centre).abs()
    # On the side where sigmoids are small, their difference is exact.
    mass = torch.sigmoid((0.5 - distance) / scale) - torch.sigmoid((-0.5 - distance) / scale)
    mass = (weight * mass).sum(2)
    return -torch.log2(mass * (1 - 64 * FLOOR) + FLOOR)


def code_lengths(parameters: Tensor, unit: Tensor, value: Tensor) -> Tensor:
    """Bits of coefficients, ``(crop, band, row, column)``, under their mixtures."""
    return _lengths(*mixture(parameters, unit), value)


@torch.no_grad()
def choose(target: Tensor, parameters: Tensor, unit: Tensor, thrift: float) -> Tensor:
    """The integers that cost least: of the nearest, the one before it, and zero."""
    best = target.round()
    # Most are nearest to zero, which leaves no choice: only the others are looked at.
    open_ = best != 0
    wide = unit.expand(-1, BANDS, -1, -1)
    parts = mixture(parameters.movedim(2, -1)[open_][:, None, :, None, None], _column(wide[open_]))
    value, nearest = _column(target[open_]), _column(best[open_])
    found = nearest
    least = (value - nearest).square() + thrift * _lengths(*parts, nearest)
    for other in (nearest - nearest.sign(), torch.zeros_like(nearest)):
        cost = (value - other).square() + thrift * _lengths(*parts, other)
        better = cost < least
        found = torch.where(better, other, found)
        least = torch.where(better, cost, least)
    best[open_] = found.flatten()
    return best


def _column(values: Tensor) -> Tensor:
    """Values as a batch of one band of one cell each."""
    return values[:, None, None, None]
