"""The linear prediction of an image, fitted by the encoder (spec/lattice.md, sections 4.1 and 9).

Weighted least squares in floating point: the coefficients are rounded and sent, so that nothing
that a decoder computes depends on it.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from xraycodec.codecs.lattice.geometry import PHASES, SETS, grid
from xraycodec.core.fitting import Sums

ONE = 128
"""A coefficient of one."""
LIMIT = 127
"""Largest magnitude of a coefficient."""

PRIOR_SAMPLES = 32.0
"""Weight of what few samples fall back to, in samples."""


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
        For each set, of each phase, coefficients in 2^-7, ``(neighbour,)``, each -127 to
        127, adding up to 128.
    """
    planes = [tile.astype(np.uint16) for tile in tiles]
    return tuple(
        fit_level(
            [plane[:: 1 << number, :: 1 << number] for plane in planes],
            step,
            None if prior is None else prior[number],
            samples,
        )
        for number in range(SETS)
    )


def fit_level(
    planes: Sequence[npt.NDArray[np.uint16]],
    step: int,
    prior: Sequence[npt.NDArray[np.int64]] | None,
    samples: int,
) -> tuple[npt.NDArray[np.int64], ...]:
    """Fit the coefficients of every phase to planes of one level of resolution; see `fit_image`."""
    grids = [grid(*plane.shape) for plane in planes]
    every = max(1, sum(rows * columns for rows, columns in grids) // samples)
    sums = Sums()
    for plane in planes:
        sums.add(plane, step, every)
    fitted = []
    for index, phase in enumerate(PHASES):
        start = np.zeros(phase.neighbours) if prior is None else prior[index] / ONE
        fitted.append(solve(*sums.of_phase(index, phase.neighbours), start))
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
