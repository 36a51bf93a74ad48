"""The 9/7 wavelet in integers: ``spec/wavelet.md``, section 3.

Bands lie interleaved while they are lifted: low-pass samples at even places, high-pass ones at odd.
Values are in 2^-8 steps of quantisation.

Importing this module imports numba; import it inside the function that needs it.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from xraycodec.codecs.wavelet.geometry import (
    BAND_PLACES,
    BANDS,
    ORTHONORMAL_LEVELS,
    cells,
    levels,
)
from xraycodec.entropy.compilation import inline, kernel

Plane = npt.NDArray[np.int32]
Cells = npt.NDArray[np.int32]
"""Of each band and place in a cell: ``(band, place, row, column)``."""

PEAK = 1 << 26
"""Largest magnitude of a decoded low-pass band, in 2^-8 steps."""

_PRECISION = 16
_WEIGHTS = np.array([-103949, -3472, 57863, 29066], np.int64)
"""`LIFTING`, the third rounded up, so that an even plane has hardly any high-pass bands."""
_GAINS = np.array([75341, 57007], np.int64)
"""`LOW_GAIN` and its inverse, rounded so that their product is 1 to within 10^-6: brightness would
drift with every level otherwise."""
_ALONE = np.array([round(gain * (1 << _PRECISION)) for gain in (2**0.5, 2**-0.5)], np.int64)
"""Of a single row or column, so that its low-pass band has the brightness of all others."""
_HALF = 1 << (_PRECISION - 1)


@inline
def _scaled(value: Any, weight: Any) -> Any:
    return (np.int64(value) * weight + _HALF) >> _PRECISION


@inline
def _lift_columns(plane: Plane, parity: int, weight: Any) -> None:
    """Add to every row of a parity its weighted neighbours; the plane has two rows or more."""
    rows, columns = plane.shape
    for i in range(parity, rows, 2):
        above = i - 1 if i else 1
        below = i + 1 if i + 1 < rows else i - 1
        for j in range(columns):
            plane[i, j] += _scaled(np.int64(plane[above, j]) + plane[below, j], weight)


@inline
def _lift_rows(plane: Plane, parity: int, weight: Any) -> None:
    """Add to every column of a parity its weighted neighbours, likewise."""
    rows, columns = plane.shape
    for i in range(rows):
        for j in range(parity, columns, 2):
            left = j - 1 if j else 1
            right = j + 1 if j + 1 < columns else j - 1
            plane[i, j] += _scaled(np.int64(plane[i, left]) + plane[i, right], weight)


@inline
def _gain(plane: Plane, inverse: int) -> None:
    """Bring samples to the size of an orthonormal basis, or back."""
    rows, columns = plane.shape
    for i in range(rows):
        vertical = _GAINS[(i & 1) ^ inverse] if rows > 1 else _ALONE[inverse]
        for j in range(columns):
            horizontal = _GAINS[(j & 1) ^ inverse] if columns > 1 else _ALONE[inverse]
            plane[i, j] = _scaled(_scaled(plane[i, j], vertical), horizontal)


@kernel
def forward(plane: Plane) -> None:
    """Take one level apart, in place."""
    rows, columns = plane.shape
    for step in range(4):
        if columns > 1:
            _lift_rows(plane, 1 - (step & 1), _WEIGHTS[step])
    for step in range(4):
        if rows > 1:
            _lift_columns(plane, 1 - (step & 1), _WEIGHTS[step])
    _gain(plane, 0)


@kernel
def inverse(plane: Plane) -> None:
    """Put one level together, in place."""
    rows, columns = plane.shape
    _gain(plane, 1)
    for step in range(3, -1, -1):
        if rows > 1:
            _lift_columns(plane, 1 - (step & 1), -_WEIGHTS[step])
    for step in range(3, -1, -1):
        if columns > 1:
            _lift_rows(plane, 1 - (step & 1), -_WEIGHTS[step])


def band_shape(shape: tuple[int, int], band: int) -> tuple[int, int]:
    """Rows and columns of a band of a plane of ``shape``."""
    row, column = BAND_PLACES[band]
    return (shape[0] + 1 - row) // 2, (shape[1] + 1 - column) // 2


def analyse(image: Plane) -> tuple[list[Cells], Plane]:
    """Take an image apart.

    Args:
        image: in 2^-8 steps, ``(row, column)``; used up.

    Returns:
        The bands of each level, level 1 first, places that a band lacks 0; and the low-pass band
        of the last.
    """
    found = []
    plane = image
    for level, shape in enumerate(levels(*image.shape)[1:], 1):
        forward(plane)
        if level > ORTHONORMAL_LEVELS:
            plane = (plane + 1) >> 1
        height, width = cells(shape)
        bands = np.zeros((BANDS, 4, height, width), np.int32)
        for band, (row, column) in enumerate(BAND_PLACES):
            samples = plane[row::2, column::2]
            for place in range(4):
                part = samples[place >> 1 :: 2, place & 1 :: 2]
                bands[band, place, : part.shape[0], : part.shape[1]] = part
        found.append(bands)
        plane = np.ascontiguousarray(plane[::2, ::2])
    return found, plane


def synthesise(low: Plane, bands: Cells | None, shape: tuple[int, int], level: int) -> Plane:
    """Put a level together.

    Args:
        low: its low-pass band.
        bands: the others, or ``None`` where all are 0.
        shape: of what comes out, the level below.
        level: that the bands are of.
    """
    plane = np.zeros(shape, np.int32)
    plane[::2, ::2] = low
    if bands is not None:
        for band, (row, column) in enumerate(BAND_PLACES):
            samples = plane[row::2, column::2]
            for place in range(4):
                part = samples[place >> 1 :: 2, place & 1 :: 2]
                part[:] = bands[band, place, : part.shape[0], : part.shape[1]]
    if level > ORTHONORMAL_LEVELS:
        plane <<= 1
    inverse(plane)
    # No image comes near; in a damaged stream, levels must not grow until they overflow.
    return np.clip(plane, -PEAK, PEAK, out=plane)
