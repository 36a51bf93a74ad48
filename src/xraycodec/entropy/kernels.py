"""The compiled loops of the range-ANS coder: spec/entropy.md, sections 2 to 4.

Importing this module imports numba and compiles the loops, or loads them from numba's cache; import
it inside the function that needs it. Callers have checked every shape and bound: the loops index
without looking again.

A state is an ``int64`` that holds 2^16 to 2^32 - 1. Two states take turns: of the two variables,
the first is always the next to be used.

The tables come as the arrays of `xraycodec.entropy.tables.Lookup`.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

import numpy as np
import numpy.typing as npt
from numba import njit, types

DECODED = 0
EXHAUSTED = 1  # more words are needed than there are
INITIAL_STATE = 2  # a state at the start of the stream is under 2^16
ESCAPED_VALUE = 3  # an escaped value is no int32
TRAILING = 4  # words are left over
FINAL_STATE = 5  # the states at the end are not those that every encoder starts from

STATE_WORDS = 4  # two states of two words each
MAX_WORDS_PER_SYMBOL = 4  # an escape: its entry, its header, the low and the high bits

_INITIAL = 1 << 16

Integer = Any  # an int64 to numba
Words = npt.NDArray[np.uint16]
Function = TypeVar("Function", bound=Callable[..., Any])


def _read_only(dtype: types.Type) -> types.Array:
    """A contiguous vector that the loop only reads; writable ones are accepted too."""
    return types.Array(dtype, 1, "C", readonly=True)


def _inline(function: Function) -> Function:
    """Compile as a part of the kernels that call it."""
    compiled: Function = njit(nogil=True, error_model="numpy")(function)
    return compiled


def _kernel(*signature: types.Type) -> Callable[[Function], Function]:
    """Compile for these argument types, once per machine where numba can keep a cache."""

    def compiled(function: Function) -> Function:
        options = {"nogil": True, "error_model": "numpy"}
        try:
            kernel: Function = njit(signature, cache=True, **options)(function)
        except Exception:
            # Numba raises errors of many types on a cache folder that is read-only, full or
            # damaged. The cache only saves time; an error of the function itself comes again here.
            kernel = njit(signature, **options)(function)
        return kernel

    return compiled


@_inline
def _push(
    state: Integer,
    start: Integer,
    frequency: Integer,
    words: Words,
    position: Integer,
) -> tuple[Integer, Integer]:
    """Encode one interval into the state; words are written from the end to the front."""
    if state >= frequency << 16:
        position -= 1
        words[position] = state & 0xFFFF
        state >>= 16
    quotient = np.uint64(state) // np.uint64(frequency)  # unsigned: no fix-up for signs
    return (np.int64(quotient) << 16) + start + state - np.int64(quotient) * frequency, position


@_inline
def _pop(
    state: Integer,
    start: Integer,
    frequency: Integer,
    words: Words,
    position: Integer,
) -> tuple[Integer, Integer]:
    """Undo `_push`. Reads ``words[position]`` whether needed or not, to stay free of branches."""
    state = frequency * (state >> 16) + (state & 0xFFFF) - start
    refilled = (state << 16) | np.int64(words[position])
    short = state < 1 << 16
    return (refilled if short else state), position + short


@_inline
def _push_bits(
    state: Integer, value: Integer, bits: Integer, words: Words, position: Integer
) -> tuple[Integer, Integer]:
    """Encode 1 to 16 bits, all their values alike."""
    return _push(state, value << (16 - bits), 1 << (16 - bits), words, position)


@_inline
def _pop_bits(
    state: Integer, bits: Integer, words: Words, position: Integer
) -> tuple[Integer, Integer, Integer]:
    value = (state & 0xFFFF) >> (16 - bits)
    state, position = _pop(state, value << (16 - bits), 1 << (16 - bits), words, position)
    return value, state, position


@_inline
def _push_escaped(
    state: Integer,
    offset: Integer,
    count: Integer,
    words: Words,
    position: Integer,
) -> tuple[Integer, Integer]:
    """Encode a value `offset` above its table's minimum and outside of its `count` symbols."""
    below = offset < 0
    magnitude = -offset if below else offset - count + 1
    bits = 0
    while magnitude >> (bits + 1):
        bits += 1
    rest = magnitude - (1 << bits)
    if bits > 16:
        state, position = _push_bits(state, rest >> 16, bits - 16, words, position)
    if bits:
        state, position = _push_bits(state, rest & 0xFFFF, min(bits, 16), words, position)
    return _push_bits(state, 32 * below + bits, 6, words, position)


@_inline
def _pop_escaped(
    state: Integer, count: Integer, words: Words, position: Integer
) -> tuple[Integer, Integer, Integer]:
    header, state, position = _pop_bits(state, 6, words, position)
    bits = header & 31
    magnitude = 1 << bits
    if bits:
        low, state, position = _pop_bits(state, min(bits, 16), words, position)
        magnitude += low
    if bits > 16:
        high, state, position = _pop_bits(state, bits - 16, words, position)
        magnitude += high << 16
    return (-magnitude if header >> 5 else count + magnitude - 1), state, position


@_kernel(
    _read_only(types.int32),  # values
    _read_only(types.uint16),  # table_index
    _read_only(types.int32),  # minimums
    _read_only(types.uint16),  # counts
)
def count_escapes(
    values: npt.NDArray[np.int32],
    table_index: npt.NDArray[np.uint16],
    minimums: npt.NDArray[np.int32],
    counts: npt.NDArray[np.uint16],
) -> Integer:
    """How many values lie outside of their tables."""
    escapes: Integer = 0
    for i in range(values.size):
        offset = np.int64(values[i]) - np.int64(minimums[table_index[i]])
        escapes += offset < 0 or offset >= np.int64(counts[table_index[i]])
    return escapes


@_kernel(
    _read_only(types.int32),  # values
    _read_only(types.uint16),  # table_index
    _read_only(types.uint32),  # entries
    _read_only(types.int64),  # first_entries
    _read_only(types.int32),  # minimums
    _read_only(types.uint16),  # counts
    types.Array(types.uint16, 1, "C"),  # words
)
def encode(
    values: npt.NDArray[np.int32],
    table_index: npt.NDArray[np.uint16],
    entries: npt.NDArray[np.uint32],
    first_entries: npt.NDArray[np.int64],
    minimums: npt.NDArray[np.int32],
    counts: npt.NDArray[np.uint16],
    words: Words,
) -> Integer:
    """Fill `words` from its end; return the position of the stream's first word.

    `words` has room for `STATE_WORDS`, one word a value, and for every escape
    ``MAX_WORDS_PER_SYMBOL - 1`` more.
    """
    position = words.size
    state: Integer = np.int64(_INITIAL)
    other: Integer = state
    for i in range(values.size - 1, -1, -1):
        table = table_index[i]
        count = np.int64(counts[table])
        offset: Integer = np.int64(values[i]) - np.int64(minimums[table])
        if offset < 0 or offset >= count:
            state, position = _push_escaped(state, offset, count, words, position)
            offset = count
        entry = np.int64(entries[first_entries[table] + offset])
        state, position = _push(state, entry & 0xFFFF, entry >> 16, words, position)
        state, other = other, state
    # Value 0 was the last to be coded, by state 0, and an exchange came after it: state 1 is first.
    for last in (state, other):
        position -= 2
        words[position] = last & 0xFFFF
        words[position + 1] = last >> 16
    return position


@_kernel(
    _read_only(types.uint16),  # words
    _read_only(types.uint16),  # table_index
    _read_only(types.uint32),  # entries
    _read_only(types.int64),  # first_entries
    _read_only(types.int32),  # minimums
    _read_only(types.uint16),  # counts
    _read_only(types.uint16),  # buckets
    types.int64,  # bucket_bits
    types.Array(types.int32, 1, "C"),  # values
)
def decode(
    words: Words,
    table_index: npt.NDArray[np.uint16],
    entries: npt.NDArray[np.uint32],
    first_entries: npt.NDArray[np.int64],
    minimums: npt.NDArray[np.int32],
    counts: npt.NDArray[np.uint16],
    buckets: npt.NDArray[np.uint16],
    bucket_bits: Integer,
    values: npt.NDArray[np.int32],
) -> tuple[Integer, Integer]:
    """Fill `values`; return one of the outcomes above and the number of values decoded.

    The last `MAX_WORDS_PER_SYMBOL` of `words` are padding: a symbol may read into it, and is
    then refused.
    """
    end = words.size - MAX_WORDS_PER_SYMBOL
    state: Integer = np.int64(words[0]) | np.int64(words[1]) << 16
    other: Integer = np.int64(words[2]) | np.int64(words[3]) << 16
    if min(state, other) < _INITIAL:
        return INITIAL_STATE, 0
    position = STATE_WORDS
    for i in range(values.size):
        table = np.int64(table_index[i])
        slot = state & 0xFFFF
        symbol: Integer = np.int64(buckets[(table << bucket_bits) + (slot >> (16 - bucket_bits))])
        entry = np.int64(entries[first_entries[table] + symbol])
        # Frequencies of a table add up to 2^16: the scan ends at its last entry at the latest.
        while slot - (entry & 0xFFFF) >= entry >> 16:
            symbol += 1
            entry = np.int64(entries[first_entries[table] + symbol])
        state, position = _pop(state, entry & 0xFFFF, entry >> 16, words, position)
        count = np.int64(counts[table])
        if symbol == count:
            symbol, state, position = _pop_escaped(state, count, words, position)
        if position > end:
            return EXHAUSTED, i
        value = np.int64(minimums[table]) + symbol
        if not -(1 << 31) <= value < 1 << 31:
            return ESCAPED_VALUE, i
        values[i] = value
        state, other = other, state
    if position < end:
        return TRAILING, values.size
    if state != _INITIAL or other != _INITIAL:
        return FINAL_STATE, values.size
    return DECODED, values.size
