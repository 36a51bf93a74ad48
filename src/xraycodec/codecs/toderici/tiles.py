"""Tiles that go through the networks together, and their pixels (`spec/toderici.md`, section 5)."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from xraycodec.codecs.toderici.model import BLOCK
from xraycodec.codecs.toderici.parameters import Parameters
from xraycodec.container import Header
from xraycodec.exact.session import Activations
from xraycodec.image import Pixels, value_range
from xraycodec.tiling import Slices, windows

GROUP_PIXELS = 1 << 16
"""Most pixels of the tiles in a group, unless a single tile has more.

What the networks need grows with it, not with frames; more of them at once are no faster.
"""


@dataclass(frozen=True)
class Tile:
    """One tile of a frame.

    Attributes:
        number: among the tiles of all frames, in coding order.
        area: its rows and columns.
    """

    number: int
    area: Slices


@dataclass(frozen=True)
class Group:
    """Tiles of one frame and one size in blocks.

    Attributes:
        frame: that they lie in.
        grid: P and Q, blocks down and across each tile.
        tiles: one or more.
    """

    frame: int
    grid: tuple[int, int]
    tiles: list[Tile]


def groups(header: Header) -> Iterator[Group]:
    """Yield every tile of an image in one group.

    Encoder and decoder compute in the same groups, so that on one machine they round alike.
    """
    number = 0
    for frame in range(header.frames):
        waiting: dict[tuple[int, int], list[Tile]] = {}
        for window in windows(header.rows, header.columns, header.tile, 0):
            down, across = (-(-(part.stop - part.start) // BLOCK) for part in window.inner)
            tiles = waiting.setdefault((down, across), [])
            tiles.append(Tile(number, window.inner))
            number += 1
            if (len(tiles) + 1) * down * across * BLOCK * BLOCK > GROUP_PIXELS:
                yield Group(frame, (down, across), waiting.pop((down, across)))
        for grid, tiles in waiting.items():
            yield Group(frame, grid, tiles)


def gather(frame: Pixels, group: Group, plan: Parameters) -> Activations:
    """What the network sees of a group: ``(tile, 1, 16 P, 16 Q)``, about 0 .. 1.

    A tile at the edge of its frame goes on to whole blocks as its last row and column do.
    """
    down, across = group.grid
    x = np.empty((len(group.tiles), 1, BLOCK * down, BLOCK * across), np.float32)
    for target, tile in zip(x[:, 0], group.tiles, strict=True):
        pixels = frame[tile.area]
        missing = [(0, due - size) for due, size in zip(target.shape, pixels.shape, strict=True)]
        target[...] = np.pad(pixels, missing, mode="edge")
    x -= plan.low
    x /= np.float32(plan.span)
    return 1 - x if plan.inverted else x


def scatter(x: Activations, frame: Pixels, group: Group, plan: Parameters, header: Header) -> None:
    """Fill the tiles of ``frame`` from what the network gives, ``(tile, 1, 16 P, 16 Q)``."""
    lowest, highest = value_range(header.bits_stored, signed=header.signed)
    floor, ceiling = max(lowest, plan.low), min(highest, plan.low + plan.span)
    if plan.inverted:
        x = 1 - x
    values = np.rint(x * np.float32(plan.span) + plan.low).clip(floor, ceiling)
    for found, tile in zip(values[:, 0], group.tiles, strict=True):
        target = frame[tile.area]
        target[...] = found[: target.shape[0], : target.shape[1]]
