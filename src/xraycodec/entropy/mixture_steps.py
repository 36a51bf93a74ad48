"""What is done for each pixel of mixture coding: spec/mixture.md, sections 3 to 5.

Parts of the loops in `mixture_kernels`. Importing this module imports numba.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import numpy.typing as npt

from xraycodec.entropy.compilation import inline

PROBABILITY_BITS = 24
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

# Correction: by the errors of six pixels of the same phase that came before.
TAPS = 6
_TAP_BITS = 24
_TAP_LIMIT = 2 << _TAP_BITS
_ERROR_LIMIT = 8 << 8  # mean deviations
_CORRECTION_LIMIT = 4 << 16  # mean deviations
_LEARNING_BITS = 8

Integer = Any
Integers = npt.NDArray[np.int64]


@inline
def floor_ratio(a: Integer, b: Integer) -> Integer:
    """``a // b`` of integers below 2^53 in magnitude, ``b`` above 0, by a division of floats.

    Exact: a quotient that is no integer is at least 1 / b away from one, and rounding moves it by
    at most a 2^-53 / b. Many processors divide floats several times as fast as integers of 64 bits.
    """
    return np.int64(math.floor(np.float64(a) / np.float64(b)))


@inline
def unpack(
    place: Integer,
    base_centre: Integer,
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
    largest, context = clip_parameters(
        place, base_centre, deviation, logarithm, parameters, unit_shift, components, centres,
        shifts, weights,
    )  # fmt: skip
    mean = settle(
        logarithm, offsets[context], largest, components, powers, centres, slopes, shifts, weights
    )
    return mean, context


@inline
def clip_parameters(
    place: Integer,
    base_centre: Integer,
    deviation: Integer,
    logarithm: Integer,
    parameters: npt.NDArray[np.int32],
    unit_shift: Integer,
    components: Integer,
    centres: Integers,
    shifts: Integers,
    weights: Integers,
) -> tuple[Integer, Integer]:
    """Centres, spreads (in ``shifts``) and weights as given; the largest weight, the context."""
    half = (np.int64(1) << unit_shift) >> 1
    largest = np.int64(0)
    spreads = np.int64(0)
    for k in range(components):
        shift = (np.int64(parameters[k, place]) + half) >> unit_shift
        shift = min(max(shift, -_SHIFT_LIMIT), _SHIFT_LIMIT)
        centres[k] = base_centre + ((shift * deviation) >> 8)
        spread = (np.int64(parameters[components + k, place]) + half) >> unit_shift
        shifts[k] = min(max(spread, _SPREAD_LOW), _SPREAD_HIGH)
        spreads += shifts[k]
        if k:
            weight = (np.int64(parameters[2 * components + k - 1, place]) + half) >> unit_shift
            weights[k] = min(max(weight, -_WEIGHT_LIMIT), _WEIGHT_LIMIT)
        else:
            weights[k] = 0
        largest = max(largest, weights[k])
    context = (logarithm + floor_ratio(spreads, components) - _CONTEXT_BASE) >> _CONTEXT_BITS
    return largest, min(max(context, 0), CONTEXTS - 1)


@inline
def settle(
    logarithm: Integer,
    offset: Integer,
    largest: Integer,
    components: Integer,
    powers: Integers,
    centres: Integers,
    slopes: Integers,
    shifts: Integers,
    weights: Integers,
) -> Integer:
    """Turn spreads and weights into slopes, shifts and shares of 2^15; return the mean."""
    base = logarithm - _SPREAD_BIAS + (offset >> _OFFSET_BITS)
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
        weights[k] = floor_ratio(weights[k] << 15, total) if k else rest
        rest -= weights[k]
        mean += weights[k] * centres[k]
    return mean >> 15


@inline
def cumulative_and_moment(
    boundary: Integer,
    components: Integer,
    sigmoids: Integers,
    centres: Integers,
    slopes: Integers,
    shifts: Integers,
    weights: Integers,
) -> tuple[Integer, Integer]:
    """The mixture's distribution function at a boundary in 2^-16 levels, and its moment.

    The first in 2^-24. The moment is how it falls as all spreads grow, in 2^-36 an octave (times
    ln 2); whatever needs the one needs the other.
    """
    total = np.int64(0)
    falls = np.int64(0)
    for k in range(components):
        argument = ((boundary - centres[k]) * slopes[k]) >> (12 + shifts[k])
        place = (argument >> 7) + 768
        if place < 0:
            continue
        if place >= 1536:
            total += weights[k] << 30
            continue
        low = sigmoids[place]
        total += weights[k] * (low + (((sigmoids[place + 1] - low) * (argument & 127)) >> 7))
        density = (low >> 15) * (((1 << 30) - low) >> 15)
        falls += weights[k] * ((density >> 10) * argument >> 11)
    return total >> 21, falls


@inline
def adapt(
    context: Integer, falls: Integer, size: Integer, offsets: Integers, counts: Integers
) -> None:
    """Move a context's offset against the gradient of the bits that a pixel took."""
    move(context, falls, size, offsets, counts, _FIRST_PACE, _LAST_PACE)


@inline
def move(
    context: Integer,
    falls: Integer,
    size: Integer,
    offsets: Integers,
    counts: Integers,
    first_pace: Integer,
    last_pace: Integer,
) -> None:
    """`adapt` at another pace: a move is one part in ``first_pace`` at first, then of more."""
    gradient = min(max(floor_ratio(falls, size), -_GRADIENT_LIMIT), _GRADIENT_LIMIT)
    pace = min(counts[context] + first_pace, last_pace)
    counts[context] += 1
    offset = offsets[context] - floor_ratio(gradient << (8 + _OFFSET_BITS - _GRADIENT_BITS), pace)
    offsets[context] = min(max(offset, -_OFFSET_LIMIT), _OFFSET_LIMIT)


@inline
def bins_of(mean: Integer, step: Integer, peak: Integer) -> tuple[Integer, Integer, Integer]:
    """Level at the middle of bin 0, number of the lowest bin, how many there are."""
    reach = step >> 1
    anchor = min(max((mean + (1 << 15)) >> 16, 0), peak)
    lowest = -floor_ratio(anchor + reach, step)
    return anchor, lowest, floor_ratio(peak - anchor + reach, step) - lowest + 1


@inline
def correct(
    errors: Integers,
    i: Integer,
    j: Integer,
    logarithm: Integer,
    powers: Integers,
    taps: Integers,
    tap_weights: Integers,
) -> tuple[Integer, Integer]:
    """Predict the network's error at (i, j) from those before it.

    Args:
        errors: in 2^-8 levels, with two rows above and two columns on either side, zeros where no
            pixel was.
        i: row of the phase.
        j: column of the phase.
        logarithm: 256 log2 of the mean deviation in 2^-16 levels.
        powers: of `mixture_tables`.
        taps: filled: errors in 2^-8 mean deviations.
        tap_weights: in 2^-24.

    Returns:
        The prediction in 2^-16 mean deviations, and the sum of the taps' squares.
    """
    taps[0] = errors[i + 2, j + 1]
    taps[1] = errors[i + 1, j + 2]
    taps[2] = errors[i + 1, j + 1]
    taps[3] = errors[i + 1, j + 3]
    taps[4] = errors[i + 2, j]
    taps[5] = errors[i, j + 2]
    total = np.int64(0)
    energy = np.int64(0)
    if not taps[0] | taps[1] | taps[2] | taps[3] | taps[4] | taps[5]:
        return total, energy
    for k in range(TAPS):
        tap = in_deviations(taps[k], logarithm, powers)
        taps[k] = tap
        total += tap_weights[k] * tap
        energy += tap * tap
    return min(max(total >> 16, -_CORRECTION_LIMIT), _CORRECTION_LIMIT), energy


@inline
def in_deviations(error: Integer, logarithm: Integer, powers: Integers) -> Integer:
    """An error in 2^-8 levels, in 2^-8 mean deviations."""
    scaled = (error * powers[logarithm & 255]) >> (8 + (logarithm >> 8))
    return min(max(scaled, -_ERROR_LIMIT), _ERROR_LIMIT)


@inline
def learn(missed: Integer, energy: Integer, taps: Integers, tap_weights: Integers) -> None:
    """Move the taps' weights by normalised least mean squares.

    Args:
        missed: the error at this pixel less what was predicted of it, in 2^-8 mean deviations.
        energy: sum of the taps' squares.
        taps: as `correct` filled them.
        tap_weights: moved.
    """
    learn_at(_LEARNING_BITS, missed, energy, taps, tap_weights)


@inline
def learn_at(
    learning_bits: Integer, missed: Integer, energy: Integer, taps: Integers, tap_weights: Integers
) -> None:
    """`learn` at another pace: one bit less is twice as fast."""
    pace = floor_ratio(min(max(missed, -_ERROR_LIMIT), _ERROR_LIMIT) << 28, (1 << 16) + energy)
    for k in range(TAPS):
        moved = tap_weights[k] + ((taps[k] * pace) >> (4 + learning_bits))
        tap_weights[k] = min(max(moved, -_TAP_LIMIT), _TAP_LIMIT)
