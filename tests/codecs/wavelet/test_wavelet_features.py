"""What networks see, against the formulas of the specification."""

from __future__ import annotations

import numpy as np
import pytest
import spec_reader

from xraycodec.codecs.wavelet.features import (
    LOGARITHMS,
    SCALES,
    UNITS,
    describe,
    describe_coefficients,
)
from xraycodec.codecs.wavelet.geometry import BANDS, FINISH_FEATURES
from xraycodec.codecs.wavelet.transform import PEAK

SHAPES = [(1, 1), (1, 2), (2, 1), (3, 3), (9, 10), (12, 5), (1, 20), (17, 16)]


def described(low: np.ndarray, level: int) -> tuple[np.ndarray, np.ndarray]:
    height, width = spec_reader.cells_of(low.shape)
    found = np.empty((FINISH_FEATURES, height, width), np.uint8)
    scales = np.empty((height, width), np.uint8)
    describe(low, level, found, scales)
    return found, scales


def check(low: np.ndarray, level: int) -> None:
    found, scales = described(low, level)
    listed = low.tolist()
    for i, j in np.ndindex(scales.shape):
        cell = spec_reader.describe(listed, level, i, j)
        assert found[:, i, j].tolist() == cell.channels
        assert UNITS[scales[i, j]] == cell.unit
        assert LOGARITHMS[scales[i, j]] == cell.logarithm


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("level", [0, 3, 9])
@pytest.mark.parametrize("bits", [0, 6, 10, 14, 20, 26])
def test_planes(shape: tuple[int, int], level: int, bits: int) -> None:
    rng = np.random.default_rng([*shape, bits])
    low = rng.integers(-(1 << bits), (1 << bits) + 1, shape).astype(np.int32)
    check(low, level)
    check(low // 7 + np.add.outer(np.arange(shape[0]), 3 * np.arange(shape[1])).astype(np.int32), 1)


@pytest.mark.parametrize("shape", SHAPES)
def test_the_largest_differences_around_the_flattest_cells(shape: tuple[int, int]) -> None:
    """Where a unit is smallest and a detail largest, as section 9 has it."""
    low = np.full(shape, -PEAK, np.int32)
    low[-3:, -4:] = PEAK
    check(low, 1)
    check(-low, 1)
    assert 160 * PEAK * (2**37 // (81 * 9)) < 2**61


def test_even_planes() -> None:
    found, scales = described(np.full((6, 6), 12345, np.int32), 2)
    assert (scales == 0).all()
    assert (found[:8] == 128).all()
    assert found[8:, 0, 0].tolist() == [0, 48]


def test_scales_are_quarters_of_an_octave() -> None:
    assert (UNITS[0], UNITS[-1]) == (73728, 4026531840)
    assert (LOGARITHMS[0], LOGARITHMS[-1]) == (4140, 8168)
    assert len(UNITS) == len(LOGARITHMS) == SCALES
    assert np.abs(LOGARITHMS - 256 * np.log2(UNITS)).max() < 0.51
    assert [2**37 // (81 * e) for e in (9, 15 << 15)] == [188530800, 3452]
    assert [2**28 // e for e in (9, 15 << 15)] == [29826161, 546]


def test_coefficients() -> None:
    rng = np.random.default_rng(0)
    scales = np.arange(SCALES, dtype=np.uint8).reshape(8, 8)
    for peak in (1, 20, 3000, 2**18 - 1):
        values = rng.integers(-peak, peak + 1, (BANDS, 8, 8)).astype(np.int32)
        x = np.zeros((4 * BANDS, 8, 8), np.uint8)
        describe_coefficients(values, scales, x[1::4])
        assert not x[0::4].any()
        for band, i, j in np.ndindex(values.shape):
            e = (9 + 2 * (int(scales[i, j]) % 4)) << (int(scales[i, j]) // 4)
            scaled = (int(values[band, i, j]) * (2**28 // e) + 2**19) >> 20
            assert x[4 * band + 1, i, j] == 128 + min(max(scaled, -128), 127)
