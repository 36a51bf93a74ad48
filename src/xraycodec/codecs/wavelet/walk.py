"""The order in which a frame is coded, once for both directions (spec/wavelet.md, section 6).

::

    at most 2 x 2 ─▶ ... ─▶ level 3 ─▶ level 2 ─▶ level 1 ─▶ image
                            │
                            └ describe ─▶ four times: network ─▶ mixtures ─▶ coder ─▶ coefficients
                              ─▶ synthesis network ─▶ corrections ─▶ inverse wavelet

The coder is an `Encoder`, which chooses the coefficients, or a `Decoder`, which finds them in its
payloads.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np
import numpy.typing as npt

from xraycodec.codecs.wavelet.areas import Area, evaluate, whole
from xraycodec.codecs.wavelet.geometry import (
    BANDS,
    CELL,
    FEATURES,
    FINISH_FEATURES,
    FRACTION,
    PHASES,
    cells,
    levels,
    set_of,
)
from xraycodec.codecs.wavelet.model import Model

Plane = npt.NDArray[np.int32]
_SMALLEST = 2


@dataclass(frozen=True, eq=False)
class Distributions:
    """What the networks tell of a phase, where it has coefficients.

    Attributes:
        scales: of the cells, ``(row, column)``.
        parameters: of the mixtures, ``(band, parameter, row, column)``.
    """

    scales: npt.NDArray[np.uint8]
    parameters: npt.NDArray[np.int32]


class Coder(Protocol):
    """One direction of the walk."""

    def bottom(self, shape: tuple[int, int]) -> Plane:
        """Code the last low-pass band, in steps."""

    def begin(self, level: int, shape: tuple[int, int]) -> Sequence[Area]:
        """Turn to a level whose bands have ``shape``; return which cells have coefficients."""

    def phase(self, place: int, found: Distributions, coefficients: Plane) -> None:
        """Code a phase of the level; fill ``coefficients``, ``(band, row, column)``, in steps."""


def walk(shape: tuple[int, int], model: Model, coder: Coder, last_level: int = 0) -> Plane:
    """Code a frame from its last low-pass band to ``last_level``.

    Args:
        shape: rows and columns of the frame.
        model: of the stream.
        coder: one direction.
        last_level: level to end with: 0 is the image, 1 half its size.

    Returns:
        That level in 2^-8 steps, ``(row, column)``.
    """
    shapes = levels(*shape)
    low = coder.bottom(shapes[-1]) << FRACTION
    state = np.zeros((1, model.channels, *cells(shapes[-1])), np.uint8)
    for level in range(len(shapes) - 1, last_level, -1):
        height, width = cells(shapes[level])
        if state.shape[2:] != (height, width):
            doubled = np.empty((1, model.channels, height, width), np.uint8)
            _double(state, doubled)
            state = doubled
        low, state = _level(level, shapes[level - 1], low, state, model, coder)
    return low if last_level else _finish(low, state, model)


def _finish(image: Plane, state: npt.NDArray[np.uint8], model: Model) -> Plane:
    """Correct the image itself, some rows of cells at a time."""
    from xraycodec.codecs.wavelet import corrections, features

    height, width = cells((image.shape[0], image.shape[1]))
    scales = np.empty((height, width), np.uint8)
    described = np.empty((FINISH_FEATURES, height, width), np.uint8)
    features.describe(image, 0, described, scales)
    corrected = image.copy()
    every = whole((height, width))
    for piece in every.pieces():
        around = piece.grown(model.finish.reach, (height, width))
        first, last = around.top, around.end
        x = np.empty((1, FINISH_FEATURES + model.channels, last - first, width), np.uint8)
        x[0, :FINISH_FEATURES] = described[:, first:last]
        if len(image) <= _SMALLEST and image.shape[1] <= _SMALLEST:  # no level was before
            x[:, FINISH_FEATURES:] = state
        else:
            _double(state[:, :, first >> 1 :], x[:, FINISH_FEATURES:], first & 1)
        numbers = model.finish(x)["numbers"][0, :, *piece.inside(around)]
        rows = corrected[2 * piece.top : 2 * piece.end]
        corrections.correct_plane(numbers, model.parameter_bits, rows)
    return corrected


def _level(
    level: int,
    below: tuple[int, int],
    low: Plane,
    state: npt.NDArray[np.uint8],
    model: Model,
    coder: Coder,
) -> tuple[Plane, npt.NDArray[np.uint8]]:
    """Code the bands of a level; return the level below and the state after it."""
    from xraycodec.codecs.wavelet import corrections, features
    from xraycodec.codecs.wavelet.transform import synthesise

    number = set_of(level, len(model.syntheses))
    state = np.ascontiguousarray(state)
    shape = (low.shape[0], low.shape[1])
    height, width = cells(shape)
    scales = np.empty((height, width), np.uint8)
    x = np.empty((1, FEATURES + model.channels, height, width), np.uint8)
    x[0, : BANDS * CELL] = features.CENTRE
    features.describe(low, level, x[0, BANDS * CELL : FEATURES], scales)
    bands = np.zeros((BANDS, CELL, height, width), np.int32)
    areas = coder.begin(level, shape)
    if areas:
        numbers = np.zeros((1, BANDS * (3 * model.components - 1), height, width), np.int32)
        parameters = numbers.reshape(BANDS, -1, height, width)
        for index, (row, column) in enumerate(PHASES):
            place = 2 * row + column
            x[:, FEATURES:] = state
            evaluate(model.phases[number][index], x, areas, {"state": state, "numbers": numbers})
            coefficients = np.zeros((BANDS, height, width), np.int32)
            coder.phase(place, Distributions(scales, parameters), coefficients)
            bands[:, place] = coefficients
            features.describe_coefficients(coefficients, scales, x[0, place : BANDS * CELL : CELL])
    x[:, FEATURES:] = state
    last = np.empty((1, (BANDS + 1) * CELL, height, width), np.int32)
    evaluate(
        model.syntheses[number], x, [whole((height, width))], {"state": state, "numbers": last}
    )
    of_bands = BANDS * CELL
    corrections.correct_bands(last[0, :of_bands], model.parameter_bits, bands)
    low = low.copy()
    corrections.correct_plane(last[0, of_bands:], model.parameter_bits, low)
    return synthesise(low, bands, below, level), state


def _double(
    cells_above: npt.NDArray[np.uint8], cells_below: npt.NDArray[np.uint8], skipped: int = 0
) -> None:
    """Fill cells, ``(1, channel, row, column)``, with those that they are a quarter of.

    The first ``skipped`` rows, 0 or 1, of what the first row above becomes are left out.
    """
    for row in range(2):
        rows = cells_below[:, :, (row - skipped) % 2 :: 2]
        above = cells_above[:, :, (row < skipped) :][:, :, : rows.shape[2]]
        for column in range(2):
            part = rows[:, :, :, column::2]
            part[...] = above[:, :, :, : part.shape[3]]
