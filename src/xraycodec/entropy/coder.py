"""Values to bytes and back: spec/entropy.md, sections 2 to 4."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from xraycodec.entropy.tables import FrequencyTables
from xraycodec.errors import CorruptError, FormatError, TruncatedError


def encode(
    values: npt.NDArray[np.int32],
    table_index: npt.NDArray[np.integer[Any]],
    tables: FrequencyTables,
) -> bytes:
    """Code each value under its table.

    Args:
        values: int32, ``(symbol,)``. Any value can be coded under any table.
        table_index: integers, ``(symbol,)``: the number of the table of each value.
        tables: the tables; the decoder needs the same ones.

    Returns:
        The only stream that decodes to these values: no bytes for no values.

    Raises:
        ValueError: a type, a shape or a number of a table outside these bounds.
    """
    if values.dtype != np.int32 or values.ndim != 1:
        raise ValueError(
            f"values are {values.dtype} of shape {values.shape}; allowed is a vector of int32"
        )
    numbers = _checked_index(table_index, tables)
    if values.size != numbers.size:
        raise ValueError(f"{values.size} values, but {numbers.size} table numbers")
    if not values.size:
        return b""
    from xraycodec.entropy import kernels

    values = np.require(values, requirements=["C", "ALIGNED"])
    lookup = tables.lookup
    escapes = kernels.count_escapes(values, numbers, tables.minimums, tables.counts)
    words = np.empty(
        kernels.STATE_WORDS + values.size + (kernels.MAX_WORDS_PER_SYMBOL - 1) * escapes, np.uint16
    )
    start = kernels.encode(
        values,
        numbers,
        lookup.entries,
        lookup.first_entries,
        tables.minimums,
        tables.counts,
        words,
    )
    return words[start:].astype("<u2", copy=False).tobytes()


def decode(
    data: bytes | memoryview,
    table_index: npt.NDArray[np.integer[Any]],
    tables: FrequencyTables,
) -> npt.NDArray[np.int32]:
    """Undo `encode`. Accepts exactly the streams that `encode` writes.

    Args:
        data: one whole stream, which may come from anywhere: it is never trusted.
        table_index: integers, ``(symbol,)``: the number of the table of each value.
        tables: the tables that the encoder had.

    Returns:
        The values, int32, ``(symbol,)``.

    Raises:
        TruncatedError: the stream ends too early.
        CorruptError: no encoder writes this stream for these tables.
        ValueError: `table_index` has a type, a shape or a number outside these bounds.
    """
    numbers = _checked_index(table_index, tables)
    if not numbers.size:
        if len(data):
            raise CorruptError(f"entropy-coded stream for no symbols has {len(data)} bytes, not 0")
        return np.empty(0, np.int32)
    from xraycodec.entropy import kernels

    longest = kernels.STATE_WORDS + kernels.MAX_WORDS_PER_SYMBOL * numbers.size
    if len(data) < 2 * kernels.STATE_WORDS:
        raise TruncatedError(
            f"entropy-coded stream has {len(data)} bytes; its states alone take"
            f" {2 * kernels.STATE_WORDS}"
        )
    if len(data) > 2 * longest:
        raise CorruptError(
            f"entropy-coded stream has {len(data)} bytes; {numbers.size} symbols take"
            f" {2 * longest} at most"
        )
    if len(data) % 2:
        raise CorruptError(f"entropy-coded stream has {len(data)} bytes; allowed are even numbers")
    size_words = len(data) // 2
    words = np.zeros(size_words + kernels.MAX_WORDS_PER_SYMBOL, np.uint16)
    words[:size_words] = np.frombuffer(data, "<u2")
    values = np.empty(numbers.size, np.int32)
    lookup = tables.lookup
    outcome, decoded = kernels.decode(
        words,
        numbers,
        lookup.entries,
        lookup.first_entries,
        tables.minimums,
        tables.counts,
        lookup.buckets,
        lookup.bucket_bits,
        values,
    )
    if outcome != kernels.DECODED:
        raise _stream_error(outcome, f"after {decoded} of {numbers.size} symbols")
    return values


def _checked_index(
    table_index: npt.NDArray[np.integer[Any]], tables: FrequencyTables
) -> npt.NDArray[np.uint16]:
    """`table_index` as the loops need it, every number known to be that of a table."""
    if table_index.dtype.kind not in "iu" or table_index.ndim != 1:
        raise ValueError(
            f"table numbers are {table_index.dtype} of shape {table_index.shape}; allowed is a"
            " vector of integers"
        )
    if table_index.size:
        low, high = int(table_index.min()), int(table_index.max())
        if low < 0 or high >= len(tables):
            raise ValueError(
                f"table numbers from {low} to {high}; allowed are 0 to {len(tables) - 1}"
            )
    return np.require(table_index, np.uint16, ["C", "ALIGNED"])


def _stream_error(outcome: int, place: str) -> FormatError:
    from xraycodec.entropy import kernels

    if outcome == kernels.EXHAUSTED:
        return TruncatedError(f"entropy-coded stream ends {place}")
    found = {
        kernels.INITIAL_STATE: "begins with a state under 65536",
        kernels.ESCAPED_VALUE: f"has an escaped value {place} that is no int32",
        kernels.TRAILING: f"has bytes left {place}",
        kernels.FINAL_STATE: f"does not end in the states 65536 and 65536 {place}",
    }
    return CorruptError(f"entropy-coded stream {found[outcome]}")
