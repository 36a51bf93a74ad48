"""Bjøntegaard deltas: the mean distance of two rate-distortion curves in one number.

After Bjøntegaard (ITU-T VCEG-M33, 2001), with the piecewise cubic Hermite interpolation (PCHIP)
of Fritsch and Butland that the JCT-VC common test conditions took up in place of one cubic.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from xraycodec.errors import XrayCodecError

Array = npt.NDArray[np.float64]
MIN_POINTS = 4
"""Points that a curve must have, as in VCEG-M33."""
_HALVINGS = 60
"""Of an interval, until floats are exhausted."""


class CurveError(XrayCodecError, ValueError):
    """A rate-distortion curve that has no Bjøntegaard delta."""


class TooFewPointsError(CurveError):
    """A curve has fewer than `MIN_POINTS` points."""


class NotMonotoneError(CurveError):
    """Quality does not rise with every rise of the rate."""


class NoOverlapError(CurveError):
    """The two curves share no range of quality (BD-rate) or of rate (BD-PSNR)."""


def bd_rate(
    rates_a: Sequence[float],
    quality_a: Sequence[float],
    rates_b: Sequence[float],
    quality_b: Sequence[float],
    *,
    between: tuple[float, float] | None = None,
) -> float:
    """Mean difference of the rates of curve b from those of curve a at equal quality, in percent.

    Negative: b needs less. The logarithm of the rate is interpolated over quality, and the two
    curves are compared over the range of quality that both have, never beyond a measured point.
    Deltas of different codecs to one anchor are of the same thing only over the same range of it,
    which ``between`` gives.

    Args:
        rates_a: rate of each point of the anchor, above 0, in any unit and order.
        quality_a: its quality: PSNR in decibels, or any measure that rises with the rate.
        rates_b: rates of the curve under test, in the same unit.
        quality_b: their quality; the number of points may differ from the anchor's.
        between: rates of the anchor, the lower one first: qualities that it has below the one or
            above the other do not count.

    Raises:
        TooFewPointsError: a curve has fewer than four points.
        NotMonotoneError: the quality of a curve does not rise with every rise of its rate.
        NoOverlapError: the curves share no range of quality, or none within ``between``.
        CurveError: lengths that differ, a rate that is not above 0, a value that is not finite
            (the PSNR of a lossless file: leave that point out).
    """
    a, b = _curve("a", rates_a, quality_a), _curve("b", rates_b, quality_b)
    anchor = _Interpolation(a.quality, a.log_rates)
    limits = (-math.inf, math.inf)
    if between is not None:
        limits = (anchor.place_of(math.log(between[0])), anchor.place_of(math.log(between[1])))
    difference = _mean_difference(anchor, _Interpolation(b.quality, b.log_rates), "quality", limits)
    return 100 * math.expm1(difference)


def bd_psnr(
    rates_a: Sequence[float],
    quality_a: Sequence[float],
    rates_b: Sequence[float],
    quality_b: Sequence[float],
) -> float:
    """Mean difference of the quality of curve b from that of curve a at equal rate.

    In the unit of the quality, decibels for PSNR; positive: b is better. Quality is interpolated
    over the logarithm of the rate; arguments and errors are those of :func:`bd_rate`, the overlap
    is that of the rates.
    """
    a, b = _curve("a", rates_a, quality_a), _curve("b", rates_b, quality_b)
    return _mean_difference(
        _Interpolation(a.log_rates, a.quality),
        _Interpolation(b.log_rates, b.quality),
        "logarithm of the rate",
    )


@dataclass(frozen=True, eq=False)
class _Curve:
    log_rates: Array
    quality: Array


def _curve(name: str, rates: Sequence[float], quality: Sequence[float]) -> _Curve:
    x, y = np.asarray(rates, np.float64), np.asarray(quality, np.float64)
    if x.ndim != 1 or x.shape != y.shape:
        raise CurveError(
            f"curve {name} has rates of shape {x.shape} and quality of shape {y.shape}; allowed"
            " is one rate and one quality a point"
        )
    if len(x) < MIN_POINTS:
        raise TooFewPointsError(f"curve {name} has {len(x)} points; allowed are {MIN_POINTS} up")
    for what, values, sound in (
        ("rate", x, np.isfinite(x) & (x > 0)),
        ("quality", y, np.isfinite(y)),
    ):
        if not sound.all():
            bad = int(np.argmin(sound))
            allowed = "finite numbers above 0" if what == "rate" else "finite numbers"
            raise CurveError(
                f"curve {name} has {what} {values[bad]} at point {bad}; allowed are {allowed}"
            )
    order = np.argsort(x, kind="stable")
    x, y = x[order], y[order]
    stuck = np.flatnonzero((np.diff(x) <= 0) | (np.diff(y) <= 0))
    if stuck.size:
        k = int(stuck[0])
        raise NotMonotoneError(
            f"curve {name} goes from quality {y[k]} at rate {x[k]} to {y[k + 1]} at {x[k + 1]};"
            " quality must rise with every rise of the rate"
        )
    return _Curve(np.log(x), y)


def _mean_difference(
    a: _Interpolation,
    b: _Interpolation,
    axis: str,
    limits: tuple[float, float] = (-math.inf, math.inf),
) -> float:
    low, high = max(a.x[0], b.x[0], limits[0]), min(a.x[-1], b.x[-1], limits[1])
    if not low < high:
        within = "" if math.isinf(limits[0]) else f" within {limits[0]:g} to {limits[1]:g}"
        raise NoOverlapError(
            f"curve a has {axis} {a.x[0]:g} to {a.x[-1]:g} and curve b {b.x[0]:g} to"
            f" {b.x[-1]:g}; they must overlap{within}"
        )
    return float((b.integral(low, high) - a.integral(low, high)) / (high - low))


class _Interpolation:
    """Piecewise cubic Hermite interpolation of points with rising ``x``, which never overshoots."""

    def __init__(self, x: Array, y: Array) -> None:
        self.x, self.y = x, y
        width = np.diff(x)
        slope = np.diff(y) / width
        # Fritsch and Butland (1984): the weighted harmonic mean of the slopes to both sides,
        # which all are positive here.
        before = 2 * width[1:] + width[:-1]
        after = width[1:] + 2 * width[:-1]
        inner = (before + after) / (before / slope[:-1] + after / slope[1:])
        first = _end_slope(width[0], width[1], slope[0], slope[1])
        last = _end_slope(width[-1], width[-2], slope[-1], slope[-2])
        self.slopes = np.concatenate(([first], inner, [last]))

    def __call__(self, at: Array | np.float64) -> Array:
        k = np.clip(np.searchsorted(self.x, at, side="right") - 1, 0, len(self.x) - 2)
        width = self.x[k + 1] - self.x[k]
        t = (at - self.x[k]) / width
        ends = (1 + 2 * t) * (1 - t) ** 2 * self.y[k] + t**2 * (3 - 2 * t) * self.y[k + 1]
        bends = t * (1 - t) ** 2 * self.slopes[k] - t**2 * (1 - t) * self.slopes[k + 1]
        value: Array = ends + width * bends
        return value

    def place_of(self, value: float) -> float:
        """Where it has this value, or its nearest end; ``y`` rises with ``x``."""
        if not self.y[0] < value < self.y[-1]:
            return float(self.x[0] if value <= self.y[0] else self.x[-1])
        low, high = float(self.x[0]), float(self.x[-1])
        for _ in range(_HALVINGS):
            middle = (low + high) / 2
            low, high = (middle, high) if self(np.float64(middle)) < value else (low, middle)
        return (low + high) / 2

    def integral(self, low: float, high: float) -> float:
        """Integral from ``low`` to ``high``, by Simpson's rule, which is exact for cubics."""
        inside = self.x[(self.x > low) & (self.x < high)]
        knots = np.concatenate(([low], inside, [high]))
        left, right = knots[:-1], knots[1:]
        heights = self(left) + 4 * self((left + right) / 2) + self(right)
        return float(np.sum((right - left) * heights) / 6)


def _end_slope(near_width: float, far_width: float, near: float, far: float) -> float:
    """Slope at an end: of the parabola through three points, kept from turning back.

    The rule's second limit, three times ``near``, is for slopes of opposite signs, which no
    monotone curve has.
    """
    width = near_width + far_width
    return max(0.0, ((2 * near_width + far_width) * near - near_width * far) / width)
