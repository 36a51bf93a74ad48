"""Code lengths of integers under mixtures of two logistic distributions, and their choice.

Parameters are four a value, ``(image, 4, channel, row, column)``: the centre and, as logarithms to
the base of 2, the scale, how much wider the other component is, and the odds of that one.
"""

from __future__ import annotations

import torch
from torch import Tensor

PARAMETERS = 4
FLOOR = 2.0**-22
"""Least probability of an integer: the coder's own."""
SCALES = (-7.0, 9.0)
"""Logarithms of the least and the largest scale, in units of the values."""
WIDER = (0.0, 5.0)


def mixture(parameters: Tensor, unit: Tensor | float = 1.0) -> tuple[Tensor, Tensor, Tensor]:
    """Return centre, both scales and the second weight of ``(image, 4, ...)``.

    Args:
        parameters: as the module says.
        unit: that centres and scales are multiples of; broadcasts to ``(image, channel, ...)``.
    """
    shift, spread, wider, odds = parameters.unbind(1)
    centre = unit * shift.clamp(-64, 64)
    narrow = unit * torch.exp2(spread.clamp(*SCALES))
    scales = torch.stack([narrow, narrow * torch.exp2(wider.clamp(*WIDER))])
    return centre, scales, torch.sigmoid(odds * 0.6931472)


def code_lengths(parameters: Tensor, value: Tensor, unit: Tensor | float = 1.0) -> Tensor:
    """Bits of integers, ``(image, channel, row, column)``, under their mixtures."""
    return _lengths(mixture(parameters, unit), value)


def _lengths(found: tuple[Tensor, Tensor, Tensor], value: Tensor) -> Tensor:
    centre, scales, weight = found
    distance = (value - centre).abs()
    # On the side where sigmoids are small, their difference is exact.
    mass = torch.sigmoid((0.5 - distance) / scales) - torch.sigmoid((-0.5 - distance) / scales)
    both = torch.lerp(mass[0], mass[1], weight)
    return -torch.log2(both * (1 - 64 * FLOOR) + FLOOR)


@torch.no_grad()
def choose(target: Tensor, parameters: Tensor, thrift: float) -> Tensor:
    """The integers that cost least: of the nearest, the one before it, and zero.

    Args:
        target: in steps, ``(image, channel, row, column)``.
        parameters: of their mixtures, ``(image, 4, channel, row, column)``.
        thrift: squared steps that a bit is worth.
    """
    best = target.round()
    # Most are nearest to zero, which leaves no choice: only the others are looked at.
    open_ = best != 0
    found = mixture(parameters.movedim(1, -1)[open_])
    value, nearest = target[open_], best[open_]
    chosen = nearest
    least = (value - nearest).square() + thrift * _lengths(found, nearest)
    for other in (nearest - nearest.sign(), torch.zeros_like(nearest)):
        cost = (value - other).square() + thrift * _lengths(found, other)
        better = cost < least
        chosen = torch.where(better, other, chosen)
        least = torch.where(better, cost, least)
    best[open_] = chosen
    return best


def straight_through(value: Tensor, chosen: Tensor) -> Tensor:
    """The chosen integers; gradients pass to what they were chosen for."""
    return value + (chosen - value).detach()
