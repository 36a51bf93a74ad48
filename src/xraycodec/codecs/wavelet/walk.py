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
CORRECTION_BITS = 6
"""Fractional bits of corrections, in steps; at most one step either way."""


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
            state = np.repeat(np.repeat(state, 2, 2), 2, 3)[:, :, :height, :width]
        low, state = _level(level, shapes[level - 1], low, state, model, coder)
    return low if last_level else _finish(low, state, model)


def _finish(image: Plane, state: npt.NDArray[np.uint8], model: Model) -> Plane:
    """Correct the image itself, some rows of cells at a time."""
    from xraycodec.codecs.wavelet import features

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
            above = state[:, :, first >> 1 : (last + 1) >> 1]
            doubled = np.repeat(np.repeat(above, 2, 2), 2, 3)
            x[:, FINISH_FEATURES:] = doubled[:, :, first & 1 :][:, :, : last - first, :width]
        numbers = model.finish(x)["numbers"][0, :, *piece.inside(around)]
        found = _corrections(numbers, model.parameter_bits)
        for place in range(CELL):
            part = corrected[2 * piece.top + (place >> 1) : 2 * piece.end : 2, place & 1 :: 2]
            part += found[place, : part.shape[0], : part.shape[1]]
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
    from xraycodec.codecs.wavelet import features
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
    corrections = _corrections(last[0], model.parameter_bits)
    of_bands = corrections[: BANDS * CELL].reshape(bands.shape)
    bands <<= FRACTION
    bands += of_bands
    low = low.copy()
    for place in range(CELL):
        part = low[place >> 1 :: 2, place & 1 :: 2]
        part += corrections[BANDS * CELL + place, : part.shape[0], : part.shape[1]]
    return synthesise(low, bands, below, level), state


def _corrections(numbers: npt.NDArray[np.int32], parameter_bits: int) -> npt.NDArray[np.int32]:
    """Numbers of a synthesis network as 2^-8 steps."""
    drop = parameter_bits - CORRECTION_BITS
    rounded = ((numbers >> (drop - 1)) + 1) >> 1
    limit = 1 << CORRECTION_BITS
    clipped: npt.NDArray[np.int32] = np.clip(rounded, -limit, limit)
    return clipped << (FRACTION - CORRECTION_BITS)
