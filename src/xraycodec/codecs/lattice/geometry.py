"""How lattice takes an image apart: levels, phases, neighbours (spec/lattice.md, section 3).

::

    level l + 1 is every other row and column of level l; of the rest of level l, phase 0 is coded
    first, then phase 1, then phase 2, each from all that is known by then:

        . 2 . 2        .  known from level l + 1
        1 0 1 0        0  from .
        . 2 . 2        1  from . and 0
        1 0 1 0        2  from ., 0 and 1

    Every phase lies on one grid, that of level l + 1: ceil(rows / 2) x ceil(columns / 2).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

Plane = npt.NDArray[np.int32]
"""Levels, ``(PAD + rows + PAD, PAD + columns + PAD)``."""

PAD = 4
"""Pixels around a plane: the farthest neighbour is 3 away, and a grid may reach 1 over the edge."""

EXTRAS = 3
"""Features beside the neighbours: scale, distance to the darkest and to the brightest level."""

ACTIVITY_NEIGHBOURS = 12
"""The nearest neighbours, from which the local scale is taken."""


@dataclass(frozen=True, eq=False)
class Phase:
    """A quarter of the pixels of a level.

    Attributes:
        row, column: of its first pixel.
        offsets: rows and columns from a pixel to its neighbours, nearest first, int64,
            ``(neighbour, 2)``.
    """

    row: int
    column: int
    offsets: npt.NDArray[np.int64]

    @property
    def neighbours(self) -> int:
        return len(self.offsets)


def _ring(*shapes: tuple[int, int]) -> npt.NDArray[np.int64]:
    """Every offset with these distances along one axis and the other, in either order and sign."""
    offsets: list[tuple[int, int]] = []
    for a, b in shapes:
        found = {
            (sign_a * row, sign_b * column)
            for row, column in ((a, b), (b, a))
            for sign_a in (1, -1)
            for sign_b in (1, -1)
        }
        offsets += sorted(found)
    return np.array(offsets, np.int64)


PHASES = (
    Phase(1, 1, _ring((1, 1), (1, 3), (3, 3))),
    Phase(1, 0, _ring((0, 1), (1, 2), (0, 3))),
    Phase(0, 1, _ring((0, 1), (1, 1), (1, 2), (0, 3))),
)
"""In coding order: 16, 16 and 20 neighbours."""


GUIDE_OFFSETS = np.array(
    [(0, 0), (-1, 0), (0, -1), (0, 1), (1, 0), (-1, -1), (-1, 1), (1, -1), (1, 1)], np.int64
)
"""Pixels of a guide around the one to be coded, at full size; ``(pixel, 2)``."""


LAYERS = 4
"""Payloads of a tile: all levels from 3 up, level 2, level 1, level 0."""


def levels(rows: int, columns: int) -> list[tuple[int, int]]:
    """Shapes of all levels of a tile, from the tile itself to the 1 x 1 at the top.

    There are at least as many as layers: of the smallest tiles, several levels are 1 x 1.
    """
    shapes = [(rows, columns)]
    while shapes[-1] != (1, 1) or len(shapes) < LAYERS:
        rows, columns = -(-rows // 2), -(-columns // 2)
        shapes.append((rows, columns))
    return shapes


def layer_of(level: int) -> int:
    """The layer that a level is coded in."""
    return LAYERS - 1 - min(level, LAYERS - 1)


SETS = 3
"""Sets of networks and of coefficients."""


def set_of(level: int) -> int:
    """The set that serves a level: 0 and 1 have their own, all above share the last."""
    return min(level, SETS - 1)


def carried_from(number: int, index: int) -> int:
    """The set whose state the network of a set and phase takes: the first phase, that above."""
    return min(number + 1, SETS - 1) if index == 0 else number


def grid(rows: int, columns: int) -> tuple[int, int]:
    """Shape of the grid on which the phases of a level lie."""
    return -(-rows // 2), -(-columns // 2)


def described_by(phase: Phase, *, guided: bool) -> int:
    """Channels that describe a pixel of a phase to its network, those of the state not counted."""
    guides = phase.neighbours + len(GUIDE_OFFSETS) if guided else 0
    return phase.neighbours + guides + EXTRAS


def predicted_by(phase: Phase, *, guided: bool) -> int:
    """Coefficients of the linear prediction of a phase."""
    return phase.neighbours + (len(GUIDE_OFFSETS) if guided else 0)


def phase_shape(rows: int, columns: int, phase: Phase) -> tuple[int, int]:
    """Pixels of the phase that a level has: the first of its grid, by rows and columns."""
    return (rows + 1 - phase.row) // 2, (columns + 1 - phase.column) // 2
