"""What the networks see of a low-pass band: integers from integers (spec/wavelet.md, section 4).

All is in units of the bends of the band around a cell, so that a network sees neither brightness
nor depth nor the step of quantisation.

Importing this module imports numba; import it inside the function that needs it.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from xraycodec.codecs.wavelet.geometry import CELL, DETAILS, FRACTION
from xraycodec.codecs.wavelet.transform import Plane
from xraycodec.entropy.compilation import inline, kernel

CENTRE = 128
SCALES = 64
_BOX = 9
"""Side of the box whose mean is taken from the band."""
_LEAST_BENDS = 4 << FRACTION + 2
"""Sum of bends that makes a unit of about one step; units are no smaller."""

_EIGHTHS = [9 + 2 * (s % 4) << s // 4 for s in range(SCALES)]
"""Units of all scales, times 8: the middles of quarters of an octave."""
UNITS = np.array([eighths << 13 for eighths in _EIGHTHS], np.int64)
"""Of each scale: the unit in 2^-16 steps."""
# round(256 log2(n / 8)) for n = 9, 11, 13, 15
LOGARITHMS = np.array([256 * (16 + s // 4) + (44, 118, 179, 232)[s % 4] for s in range(SCALES)])
"""Of each scale: 256 log2 of its unit in 2^-16 steps."""
_OF_DETAILS = np.array([(1 << 37) // (_BOX**2 * eighths) for eighths in _EIGHTHS], np.int64)
_OF_COEFFICIENTS = np.array([(1 << 28) // eighths for eighths in _EIGHTHS], np.int64)


@inline
def _clipped(value: int) -> int:
    return min(max(value, -CENTRE), CENTRE - 1) + CENTRE


@inline
def _clamped(index: int, size: int) -> int:
    return min(max(index, 0), size - 1)


@kernel
def describe(
    low: Plane, level: int, features: npt.NDArray[np.uint8], scales: npt.NDArray[np.uint8]
) -> None:
    """Describe the cells of a low-pass band.

    Args:
        low: in 2^-8 steps, ``(row, column)``.
        level: that it is the low-pass band of.
        features: filled, `FINISH_FEATURES` of them, ``(feature, row, column)`` of cells.
        scales: filled, ``(row, column)`` of cells.
    """
    rows, columns = low.shape
    height, width = scales.shape
    reach = _BOX // 2
    sums = np.empty((rows, columns), np.int64)
    for i in range(rows):
        total = np.int64(0)
        for j in range(-reach, reach + 1):
            total += low[i, _clamped(j, columns)]
        for j in range(columns):
            sums[i, j] = total
            total += low[i, _clamped(j + reach + 1, columns)]
            total -= low[i, _clamped(j - reach, columns)]
    around = np.zeros(columns, np.int64)
    for k in range(-reach, reach + 1):
        around += sums[_clamped(k, rows)]
    details = np.empty((2, 2 * width), np.int64)
    bends = np.empty(2 * width, np.int64)
    for i in range(height):
        bends[:] = 0
        for r in range(2):
            at = 2 * i + r
            row = _clamped(at, rows)
            above, below = _clamped(at - 1, rows), _clamped(at + 1, rows)
            for j in range(2 * width):
                column = _clamped(j, columns)
                left, right = _clamped(j - 1, columns), _clamped(j + 1, columns)
                middle = np.int64(low[row, column])
                details[r, j] = _BOX * _BOX * middle - around[column]
                bends[j] += abs(2 * middle - low[row, left] - low[row, right])
                bends[j] += abs(2 * middle - low[above, column] - low[below, column])
            if at + 1 < rows:
                around += sums[_clamped(at + reach + 1, rows)]
                around -= sums[_clamped(at - reach, rows)]
        for j in range(width):
            rest = max(bends[2 * j] + bends[2 * j + 1], _LEAST_BENDS) >> FRACTION + 2
            octave = 0
            while rest >= 8:
                rest >>= 1
                octave += 1
            scale = min(4 * octave + rest - 4, SCALES - 1)
            scales[i, j] = scale
            reciprocal = _OF_DETAILS[scale]
            for place in range(CELL):
                detail = details[place >> 1, 2 * j + (place & 1)] * reciprocal
                fine = (detail + (1 << 37)) >> 38
                coarse = (detail + (1 << 40)) >> 41
                features[place, i, j] = _clipped(fine)
                features[CELL + place, i, j] = _clipped(coarse)
            features[DETAILS, i, j] = min(6 * scale, 255)
            features[DETAILS + 1, i, j] = 24 * min(level, 8)


@kernel
def describe_coefficients(
    coefficients: npt.NDArray[np.int32],
    scales: npt.NDArray[np.uint8],
    features: npt.NDArray[np.uint8],
) -> None:
    """Describe the coefficients of one place of the cells.

    Args:
        coefficients: in steps, ``(band, row, column)``.
        scales: ``(row, column)``.
        features: filled, ``(band, row, column)``.
    """
    half = np.int64(1) << 19
    for band in range(coefficients.shape[0]):
        for i in range(scales.shape[0]):
            for j in range(scales.shape[1]):
                value = np.int64(coefficients[band, i, j]) * _OF_COEFFICIENTS[scales[i, j]]
                features[band, i, j] = _clipped((value + half) >> 20)
