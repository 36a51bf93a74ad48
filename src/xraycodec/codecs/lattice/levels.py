"""Pixel values to the levels that are coded: from 0 up, without those that no pixel has.

``spec/lattice.md``, section 2.
"""

from __future__ import annotations

import zlib
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from xraycodec.image import Pixels

# A map is used if at most this share of the values between lowest and highest occur: with fewer
# gaps, what neighbours tell about each other is worth more as it is.
_FULLEST_MAP = 0.98


@dataclass(frozen=True, eq=False)
class LevelMap:
    """How an image's values and its levels belong together.

    Attributes:
        lowest: pixel value of level 0.
        peak: the highest level.
        values: of every level, less ``lowest``, rising from 0, int32, ``(peak + 1,)``, or
            ``None`` where each level is its own.
    """

    lowest: int
    peak: int
    values: npt.NDArray[np.int32] | None

    def to_levels(self, pixels: npt.NDArray[np.integer[Any]]) -> npt.NDArray[np.int32]:
        """Levels of pixels, any shape, int32; every value must be one of the map's."""
        offsets = pixels.astype(np.int32) - np.int32(self.lowest)
        if self.values is None:
            return offsets
        ranks = np.zeros(int(self.values[-1]) + 1, np.int32)
        ranks[self.values] = np.arange(self.peak + 1, dtype=np.int32)
        found: npt.NDArray[np.int32] = ranks[offsets]
        return found

    def to_pixels(self, levels: npt.NDArray[np.integer[Any]]) -> npt.NDArray[np.int32]:
        """Pixel values of levels, any shape, int32."""
        offsets = levels if self.values is None else self.values[levels]
        return offsets + np.int32(self.lowest)


def map_levels(pixels: Pixels, *, lossless: bool) -> LevelMap:
    """Choose the levels of an image; only lossless coding may leave values out."""
    lowest, highest = int(pixels.min()), int(pixels.max())
    span = highest - lowest + 1
    if not lossless or span < 3:
        return LevelMap(lowest, span - 1, None)
    counts = np.zeros(span, np.int64)
    for frame in pixels:
        # a band at a time: the differences take more memory than the pixels
        for top in range(0, len(frame), 512):
            band = frame[top : top + 512].astype(np.int32) - lowest
            counts += np.bincount(band.ravel(), minlength=span)
    return map_counted(lowest, counts)


def map_counted(lowest: int, counts: npt.NDArray[np.int64]) -> LevelMap:
    """Choose levels for lossless coding by how often each value occurs.

    Args:
        lowest: the value that is counted first.
        counts: of each value from there on, ``(value,)``; the first and the last occur.
    """
    span = len(counts)
    values = np.flatnonzero(counts).astype(np.int32)
    if span < 3 or len(values) > _FULLEST_MAP * span:
        return LevelMap(lowest, span - 1, None)
    # Noise of few pixels leaves values out by chance, and a map of these costs more than it saves.
    saved_bits = int(counts.sum()) * np.log2(span / len(values))
    if 8 * len(pack_values(values)) > saved_bits:
        return LevelMap(lowest, span - 1, None)
    return LevelMap(lowest, len(values) - 1, values)


def pack_values(values: npt.NDArray[np.int32]) -> bytes:
    """The map as it is sent: a bit for each value from 0 to the last, as a zlib stream."""
    used = np.zeros(int(values[-1]) + 1, np.uint8)
    used[values] = 1
    return zlib.compress(np.packbits(used).tobytes(), 9)
