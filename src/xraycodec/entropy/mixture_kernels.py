"""The compiled loops of mixture coding: spec/mixture.md, sections 3 to 5.

Importing this module imports numba and compiles the loops, or loads them from numba's cache; import
it inside the function that needs it. Callers have checked every shape and bound.

A state is a ``uint64`` of 2^32 to 2^64 - 1; words are of 32 bits; probabilities of 24.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from xraycodec.entropy.compilation import inline, kernel

PROBABILITY_BITS = 24
INITIAL = 1 << 32
STATE_WORDS = 2

MAX_COMPONENTS = 8

# Of parameters, all in 2^-8: shifts in mean deviations, spreads in octaves, weights in bits.
_SHIFT_LIMIT = 8 << 8
_SPREAD_LOW, _SPREAD_HIGH = -6 << 8, 4 << 8
_WEIGHT_LIMIT = 16 << 8
_SPREAD_BIAS = 384  # one and a half octaves: what a spread of 0 stands below the mean deviation

# Adaptation: offsets of the spread, by an eighth of an octave of the scale that is predicted.
CONTEXTS = 256
_CONTEXT_BASE = 2048
_CONTEXT_BITS = 5
_OFFSET_BITS = 16  # beyond those of a spread
_OFFSET_LIMIT = 512 << _OFFSET_BITS  # two octaves
_GRADIENT_BITS = 12
_GRADIENT_LIMIT = 8 << _GRADIENT_BITS
_FIRST_PACE, _LAST_PACE = 20, 256

Integer = Any
Integers = npt.NDArray[np.int64]
Words = npt.NDArray[np.uint32]


@inline
def _prepare(
    place: Integer,
    prediction: Integer,
    deviation: Integer,
    logarithm: Integer,
    offsets: Integers,
    parameters: npt.NDArray[np.int32],
    unit_shift: Integer,
    components: Integer,
    powers: Integers,
    centres: Integers,
    slopes: Integers,
    shifts: Integers,
    weights: Integers,
) -> tuple[Integer, Integer]:
    """Unpack one pixel's mixture; return its mean in 2^-16 levels and its context."""
    half = (np.int64(1) << unit_shift) >> 1
    largest = np.int64(0)
    spreads = np.int64(0)
    for k in range(components):
        shift = (np.int64(parameters[k, place]) + half) >> unit_shift
        shift = min(max(shift, -_SHIFT_LIMIT), _SHIFT_LIMIT)
        centres[k] = (np.int64(prediction) << 8) + ((shift * deviation) >> 8)
        spread = (np.int64(parameters[components + k, place]) + half) >> unit_shift
        shifts[k] = min(max(spread, _SPREAD_LOW), _SPREAD_HIGH)
        spreads += shifts[k]
        if k:
            weight = (np.int64(parameters[2 * components + k - 1, place]) + half) >> unit_shift
            weights[k] = min(max(weight, -_WEIGHT_LIMIT), _WEIGHT_LIMIT)
        else:
            weights[k] = 0
        largest = max(largest, weights[k])
    context = (logarithm + spreads // components - _CONTEXT_BASE) >> _CONTEXT_BITS
    context = min(max(context, 0), CONTEXTS - 1)
    base = logarithm - _SPREAD_BIAS + (offsets[context] >> _OFFSET_BITS)
    total = np.int64(0)
    for k in range(components):
        # 1 / scale = slopes * 2^-shifts, the scale in 2^-16 levels
        log_scale = base + shifts[k]
        slopes[k] = powers[log_scale & 255]
        shifts[k] = log_scale >> 8
        down = largest - weights[k]
        weights[k] = powers[down & 255] >> (down >> 8)
        total += weights[k]
    rest = np.int64(1 << 15)
    mean = np.int64(0)
    for k in range(components - 1, -1, -1):
        weights[k] = (weights[k] << 15) // total if k else rest
        rest -= weights[k]
        mean += weights[k] * centres[k]
    return mean >> 15, context


@inline
def _cumulative(
    boundary: Integer,
    components: Integer,
    sigmoids: Integers,
    centres: Integers,
    slopes: Integers,
    shifts: Integers,
    weights: Integers,
) -> Integer:
    """The mixture's distribution function, in 2^-24, at a boundary in 2^-16 levels."""
    total = np.int64(0)
    for k in range(components):
        # in 2^-12: 24 bits of the slope's fraction less 12 that stay
        argument = ((boundary - centres[k]) * slopes[k]) >> (12 + shifts[k])
        place = (argument >> 7) + 768
        if place < 0:
            continue
        if place >= 1536:
            total += weights[k] << 30
            continue
        low = sigmoids[place]
        total += weights[k] * (low + (((sigmoids[place + 1] - low) * (argument & 127)) >> 7))
    return total >> 21


@inline
def _moment(
    boundary: Integer,
    components: Integer,
    sigmoids: Integers,
    centres: Integers,
    slopes: Integers,
    shifts: Integers,
    weights: Integers,
) -> Integer:
    """How the distribution function falls as all spreads grow, in 2^-36 an octave (times ln 2)."""
    total = np.int64(0)
    for k in range(components):
        argument = ((boundary - centres[k]) * slopes[k]) >> (12 + shifts[k])
        place = (argument >> 7) + 768
        if place < 0 or place >= 1536:
            continue
        value = sigmoids[place]
        density = (value >> 15) * (((1 << 30) - value) >> 15)
        total += weights[k] * ((density >> 10) * argument >> 11)
    return total


@inline
def _adapt(
    context: Integer, falls: Integer, size: Integer, offsets: Integers, counts: Integers
) -> None:
    """Move a context's offset against the gradient of the bits that a pixel took."""
    gradient = min(max(falls // size, -_GRADIENT_LIMIT), _GRADIENT_LIMIT)
    pace = min(counts[context] + _FIRST_PACE, _LAST_PACE)
    counts[context] += 1
    offset = offsets[context] - (gradient << (8 + _OFFSET_BITS - _GRADIENT_BITS)) // pace
    offsets[context] = min(max(offset, -_OFFSET_LIMIT), _OFFSET_LIMIT)


@inline
def _bins(mean: Integer, step: Integer, peak: Integer) -> tuple[Integer, Integer, Integer]:
    """Level at the middle of bin 0, number of the lowest bin, how many there are."""
    reach = step >> 1
    anchor = min(max((mean + (1 << 15)) >> 16, 0), peak)
    lowest = -((anchor + reach) // step)
    return anchor, lowest, (peak - anchor + reach) // step - lowest + 1


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
    grid_width = predictions.shape[1]
    whole = np.int64(1) << PROBABILITY_BITS
    position = 0
    for i in range(height):
        for j in range(width):
            scale = scales[i, j]
            mean, context = _prepare(
                i * grid_width + j, predictions[i, j], deviations[scale], logarithms[scale],
                offsets, parameters, unit_shift, components, powers, centres, slopes, shifts,
                weights,
            )  # fmt: skip
            anchor, lowest, count = _bins(mean, step, peak)
            at_row, at_column = pad + row + 2 * i, pad + column + 2 * j
            number = (np.int64(truth[at_row, at_column]) - anchor + (step >> 1)) // step
            known[at_row, at_column] = min(max(anchor + number * step, 0), peak)
            place = number - lowest
            edge = ((anchor + number * step) << 16) - (step << 15)
            room = whole - count
            start, end = np.int64(0), whole
            falls = np.int64(0)
            if place > 0:
                start = _cumulative(edge, components, sigmoids, centres, slopes, shifts, weights)
                start = (start * room >> PROBABILITY_BITS) + place
                falls -= _moment(edge, components, sigmoids, centres, slopes, shifts, weights)
            if place + 1 < count:
                edge += step << 16
                end = _cumulative(edge, components, sigmoids, centres, slopes, shifts, weights)
                end = (end * room >> PROBABILITY_BITS) + place + 1
                falls += _moment(edge, components, sigmoids, centres, slopes, shifts, weights)
            starts[position] = start
            sizes[position] = end - start
            position += 1
            _adapt(context, falls, end - start, offsets, counts)


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
    grid_width = predictions.shape[1]
    state = np.uint64(state)
    whole = np.int64(1) << PROBABILITY_BITS
    for i in range(height):
        for j in range(width):
            scale = scales[i, j]
            mean, context = _prepare(
                i * grid_width + j, predictions[i, j], deviations[scale], logarithms[scale],
                offsets, parameters, unit_shift, components, powers, centres, slopes, shifts,
                weights,
            )  # fmt: skip
            anchor, lowest, count = _bins(mean, step, peak)
            room = whole - count
            slot = np.int64(state & np.uint64(whole - 1))
            base = (anchor << 16) - (step << 15)
            # Bins low to high - 1 may hold the slot: first walk from the middle, then halve.
            low: Integer = np.int64(0)
            low_start: Integer = np.int64(0)
            high, high_start = count, whole
            stride: Integer = np.int64(1)
            guess = -lowest
            while high - low > 1:
                if guess <= low or guess >= high:
                    guess = (low + high) >> 1
                    stride = 0
                start = _cumulative(
                    base + ((lowest + guess) * step << 16),
                    components, sigmoids, centres, slopes, shifts, weights,
                )  # fmt: skip
                start = (start * room >> PROBABILITY_BITS) + guess
                if slot >= start:
                    low, low_start = guess, start
                    guess += stride
                else:
                    high, high_start = guess, start
                    guess -= stride
                if stride:
                    stride <<= 1
                else:
                    guess = (low + high) >> 1
            size = high_start - low_start
            if size < whole:
                state = np.uint64(size) * (state >> np.uint64(PROBABILITY_BITS)) + np.uint64(
                    slot - low_start
                )
                if state < np.uint64(INITIAL):
                    if position >= len(words):
                        return state, len(words) + 1
                    state = (state << np.uint64(32)) | np.uint64(words[position])
                    position += 1
            edge = base + ((lowest + low) * step << 16)
            falls = np.int64(0)
            if low > 0:
                falls -= _moment(edge, components, sigmoids, centres, slopes, shifts, weights)
            if low + 1 < count:
                edge += step << 16
                falls += _moment(edge, components, sigmoids, centres, slopes, shifts, weights)
            _adapt(context, falls, size, offsets, counts)
            level = min(max(anchor + (lowest + low) * step, 0), peak)
            known[pad + row + 2 * i, pad + column + 2 * j] = level
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
