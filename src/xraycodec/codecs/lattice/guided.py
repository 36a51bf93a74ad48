"""Features with a guide: another image of the same scene, known everywhere beforehand.

The lossy base of a layered file is such a guide (spec/wavelet-completion.md, section 4). It joins
the linear prediction, and a network sees it in two ways: around the pixel, and as what it lacks at
each neighbour. Where the guide is good, what it lacks has the smaller scale; where it smears an
edge, the image itself has.

Importing this module imports numba.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from xraycodec.codecs.lattice.features import CENTRE, FRACTION, RECIPROCALS, pad, scale_of
from xraycodec.codecs.lattice.fitting import ONE, solve
from xraycodec.codecs.lattice.geometry import (
    ACTIVITY_NEIGHBOURS,
    GUIDE_OFFSETS,
    PAD,
    PHASES,
    SETS,
    Phase,
    Plane,
    phase_shape,
)
from xraycodec.entropy.compilation import kernel

Guide = npt.NDArray[np.int32]
"""A tile of the guide in levels, at full size whatever the level: ``(row, column)``."""


@kernel
def describe_guided(
    plane: Plane,
    guide: Guide,
    sampled: Plane,
    level: int,
    row: int,
    column: int,
    offsets: npt.NDArray[np.int64],
    guide_offsets: npt.NDArray[np.int64],
    coefficients: npt.NDArray[np.int64],
    step: int,
    peak: int,
    features: npt.NDArray[np.uint8],
    predictions: npt.NDArray[np.int32],
    scales: npt.NDArray[np.uint8],
) -> None:
    """Describe every position of a phase's grid by its neighbours and the guide.

    Args:
        plane: padded, ``(PAD + rows + PAD, PAD + columns + PAD)``, borders reflected.
        guide: of the tile, at full size.
        sampled: every ``1 << level``-th row and column of ``guide``, padded like ``plane``.
        level: of ``plane``.
        row: of the phase's first pixel.
        column: of the phase's first pixel.
        offsets: of its neighbours, ``(neighbour, 2)``.
        guide_offsets: of pixels of the guide, at full size, ``(pixel, 2)``.
        coefficients: of the linear prediction, in 2^-7, adding up to 128, ``(neighbour + pixel,)``.
        step: quantisation step in levels, odd.
        peak: the highest level.
        features: filled, ``(channel, row, column)``: of neighbours, of what the guide lacks there,
            of pixels of the guide, and the extras.
        predictions: filled, in 2^-8 levels, ``(row, column)``.
        scales: filled, ``(row, column)``.
    """
    height, width = predictions.shape
    near, window = len(offsets), len(guide_offsets)
    count = 2 * near + window
    stride = plane.shape[1]
    flat, flat_guide = plane.ravel(), sampled.ravel()
    bottom, right = guide.shape[0] - 1, guide.shape[1] - 1
    least = 3 * (step << FRACTION)
    least_scale: Any = scale_of(least)
    ceiling = peak << FRACTION
    half = np.int64(1) << 31
    differences = np.empty((count, width), np.int32)
    row_predictions = np.empty(width, np.int32)
    activities = np.empty((2, width), np.int32)
    reciprocals = np.empty(width, np.int64)
    for i in range(height):
        here = (PAD + row + 2 * i) * stride + PAD + column
        row_predictions[:] = 0
        for k in range(near):
            start = here + offsets[k, 0] * stride + offsets[k, 1]
            coefficient = np.int32(coefficients[k])
            for j in range(width):
                value = flat[start + 2 * j]
                differences[k, j] = value
                differences[near + k, j] = value - flat_guide[start + 2 * j]
                row_predictions[j] += coefficient * value
        for k in range(window):
            coefficient = np.int32(coefficients[near + k])
            y = ((row + 2 * i) << level) + guide_offsets[k, 0]
            y = min(max(y, 0), bottom)
            for j in range(width):
                x = ((column + 2 * j) << level) + guide_offsets[k, 1]
                value = guide[y, min(max(x, 0), right)]
                differences[2 * near + k, j] = value
                row_predictions[j] += coefficient * value
        for j in range(width):
            row_predictions[j] = min(max(row_predictions[j] << (FRACTION - 7), 0), ceiling)
        activities[:] = 0
        for k in range(near):
            for j in range(width):
                prediction = row_predictions[j]
                difference = (differences[k, j] << FRACTION) - prediction
                differences[k, j] = difference
                lacking = prediction - (flat_guide[here + 2 * j] << FRACTION)
                other = (differences[near + k, j] << FRACTION) - lacking
                differences[near + k, j] = other
                if k < ACTIVITY_NEIGHBOURS:
                    activities[0, j] += abs(difference)
                    activities[1, j] += abs(other)
        for k in range(2 * near, count):
            for j in range(width):
                differences[k, j] = (differences[k, j] << FRACTION) - row_predictions[j]
        for j in range(width):
            wide_prediction = np.int64(row_predictions[j])
            activity = min(activities[0, j], activities[1, j])
            scale: Any = scale_of(max(np.int64(activity), least))
            reciprocal = RECIPROCALS[scale]
            reciprocals[j] = reciprocal
            above = ceiling - wide_prediction
            features[count, i, j] = min(6 * (scale - least_scale), 255)
            features[count + 1, i, j] = min((wide_prediction * reciprocal + half) >> 32, 255)
            features[count + 2, i, j] = min((above * reciprocal + half) >> 32, 255)
            predictions[i, j] = wide_prediction
            scales[i, j] = scale
        for k in range(count):
            for j in range(width):
                feature = (np.int64(differences[k, j]) * reciprocals[j] + half) >> 32
                features[k, i, j] = CENTRE + min(max(feature, -CENTRE), CENTRE - 1)


def fit_guided(
    tiles: Sequence[npt.NDArray[np.int32]],
    guides: Sequence[Guide],
    step: int,
    prior: Sequence[Sequence[npt.NDArray[np.int64]]] | None,
    samples: int = 30_000,
) -> tuple[tuple[npt.NDArray[np.int64], ...], ...]:
    """Fit the coefficients of every set and phase to some tiles of an image and its guide.

    Args:
        tiles: levels, ``(row, column)``.
        guides: of the tiles, in levels.
        step: quantisation step in levels.
        prior: coefficients that few samples fall back to; the guide's own pixel without.
        samples: about how many pixels to look at for each.

    Returns:
        For each set, of each phase, coefficients of neighbours and guide, in 2^-7.
    """
    return tuple(
        tuple(
            _fit(
                tiles, guides, number, phase, step,
                None if prior is None else prior[number][index], samples,
            )
            for index, phase in enumerate(PHASES)
        )
        for number in range(SETS)
    )  # fmt: skip


def _fit(
    tiles: Sequence[npt.NDArray[np.int32]],
    guides: Sequence[Guide],
    level: int,
    phase: Phase,
    step: int,
    prior: npt.NDArray[np.int64] | None,
    samples: int,
) -> npt.NDArray[np.int64]:
    """Weighted least squares, of differences from the mean of the nearest four."""
    near, count = phase.neighbours, phase.neighbours + len(GUIDE_OFFSETS)
    every = max(1, sum(tile.size for tile in tiles) // (4 << 2 * level) // samples)
    products = np.zeros((count + 1, count + 1))
    seen = 0
    for tile, guide in zip(tiles, guides, strict=True):
        plane = pad(tile[:: 1 << level, :: 1 << level])
        rows, columns = plane.shape[0] - 2 * PAD, plane.shape[1] - 2 * PAD
        extent = phase_shape(rows, columns, phase)
        i, j = np.meshgrid(
            phase.row + 2 * np.arange(0, extent[0], every),
            phase.column + 2 * np.arange(extent[1]),
            indexing="ij",
        )
        around = [plane[PAD + i + y, PAD + j + x].ravel() for y, x in phase.offsets]
        bottom, right = guide.shape[0] - 1, guide.shape[1] - 1
        around += [
            guide[((i << level) + y).clip(0, bottom), ((j << level) + x).clip(0, right)].ravel()
            for y, x in GUIDE_OFFSETS
        ]
        around.append(plane[PAD + i, PAD + j].ravel())
        values = np.stack(around).astype(np.float64)
        sampled = pad(guide[:: 1 << level, :: 1 << level])
        lacking = values[:ACTIVITY_NEIGHBOURS] - np.stack(
            [
                sampled[PAD + i + y, PAD + j + x].ravel()
                for y, x in phase.offsets[:ACTIVITY_NEIGHBOURS]
            ]
        )
        values -= values[:4].mean(0)
        activity = np.minimum(
            np.abs(values[:ACTIVITY_NEIGHBOURS]).sum(0), np.abs(lacking - lacking.mean(0)).sum(0)
        )
        values /= np.maximum(activity, ACTIVITY_NEIGHBOURS * 0.5 * step)
        products += values @ values.T
        seen += values.shape[1]
    start = np.zeros(count)
    if prior is None:
        start[near] = 1  # the guide's own pixel
    else:
        start[:] = prior / ONE
    return solve(products, seen, start)
