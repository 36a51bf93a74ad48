"""The compiled loops of a shutter: ``spec/wavelet-shutter.md``, section 2, and where it pays.

Importing this module imports numba; import it inside the function that needs it. Callers have
checked every shape and bound.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import numpy.typing as npt

from xraycodec.entropy.compilation import inline, kernel
from xraycodec.entropy.mixture_kernels import pop
from xraycodec.entropy.mixture_steps import PROBABILITY_BITS
from xraycodec.entropy.mixture_stream import Stream

Integers = npt.NDArray[np.int64]
Mask = npt.NDArray[np.bool_]
Words = npt.NDArray[np.uint32]

_CONTEXTS = 1 << 16
_LEFT, _ABOVE, _TOP = 2, 9, 5
"""Neighbours of a pixel in its row and in the two above; the last two are centred on it."""
_PAD = 4
"""Columns beside a mask: the first and last pixels have neighbours there."""
_MOST_COUNT = 14
_WHOLE = 1 << PROBABILITY_BITS


@inline
def _slide(known: npt.NDArray[np.uint8], i: Any, j: Any, above: Any, top: Any) -> Any:
    """Neighbours in the rows above, moved on to column ``j`` of row ``i``, both of the padded."""
    return (
        ((above << 1) | known[i - 1, j + _ABOVE // 2]) & ((1 << _ABOVE) - 1),
        ((top << 1) | known[i - 2, j + _TOP // 2]) & ((1 << _TOP) - 1),
    )


@inline
def _begin(known: npt.NDArray[np.uint8], i: Any) -> Any:
    """Neighbours of the pixel before the first in a row of the padded: left, above, top."""
    above, top = np.int64(0), np.int64(0)
    for j in range(2 * _PAD):
        above = (above << 1) | known[i - 1, j]
    for j in range(_PAD + _TOP // 2):
        top = (top << 1) | known[i - 2, j]
    return np.int64((1 << _LEFT) - 1), above, top


@inline
def learn(context: Any, found: Any, chances: Integers, counts: Integers, most: Any) -> None:
    """Move the chance of a context towards what was found: at first fast, until ``most`` came."""
    chance, pace = chances[context], 2 * counts[context] + 3
    if found:
        chances[context] += 2 * (_WHOLE - chance) // pace
    else:
        chances[context] -= 2 * chance // pace
    counts[context] = min(counts[context] + 1, most)


@inline
def pop_choice(words: Words, state: Any, position: Any, chance: Any) -> Any:
    """Take a choice off a state, of which the slots below ``chance`` say yes; see `pop`."""
    slot = np.int64(state & np.uint64(_WHOLE - 1))
    found = slot < chance
    start = np.int64(0) if found else chance
    size = chance if found else _WHOLE - chance
    state, position = pop(words, state, position, slot - start, size)
    return found, state, position


def _padded(rows: int, columns: int) -> npt.NDArray[np.uint8]:
    """A mask with a border above and beside it, all hidden."""
    return np.ones((rows + 2, columns + 2 * _PAD), np.uint8)


def encode(mask: Mask) -> tuple[Words, Words]:
    """Turn a mask, ``(row, column)``, into intervals of the coder: starts and sizes."""
    known = _padded(*mask.shape)
    known[2:, _PAD:-_PAD] = mask
    starts, sizes = np.empty(mask.size, np.uint32), np.empty(mask.size, np.uint32)
    _encode(known, starts, sizes)
    return starts, sizes


@kernel
def _encode(known: npt.NDArray[np.uint8], starts: Words, sizes: Words) -> None:
    chances = np.full(_CONTEXTS, _WHOLE >> 1, np.int64)
    counts = np.zeros(_CONTEXTS, np.int64)
    position = 0
    for i in range(2, known.shape[0]):
        left, above, top = _begin(known, i)
        for j in range(_PAD, known.shape[1] - _PAD):
            above, top = _slide(known, i, j, above, top)
            context = (left << (_ABOVE + _TOP)) | (above << _TOP) | top
            hidden = np.int64(known[i, j])
            chance = chances[context]
            starts[position] = 0 if hidden else chance
            sizes[position] = chance if hidden else _WHOLE - chance
            position += 1
            learn(context, hidden, chances, counts, _MOST_COUNT)
            left = ((left << 1) | hidden) & ((1 << _LEFT) - 1)


def decode(stream: Stream, rows: int, columns: int) -> Mask:
    """Undo `encode`; ``stream`` is left where the mask ends, beyond its words if they ran out."""
    known = _padded(rows, columns)
    state, position = _decode(known, stream.words, stream.state, stream.position)
    stream.state, stream.position = np.uint64(state), int(position)
    return known[2:, _PAD:-_PAD].astype(bool)


@kernel
def _decode(
    known: npt.NDArray[np.uint8], words: Words, state: Any, position: int
) -> tuple[Any, Any]:
    chances = np.full(_CONTEXTS, _WHOLE >> 1, np.int64)
    counts = np.zeros(_CONTEXTS, np.int64)
    for i in range(2, known.shape[0]):
        left, above, top = _begin(known, i)
        for j in range(_PAD, known.shape[1] - _PAD):
            above, top = _slide(known, i, j, above, top)
            context = (left << (_ABOVE + _TOP)) | (above << _TOP) | top
            found, state, position = pop_choice(words, state, position, chances[context])
            hidden = np.int64(found)
            if position > len(words):
                return state, position
            known[i, j] = hidden
            learn(context, hidden, chances, counts, _MOST_COUNT)
            left = ((left << 1) | hidden) & ((1 << _LEFT) - 1)
    return state, position


@kernel
def add_worth(
    frame: npt.NDArray[np.int32], mask: Mask, step: float, worth: npt.NDArray[np.float32]
) -> None:
    """Add to every hidden pixel the bits that the edges around it cost the wavelet.

    Args:
        frame: ``(row, column)``.
        mask: its hidden pixels.
        step: of quantisation that is reckoned with, in grey levels.
        worth: ``(row, column)``; added to.
    """
    rows, columns = mask.shape
    for i in range(rows):
        for j in range(columns):
            if not mask[i, j]:
                continue
            for k in range(4):
                y, x = i + (k == 0) - (k == 1), j + (k == 2) - (k == 3)
                if 0 <= y < rows and 0 <= x < columns and not mask[y, x]:
                    jump = (float(frame[y, x]) - float(frame[i, j])) / step
                    worth[i, j] += 0.5 * math.log2(1.0 + jump * jump)


@kernel
def keep_worthy(mask: Mask, worth: npt.NDArray[np.float32], pair: float, piece: float) -> None:
    """Take the connected pieces out of a mask that cost more than they are worth.

    Args:
        mask: ``(row, column)``; changed.
        worth: bits of each hidden pixel.
        pair: bits that a hidden pixel beside a visible one costs, for each of these.
        piece: bits that a piece costs.
    """
    rows, columns = mask.shape
    seen = np.zeros(mask.shape, np.bool_)
    queue = np.empty(mask.sum(), np.int64)
    for top in range(rows):
        for left in range(columns):
            if not mask[top, left] or seen[top, left]:
                continue
            seen[top, left] = True
            queue[0] = top * columns + left
            first, last = 0, 1
            value, pairs = 0.0, 0
            while first < last:
                i, j = queue[first] // columns, queue[first] % columns
                first += 1
                value += worth[i, j]
                for k in range(4):
                    y, x = i + (k == 0) - (k == 1), j + (k == 2) - (k == 3)
                    if not (0 <= y < rows and 0 <= x < columns):
                        continue
                    if not mask[y, x]:
                        pairs += 1
                    elif not seen[y, x]:
                        seen[y, x] = True
                        queue[last] = y * columns + x
                        last += 1
            if value <= pair * pairs + piece:
                for k in range(last):
                    mask[queue[k] // columns, queue[k] % columns] = False
