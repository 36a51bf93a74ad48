from __future__ import annotations

import math

import numpy as np
import pytest
from scipy.interpolate import PchipInterpolator

from xraycodec.errors import XrayCodecError
from xraycodec.evaluation import (
    CurveError,
    NoOverlapError,
    NotMonotoneError,
    TooFewPointsError,
    bd_psnr,
    bd_rate,
)

RATES, QUALITY = [9487.76, 4593.60, 2486.44, 1358.24], [40.037, 38.615, 36.845, 34.851]
PUBLISHED = [
    # The worked examples 1 and 2 of the bjontegaard package, and VCEG-M33's usual example. The
    # values are those of bjontegaard 1.3.0 with method="pchip", which its authors report to agree
    # with the sheet of JVET-T2010 in ten decimals.
    (
        (RATES, QUALITY),
        ([9787.80, 4469.00, 2451.52, 1356.24], [40.121, 38.651, 36.970, 34.987]),
        -4.417485350589045,
        0.11969278542479489,
    ),
    (
        ([82472.76, 26875.24, 9487.76, 4593.6], [43.825, 41.404, 40.037, 38.615]),
        ([99896.96, 33952.04, 9787.8, 4469.0], [44.731, 41.875, 40.121, 38.651]),
        -4.47218200276197,
        0.08887484704747745,
    ),
    (
        ([686.76, 309.58, 157.11, 85.95], [40.28, 37.18, 34.24, 31.42]),
        ([893.34, 407.8, 204.93, 112.75], [40.39, 37.21, 34.17, 31.24]),
        31.379878202397627,
        -1.1834724046224592,
    ),
]


@pytest.mark.parametrize(("a", "b", "rate", "psnr"), PUBLISHED)
def test_published_values(a, b, rate, psnr):
    assert bd_rate(*a, *b) == pytest.approx(rate, abs=1e-9)
    assert bd_psnr(*a, *b) == pytest.approx(psnr, abs=1e-9)


@pytest.mark.parametrize("seed", range(20))
def test_agreement_with_scipy(seed):
    rng = np.random.default_rng(seed)
    curves = []
    for points in rng.integers(4, 9, 2):
        # Steps over three decades reach the ends' limit on turning back.
        rates = np.cumsum(10 ** rng.uniform(-2, 1, points))
        quality = np.cumsum(10 ** rng.uniform(-2, 1, points))
        curves.append((rates, quality / quality[-1] + rng.uniform(0, 0.05)))
    (rates_a, quality_a), (rates_b, quality_b) = curves
    low, high = max(quality_a[0], quality_b[0]), min(quality_a[-1], quality_b[-1])
    integrals = [PchipInterpolator(q, np.log(r)).integrate(low, high) for r, q in curves]
    expected = 100 * math.expm1((integrals[1] - integrals[0]) / (high - low))
    found = bd_rate(rates_a, quality_a, rates_b, quality_b)
    assert found == pytest.approx(expected, rel=1e-9, abs=1e-9)


def test_equal_curves_differ_by_nothing():
    assert bd_rate(RATES, QUALITY, RATES, QUALITY) == 0
    assert bd_psnr(RATES, QUALITY, RATES, QUALITY) == 0


def test_a_tenth_less_rate_is_ten_percent():
    less = [0.9 * rate for rate in RATES]
    assert bd_rate(RATES, QUALITY, less, QUALITY) == pytest.approx(-10, abs=1e-9)
    better = [quality + 0.5 for quality in QUALITY]
    assert bd_psnr(RATES, QUALITY, RATES, better) == pytest.approx(0.5, abs=1e-12)


def test_there_and_back_is_nothing():
    a, b = PUBLISHED[2][:2]
    assert (1 + bd_rate(*a, *b) / 100) * (1 + bd_rate(*b, *a) / 100) == pytest.approx(1)
    assert bd_psnr(*a, *b) == pytest.approx(-bd_psnr(*b, *a))


def test_neither_the_order_nor_the_units_of_rate_matter():
    a, b, rate, psnr = PUBLISHED[0]
    shuffled = [a[0][k] / 8e3 for k in (2, 0, 3, 1)], [a[1][k] for k in (2, 0, 3, 1)]
    scaled = [r / 8e3 for r in b[0]], b[1]
    assert bd_rate(*shuffled, *scaled) == pytest.approx(rate, abs=1e-9)
    assert bd_psnr(*shuffled, *scaled) == pytest.approx(psnr, abs=1e-9)


def test_points_beyond_the_overlap_alter_only_the_slopes_there():
    steps = [float(k) for k in range(8)]
    a = [math.exp(q) for q in steps], steps
    b = [math.exp(q + 0.1) for q in steps[3:]], steps[3:]
    assert bd_rate(*a, *b) == pytest.approx(100 * math.expm1(0.1), abs=1e-9)


def test_only_the_rates_asked_for_count():
    rates = [0.01, 0.02, 0.05, 0.1, 0.3, 1.0, 3.0]
    quality = [30.0, 33.0, 36.0, 39.0, 43.0, 48.0, 55.0]
    # Half of the rate from 0.3 up, and as the anchor up to 0.1.
    fewer = [rate / 2 if rate >= 0.3 else rate for rate in rates]
    assert bd_rate(rates, quality, fewer, quality, between=(0.3, 3.0)) == pytest.approx(-50, abs=2)
    assert bd_rate(rates, quality, fewer, quality, between=(0.01, 0.05)) == pytest.approx(0)
    whole = bd_rate(rates, quality, fewer, quality)
    assert -50 < whole < 0
    assert bd_rate(rates, quality, fewer, quality, between=(0.001, 30)) == whole


@pytest.mark.parametrize("limits", [(0.04, 0.7), (0.02, 0.9), (0.5, 2.0)])
def test_the_limits_are_rates_of_the_anchor(limits):
    a = ([0.01, 0.05, 0.2, 0.8, 2.5], [31.0, 36.0, 41.0, 47.0, 55.0])
    b = ([0.02, 0.06, 0.15, 0.6, 2.8], [33.0, 37.0, 40.0, 46.0, 56.0])
    curve_a, curve_b = (PchipInterpolator(quality, np.log(rates)) for rates, quality in (a, b))
    low, high = (float(curve_a.solve(np.log(limit), extrapolate=False)[0]) for limit in limits)
    difference = (curve_b.integrate(low, high) - curve_a.integrate(low, high)) / (high - low)
    assert bd_rate(*a, *b, between=limits) == pytest.approx(100 * np.expm1(difference), abs=1e-6)


def test_no_overlap_within_the_rates_asked_for():
    a = ([0.1, 0.2, 0.4, 0.8], [36.0, 39.0, 42.0, 45.0])
    b = ([0.4, 0.8, 1.6, 3.2], [42.0, 45.0, 48.0, 51.0])
    with pytest.raises(NoOverlapError, match=r"must overlap within 36 to 39"):
        bd_rate(*a, *b, between=(0.1, 0.2))


def test_too_few_points():
    with pytest.raises(TooFewPointsError, match=r"curve b has 3 points; allowed are 4"):
        bd_rate(RATES, QUALITY, RATES[:3], QUALITY[:3])


@pytest.mark.parametrize("metric", [bd_rate, bd_psnr])
def test_quality_must_rise(metric):
    with pytest.raises(NotMonotoneError, match=r"curve a goes from quality 36\.9 at rate 2486\.44"):
        metric(RATES, [40.0, 36.8, 36.9, 34.0], RATES, QUALITY)
    with pytest.raises(NotMonotoneError, match="curve b"):
        metric(RATES, QUALITY, [4.0, 2.0, 2.0, 1.0], QUALITY)


def test_no_overlap():
    with pytest.raises(NoOverlapError, match=r"quality 34\.851 to 40\.037 and curve b 44\.851"):
        bd_rate(RATES, QUALITY, RATES, [quality + 10 for quality in QUALITY])
    with pytest.raises(NoOverlapError, match="logarithm of the rate"):
        bd_psnr(RATES, QUALITY, [100 * rate for rate in RATES], QUALITY)


def test_curves_that_only_touch_do_not_overlap():
    with pytest.raises(NoOverlapError):
        bd_rate([1, 2, 3, 4], [1, 2, 3, 4], [1, 2, 3, 4], [4, 5, 6, 7])


@pytest.mark.parametrize(
    ("rates", "quality", "message"),
    [
        (RATES, QUALITY[:3], "curve a has rates of shape"),
        ([RATES], [QUALITY], "curve a has rates of shape"),
        ([0.0, *RATES[1:]], QUALITY, r"rate 0\.0 at point 0"),
        ([*RATES[:3], math.nan], QUALITY, "rate nan at point 3"),
        (RATES, [math.inf, *QUALITY[1:]], "quality inf at point 0"),
    ],
)
def test_bad_curves(rates, quality, message):
    with pytest.raises(CurveError, match=message) as caught:
        bd_rate(rates, quality, RATES, QUALITY)
    assert isinstance(caught.value, XrayCodecError)
    assert isinstance(caught.value, ValueError)
