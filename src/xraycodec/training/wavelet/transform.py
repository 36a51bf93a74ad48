"""The 9/7 wavelet in torch, as trained with: ``spec/wavelet.md``, section 3, on real numbers."""

from __future__ import annotations

import torch
from torch import Tensor

from xraycodec.codecs.wavelet.geometry import HIGH_GAIN, LIFTING, LOW_GAIN


def _lift(target: Tensor, source: Tensor, weight: float, *, after: bool) -> Tensor:
    """Add the weighted neighbours along the last axis; ``source`` is repeated over its end."""
    if after:  # the neighbours of a high-pass sample: low-pass ones here and after it
        other = torch.cat([source[..., 1:], source[..., -1:]], -1)
    else:
        other = torch.cat([source[..., :1], source[..., :-1]], -1)
    return target + weight * (source + other)


def _analyse(x: Tensor) -> tuple[Tensor, Tensor]:
    """Low and high-pass halves along the last axis, which is even."""
    low, high = x[..., 0::2], x[..., 1::2]
    for number, weight in enumerate(LIFTING):
        if number % 2:
            low = _lift(low, high, weight, after=False)
        else:
            high = _lift(high, low, weight, after=True)
    return low * LOW_GAIN, high * HIGH_GAIN


def _synthesise(low: Tensor, high: Tensor) -> Tensor:
    """Undo `_analyse`."""
    low, high = low / LOW_GAIN, high / HIGH_GAIN
    for number in range(len(LIFTING) - 1, -1, -1):
        if number % 2:
            low = _lift(low, high, -LIFTING[number], after=False)
        else:
            high = _lift(high, low, -LIFTING[number], after=True)
    return torch.stack([low, high], -1).flatten(-2)


def analyse(x: Tensor) -> tuple[Tensor, Tensor]:
    """One level: ``(..., row, column)`` to its low-pass band and the other three.

    Returns:
        ``(..., row / 2, column / 2)``, and HL, LH and HH on a new axis before the rows.
    """
    low, high = _analyse(x)
    ll, lh = (band.mT for band in _analyse(low.mT))
    hl, hh = (band.mT for band in _analyse(high.mT))
    return ll, torch.stack([hl, lh, hh], -3)


def synthesise(ll: Tensor, bands: Tensor) -> Tensor:
    """Undo `analyse`."""
    hl, lh, hh = bands.unbind(-3)
    low = _synthesise(ll.mT, lh.mT).mT
    high = _synthesise(hl.mT, hh.mT).mT
    return _synthesise(low, high)
