"""Cutting a plane into tiles that are processed with a halo of their surroundings.

A convolutional network needs the neighbours of a tile to give what it would give on the whole
plane. A `Window` is a tile and the rectangle, wider by the halo where the plane goes on, that
has to be read to compute it.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

Slices = tuple[slice, slice]


@dataclass(frozen=True)
class Window:
    """One tile of a plane, in that plane's units.

    Attributes:
        inner: ``(rows, columns)`` of the tile.
        outer: the tile with its halo, cut at the plane's edges.
    """

    inner: Slices
    outer: Slices

    def inner_of_outer(self, scale: int = 1) -> Slices:
        """Where the tile lies inside its outer rectangle, both ``scale`` times enlarged."""
        rows, columns = (
            slice((i.start - o.start) * scale, (i.stop - o.start) * scale)
            for i, o in zip(self.inner, self.outer, strict=True)
        )
        return rows, columns


def windows(rows: int, columns: int, tile: int, halo: int) -> Iterator[Window]:
    """Yield the tiles of a ``rows`` by ``columns`` plane, row by row."""
    for top in range(0, rows, tile):
        for left in range(0, columns, tile):
            bottom, right = min(top + tile, rows), min(left + tile, columns)
            yield Window(
                (slice(top, bottom), slice(left, right)),
                (
                    slice(max(0, top - halo), min(rows, bottom + halo)),
                    slice(max(0, left - halo), min(columns, right + halo)),
                ),
            )
