"""What a user asks of a lossy file, and the step of quantisation that meets it.

A quality gives the step at once. A size, a ratio or a PSNR is met by encoding a few times: the
logarithms of size and error are nearly straight lines over that of the step.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Generic, TypeVar

from xraycodec.codecs.wavelet.parameters import MAX_STEP, STEP_BITS, finest_step
from xraycodec.errors import OptionError

PRESETS = {
    "radiograph-drg": 10.0,
    "mammography-drg": 15.0,
    "chest-car": 30.0,
    "breast-car": 25.0,
}
"""Ratios, at the bits stored, that guidelines name as upper limits: of the Deutsche
Röntgengesellschaft (Loose et al., Fortschr Röntgenstr 2009; 181: 32-37) and of the Canadian
Association of Radiologists (CAR standards for irreversible compression, 2008)."""

SIZE_TOLERANCE = 0.02
"""Share by which a file may stay below the size that was asked for."""
PSNR_TOLERANCE = 0.05
"""Decibels by which an image may be better than was asked for."""
MOST_TRIALS = 14
_QUALITY_OCTAVES = 7.5
_COARSEST_SHARE = 1 / 4
"""Of the range of values: the step of quality 0."""

T = TypeVar("T")


def step_of_quality(quality: float, lowest: int, highest: int) -> int:
    """Step in 2^-8 grey levels: a quarter of the range of values at 0, 7.5 octaves less at 100.

    At 8 bits, quality 50 is a step of about 5 grey levels.
    """
    share = _COARSEST_SHARE * 2 ** (-_QUALITY_OCTAVES * quality / 100)
    step = round(share * (highest - lowest + 1) * (1 << STEP_BITS))
    return min(max(step, finest_step(lowest, highest)), MAX_STEP)


@dataclass(frozen=True)
class Trial(Generic[T]):
    """An encoding with one step.

    Attributes:
        step: in 2^-8 grey levels.
        result: of the encoder.
        excess: by how much it misses the target on the side of too many bits, as a logarithm; what
            is not above 0 is below the target or meets it.
    """

    step: int
    result: T
    excess: float


def search(
    encode: Callable[[int], tuple[T, float]],
    first: int,
    bounds: tuple[int, int],
    accepted: Callable[[float], bool],
    *,
    from_below: bool,
) -> T | None:
    """Find a step whose result is accepted, or the closest on the allowed side.

    Args:
        encode: takes a step; returns its result and its excess (see `Trial`), which falls as the
            step grows.
        first: step to begin with.
        bounds: finest and coarsest step.
        accepted: tells of an excess whether the target is met.
        from_below: whether a result may have too few bits (a size) or too many (a PSNR).

    Returns:
        The result, or ``None`` if no step is on the allowed side.
    """
    finest, coarsest = bounds
    tried: dict[int, Trial[T]] = {}

    def allowed(trial: Trial[T]) -> bool:
        return trial.excess <= 0 if from_below else trial.excess >= 0

    step = min(max(first, finest), coarsest)
    while len(tried) < MOST_TRIALS and step not in tried:
        result, excess = encode(step)
        tried[step] = Trial(step, result, excess)
        if accepted(excess):
            return result
        step = _next_step(sorted(tried.values(), key=lambda trial: trial.step), bounds)
    fitting = [trial for trial in tried.values() if allowed(trial)]
    if not fitting:
        return None
    return min(fitting, key=lambda trial: abs(trial.excess)).result


def _next_step(trials: list[Trial[T]], bounds: tuple[int, int]) -> int:
    """Where a straight line through the two trials around the target, or at its end, meets it."""
    finest, coarsest = bounds
    over = [trial for trial in trials if trial.excess > 0]
    under = [trial for trial in trials if trial.excess <= 0]
    if over and under:
        a, b = over[-1], under[0]
        if b.step - a.step <= 1:
            return a.step
        share = a.excess / (a.excess - b.excess)
        # Away from the ends, so that the bracket shrinks from both sides.
        share = min(max(share, 0.05), 0.95)
        step = round(2 ** (math.log2(a.step) + share * math.log2(b.step / a.step)))
        return min(max(step, a.step + 1), b.step - 1)
    end = over[-1] if over else under[0]
    slope = -1.2  # octaves of size to an octave of the step, where nothing better is known
    if len(trials) > 1:
        a, b = (over[-2], over[-1]) if over else (under[0], under[1])
        slope = min(-0.3, (b.excess - a.excess) / math.log2(b.step / a.step))
    octaves = min(max(-end.excess / slope, -4.0), 4.0)
    octaves += math.copysign(0.05, octaves)  # beyond the target, for a bracket
    return min(max(round(end.step * 2**octaves), finest), coarsest)


def bounds_of(lowest: int, highest: int) -> tuple[int, int]:
    """Finest and coarsest step for a range of values, in 2^-8 grey levels."""
    finest = finest_step(lowest, highest)
    return finest, max(finest, min((highest - lowest + 1) << STEP_BITS, MAX_STEP))


def no_step(what: str) -> OptionError:
    """What to raise where no step meets a target."""
    return OptionError(f"no step of quantisation gives {what} for this image")
