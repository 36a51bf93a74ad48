"""Evaluating networks area by area: what a level needs, in pieces that the caches of a core hold.

A network sees some cells around each; areas that are evaluated with so much around them agree with
the whole (``spec/network.md``, section 4).
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from xraycodec.exact.runtime import ExactNetwork

AREA_CELLS = 1 << 15
"""Cells of a piece. Of a megapixel's last correction, pieces of 2^14 to 2^16 take about 0.16 s, the
whole 0.2 to 0.4."""


@dataclass(frozen=True)
class Area:
    """Rows and columns of cells."""

    top: int
    end: int
    left: int
    right: int

    def pieces(self) -> Iterator[Area]:
        """Cut into rows of about `AREA_CELLS` cells."""
        rows = max(1, AREA_CELLS // (self.right - self.left))
        for top in range(self.top, self.end, rows):
            yield Area(top, min(top + rows, self.end), self.left, self.right)

    def grown(self, reach: int, shape: tuple[int, int]) -> Area:
        """With so many cells around it as there are in a grid of ``shape``."""
        return Area(
            max(0, self.top - reach),
            min(shape[0], self.end + reach),
            max(0, self.left - reach),
            min(shape[1], self.right + reach),
        )

    def inside(self, other: Area) -> tuple[slice, slice]:
        """Its rows and columns, counted from the first ones of an area around it."""
        return (
            slice(self.top - other.top, self.end - other.top),
            slice(self.left - other.left, self.right - other.left),
        )


def whole(shape: tuple[int, int]) -> Area:
    """All cells of a grid."""
    return Area(0, shape[0], 0, shape[1])


def evaluate(
    network: ExactNetwork,
    x: npt.NDArray[np.uint8],
    areas: Iterable[Area],
    results: Mapping[str, npt.NDArray[Any]],
) -> None:
    """Evaluate a network where it is needed.

    Args:
        network: of one or more outputs.
        x: its input, ``(1, channel, row, column)``.
        areas: of the grid.
        results: an array for each output wanted, ``(1, channel, row, column)``; filled in the areas
            and left as it is elsewhere.
    """
    grid = whole((x.shape[2], x.shape[3]))
    for area in areas:
        for piece in area.pieces():
            around = piece.grown(network.reach, (grid.end, grid.right))
            seen = (slice(None), slice(None), *around.inside(grid))
            found = network(x[seen])
            for name, result in results.items():
                kept = (slice(None), slice(None), *piece.inside(around))
                result[(slice(None), slice(None), *piece.inside(grid))] = found[name][kept]
