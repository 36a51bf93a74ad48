"""A decoder written from the words of spec/entropy.md alone, in plain Python: slow and simple."""

from __future__ import annotations

import struct
from collections.abc import Sequence
from dataclasses import dataclass, field


class RefusedError(Exception):
    """The stream breaks a rule that the spec gives with the words "MUST reject"."""


@dataclass(frozen=True)
class Table:
    minimum: int
    frequencies: Sequence[int]  # the escape's last


def read_tables(data: bytes) -> list[Table]:
    """Section 5, for valid bytes."""
    magic, version, reserved, number = struct.unpack_from("<4sBBH", data)
    assert (magic, version, reserved) == (b"XRFT", 1, 0)
    minimums = struct.unpack_from(f"<{number}i", data, 8)
    counts = struct.unpack_from(f"<{number}H", data, 8 + 4 * number)
    rest = iter(data[8 + 6 * number :])
    tables = []
    for minimum, count in zip(minimums, counts, strict=True):
        frequencies = []
        for _ in range(count + 1):
            value = shift = 0
            while True:
                byte = next(rest)
                value |= (byte & 127) << shift
                shift += 7
                if byte < 128:
                    break
            frequencies.append(value)
        tables.append(Table(minimum, frequencies))
    assert not list(rest)
    return tables


@dataclass
class Decoder:
    """Sections 3 and 4. Every step is noted in `trace`, one line each as in the spec's example."""

    data: bytes
    position: int = 0
    states: list[int] = field(default_factory=list)
    trace: list[str] = field(default_factory=list)

    def word(self) -> int:
        if self.position + 2 > len(self.data):
            raise RefusedError("words are exhausted")
        (word,) = struct.unpack_from("<H", self.data, self.position)
        self.position += 2
        return int(word)

    def step(self, turn: int, frequencies: Sequence[int]) -> int:
        state = self.states[turn]
        slot = state % 65536
        entry = start = 0
        while slot >= start + frequencies[entry]:
            start += frequencies[entry]
            entry += 1
        new = frequencies[entry] * (state // 65536) + slot - start
        word = None
        if new < 65536:
            word = self.word()
            new = new * 65536 + word
        read = "-" if word is None else f"{word:04x}"
        self.trace.append(f"{turn} {state:08x} {slot:04x} {entry} {read} {new:08x}")
        self.states[turn] = new
        return entry

    def bits(self, turn: int, bits: int) -> int:
        return self.step(turn, [1 << (16 - bits)] * (1 << bits)) if bits else 0

    def value(self, turn: int, table: Table) -> int:
        entry = self.step(turn, table.frequencies)
        count = len(table.frequencies) - 1
        if entry < count:
            return table.minimum + entry
        header = self.bits(turn, 6)
        side, length = divmod(header, 32)
        low = self.bits(turn, min(length, 16))
        high = self.bits(turn, max(length - 16, 0))
        magnitude = 2**length + low + high * 65536
        value = table.minimum - magnitude if side else table.minimum + count - 1 + magnitude
        if not -(2**31) <= value <= 2**31 - 1:
            raise RefusedError("an escaped value is no int32")
        return value

    def run(self, table_index: Sequence[int], tables: Sequence[Table]) -> list[int]:
        if not table_index:
            if self.data:
                raise RefusedError("bytes for no values")
            return []
        if len(self.data) % 2:
            raise RefusedError("odd length")
        self.states = [self.word() | self.word() << 16 for _ in range(2)]
        if min(self.states) < 65536:
            raise RefusedError("initial state")
        values = [self.value(i % 2, tables[table]) for i, table in enumerate(table_index)]
        if self.position != len(self.data):
            raise RefusedError("trailing bytes")
        if self.states != [65536, 65536]:
            raise RefusedError("final states")
        return values


def decode(data: bytes, table_index: Sequence[int], tables: Sequence[Table]) -> list[int]:
    return Decoder(data).run(table_index, tables)
