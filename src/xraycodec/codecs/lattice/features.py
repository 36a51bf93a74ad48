"""What the networks see of an image: integers from integers (spec/lattice.md, section 4).

A pixel's neighbours are described as differences from a linear prediction, in units of their own
mean deviation. So a network sees neither brightness nor contrast nor depth, and one set of weights
serves them all.

Importing this module imports numba; import it inside the function that needs it.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from xraycodec.codecs.lattice.geometry import ACTIVITY_NEIGHBOURS, PAD, Plane
from xraycodec.entropy.compilation import inline, kernel

UNIT = 32
"""What a difference of one mean deviation becomes."""
CENTRE = 128
"""What no difference becomes."""

FRACTION = 8
"""Fractional bits of predictions and differences."""

OCTAVE = 4
"""Steps of the scale to an octave."""
SCALES = 132
"""Steps that have an entry in the tables below; 38 to 109 occur (spec/lattice.md, section 4)."""


def _centres() -> npt.NDArray[np.int64]:
    """Sum of absolute differences at the middle of each step of the scale, times 8."""
    steps = [(2 * (OCTAVE + s % OCTAVE) + 1) << s // OCTAVE for s in range(SCALES)]
    return np.array(steps, np.int64)


def _logarithms() -> npt.NDArray[np.int64]:
    """256 log2 of the mean deviations in 2^-16 levels, from the same middles of the steps."""
    # round(256 log2(n / 8)) for n = 9, 11, 13, 15; and 256 log2(12) = 917.75
    fractions = (44, 118, 179, 232)
    steps = [256 * (s // OCTAVE + 8) + fractions[s % OCTAVE] - 918 for s in range(SCALES)]
    return np.array(steps, np.int64)


# Scale s holds sums u with 2^(s // 4) * (4 + s % 4) <= 4 u < 2^(s // 4) * (5 + s % 4).
MEAN_DEVIATIONS = (_centres() * (1 << 8) // (8 * ACTIVITY_NEIGHBOURS)).astype(np.int64)
"""Of each scale: the mean deviation in 2^-16 levels."""
LOGARITHMS = _logarithms()
"""Of each scale: 256 log2 of its mean deviation in 2^-16 levels."""
RECIPROCALS = ((UNIT * ACTIVITY_NEIGHBOURS * 8 << 32) // _centres()).astype(np.int64)
"""Of each scale: UNIT over its mean deviation, for differences in 2^-8 levels, in 2^-32."""


@inline
def scale_of(total: Any) -> Any:
    """Step of the scale that holds a sum of absolute differences, which is at least 4."""
    octave = 0
    rest = total
    if rest >= 1 << 18:
        rest >>= 16
        octave += 16
    if rest >= 1 << 10:
        rest >>= 8
        octave += 8
    if rest >= 1 << 6:
        rest >>= 4
        octave += 4
    if rest >= 1 << 4:
        rest >>= 2
        octave += 2
    if rest >= 1 << 3:
        rest >>= 1
        octave += 1
    # rest is now 4 to 7: total = rest * 2^octave, in quarters of the octave 2^(octave + 2).
    return (octave + 2) * 4 + rest - 4


@kernel
def reflect(plane: Plane) -> None:
    """Fill the border of a padded plane by reflection about its outermost pixels.

    An index keeps its parity, so that a phase's neighbours stay pixels that are known. Along an
    axis of one pixel that is impossible: there, odd rows repeat row 0 with its odd columns replaced
    by the even ones to their left, and odd columns likewise.
    """
    rows, columns = plane.shape[0] - 2 * PAD, plane.shape[1] - 2 * PAD
    last_row, last_column = 2 * max(rows - 1, 1), 2 * max(columns - 1, 1)
    for row in range(-PAD, rows + PAD):
        inside = 0 <= row < rows
        from_row = abs(row) % last_row
        from_row = min(from_row, last_row - from_row)
        column = -PAD - 1
        while column < columns + PAD - 1:
            column += 1
            if inside and column == 0:
                column = columns
            from_column = abs(column) % last_column
            from_column = min(from_column, last_column - from_column)
            source_row, source_column = from_row, from_column
            if source_row >= rows:
                source_row = 0
                source_column -= source_column & 1
            if source_column >= columns:
                source_column = 0
                source_row -= source_row & 1
            plane[PAD + row, PAD + column] = plane[PAD + source_row, PAD + source_column]


def pad(levels: npt.NDArray[np.integer[Any]]) -> Plane:
    """A plane of known levels, ``(row, column)``, with its border."""
    rows, columns = levels.shape
    plane = np.empty((rows + 2 * PAD, columns + 2 * PAD), np.int32)
    plane[PAD:-PAD, PAD:-PAD] = levels
    reflect(plane)
    return plane


@kernel
def describe(
    plane: Plane,
    row: int,
    column: int,
    offsets: npt.NDArray[np.int64],
    coefficients: npt.NDArray[np.int64],
    step: int,
    peak: int,
    features: npt.NDArray[np.uint8],
    predictions: npt.NDArray[np.int32],
    scales: npt.NDArray[np.uint8],
) -> None:
    """Describe every position of a phase's grid by its neighbours.

    Args:
        plane: padded, ``(PAD + rows + PAD, PAD + columns + PAD)``, borders reflected.
        row: of the phase's first pixel.
        column: of the phase's first pixel.
        offsets: of its neighbours, ``(neighbour, 2)``.
        coefficients: of the linear prediction, in 2^-7, adding up to 128, ``(neighbour,)``.
        step: quantisation step in levels, odd.
        peak: the highest level.
        features: filled, ``(channel, row, column)``; neighbours first, then the extras.
        predictions: filled, in 2^-8 levels, ``(row, column)``.
        scales: filled, ``(row, column)``.
    """
    height, width = predictions.shape
    count = len(offsets)
    stride = plane.shape[1]
    flat = plane.ravel()
    least = 3 * (step << FRACTION)
    least_scale: Any = scale_of(least)
    ceiling = peak << FRACTION
    half = np.int64(1) << 31
    # A row at a time, one neighbour after the other: loops that processors run in parallel lanes.
    differences = np.empty((count, width), np.int32)
    row_predictions = np.empty(width, np.int32)
    activities = np.empty(width, np.int32)
    reciprocals = np.empty(width, np.int64)
    for i in range(height):
        here = (PAD + row + 2 * i) * stride + PAD + column
        row_predictions[:] = 0
        for k in range(count):
            start = here + offsets[k, 0] * stride + offsets[k, 1]
            coefficient = np.int32(coefficients[k])
            for j in range(width):
                value = flat[start + 2 * j]
                differences[k, j] = value
                row_predictions[j] += coefficient * value
        for j in range(width):
            row_predictions[j] = min(max(row_predictions[j] << (FRACTION - 7), 0), ceiling)
        activities[:] = 0
        for k in range(count):
            for j in range(width):
                difference = (differences[k, j] << FRACTION) - row_predictions[j]
                differences[k, j] = difference
                if k < ACTIVITY_NEIGHBOURS:
                    activities[j] += abs(difference)
        for j in range(width):
            prediction = np.int64(row_predictions[j])
            scale: Any = scale_of(max(np.int64(activities[j]), least))
            reciprocal = RECIPROCALS[scale]
            reciprocals[j] = reciprocal
            features[count, i, j] = min(6 * (scale - least_scale), 255)
            features[count + 1, i, j] = min((prediction * reciprocal + half) >> 32, 255)
            features[count + 2, i, j] = min(((ceiling - prediction) * reciprocal + half) >> 32, 255)
            predictions[i, j] = prediction
            scales[i, j] = scale
        for k in range(count):
            for j in range(width):
                feature = (np.int64(differences[k, j]) * reciprocals[j] + half) >> 32
                features[k, i, j] = CENTRE + min(max(feature, -CENTRE), CENTRE - 1)
