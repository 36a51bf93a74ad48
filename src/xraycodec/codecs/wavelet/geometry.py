"""How the wavelet codec takes an image apart: levels, bands, cells, phases.

``spec/wavelet.md``, sections 3 and 4. Level 0 is the image; level l + 1 is the low-pass band of
level l. With it come three bands of the same size, whose coefficients are coded cell by cell::

    0 2        one coefficient of each band at each place of a cell,
    3 1        coded in four phases; all cells at once, all bands at once
"""

from __future__ import annotations

LIFTING = (-1.586134342059924, -0.052980118572961, 0.882911075530934, 0.443506852043971)
"""Steps of the 9/7 wavelet: of high from low, of low from high, and so on."""
LOW_GAIN = 1.149604398860241
"""Makes the basis nearly orthonormal: a low-pass band has sqrt(2) times the values."""
HIGH_GAIN = 1 / LOW_GAIN

FRACTION = 8
"""Values of the decoder are in 2^-8 steps of quantisation."""

ORTHONORMAL_LEVELS = 6
"""Levels above keep the size of values instead, so that coefficients have a bound."""

PHASES = ((0, 0), (1, 1), (0, 1), (1, 0))
"""Row and column of each phase's coefficient in a cell, in coding order."""

BANDS = 3
"""HL, LH and HH: high-pass along rows, along columns, along both."""
BAND_PLACES = ((0, 1), (1, 0), (1, 1))
"""Row and column of each band's first coefficient where bands lie interleaved."""

SETS = 3
"""Sets of networks, unless a model says otherwise."""

CELL = 4
"""Coefficients of a band in a cell."""
BLOCK = 16
"""Cells on a side of a block that is coded or left out."""
DETAILS = 2 * CELL
EXTRAS = 2
FEATURES = BANDS * CELL + DETAILS + EXTRAS
"""Channels that describe a cell: coefficients, the low-pass band in two gains, scale, level."""
FINISH_FEATURES = DETAILS + EXTRAS
"""The same of level 0, the image, whose cells have no coefficients."""

LAYERS = 4
"""Payloads of a frame: all levels from 4 up, level 3, level 2, level 1."""

_SMALLEST = 2
_STRIP_CELLS = 1 << 16


def set_of(level: int, sets: int) -> int:
    """Which of so many sets serves a level, 1 the finest: each has one, the rest share the last."""
    return min(level, sets) - 1


def levels(rows: int, columns: int) -> list[tuple[int, int]]:
    """Shapes of all levels, from the image to a low-pass band of at most 2 x 2."""
    shapes = [(rows, columns)]
    while max(shapes[-1]) > _SMALLEST:
        rows, columns = -(-rows // 2), -(-columns // 2)
        shapes.append((rows, columns))
    return shapes


def layer_of(level: int) -> int:
    """The layer that the bands of a level are coded in."""
    return LAYERS - min(level, LAYERS)


def cells(shape: tuple[int, int]) -> tuple[int, int]:
    """Rows and columns of cells of a level's bands; those at the far edges may lack some."""
    return -(-shape[0] // 2), -(-shape[1] // 2)


def strips(level: int, grid: tuple[int, int]) -> list[tuple[int, int]]:
    """Rows of cells that are coded as streams of their own, so that cores can share a level.

    Only the levels that have a layer to themselves are cut.
    """
    rows, columns = grid
    wanted = -(-rows * columns // _STRIP_CELLS) if level < LAYERS else 1
    height = -(-rows // min(wanted, rows))
    return [(top, min(top + height, rows)) for top in range(0, rows, height)]
