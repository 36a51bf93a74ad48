"""What networks add to what was coded: ``spec/wavelet.md``, section 6.1, steps 4 and 5.

Importing this module imports numba; import it inside the function that needs it.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from xraycodec.codecs.wavelet.geometry import BANDS, CELL, FRACTION
from xraycodec.codecs.wavelet.transform import Cells, Plane
from xraycodec.entropy.compilation import inline, kernel

CORRECTION_BITS = 6
"""Fractional bits of corrections, in steps; at most one step either way."""

Numbers = npt.NDArray[np.int32]


@inline
def _correction(number: Any, parameter_bits: Any) -> Any:
    """A network's number as 2^-8 steps."""
    drop = parameter_bits - CORRECTION_BITS
    rounded = ((number >> (drop - 1)) + 1) >> 1
    limit = 1 << CORRECTION_BITS
    return min(max(rounded, -limit), limit) << (FRACTION - CORRECTION_BITS)


@kernel
def correct_bands(numbers: Numbers, parameter_bits: int, bands: Cells) -> None:
    """Turn coefficients into samples: into 2^-8 steps, with their corrections.

    Args:
        numbers: of the synthesis network, ``(band x place, row, column)`` of cells.
        parameter_bits: fractional bits of the numbers.
        bands: ``(band, place, row, column)``, in steps; changed in place.
    """
    for band in range(BANDS):
        for place in range(CELL):
            of = numbers[band * CELL + place]
            samples = bands[band, place]
            for i in range(samples.shape[0]):
                for j in range(samples.shape[1]):
                    correction = _correction(np.int64(of[i, j]), parameter_bits)
                    samples[i, j] = (np.int64(samples[i, j]) << FRACTION) + correction


@kernel
def correct_plane(numbers: Numbers, parameter_bits: int, plane: Plane) -> None:
    """Add corrections to a low-pass band, or to rows of the image.

    Args:
        numbers: ``(place, row, column)`` of the cells of the plane.
        parameter_bits: fractional bits of the numbers.
        plane: in 2^-8 steps, ``(row, column)``; changed in place.
    """
    rows, columns = plane.shape
    for i in range(rows):
        for j in range(columns):
            place = 2 * (i & 1) + (j & 1)
            number = np.int64(numbers[place, i >> 1, j >> 1])
            plane[i, j] += _correction(number, parameter_bits)
