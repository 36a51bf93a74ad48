"""What both directions know of a level: its strips, and where they have coefficients."""

from __future__ import annotations

import struct
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from xraycodec.codecs.wavelet.areas import Area
from xraycodec.codecs.wavelet.geometry import BAND_PLACES, cells, strips
from xraycodec.codecs.wavelet.model import Model

MAX_REACH_BITS = 18
"""Of coefficients and last low-pass bands, in steps: enough for every image (section 9)."""
IN_BLOCKS = 1 << 7
"""Added to the bits of a reach: flags of blocks follow."""
BOTTOM = np.dtype("<i4")
"""Of the last low-pass band in a payload."""
STREAM_SIZE = struct.Struct("<I")


@dataclass(eq=False)
class Strip:
    """Rows of cells with a stream and an adaptation of their own; ``coded`` says which cells."""

    top: int
    end: int
    coded: npt.NDArray[np.bool_]
    offsets: npt.NDArray[np.int64]
    counts: npt.NDArray[np.int64]
    taps: npt.NDArray[np.int64]

    def restrict(self, flags: npt.NDArray[np.bool_]) -> list[Area]:
        """Code the flagged blocks only; return where they are in the level."""
        from xraycodec.codecs.wavelet import coded_blocks

        rows, columns = self.coded.shape
        self.coded = coded_blocks.cells_of(flags, rows, columns)
        return list(coded_blocks.areas_of(flags, self.top, rows, columns))


def strips_of(level: int, shape: tuple[int, int]) -> list[Strip]:
    from xraycodec.codecs.wavelet.kernels import fresh_adaptation

    grid = cells(shape)
    return [
        Strip(top, end, np.ones((end - top, grid[1]), bool), *fresh_adaptation())
        for top, end in strips(level, grid)
    ]


class Level:
    """What both directions know of the level at hand."""

    def __init__(self, level: int, below: tuple[int, int], reach_bits: int, model: Model) -> None:
        """Take the level, the shape of the level below it, and the bits of its reach."""
        self.shape = (-(-below[0] // 2), -(-below[1] // 2))
        self.level, self.below = level, below
        self.reach = (1 << reach_bits) - 1
        self.strips = strips_of(level, self.shape)
        self.unit_shift = model.parameter_bits - 8

    def sizes(self, place: int, strip: Strip) -> tuple[Any, Any]:
        """Rows and columns of cells of a strip that have a coefficient, for each band."""
        rows, columns = [], []
        for row, column in BAND_PLACES:
            height = (self.below[0] + 1 - row) // 2
            width = (self.below[1] + 1 - column) // 2
            rows.append((height + 1 - (place >> 1)) // 2 - strip.top)
            columns.append((width + 1 - (place & 1)) // 2)
        return np.array(rows, np.int64), np.array(columns, np.int64)


def on_threads(work: Callable[[Strip], None], parts: Sequence[Strip], threads: int) -> None:
    if threads == 1 or len(parts) == 1:
        for part in parts:
            work(part)
        return
    with ThreadPoolExecutor(threads) as pool:
        list(pool.map(work, parts))
