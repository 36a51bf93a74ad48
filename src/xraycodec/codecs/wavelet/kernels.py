"""The compiled loops that code coefficients: ``spec/wavelet.md``, section 6.

They are those of mixture coding (``spec/mixture.md``) for signed values in steps. Networks give the
mixtures of a phase at once, so that they cannot know its own coefficients: what those beside tell
comes in by offsets of the spread, one for each group of neighbours, and by a correction of the mean
from the neighbours that are not 0, as along a border or a collimator's edge.

Importing this module imports numba; import it inside the function that needs it. Callers have
checked every shape and bound.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from xraycodec.codecs.wavelet.features import LOGARITHMS, UNITS
from xraycodec.codecs.wavelet.geometry import BANDS, FRACTION
from xraycodec.entropy.compilation import inline, kernel
from xraycodec.entropy.mixture_kernels import pop
from xraycodec.entropy.mixture_steps import (
    CONTEXTS,
    MAX_COMPONENTS,
    PROBABILITY_BITS,
    TAPS,
    adapt,
    clip_parameters,
    correct,
    cumulative_and_moment,
    in_deviations,
    learn_at,
    move,
    settle,
)

Integers = npt.NDArray[np.int64]
Words = npt.NDArray[np.uint32]

GROUPS = 9
"""Of coefficients, by magnitudes beside them that the networks cannot have seen."""
_COARSE_BITS = 3
"""Contexts of a group are so much coarser than those that all groups share: of an octave."""
_FIRST_PACE, _LAST_PACE = 6, 96
_LEARNING_BITS = 6
"""Of the correction by neighbours: a line along a border is over soon."""
_WHOLE = 1 << PROBABILITY_BITS
_LOG_BITS = 8
# 256 log2 of 1 + (k + 1/2) / 256; no entry is within 10^-3 of a tie.
_LOG_TABLE = np.rint(256 * np.log2(1 + (np.arange(256) + 0.5) / 256)).astype(np.int64)


def fresh_adaptation() -> tuple[Integers, Integers, Integers]:
    """What a strip of a level begins with: offsets, of all groups and of each, counts, taps."""
    shape = (1 + GROUPS, CONTEXTS)
    return np.zeros(shape, np.int64), np.zeros(shape, np.int64), np.zeros((BANDS, TAPS), np.int64)


@inline
def _group(chosen: npt.NDArray[np.int32], band: Any, i: Any, j: Any) -> Any:
    """The group of a coefficient, 1 to 9: its neighbours in the phase, other bands in the cell."""
    around: Any = np.int64(0)
    if j:
        around += 2 * abs(chosen[band, i, j - 1])
        if j > 1:
            around += abs(chosen[band, i, j - 2])
    if i:
        around += 2 * abs(chosen[band, i - 1, j])
        if i > 1:
            around += abs(chosen[band, i - 2, j])
        if j:
            around += abs(chosen[band, i - 1, j - 1])
        if j + 1 < chosen.shape[2]:
            around += abs(chosen[band, i - 1, j + 1])
    here: Any = np.int64(0)
    for other in range(band):
        here += abs(chosen[other, i, j])
    return 1 + 3 * min((around + 1) >> 1, 2) + min(here, 2)


@inline
def _mixture(
    place: Any,
    moved: Any,
    scale: Any,
    group: Any,
    offsets: Integers,
    parameters: npt.NDArray[np.int32],
    unit_shift: Any,
    components: Any,
    powers: Integers,
    centres: Integers,
    slopes: Integers,
    shifts: Integers,
    weights: Integers,
) -> tuple[Any, Any]:
    """Unpack a coefficient's mixture; return its mean in 2^-16 steps and its context."""
    logarithm = LOGARITHMS[scale]
    largest, context = clip_parameters(
        place, moved, UNITS[scale], logarithm, parameters, unit_shift, components, centres,
        shifts, weights,
    )  # fmt: skip
    offset = offsets[0, context] + offsets[group, context >> _COARSE_BITS]
    mean = settle(logarithm, offset, largest, components, powers, centres, slopes, shifts, weights)
    return mean, context


@inline
def _learn(
    context: Any, group: Any, falls: Any, size: Any, offsets: Integers, counts: Integers
) -> None:
    """Move the two offsets that served a coefficient."""
    adapt(context, falls, size, offsets[0], counts[0])
    move(
        context >> _COARSE_BITS, falls, size, offsets[group], counts[group], _FIRST_PACE, _LAST_PACE
    )


@inline
def _start(
    value: Any,
    reach: Any,
    components: Any,
    sigmoids: Integers,
    centres: Integers,
    slopes: Integers,
    shifts: Integers,
    weights: Integers,
) -> Any:
    """First slot of a value from -reach + 1 to reach; how the distribution falls there."""
    share, fall = cumulative_and_moment(
        (value << 16) - (1 << 15), components, sigmoids, centres, slopes, shifts, weights
    )
    return (share * (_WHOLE - (2 * reach + 1)) >> PROBABILITY_BITS) + value + reach, fall


@inline
def _length(size: Any) -> Any:
    """Bits of an interval, in 2^-8."""
    rest = size
    whole = 0
    while rest >= 512:
        rest >>= 1
        whole += 1
    shift = 0
    while rest < 256:
        rest <<= 1
        shift += 1
    return ((PROBABILITY_BITS - 8 - whole + shift) << _LOG_BITS) - _LOG_TABLE[rest - 256]


@kernel
def encode_cells(
    targets: npt.NDArray[np.int32],
    band_rows: Integers,
    band_columns: Integers,
    coded: npt.NDArray[np.bool_],
    scales: npt.NDArray[np.uint8],
    parameters: npt.NDArray[np.int32],
    unit_shift: int,
    reach: int,
    rounding: int,
    thrift: int,
    sigmoids: Integers,
    powers: Integers,
    offsets: Integers,
    counts: Integers,
    tap_weights: Integers,
    chosen: npt.NDArray[np.int32],
    starts: npt.NDArray[np.uint32],
    sizes: npt.NDArray[np.uint32],
) -> int:
    """Choose what to code for a phase of a strip, and turn it into intervals of the coder.

    Args:
        targets: coefficients in 2^-8 steps, ``(band, row, column)``.
        band_rows: of the cells that have a coefficient, for each band.
        band_columns: likewise.
        coded: whether a cell's coefficients are coded, ``(row, column)``; others are 0.
        scales: of the cells, ``(row, column)``.
        parameters: of the network, ``(band, parameter, row, column)``.
        unit_shift: parameters are in 2^-(8 + unit_shift).
        reach: largest magnitude that can be coded, at least 1.
        rounding: added to a magnitude in 2^-8 steps before it is cut to an integer.
        thrift: squared 2^-8 steps that a bit is worth; 0 takes the nearest as it is.
        sigmoids: of `mixture_tables`.
        powers: of `mixture_tables`.
        offsets: of the adaptation; moved.
        counts: of the adaptation; moved.
        tap_weights: of the correction by neighbours, for each band; moved.
        chosen: filled with what is coded, ``(band, row, column)``; zeros at first.
        starts: filled.
        sizes: filled.

    Returns:
        How many intervals there are.
    """
    components = (parameters.shape[1] + 1) // 3
    centres = np.empty(MAX_COMPONENTS, np.int64)
    slopes = np.empty(MAX_COMPONENTS, np.int64)
    shifts = np.empty(MAX_COMPONENTS, np.int64)
    weights = np.empty(MAX_COMPONENTS, np.int64)
    taps = np.zeros(TAPS, np.int64)
    height, width = scales.shape
    errors = np.zeros((BANDS, height + 2, width + 4), np.int64)
    flat = parameters.reshape(BANDS, parameters.shape[1], height * width)
    limit = np.int64(reach)
    count = 0
    for i in range(height):
        for j in range(width):
            if not coded[i, j]:
                continue
            scale = scales[i, j]
            for band in range(BANDS):
                if i >= band_rows[band] or j >= band_columns[band]:
                    continue
                group = _group(chosen, band, i, j)
                correction, energy = correct(
                    errors[band], i, j, LOGARITHMS[scale], powers, taps, tap_weights[band]
                )
                moved = (correction * UNITS[scale]) >> 16
                mean, context = _mixture(
                    i * width + j, moved, scale, group, offsets, flat[band], unit_shift, components,
                    powers, centres, slopes, shifts, weights,
                )  # fmt: skip
                target = np.int64(targets[band, i, j])
                magnitude = min((abs(target) + rounding) >> FRACTION, limit)
                sign = np.int64(-1 if target < 0 else 1)
                value = np.int64(0)
                start, end = np.int64(0), np.int64(0)
                falls = np.int64(0)
                least = np.int64(-1)
                tried = magnitude
                while True:
                    candidate = sign * tried
                    low, high = np.int64(0), np.int64(_WHOLE)
                    low_fall, high_fall = np.int64(0), np.int64(0)
                    if candidate > -limit:
                        low, low_fall = _start(
                            candidate, limit, components, sigmoids, centres, slopes, shifts, weights
                        )
                    if candidate < limit:
                        high, high_fall = _start(
                            candidate + 1, limit, components, sigmoids, centres, slopes, shifts,
                            weights,
                        )  # fmt: skip
                    if magnitude == 0 or thrift == 0:
                        value, start, end, falls = candidate, low, high, high_fall - low_fall
                        break
                    missed = target - (candidate << FRACTION)
                    cost = missed * missed + ((thrift * _length(high - low)) >> _LOG_BITS)
                    if least < 0 or cost < least:
                        value, start, end, least = candidate, low, high, cost
                        falls = high_fall - low_fall
                    if tried == 0:
                        break
                    tried = tried - 1 if tried == magnitude else np.int64(0)
                _learn(context, group, falls, end - start, offsets, counts)
                chosen[band, i, j] = value
                if value:
                    errors[band, i + 2, j + 2] = ((value << 16) - mean + moved) >> 8
                if energy:
                    missed = in_deviations(
                        ((value << 16) - mean + moved) >> 8, LOGARITHMS[scale], powers
                    )
                    learn_at(
                        _LEARNING_BITS, missed - (correction >> 8), energy, taps, tap_weights[band]
                    )
                starts[count] = start
                sizes[count] = end - start
                count += 1
    return count


@kernel
def decode_cells(
    words: Words,
    state: Any,
    position: int,
    band_rows: Integers,
    band_columns: Integers,
    coded: npt.NDArray[np.bool_],
    scales: npt.NDArray[np.uint8],
    parameters: npt.NDArray[np.int32],
    unit_shift: int,
    reach: int,
    sigmoids: Integers,
    powers: Integers,
    offsets: Integers,
    counts: Integers,
    tap_weights: Integers,
    chosen: npt.NDArray[np.int32],
) -> tuple[Any, int]:
    """Undo `encode_cells` and `push_all` for one phase of a strip; see there for the arguments.

    Returns:
        The state and the next word's position; a position beyond the words' end says that they
        ran out.
    """
    components = (parameters.shape[1] + 1) // 3
    centres = np.empty(MAX_COMPONENTS, np.int64)
    slopes = np.empty(MAX_COMPONENTS, np.int64)
    shifts = np.empty(MAX_COMPONENTS, np.int64)
    weights = np.empty(MAX_COMPONENTS, np.int64)
    taps = np.zeros(TAPS, np.int64)
    height, width = scales.shape
    errors = np.zeros((BANDS, height + 2, width + 4), np.int64)
    flat = parameters.reshape(BANDS, parameters.shape[1], height * width)
    limit = np.int64(reach)
    state = np.uint64(state)
    for i in range(height):
        for j in range(width):
            if not coded[i, j]:
                continue
            scale = scales[i, j]
            for band in range(BANDS):
                if i >= band_rows[band] or j >= band_columns[band]:
                    continue
                group = _group(chosen, band, i, j)
                correction, energy = correct(
                    errors[band], i, j, LOGARITHMS[scale], powers, taps, tap_weights[band]
                )
                moved = (correction * UNITS[scale]) >> 16
                mean, context = _mixture(
                    i * width + j, moved, scale, group, offsets, flat[band], unit_shift, components,
                    powers, centres, slopes, shifts, weights,
                )  # fmt: skip
                slot = np.int64(state & np.uint64(_WHOLE - 1))
                # Values low to high - 1 may hold the slot: walk from the mean, then halve.
                low, high = -limit, limit + 1
                low_start, high_start = np.int64(0), np.int64(_WHOLE)
                low_fall, high_fall = np.int64(0), np.int64(0)
                guess = min(max((mean + (1 << 15)) >> 16, low), limit)
                stride = np.int64(1)
                while high - low > 1:
                    if guess <= low or guess >= high:
                        guess = (low + high) >> 1
                        stride = np.int64(0)
                    start, fall = _start(
                        guess, limit, components, sigmoids, centres, slopes, shifts, weights
                    )
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
                state, position = pop(words, state, position, slot - low_start, size)
                if position > len(words):
                    return state, position
                _learn(context, group, high_fall - low_fall, size, offsets, counts)
                chosen[band, i, j] = low
                if low:
                    errors[band, i + 2, j + 2] = ((low << 16) - mean + moved) >> 8
                if energy:
                    missed = in_deviations(
                        ((low << 16) - mean + moved) >> 8, LOGARITHMS[scale], powers
                    )
                    learn_at(
                        _LEARNING_BITS, missed - (correction >> 8), energy, taps, tap_weights[band]
                    )
    return state, position
