"""Frozen tables of symbol frequencies, and their bytes: spec/entropy.md, sections 1 and 5."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Self

import numpy as np
import numpy.typing as npt

from xraycodec.entropy import table_bytes
from xraycodec.entropy.normalisation import normalise
from xraycodec.entropy.table_bytes import MAX_ENTRIES, MAX_TABLES
from xraycodec.errors import ModelError

TOTAL = 1 << 16
"""What the frequencies of every table add up to."""

BUCKET_BITS = 8
"""Leading bits of a slot by which the decoder finds where to start its scan."""


@dataclass(frozen=True, eq=False)
class Lookup:
    """The tables as the coder's loops read them.

    Attributes:
        entries: ``frequency << 16 | start`` of every entry, tables end to end, ``(entry,)``.
        first_entries: position of each table's first entry in `entries`, ``(table,)``.
        buckets: for every bucket of slots, the number within its table of the entry that holds
            the bucket's first slot, ``(table * bucket,)``.
        bucket_bits: binary logarithm of the number of buckets in a table.
    """

    entries: npt.NDArray[np.uint32]
    first_entries: npt.NDArray[np.int64]
    buckets: npt.NDArray[np.uint16]
    bucket_bits: int


@dataclass(frozen=True, eq=False)
class FrequencyTables:
    """A set of tables, each of which gives the frequencies of a run of integers.

    Table t has `counts[t]` symbols, the integers from `minimums[t]` up, and as its last entry the
    escape, which stands for every other int32. The arrays are copied and cannot be written to.

    Attributes:
        minimums: value of each table's first symbol, int32, ``(table,)``.
        counts: symbols of each table, the escape not counted, uint16, ``(table,)``.
        frequencies: `counts[t]` + 1 entries for each table, end to end, the escape's last, uint16,
            ``(entry,)``. Every entry is at least 1; those of a table add up to 65536.

    Raises:
        ValueError: an array has the wrong type or is no vector.
        ModelError: the values are outside these bounds.
    """

    minimums: npt.NDArray[np.int32]
    counts: npt.NDArray[np.uint16]
    frequencies: npt.NDArray[np.uint16]

    def __post_init__(self) -> None:
        for name, dtype in (("minimums", "i4"), ("counts", "u2"), ("frequencies", "u2")):
            vector = np.array(getattr(self, name), order="C")
            if vector.dtype != np.dtype(dtype) or vector.ndim != 1:
                raise ValueError(
                    f"{name} are {vector.dtype} of shape {vector.shape}; allowed is a vector of"
                    f" {np.dtype(dtype).name}"
                )
            vector.setflags(write=False)
            object.__setattr__(self, name, vector)
        self._check_sizes()
        self._check_frequencies()

    def _check_sizes(self) -> None:
        tables = len(self.minimums)
        if not 1 <= tables <= MAX_TABLES:
            raise ModelError(f"{tables} frequency tables; allowed are 1 to {MAX_TABLES}")
        if len(self.counts) != tables:
            raise ModelError(f"{tables} minimums of tables with {len(self.counts)} counts")
        if not self.counts.all():
            raise ModelError(
                f"table {int(self.counts.argmin())} has no symbol; allowed are 1 to {TOTAL - 1}"
            )
        maximums = self.minimums.astype(np.int64) + self.counts - 1
        if maximums.max() >= 1 << 31:
            raise ModelError(
                f"the last symbol of table {int(maximums.argmax())} is {int(maximums.max())};"
                f" the limit is {(1 << 31) - 1}"
            )
        entries = int(self.counts.sum(dtype=np.int64)) + tables
        if entries > MAX_ENTRIES:
            raise ModelError(f"the tables have {entries} entries; the limit is {MAX_ENTRIES}")
        if len(self.frequencies) != entries:
            raise ModelError(
                f"{len(self.frequencies)} frequencies; the tables' counts ask for {entries}"
            )

    def _check_frequencies(self) -> None:
        if not self.frequencies.all():
            entry = int(self.frequencies.argmin())
            table = int(np.searchsorted(self._first_entries, entry, side="right")) - 1
            raise ModelError(
                f"entry {entry - int(self._first_entries[table])} of table {table} has frequency"
                f" 0; allowed are 1 to {TOTAL - 1}"
            )
        sums = np.add.reduceat(self.frequencies, self._first_entries, dtype=np.int64)
        wrong = np.flatnonzero(sums != TOTAL)
        if wrong.size:
            raise ModelError(
                f"frequencies of table {wrong[0]} add up to {sums[wrong[0]]}, not {TOTAL}"
            )

    def __len__(self) -> int:
        """Return the number of tables."""
        return len(self.minimums)

    def frequencies_of(self, table: int) -> npt.NDArray[np.uint16]:
        """Frequencies of one table's symbols and, last, its escape: ``(entry,)``."""
        first = int(self._first_entries[table])
        return self.frequencies[first : first + int(self.counts[table]) + 1]

    @cached_property
    def _first_entries(self) -> npt.NDArray[np.int64]:
        sizes = self.counts.astype(np.int64) + 1
        return np.cumsum(sizes) - sizes

    @cached_property
    def lookup(self) -> Lookup:
        """The arrays that `encode` and `decode` read, built at the first use."""
        first_entries = self._first_entries
        frequencies = self.frequencies.astype(np.int64)
        # As every table fills 2^16 slots, one running sum over all tables holds every start:
        # table t begins at t * 2^16.
        ends = np.cumsum(frequencies)
        starts = ends - frequencies
        buckets = np.arange(len(self) << BUCKET_BITS, dtype=np.int64)
        holders = np.searchsorted(ends, buckets << (16 - BUCKET_BITS), side="right")
        return Lookup(
            entries=(frequencies << 16 | starts % TOTAL).astype(np.uint32),
            first_entries=first_entries,
            buckets=(holders - first_entries[buckets >> BUCKET_BITS]).astype(np.uint16),
            bucket_bits=BUCKET_BITS,
        )

    @classmethod
    def from_counts(
        cls, counts: Sequence[npt.NDArray[np.integer[Any]]], minimums: Sequence[int]
    ) -> Self:
        """Make tables from how often each symbol was seen, in integer arithmetic alone.

        Args:
            counts: for each table a vector ``(entry,)`` of integers from 0: the occurrences of
                each symbol from the minimum up and, last, those of all other values (the escape).
            minimums: value of each table's first symbol.

        Returns:
            Tables in which every entry, seen or not, has a frequency of at least 1. The rounding
            is that of spec/entropy.md, section 6.

        Raises:
            ValueError: counts are no vectors of integers, have fewer than 2 or more than 65536
                entries, are negative or add up to 2^47 or more; their number is not that of the
                minimums, or a minimum is no int32.
            ModelError: the set has too many tables or entries, or a last symbol is no int32.
        """
        if len(counts) != len(minimums):
            raise ValueError(f"{len(counts)} tables of counts, but {len(minimums)} minimums")
        if any(not -(1 << 31) <= minimum < 1 << 31 for minimum in minimums):
            raise ValueError("the minimum of a table is no int32")
        if not 1 <= len(counts) <= MAX_TABLES:
            raise ModelError(f"{len(counts)} frequency tables; allowed are 1 to {MAX_TABLES}")
        frequencies = [normalise(np.asarray(table), TOTAL) for table in counts]
        return cls(
            minimums=np.array([int(minimum) for minimum in minimums], np.int32),
            counts=np.array([table.size - 1 for table in frequencies], np.uint16),
            frequencies=np.concatenate(frequencies).astype(np.uint16),
        )

    def to_bytes(self) -> bytes:
        """Serialise: spec/entropy.md, section 5. Equal tables give equal bytes."""
        return table_bytes.join(self.minimums, self.counts, self.frequencies)

    @classmethod
    def from_bytes(cls, data: bytes | memoryview) -> Self:
        """Read what `to_bytes` wrote.

        Raises:
            ModelError: the bytes are not exactly one valid set of tables.
        """
        return cls(*table_bytes.split(data))
