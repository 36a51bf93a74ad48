"""Which pixels of a radiograph show exposed anatomy.

::

    frame ─► grid of blocks ─► background there ─► what is left: opened, islands
             (mean, extremes)  grown from the      dropped, holes filled ─► mask
                               frame's edge

Levels are unsigned and as displayed: 0 is the darkest. All steps but the first and the last work
on a grid of at most `GRID_SIDE` blocks a side, so that they cost the same for every image.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from xraycodec.evaluation.metrics import bands
from xraycodec.image import Pixels

Mask = npt.NDArray[np.bool_]
Array = npt.NDArray[np.float64]

GRID_SIDE = 256
"""Most blocks along a side of the grid."""
CONTRAST_PERCENTILES = (0.5, 99.5)
"""Levels that count as 0 and 1 below, so that a marker or a dead pixel does not set the scale."""
FILL_SPREAD = 0.005
"""Fill and shutters: blocks whose every pixel is this near to the lowest level.

Saturation has to be exact, because smooth bright tissue is near to the highest level too.
"""
AIR_LEVEL = 0.3
"""Direct exposure is darker than this."""
AIR_STEP = 0.025
"""Range of 3 x 3 blocks up to which black air is even; at `AIR_LEVEL` it is 0.016."""
AIR_STEP_FALL = 0.03
BLADE_LEVEL = 0.7
"""Collimation along an edge: a quarter of no line of it is darker than this."""
BLADE_DROP = 0.25
"""Fall of that quartile across the collimator's penumbra."""
BLADE_REACH = 1 / 3
"""Part of the image that collimation from one side takes up at most."""
PENUMBRA = 0.04
"""Width of the collimator's penumbra, as a part of the side."""
BLADE_FILL = 0.05
"""More black fill than this part of the line behind it, and a bright edge is tissue."""
GAP = 0.012
"""What separates two parts of the background, or is too thin for anatomy, as a part of the side."""
ISLAND_SHARE = 0.05
"""Anatomy smaller than this part of the largest piece is a marker."""
LEAST_SHARE = 0.01
"""Less than this part of a frame is not anatomy: the frame counts whole."""


def exposed(frame: Pixels) -> Mask:
    """Mark the exposed anatomy of one frame, ``(row, column)`` of unsigned levels as displayed.

    The whole frame where nothing stands out.
    """
    histogram = histogram_of(frame, int(frame.max()) + 1)
    low, high = percentiles(histogram, *CONTRAST_PERCENTILES)
    lowest, highest = int(np.flatnonzero(histogram)[0]), len(histogram) - 1
    if low >= high:
        low, high = lowest, highest
    if low == high:
        return np.ones(frame.shape, np.bool_)
    size = -(-max(frame.shape) // GRID_SIDE)
    mean, least, most = _blocks(frame, size)
    level = (mean - low) / (high - low)
    black = most <= lowest + FILL_SPREAD * (high - low)
    candidates = black | (least == highest)
    candidates |= (level <= AIR_LEVEL) & (_range_3x3(level) <= AIR_STEP - AIR_STEP_FALL * level)
    candidates |= _blades(level, black)
    anatomy = _without_islands(~_background(candidates))
    if anatomy.mean() < LEAST_SHARE:
        return np.ones(frame.shape, np.bool_)
    rows, columns = frame.shape
    return anatomy.repeat(size, axis=0)[:rows].repeat(size, axis=1)[:, :columns]


def histogram_of(frame: Pixels, levels: int, mask: Mask | None = None) -> npt.NDArray[np.int64]:
    """Count the pixels of each level below ``levels``, of those under the mask alone if given."""
    histogram = np.zeros(levels, np.int64)
    for top, bottom in bands(*map(int, frame.shape)):
        band = frame[top:bottom].ravel() if mask is None else frame[top:bottom][mask[top:bottom]]
        histogram += np.bincount(band, minlength=levels)
    return histogram


def percentiles(histogram: npt.NDArray[np.int64], low: float, high: float) -> tuple[int, int]:
    """The lowest levels at which ``low`` and ``high`` percent of the pixels counted are reached."""
    reached = np.cumsum(histogram)
    places = np.searchsorted(reached, reached[-1] * np.array([low, high]) / 100)
    return int(places[0]), int(places[1])


def _blocks(frame: Pixels, size: int) -> tuple[Array, Pixels, Pixels]:
    """Mean, least and greatest level of blocks of ``size`` pixels; the last ones may be smaller."""
    rows, columns = (np.arange(0, length, size) for length in frame.shape)
    sums = np.empty((len(rows), frame.shape[1]), np.int64)
    least = np.empty(sums.shape, frame.dtype)
    most = np.empty(sums.shape, frame.dtype)
    # A row of blocks at a time is several times as fast as a reduceat along the rows.
    for k, row in enumerate(rows):
        strip = frame[row : row + size]
        strip.sum(axis=0, out=sums[k])
        strip.min(axis=0, out=least[k])
        strip.max(axis=0, out=most[k])
    heights = np.diff(rows, append=frame.shape[0])
    widths = np.diff(columns, append=frame.shape[1])
    return (
        np.add.reduceat(sums, columns, axis=1) / np.outer(heights, widths),
        np.minimum.reduceat(least, columns, axis=1),
        np.maximum.reduceat(most, columns, axis=1),
    )


def _range_3x3(level: Array) -> Array:
    rows, columns = level.shape
    padded = np.pad(level, 1, mode="edge")
    most, least = level.copy(), level.copy()
    for down in range(3):
        for across in range(3):
            shifted = padded[down : down + rows, across : across + columns]
            np.maximum(most, shifted, out=most)
            np.minimum(least, shifted, out=least)
    return most - least


def _blades(level: Array, black: Mask) -> Mask:
    """Collimation that shows bright along an edge of the frame, as unexposed detector does.

    The tissue of an abdomen is as bright, but ends neither on a straight line nor at once. That of
    a chest wall may do both; but then the picture's background has been filled with black, and
    collimation with it.
    """
    found = np.zeros(level.shape, np.bool_)
    for side in range(4):
        lines = np.rot90(level, side)
        quartile = np.quantile(lines, 0.25, axis=1)
        width = max(2, round(PENUMBRA * len(lines)))
        for line in range(min(int(BLADE_REACH * len(lines)), len(lines) - width)):
            if quartile[line] < BLADE_LEVEL:
                break
            behind = line + width
            if quartile[line] - quartile[behind] < BLADE_DROP:
                continue
            if np.rot90(black, side)[behind].mean() <= BLADE_FILL:
                middle = (quartile[line] + quartile[behind]) / 2
                end = line + int(np.argmax(quartile[line : behind + 1] <= middle))
                np.rot90(found, side)[: end + 1] = True
            break
    return found


def _background(candidates: Mask) -> Mask:
    """The candidates that hang together with the frame's edge, across gaps too.

    The gap is what parts fill from collimation and collimation from air: the edge of the
    detector, a penumbra.
    """
    labels = _labels(candidates)
    background = _parts_at(candidates, labels, _edge(candidates.shape))
    while True:
        near = _dilated(background, _gap(candidates.shape))
        grown = _parts_at(candidates, labels, near)
        if np.array_equal(grown, background):
            return background
        background = grown


def _without_islands(anatomy: Mask) -> Mask:
    """Drop what is thin or small, fill what is enclosed."""
    gap = _gap(anatomy.shape)
    core = ~_dilated(~anatomy, gap)
    opened = anatomy & _dilated(core, gap)
    labels = _labels(opened)
    names, sizes = np.unique(labels[opened], return_counts=True)
    if not names.size:
        return opened
    kept = opened & np.isin(labels, names[sizes >= ISLAND_SHARE * sizes.max()])
    return ~_parts_at(~kept, _labels(~kept), _edge(kept.shape))


def _gap(shape: tuple[int, ...]) -> int:
    return max(1, round(GAP * max(shape)))


def _edge(shape: tuple[int, ...]) -> Mask:
    edge = np.ones(shape, np.bool_)
    edge[1:-1, 1:-1] = False
    return edge


def _dilated(mask: Mask, reach: int) -> Mask:
    """Spread a mask by a square of ``reach`` blocks to each side; nothing lies off the grid."""
    rows, columns = mask.shape
    padded = np.pad(mask, reach)
    across, spread = padded[:, :columns].copy(), np.zeros_like(mask)
    for shift in range(1, 2 * reach + 1):
        across |= padded[:, shift : shift + columns]
    for shift in range(2 * reach + 1):
        spread |= across[shift : shift + rows]
    return spread


def _parts_at(mask: Mask, labels: npt.NDArray[np.int64], seed: Mask) -> Mask:
    """The parts of a mask, as `_labels` has numbered them, that share a block with ``seed``."""
    return mask & np.isin(labels, np.unique(labels[mask & seed]))


def _labels(mask: Mask) -> npt.NDArray[np.int64]:
    """Number the 4-connected parts of a mask: each by its first block, counted row by row.

    Every pass gives each run of blocks in a row, then in a column, its least number; there are as
    many passes as the most winding part has turns.
    """
    labels = np.where(mask, np.arange(mask.size).reshape(mask.shape), mask.size)
    while True:
        spread = _least_of_runs(mask, labels)
        spread = _least_of_runs(mask.T, spread.T).T
        if np.array_equal(spread, labels):
            return labels
        labels = spread


def _least_of_runs(mask: Mask, labels: npt.NDArray[np.int64]) -> npt.NDArray[np.int64]:
    begins = np.ones(mask.shape, np.bool_)
    begins[:, 1:] = mask[:, 1:] != mask[:, :-1]
    starts = np.flatnonzero(begins)
    least = np.minimum.reduceat(labels.ravel(), starts)
    return least.repeat(np.diff(starts, append=mask.size)).reshape(mask.shape)
