"""The linear prediction of an image, fitted by the encoder (spec/lattice.md, sections 4.1 and 9).

Weighted least squares in floating point: the coefficients are rounded and sent, so that nothing
that a decoder computes depends on it. Importing this module imports numba.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from xraycodec.codecs.lattice.features import pad
from xraycodec.codecs.lattice.geometry import (
    ACTIVITY_NEIGHBOURS,
    PAD,
    PHASES,
    SETS,
    Phase,
    Plane,
    grid,
)
from xraycodec.entropy.compilation import kernel

ONE = 128
"""A coefficient of one."""
LIMIT = 127
"""Largest magnitude of a coefficient."""

PRIOR_SAMPLES = 32.0
"""Weight of what few samples fall back to, in samples."""


@kernel
def _normal_equations(
    plane: Plane,
    rows: int,
    columns: int,
    row: int,
    column: int,
    offsets: npt.NDArray[np.int64],
    step: int,
    every: int,
    products: npt.NDArray[np.float64],
) -> int:
    """Add up products of differences from the mean of the nearest four, the pixel's own last."""
    count = len(offsets)
    sample = np.empty(count + 1, np.float32)
    total = np.zeros((count + 1, count + 1), np.float32)
    seen = 0
    for i in range(row, rows, 2 * every):
        total[:] = 0
        for j in range(column, columns, 2):
            mean = np.float32(0)
            for k in range(4):
                mean += plane[PAD + i + offsets[k, 0], PAD + j + offsets[k, 1]]
            mean *= np.float32(0.25)
            activity = np.float32(0)
            for k in range(count):
                sample[k] = plane[PAD + i + offsets[k, 0], PAD + j + offsets[k, 1]] - mean
                if k < ACTIVITY_NEIGHBOURS:
                    activity += abs(sample[k])
            sample[count] = plane[PAD + i, PAD + j] - mean
            weight = np.float32(1) / max(activity, np.float32(ACTIVITY_NEIGHBOURS * 0.5 * step))
            for k in range(count + 1):
                sample[k] *= weight
            for a in range(count + 1):
                value = sample[a]
                for b in range(count + 1):
                    total[a, b] += value * sample[b]
            seen += 1
        for a in range(count + 1):
            for b in range(count + 1):
                products[a, b] += total[a, b]
    return seen


def fit(
    planes: Sequence[Plane],
    phase: Phase,
    step: int = 1,
    prior: npt.NDArray[np.int64] | None = None,
    samples: int = 30_000,
) -> npt.NDArray[np.int64]:
    """Fit the coefficients of one phase to some planes.

    Args:
        planes: padded, ``(PAD + rows + PAD, PAD + columns + PAD)``, every pixel known.
        phase: which pixels to predict.
        step: quantisation step in levels.
        prior: what few samples fall back to; the mean of the nearest four without.
        samples: about how many pixels to look at.

    Returns:
        Coefficients in 2^-7, ``(neighbour,)``, each -127 to 127, adding up to 128.
    """
    count = phase.neighbours
    products = np.zeros((count + 1, count + 1))
    seen = 0
    shapes = [(plane.shape[0] - 2 * PAD, plane.shape[1] - 2 * PAD) for plane in planes]
    pixels = sum(height * width for height, width in (grid(*shape) for shape in shapes))
    every = max(1, pixels // samples)
    for plane, (rows, columns) in zip(planes, shapes, strict=True):
        seen += _normal_equations(
            plane, rows, columns, phase.row, phase.column, phase.offsets, step, every, products
        )
    return solve(products, seen, np.zeros(count) if prior is None else prior / ONE)


def solve(
    products: npt.NDArray[np.float64], seen: int, start: npt.NDArray[np.float64]
) -> npt.NDArray[np.int64]:
    """Coefficients of least squares, held near ``start`` where samples are few.

    Args:
        products: of weighted differences from the mean of the nearest four, added up over samples,
            ``(input + 1, input + 1)``: the nearest four first, the pixel itself last.
        seen: samples.
        start: what few samples fall back to, ``(input,)``.

    Returns:
        In 2^-7, ``(input,)``, each -127 to 127, adding up to 128.
    """
    count = len(start)
    held = start.copy()
    held[:4] -= held.sum() / 4  # inputs are less the mean of the nearest four
    system = products[:count, :count]
    ridge = PRIOR_SAMPLES * max(np.trace(system) / max(seen, 1) / count, 1e-6)
    target = products[:count, count] - system @ held
    found = held + np.linalg.solve(system + ridge * np.eye(count), target)
    found[:4] += (1 - found.sum()) / 4
    return rounded(found)


def fit_image(
    tiles: Sequence[npt.NDArray[np.int32]],
    step: int,
    prior: Sequence[Sequence[npt.NDArray[np.int64]]] | None,
    samples: int = 30_000,
) -> tuple[tuple[npt.NDArray[np.int64], ...], ...]:
    """Fit the coefficients of every set and phase to some tiles of an image.

    Args:
        tiles: levels, ``(row, column)``.
        step: quantisation step in levels.
        prior: coefficients that few samples fall back to.
        samples: about how many pixels to look at for each.

    Returns:
        For each set, of each phase, coefficients as `fit` gives them.
    """
    fitted = []
    for number in range(SETS):
        planes = [pad(tile[:: 1 << number, :: 1 << number]) for tile in tiles]
        fitted.append(
            tuple(
                fit(planes, phase, step, None if prior is None else prior[number][index], samples)
                for index, phase in enumerate(PHASES)
            )
        )
    return tuple(fitted)


def rounded(coefficients: npt.NDArray[np.float64]) -> npt.NDArray[np.int64]:
    """Coefficients in 2^-7, each -127 to 127, adding up to 128."""
    rounded = np.clip(np.rint(coefficients * ONE), -LIMIT, LIMIT).astype(np.int64)
    # Rounding leaves the sum a little off; the largest can bear the difference best.
    while off := ONE - int(rounded.sum()):
        room = rounded < LIMIT if off > 0 else rounded > -LIMIT
        place = int(np.argmax(np.where(room, np.abs(rounded), -1)))
        limit = LIMIT - rounded[place] if off > 0 else -LIMIT - rounded[place]
        rounded[place] += min(off, limit) if off > 0 else max(off, limit)
    return rounded
