"""INDX: where the payloads of tiles lie (spec/format.md, section 5.4), and views of them.

INDX is one list of varints: the number C of DATA chunks, C numbers of tile payloads, one for each
DATA chunk, then the size in bytes of every tile payload in coding order.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import overload

import numpy as np
import numpy.typing as npt

from xraycodec.container.framing import MAX_CHUNK_BYTES
from xraycodec.container.header import Header
from xraycodec.errors import CorruptError

TARGET_CHUNK_BYTES = 2**14

_VARINT_BYTES = 5  # enough for MAX_CHUNK_BYTES


@dataclass(frozen=True, eq=False)
class Index:
    """How the payloads of tiles are spread over DATA chunks.

    Attributes:
        layers: number of layers, each of equally many payloads.
        payloads_per_chunk: ``(chunk,)``, each at least 1.
        payload_bytes: ``(payload,)`` sizes in bytes, in coding order.
        chunk_bytes: ``(chunk,)`` lengths of the DATA chunks that the sizes add up to.
    """

    layers: int
    payloads_per_chunk: npt.NDArray[np.int64]
    payload_bytes: npt.NDArray[np.int64]
    chunk_bytes: npt.NDArray[np.int64]

    def spread(self, of_chunks: npt.NDArray[np.bool_]) -> npt.NDArray[np.bool_]:
        """Give what holds of chunks, ``(chunk,)``, to their payloads: ``(layer, tile)``."""
        return np.repeat(of_chunks, self.payloads_per_chunk).reshape(self.layers, -1)


class PayloadViews(Sequence[memoryview]):
    """Payloads of tiles in coding order: views of the file, made when asked for."""

    def __init__(
        self, view: memoryview, starts: npt.NDArray[np.int64], sizes: npt.NDArray[np.int64]
    ) -> None:
        self._view, self._starts, self._sizes = view, starts, sizes

    def __len__(self) -> int:
        return len(self._starts)

    @overload
    def __getitem__(self, place: int) -> memoryview: ...
    @overload
    def __getitem__(self, place: slice) -> PayloadViews: ...
    def __getitem__(self, place: int | slice) -> memoryview | PayloadViews:
        if isinstance(place, slice):
            return PayloadViews(self._view, self._starts[place], self._sizes[place])
        start = int(self._starts[place])
        return self._view[start : start + int(self._sizes[place])]


def spread_payloads(payload_bytes: Sequence[int], tile_count: int) -> list[int]:
    """How many payloads each DATA chunk gets.

    A chunk is closed once it holds 16 KiB, and at the end of each layer of ``tile_count``
    payloads.
    """
    payloads_per_chunk: list[int] = []
    filled = 0
    for number, size in enumerate(payload_bytes):
        if (
            number % tile_count == 0
            or filled >= TARGET_CHUNK_BYTES
            or filled + size > MAX_CHUNK_BYTES
        ):
            payloads_per_chunk.append(0)
            filled = 0
        payloads_per_chunk[-1] += 1
        filled += size
    return payloads_per_chunk


def pack_index(payloads_per_chunk: Sequence[int], payload_bytes: Sequence[int]) -> bytes:
    """Serialise INDX's payload."""
    packed = bytearray()
    for number in (len(payloads_per_chunk), *payloads_per_chunk, *payload_bytes):
        rest = number
        while rest > 0x7F:
            packed.append(0x80 | rest & 0x7F)
            rest >>= 7
        packed.append(rest)
    return bytes(packed)


def unpack_index(payload: memoryview, header: Header, place: str) -> Index:
    """Parse INDX's payload; ``place`` names the chunk in messages.

    The header's number of tiles must have been held against the limits.

    Raises:
        CorruptError: numbers that are cut off, not in their shortest form or too large; numbers
            that do not cover the header's tiles in all layers exactly; a DATA chunk without
            tiles, of several layers or too large.
    """
    count = header.payload_count
    tiles = f"{header.layers} layers of " if header.layers > 1 else ""
    tiles += f"{header.tile_count} tiles"
    # A DATA chunk holds at least one payload, so there are 2 to 1 + 2 * count numbers. Held
    # against the bytes first, this bounds the arrays below by the limit on tiles.
    least, most = 2 + count, _VARINT_BYTES * (1 + 2 * count)
    if not least <= len(payload) <= most:
        raise CorruptError(f"{place} has {len(payload)} bytes; {tiles} need {least} to {most}")
    numbers = _unpack_varints(payload, place)
    chunk_count = int(numbers[0])
    if chunk_count == 0 or len(numbers) != 1 + chunk_count + count:
        raise CorruptError(
            f"{place} has {len(numbers)} numbers; {chunk_count} DATA chunks and {tiles} need"
            f" {1 + chunk_count + count}, and at least one DATA chunk"
        )
    payloads_per_chunk, payload_bytes = numbers[1 : 1 + chunk_count], numbers[1 + chunk_count :]
    if not payloads_per_chunk.all():
        empty = int(np.argmin(payloads_per_chunk))
        raise CorruptError(f"{place} gives DATA chunk {empty} no tile; each must have one")
    ends = np.cumsum(payloads_per_chunk)
    if (covered := int(ends[-1])) != count:
        raise CorruptError(f"{place} spreads {covered} tiles over DATA; the image has {tiles}")
    starts = ends - payloads_per_chunk
    mixed = np.flatnonzero(starts // header.tile_count != (ends - 1) // header.tile_count)
    if len(mixed):
        raise CorruptError(
            f"{place} gives DATA chunk {mixed[0]} tiles of several layers; each must have those of"
            " one"
        )
    chunk_bytes = np.add.reduceat(payload_bytes, starts)
    if (largest := int(chunk_bytes.max())) > MAX_CHUNK_BYTES:
        raise CorruptError(
            f"{place} gives a DATA chunk {largest} bytes; the format allows {MAX_CHUNK_BYTES}"
        )
    return Index(header.layers, payloads_per_chunk, payload_bytes, chunk_bytes)


def locate_payloads(view: memoryview, index: Index, chunk_starts: Sequence[int]) -> PayloadViews:
    """Payloads in the first ``len(chunk_starts)`` DATA chunks, whose content starts there."""
    payloads_per_chunk = index.payloads_per_chunk[: len(chunk_starts)]
    sizes = index.payload_bytes[: int(payloads_per_chunk.sum())]
    # Where a payload would lie if DATA chunks were adjacent, plus how far its chunk is from there.
    chunk_bytes = index.chunk_bytes[: len(chunk_starts)]
    shifts = np.array(chunk_starts, np.int64) - (np.cumsum(chunk_bytes) - chunk_bytes)
    starts = np.cumsum(sizes) - sizes + np.repeat(shifts, payloads_per_chunk)
    return PayloadViews(view, starts, sizes)


def _unpack_varints(payload: memoryview, place: str) -> npt.NDArray[np.int64]:
    """Every LEB128 number of the payload, which is not empty."""
    raw = np.frombuffer(payload, np.uint8)
    ends = np.flatnonzero(raw < 0x80)
    if len(ends) == 0 or ends[-1] != len(raw) - 1:
        raise CorruptError(f"{place} ends inside a number")
    starts = np.concatenate([np.zeros(1, ends.dtype), ends[:-1] + 1])
    lengths = ends - starts + 1
    if (longest := int(lengths.max())) > _VARINT_BYTES:
        raise CorruptError(f"{place} has a number of {longest} bytes; allowed are {_VARINT_BYTES}")
    if ((lengths > 1) & (raw[ends] == 0)).any():
        raise CorruptError(f"{place} has a number that is not in its shortest form")
    numbers: npt.NDArray[np.int64] = (raw[starts] & 0x7F).astype(np.int64)
    for extra in range(1, int(longest)):
        reaches = np.flatnonzero(lengths > extra)
        numbers[reaches] |= (raw[starts[reaches] + extra] & 0x7F).astype(np.int64) << 7 * extra
    if (largest := int(numbers.max())) > MAX_CHUNK_BYTES:
        raise CorruptError(f"{place} has the number {largest}; the format allows {MAX_CHUNK_BYTES}")
    return numbers
