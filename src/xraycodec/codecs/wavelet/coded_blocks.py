"""Which blocks of cells have coefficients: ``spec/wavelet.md``, section 6.4.

At low rates most of the finest levels is 0. A flag for each block of 16 x 16 cells says where
coefficients are coded; elsewhere neither networks nor the coder have anything to do.

Importing this module imports numba; import it inside the function that needs it.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import numpy.typing as npt

from xraycodec.codecs.wavelet.areas import Area
from xraycodec.codecs.wavelet.geometry import BLOCK
from xraycodec.codecs.wavelet.shutter_kernels import learn, pop_choice
from xraycodec.entropy.compilation import inline, kernel
from xraycodec.entropy.mixture_steps import PROBABILITY_BITS

Flags = npt.NDArray[np.bool_]
"""Whether coefficients are coded, of the blocks of a strip or of its cells, ``(row, column)``."""
Words = npt.NDArray[np.uint32]

_CONTEXTS = 4
_MOST_COUNT = 126
_WHOLE = 1 << PROBABILITY_BITS


def blocks_of(rows: int, columns: int) -> tuple[int, int]:
    """Rows and columns of blocks of so many cells; the last ones may be smaller."""
    return -(-rows // BLOCK), -(-columns // BLOCK)


def flags_of(worthy: Flags) -> Flags:
    """Flags of the blocks in which any cell is worth coding."""
    rows, columns = blocks_of(*worthy.shape)
    padded = np.zeros((rows * BLOCK, columns * BLOCK), bool)
    padded[: worthy.shape[0], : worthy.shape[1]] = worthy
    return np.asarray(padded.reshape(rows, BLOCK, columns, BLOCK).any((1, 3)))


def cells_of(flags: Flags, rows: int, columns: int) -> Flags:
    """Flags of blocks as those of their cells."""
    cells = np.repeat(np.repeat(flags, BLOCK, 0), BLOCK, 1)[:rows, :columns]
    return np.ascontiguousarray(cells)


def areas_of(flags: Flags, top: int, rows: int, columns: int) -> Iterator[Area]:
    """The flagged blocks of a strip, which begins in row ``top`` of the level, as few areas.

    Blocks beside each other are joined, then rows of them with the same ends.
    """
    open_areas: dict[tuple[int, int], int] = {}
    for i in range(len(flags) + 1):
        runs = _runs(flags[i]) if i < len(flags) else []
        for ends in [ends for ends in open_areas if ends not in runs]:
            first, last = open_areas.pop(ends), min(i * BLOCK, rows)
            yield Area(top + first, top + last, ends[0] * BLOCK, min(ends[1] * BLOCK, columns))
        for ends in runs:
            open_areas.setdefault(ends, i * BLOCK)


def _runs(flags: npt.NDArray[np.bool_]) -> list[tuple[int, int]]:
    edges = np.flatnonzero(np.diff(flags.astype(np.int8), prepend=0, append=0))
    return [(int(first), int(last)) for first, last in edges.reshape(-1, 2)]


def encode(flags: Flags) -> tuple[Words, Words]:
    """Turn the flags of a strip's blocks into intervals of the coder: starts and sizes."""
    starts, sizes = np.empty(flags.size, np.uint32), np.empty(flags.size, np.uint32)
    _encode(flags, starts, sizes)
    return starts, sizes


@inline
def _context(flags: Flags, i: Any, j: Any) -> Any:
    """1 if the block to the left is coded, and 2 if the one above is."""
    context = np.int64(0)
    if j and flags[i, j - 1]:
        context += 1
    if i and flags[i - 1, j]:
        context += 2
    return context


@kernel
def _encode(flags: Flags, starts: Words, sizes: Words) -> None:
    chances = np.full(_CONTEXTS, _WHOLE >> 1, np.int64)
    counts = np.zeros(_CONTEXTS, np.int64)
    position = 0
    for i in range(flags.shape[0]):
        for j in range(flags.shape[1]):
            context = _context(flags, i, j)
            chance = chances[context]
            coded = flags[i, j]
            starts[position] = 0 if coded else chance
            sizes[position] = chance if coded else _WHOLE - chance
            position += 1
            learn(context, coded, chances, counts, _MOST_COUNT)


@kernel
def decode(words: Words, state: Any, position: int, flags: Flags) -> tuple[Any, Any]:
    """Undo `encode` and `push_all`.

    Args:
        words: of the stream.
        state: of the stream.
        position: of the next word.
        flags: filled.

    Returns:
        The state and the next word's position; a position beyond the words' end says that they
        ran out.
    """
    chances = np.full(_CONTEXTS, _WHOLE >> 1, np.int64)
    counts = np.zeros(_CONTEXTS, np.int64)
    state = np.uint64(state)
    for i in range(flags.shape[0]):
        for j in range(flags.shape[1]):
            context = _context(flags, i, j)
            coded, state, position = pop_choice(words, state, position, chances[context])
            if position > len(words):
                return state, position
            flags[i, j] = coded
            learn(context, coded, chances, counts, _MOST_COUNT)
    return state, position
