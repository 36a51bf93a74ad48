"""Frequency tables: construction, normalisation and bytes."""

from __future__ import annotations

import struct
from collections.abc import Sequence
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from xraycodec.entropy import FrequencyTables
from xraycodec.errors import ModelError

from .reference import read_tables

TWO_TABLES = bytes.fromhex(
    "58524654 01 00 0200"  # letters, version, reserved, number of tables
    "ffffffff 05000000"  # minimums
    "0300 0100"  # counts
    "904e d08603 8827 9804"  # 10000, 50000, 5000, escape 536
    "ffff03 01"  # 65535, escape 1
)


def tables(
    minimums: Sequence[int], counts: Sequence[int], frequencies: Sequence[int]
) -> FrequencyTables:
    return FrequencyTables(
        np.array(minimums, np.int32), np.array(counts, np.uint16), np.array(frequencies, np.uint16)
    )


def from_counts(counts: Sequence[int]) -> list[int]:
    made = FrequencyTables.from_counts([np.array(counts)], [0])
    return [int(frequency) for frequency in made.frequencies]


class TestConstruction:
    def test_holds_tables_of_different_sizes(self) -> None:
        two = tables([-1, 5], [3, 1], [10000, 50000, 5000, 536, 65535, 1])
        assert len(two) == 2
        assert two.frequencies_of(0).tolist() == [10000, 50000, 5000, 536]
        assert two.frequencies_of(1).tolist() == [65535, 1]

    def test_copies_and_freezes_its_arrays(self) -> None:
        minimums = np.array([0], np.int32)
        one = FrequencyTables(minimums, np.array([1], np.uint16), np.array([9, 65527], np.uint16))
        minimums[0] = 7
        assert one.minimums[0] == 0
        with pytest.raises(ValueError, match="read-only"):
            one.frequencies[0] = 1

    def test_lookup_finds_the_owner_of_every_slot(self) -> None:
        two = tables([-1, 5], [3, 1], [10000, 50000, 5000, 536, 65535, 1])
        for table in range(2):
            owners = np.repeat(np.arange(two.counts[table] + 1), two.frequencies_of(table))
            buckets = two.lookup.buckets.reshape(2, -1)[table]
            np.testing.assert_array_equal(buckets, owners[:: 1 << (16 - two.lookup.bucket_bits)])

    @pytest.mark.parametrize(
        ("minimums", "counts", "frequencies"),
        [
            (np.zeros(1, np.int64), np.ones(1, np.uint16), np.full(2, 32768, np.uint16)),
            (np.zeros(1, np.int32), np.ones(1, np.uint8), np.full(2, 32768, np.uint16)),
            (np.zeros(1, np.int32), np.ones(1, np.uint16), np.full(2, 32768, np.int32)),
            (np.zeros((1, 1), np.int32), np.ones(1, np.uint16), np.full(2, 32768, np.uint16)),
        ],
    )
    def test_wrong_arrays(
        self, minimums: np.ndarray, counts: np.ndarray, frequencies: np.ndarray
    ) -> None:
        with pytest.raises(ValueError, match="allowed is a vector of"):
            FrequencyTables(minimums, counts, frequencies)

    def test_no_tables(self) -> None:
        with pytest.raises(ModelError, match="0 frequency tables"):
            tables([], [], [])

    def test_too_many_tables(self) -> None:
        number = (1 << 14) + 1
        with pytest.raises(ModelError, match="16385 frequency tables"):
            tables([0] * number, [1] * number, [32768] * 2 * number)

    def test_too_many_entries(self) -> None:
        with pytest.raises(ModelError, match="4194368 entries; the limit is 4194304"):
            tables([0] * 128, [32767] * 127 + [32831], [1])

    def test_as_many_counts_as_minimums(self) -> None:
        with pytest.raises(ModelError, match="1 minimums of tables with 2 counts"):
            tables([0], [1, 1], [65535, 1])

    def test_no_symbol(self) -> None:
        with pytest.raises(ModelError, match="table 1 has no symbol"):
            tables([0, 0], [1, 0], [65535, 1, 65535])

    def test_last_symbol_beyond_int32(self) -> None:
        tables([2**31 - 2], [2], [1, 1, 65534])
        with pytest.raises(ModelError, match="the last symbol of table 0 is 2147483648"):
            tables([2**31 - 1], [2], [1, 1, 65534])

    def test_as_many_frequencies_as_entries(self) -> None:
        with pytest.raises(ModelError, match="3 frequencies; the tables' counts ask for 2"):
            tables([0], [1], [65534, 1, 1])

    def test_zero_frequency(self) -> None:
        with pytest.raises(ModelError, match="entry 0 of table 1 has frequency 0"):
            tables([0, 0], [1, 2], [65535, 1, 0, 65535, 1])

    def test_wrong_sum(self) -> None:
        with pytest.raises(ModelError, match="table 1 add up to 65535, not 65536"):
            tables([0, 0], [1, 1], [65535, 1, 65534, 1])


class TestFromCounts:
    @pytest.mark.parametrize(
        ("counts", "frequencies"),
        [
            ([1, 1], [32768, 32768]),
            ([1, 1, 1], [21846, 21845, 21845]),  # a tie goes to the lower index
            ([0, 0, 0], [21846, 21845, 21845]),
            ([3, 1, 1, 0, 0], [39320, 13107, 13107, 1, 1]),
            ([5, 0, 10**9, 1], [1, 1, 65533, 1]),
            ([0, 2**47 - 1], [1, 65535]),
        ],
    )
    def test_pinned(self, counts: list[int], frequencies: list[int]) -> None:
        assert from_counts(counts) == frequencies

    def test_every_slot_taken_by_an_entry(self) -> None:
        assert from_counts([7] * 65535 + [0]) == [1] * 65536

    @given(
        st.lists(
            st.one_of(st.integers(0, 3), st.integers(0, 10**6), st.integers(0, 2**39)),
            min_size=2,
            max_size=200,
        )
    )
    def test_invariants(self, counts: list[int]) -> None:
        frequencies = from_counts(counts)
        assert sum(frequencies) == 65536
        assert min(frequencies) >= 1
        total = sum(counts)
        for count, frequency in zip(counts, frequencies, strict=True):
            # A share only shrinks, to make room for the rare, and is then rounded either way.
            assert frequency <= Fraction(count * 65536, total or 1) + 1 or total == 0
        for count, frequency in zip(counts, frequencies, strict=True):
            assert all(
                frequency >= other_frequency
                for other, other_frequency in zip(counts, frequencies, strict=True)
                if count > other
            )

    @pytest.mark.parametrize(
        ("counts", "minimums", "message"),
        [
            ([np.array([1, 1])], [0, 0], "1 tables of counts, but 2 minimums"),
            ([np.array([1, 1])], [2**31], "no int32"),
            ([np.array([1.0, 1.0])], [0], "a vector of integers"),
            ([np.array([[1, 1]])], [0], "a vector of integers"),
            ([np.array([1])], [0], "1 counts; allowed are 2"),
            ([np.ones(65537, int)], [0], "65537 counts; allowed are 2"),
            ([np.array([1, -1])], [0], "count 1 is -1"),
            ([np.array([2**46, 2**46])], [0], "add up to"),
            ([np.array([2**64 - 1, 2**64 - 1], np.uint64)], [0], "add up to"),
        ],
    )
    def test_wrong_counts(
        self, counts: list[np.ndarray], minimums: list[int], message: str
    ) -> None:
        with pytest.raises(ValueError, match=message):
            FrequencyTables.from_counts(counts, minimums)

    def test_no_tables(self) -> None:
        with pytest.raises(ModelError, match="0 frequency tables"):
            FrequencyTables.from_counts([], [])


class TestBytes:
    def test_pinned(self) -> None:
        two = tables([-1, 5], [3, 1], [10000, 50000, 5000, 536, 65535, 1])
        assert two.to_bytes() == TWO_TABLES

    @settings(max_examples=50)
    @given(st.data())
    def test_round_trip(self, data: st.DataObject) -> None:
        counts = data.draw(
            st.lists(st.lists(st.integers(0, 10**6), min_size=2, max_size=40), min_size=1)
        )
        minimums = [data.draw(st.integers(-(2**31), 2**31 - 41)) for _ in counts]
        made = FrequencyTables.from_counts([np.array(table) for table in counts], minimums)
        coded = made.to_bytes()
        read = FrequencyTables.from_bytes(coded)
        np.testing.assert_array_equal(read.minimums, made.minimums)
        np.testing.assert_array_equal(read.counts, made.counts)
        np.testing.assert_array_equal(read.frequencies, made.frequencies)
        assert read.to_bytes() == coded
        assert [list(table.frequencies) for table in read_tables(coded)] == [
            made.frequencies_of(table).tolist() for table in range(len(made))
        ]

    def test_reads_a_memoryview_at_an_odd_offset(self) -> None:
        view = memoryview(b"?" + TWO_TABLES)[1:]
        assert FrequencyTables.from_bytes(view).to_bytes() == TWO_TABLES

    @pytest.mark.parametrize("size", range(len(TWO_TABLES)))
    def test_truncated_anywhere(self, size: int) -> None:
        with pytest.raises(ModelError):
            FrequencyTables.from_bytes(TWO_TABLES[:size])

    @settings(max_examples=300)
    @given(st.integers(0, len(TWO_TABLES) - 1), st.integers(1, 255))
    def test_changed_anywhere(self, position: int, change: int) -> None:
        changed = bytearray(TWO_TABLES)
        changed[position] ^= change
        try:
            read = FrequencyTables.from_bytes(bytes(changed))
        except ModelError:
            return
        assert read.to_bytes() == changed

    @given(st.binary(max_size=60))
    def test_any_body(self, body: bytes) -> None:
        try:
            read = FrequencyTables.from_bytes(TWO_TABLES[:6] + body)
        except ModelError:
            return
        assert read.to_bytes() == TWO_TABLES[:6] + body

    def test_other_letters(self) -> None:
        with pytest.raises(ModelError, match="begin with b'XRFU'"):
            FrequencyTables.from_bytes(b"XRFU" + TWO_TABLES[4:])

    def test_later_version(self) -> None:
        with pytest.raises(ModelError, match="version 2"):
            FrequencyTables.from_bytes(b"XRFT\x02" + TWO_TABLES[5:])

    def test_reserved_byte(self) -> None:
        with pytest.raises(ModelError, match="reserved byte of the frequency tables is 1"):
            FrequencyTables.from_bytes(b"XRFT\x01\x01" + TWO_TABLES[6:])

    def test_no_tables(self) -> None:
        with pytest.raises(ModelError, match="0 frequency tables"):
            FrequencyTables.from_bytes(TWO_TABLES[:6] + bytes(2))

    def test_too_many_tables(self) -> None:
        with pytest.raises(ModelError, match="65535 frequency tables; the limit is 16384"):
            FrequencyTables.from_bytes(TWO_TABLES[:6] + b"\xff\xff")

    def test_claims_too_many_entries(self) -> None:
        data = TWO_TABLES[:6] + struct.pack("<H", 100) + bytes(400) + b"\xff\xff" * 100
        with pytest.raises(ModelError, match="6553600 entries; the limit is 4194304"):
            FrequencyTables.from_bytes(data)

    def test_longer_than_its_entries_can_be(self) -> None:
        with pytest.raises(ModelError, match="6 entries take 38 at most"):
            FrequencyTables.from_bytes(TWO_TABLES + bytes(20))

    def test_trailing_byte(self) -> None:
        with pytest.raises(ModelError, match="1 bytes after the last of 6 frequencies"):
            FrequencyTables.from_bytes(TWO_TABLES + b"\x00")

    def test_varint_too_long(self) -> None:
        with pytest.raises(ModelError, match="frequency 5 has 4 bytes; the limit is 3"):
            FrequencyTables.from_bytes(TWO_TABLES[:-1] + b"\x81\x80\x80\x01")

    def test_varint_too_large(self) -> None:
        with pytest.raises(ModelError, match="frequency 5 is 65536; the limit is 65535"):
            FrequencyTables.from_bytes(TWO_TABLES[:-1] + b"\x80\x80\x04")

    def test_varint_not_shortest(self) -> None:
        with pytest.raises(ModelError, match="frequency 5 is not in its shortest form"):
            FrequencyTables.from_bytes(TWO_TABLES[:-1] + b"\x81\x00")

    def test_invalid_frequencies(self) -> None:
        with pytest.raises(ModelError, match="add up to 65537"):
            FrequencyTables.from_bytes(TWO_TABLES[:-1] + b"\x02")
