"""The compiled loops of mixture coding: spec/mixture.md, sections 3 to 6.

Importing this module imports numba and compiles the loops, or loads them from numba's cache; import
it inside the function that needs it. Callers have checked every shape and bound.

A state is a ``uint64`` of 2^32 to 2^64 - 1; words are of 32 bits; probabilities of 24.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from xraycodec.entropy.compilation import inline, kernel
from xraycodec.entropy.mixture_steps import (
    CONTEXTS,
    MAX_COMPONENTS,
    PROBABILITY_BITS,
    TAPS,
    adapt,
    bins_of,
    correct,
    cumulative_and_moment,
    floor_ratio,
    in_deviations,
    learn,
    unpack,
)

INITIAL = 1 << 32
STATE_WORDS = 2

Integer = Any
Integers = npt.NDArray[np.int64]
Words = npt.NDArray[np.uint32]


@inline
def pop(words: Words, state: Integer, position: Integer, place: Integer, size: Integer) -> Any:
    """Take an interval off a state, in which its slot is at ``place``; undoes a step of `push_all`.

    Returns:
        The state and the next word's position, which is beyond the words' end if they ran out.
    """
    state = np.uint64(size) * (state >> np.uint64(PROBABILITY_BITS)) + np.uint64(place)
    if state < np.uint64(INITIAL):
        if position < len(words):
            state = (state << np.uint64(32)) | np.uint64(words[position])
        position += 1
    return state, position


@kernel
def encode_phase(
    truth: npt.NDArray[np.int32],
    known: npt.NDArray[np.int32],
    pad: int,
    row: int,
    column: int,
    height: int,
    width: int,
    predictions: npt.NDArray[np.int32],
    scales: npt.NDArray[np.uint8],
    deviations: Integers,
    logarithms: Integers,
    parameters: npt.NDArray[np.int32],
    unit_shift: int,
    step: int,
    peak: int,
    sigmoids: Integers,
    powers: Integers,
    starts: npt.NDArray[np.uint32],
    sizes: npt.NDArray[np.uint32],
) -> None:
    """Turn a phase's pixels into intervals of the coder, and reconstruct them.

    Args:
        truth: padded plane of a level that pixels are read from.
        known: padded plane that they are written to, as a decoder will know them.
        pad: width of the planes' border.
        row: of the phase's first pixel.
        column: of the phase's first pixel.
        height: of the phase in pixels.
        width: of the phase in pixels.
        predictions: in 2^-8 levels, of the phase's grid, which may be larger.
        scales: of the phase's grid.
        deviations: by scale: mean deviation in 2^-16 levels.
        logarithms: by scale: 256 log2 of that.
        parameters: of the network, ``(parameter, row, column)`` flattened to two axes.
        unit_shift: parameters are in 2^-(8 + unit_shift).
        step: of quantisation, odd.
        peak: the highest level.
        sigmoids: of `mixture_tables`.
        powers: of `mixture_tables`.
        starts: filled, one interval a pixel, row by row.
        sizes: filled likewise.
    """
    components = (parameters.shape[0] + 1) // 3
    centres = np.empty(MAX_COMPONENTS, np.int64)
    slopes = np.empty(MAX_COMPONENTS, np.int64)
    shifts = np.empty(MAX_COMPONENTS, np.int64)
    weights = np.empty(MAX_COMPONENTS, np.int64)
    offsets = np.zeros(CONTEXTS, np.int64)
    counts = np.zeros(CONTEXTS, np.int64)
    errors = np.zeros((height + 2, width + 4), np.int64)
    taps = np.zeros(TAPS, np.int64)
    tap_weights = np.zeros(TAPS, np.int64)
    grid_width = predictions.shape[1]
    whole = np.int64(1) << PROBABILITY_BITS
    position = 0
    for i in range(height):
        for j in range(width):
            scale = scales[i, j]
            logarithm, deviation = logarithms[scale], deviations[scale]
            correction, energy = correct(errors, i, j, logarithm, powers, taps, tap_weights)
            moved = (correction * deviation) >> 16
            mean, context = unpack(
                i * grid_width + j, (np.int64(predictions[i, j]) << 8) + moved, deviation,
                logarithm, offsets, parameters, unit_shift, components, powers, centres, slopes,
                shifts, weights,
            )  # fmt: skip
            anchor, lowest, count = bins_of(mean, step, peak)
            at_row, at_column = pad + row + 2 * i, pad + column + 2 * j
            number = floor_ratio(np.int64(truth[at_row, at_column]) - anchor + (step >> 1), step)
            level = min(max(anchor + number * step, 0), peak)
            known[at_row, at_column] = level
            place = number - lowest
            edge = ((anchor + number * step) << 16) - (step << 15)
            room = whole - count
            start, end = np.int64(0), whole
            falls = np.int64(0)
            if place > 0:
                start, fall = cumulative_and_moment(
                    edge, components, sigmoids, centres, slopes, shifts, weights
                )
                start = (start * room >> PROBABILITY_BITS) + place
                falls -= fall
            if place + 1 < count:
                edge += step << 16
                end, fall = cumulative_and_moment(
                    edge, components, sigmoids, centres, slopes, shifts, weights
                )
                end = (end * room >> PROBABILITY_BITS) + place + 1
                falls += fall
            starts[position] = start
            sizes[position] = end - start
            position += 1
            adapt(context, falls, end - start, offsets, counts)
            error = ((level << 16) - mean + moved) >> 8
            errors[i + 2, j + 2] = error
            missed = in_deviations(error, logarithm, powers) - (correction >> 8)
            learn(missed, energy, taps, tap_weights)


@kernel
def decode_phase(
    words: Words,
    state: Integer,
    position: int,
    known: npt.NDArray[np.int32],
    pad: int,
    row: int,
    column: int,
    height: int,
    width: int,
    predictions: npt.NDArray[np.int32],
    scales: npt.NDArray[np.uint8],
    deviations: Integers,
    logarithms: Integers,
    parameters: npt.NDArray[np.int32],
    unit_shift: int,
    step: int,
    peak: int,
    sigmoids: Integers,
    powers: Integers,
) -> tuple[Integer, Integer]:
    """Undo `encode_phase` and `push_all` for one phase; see there for the arguments.

    Returns:
        The state and the next word's position; a position beyond the words' end says that they
        ran out.
    """
    components = (parameters.shape[0] + 1) // 3
    centres = np.empty(MAX_COMPONENTS, np.int64)
    slopes = np.empty(MAX_COMPONENTS, np.int64)
    shifts = np.empty(MAX_COMPONENTS, np.int64)
    weights = np.empty(MAX_COMPONENTS, np.int64)
    offsets = np.zeros(CONTEXTS, np.int64)
    counts = np.zeros(CONTEXTS, np.int64)
    errors = np.zeros((height + 2, width + 4), np.int64)
    taps = np.zeros(TAPS, np.int64)
    tap_weights = np.zeros(TAPS, np.int64)
    grid_width = predictions.shape[1]
    state = np.uint64(state)
    whole = np.int64(1) << PROBABILITY_BITS
    for i in range(height):
        for j in range(width):
            scale = scales[i, j]
            logarithm, deviation = logarithms[scale], deviations[scale]
            correction, energy = correct(errors, i, j, logarithm, powers, taps, tap_weights)
            moved = (correction * deviation) >> 16
            mean, context = unpack(
                i * grid_width + j, (np.int64(predictions[i, j]) << 8) + moved, deviation,
                logarithm, offsets, parameters, unit_shift, components, powers, centres, slopes,
                shifts, weights,
            )  # fmt: skip
            anchor, lowest, count = bins_of(mean, step, peak)
            room = whole - count
            slot = np.int64(state & np.uint64(whole - 1))
            base = (anchor << 16) - (step << 15)
            # Bins low to high - 1 may hold the slot: first walk from the middle, then halve.
            low: Integer = np.int64(0)
            low_start: Integer = np.int64(0)
            high, high_start = count, whole
            low_fall: Integer = np.int64(0)
            high_fall: Integer = np.int64(0)
            stride: Integer = np.int64(1)
            guess = -lowest
            while high - low > 1:
                if guess <= low or guess >= high:
                    guess = (low + high) >> 1
                    stride = 0
                start, fall = cumulative_and_moment(
                    base + ((lowest + guess) * step << 16),
                    components, sigmoids, centres, slopes, shifts, weights,
                )  # fmt: skip
                start = (start * room >> PROBABILITY_BITS) + guess
                if slot >= start:
                    low, low_start, low_fall = guess, start, fall
                    guess += stride
                else:
                    high, high_start, high_fall = guess, start, fall
                    guess -= stride
                if stride:
                    stride <<= 1
                else:
                    guess = (low + high) >> 1
            size = high_start - low_start
            if size < whole:
                state, position = pop(words, state, position, slot - low_start, size)
                if position > len(words):
                    return state, position
            adapt(context, high_fall - low_fall, size, offsets, counts)
            level = min(max(anchor + (lowest + low) * step, 0), peak)
            known[pad + row + 2 * i, pad + column + 2 * j] = level
            error = ((level << 16) - mean + moved) >> 8
            errors[i + 2, j + 2] = error
            missed = in_deviations(error, logarithm, powers) - (correction >> 8)
            learn(missed, energy, taps, tap_weights)
    return state, position


@kernel
def push_all(
    starts: npt.NDArray[np.uint32], sizes: npt.NDArray[np.uint32], words: Words
) -> Integer:
    """Code intervals, the last first; fill `words` from their end; return the first's position."""
    position = words.size
    state = np.uint64(INITIAL)
    for i in range(starts.size - 1, -1, -1):
        size = np.uint64(sizes[i])
        if size >> np.uint64(PROBABILITY_BITS):
            continue
        if state >= size << np.uint64(40):
            position -= 1
            words[position] = state & np.uint64(0xFFFFFFFF)
            state >>= np.uint64(32)
        quotient = state // size
        state = (
            (quotient << np.uint64(PROBABILITY_BITS))
            + np.uint64(starts[i])
            + (state - quotient * size)
        )
    words[position - 1] = state >> np.uint64(32)
    words[position - 2] = state & np.uint64(0xFFFFFFFF)
    return position - 2
