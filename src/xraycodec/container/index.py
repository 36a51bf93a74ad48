"""INDX: where each tile lies (spec/format.md, section 5.4), and tiles as views of the file.

The payload is one list of varints: the number C of DATA chunks, C numbers of tiles, one for each
DATA chunk, then the size in bytes of every tile in coding order.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import overload

import numpy as np
import numpy.typing as npt

from xraycodec.container.framing import MAX_CHUNK_BYTES
from xraycodec.errors import CorruptError

TARGET_CHUNK_BYTES = 2**16

_VARINT_BYTES = 5  # enough for MAX_CHUNK_BYTES


@dataclass(frozen=True, eq=False)
class Index:
    """How tiles are spread over DATA chunks.

    Attributes:
        tiles_per_chunk: ``(chunk,)``, each at least 1.
        tile_bytes: ``(tile,)`` sizes in bytes.
        chunk_bytes: ``(chunk,)`` payloads of the DATA chunks that the sizes add up to.
    """

    tiles_per_chunk: npt.NDArray[np.int64]
    tile_bytes: npt.NDArray[np.int64]
    chunk_bytes: npt.NDArray[np.int64]


class TileViews(Sequence[memoryview]):
    """The payloads of tiles in coding order: views of the file, made when asked for."""

    def __init__(
        self, view: memoryview, starts: npt.NDArray[np.int64], sizes: npt.NDArray[np.int64]
    ) -> None:
        self._view, self._starts, self._sizes = view, starts, sizes

    def __len__(self) -> int:
        return len(self._starts)

    @overload
    def __getitem__(self, place: int) -> memoryview: ...
    @overload
    def __getitem__(self, place: slice) -> TileViews: ...
    def __getitem__(self, place: int | slice) -> memoryview | TileViews:
        if isinstance(place, slice):
            return TileViews(self._view, self._starts[place], self._sizes[place])
        start = int(self._starts[place])
        return self._view[start : start + int(self._sizes[place])]


def spread_tiles(tile_bytes: Sequence[int]) -> list[int]:
    """How many tiles each DATA chunk gets: a chunk is closed once it holds 64 KiB."""
    tiles_per_chunk: list[int] = []
    filled = TARGET_CHUNK_BYTES
    for size in tile_bytes:
        if filled >= TARGET_CHUNK_BYTES or filled + size > MAX_CHUNK_BYTES:
            tiles_per_chunk.append(0)
            filled = 0
        tiles_per_chunk[-1] += 1
        filled += size
    return tiles_per_chunk


def pack_index(tiles_per_chunk: Sequence[int], tile_bytes: Sequence[int]) -> bytes:
    """Serialise INDX's payload."""
    packed = bytearray()
    for number in (len(tiles_per_chunk), *tiles_per_chunk, *tile_bytes):
        rest = number
        while rest > 0x7F:
            packed.append(0x80 | rest & 0x7F)
            rest >>= 7
        packed.append(rest)
    return bytes(packed)


def unpack_index(payload: memoryview, tile_count: int, place: str) -> Index:
    """Parse INDX's payload; ``place`` names the chunk in messages.

    Raises:
        CorruptError: numbers that are cut off, not in their shortest form or too large; numbers
            that do not cover ``tile_count`` tiles exactly; a DATA chunk without tiles or too
            large.
    """
    # A DATA chunk holds at least one tile, so there are 2 to 1 + 2 * tile_count numbers. Held
    # against the payload first, this bounds the arrays below by the limit on tiles.
    least, most = 2 + tile_count, _VARINT_BYTES * (1 + 2 * tile_count)
    if not least <= len(payload) <= most:
        raise CorruptError(
            f"{place} has {len(payload)} bytes; {tile_count} tiles need {least} to {most}"
        )
    numbers = _unpack_varints(payload, place)
    chunk_count = int(numbers[0])
    if chunk_count == 0 or len(numbers) != 1 + chunk_count + tile_count:
        raise CorruptError(
            f"{place} has {len(numbers)} numbers; {chunk_count} DATA chunks and {tile_count} tiles"
            f" need {1 + chunk_count + tile_count}, and at least one DATA chunk"
        )
    tiles_per_chunk, tile_bytes = numbers[1 : 1 + chunk_count], numbers[1 + chunk_count :]
    if not tiles_per_chunk.all():
        empty = int(np.argmin(tiles_per_chunk))
        raise CorruptError(f"{place} gives DATA chunk {empty} no tile; each must have one")
    if (covered := int(tiles_per_chunk.sum())) != tile_count:
        raise CorruptError(f"{place} spreads {covered} tiles over DATA; the image has {tile_count}")
    chunk_bytes = np.add.reduceat(tile_bytes, np.cumsum(tiles_per_chunk) - tiles_per_chunk)
    if (largest := int(chunk_bytes.max())) > MAX_CHUNK_BYTES:
        raise CorruptError(
            f"{place} gives a DATA chunk {largest} bytes; the format allows {MAX_CHUNK_BYTES}"
        )
    return Index(tiles_per_chunk, tile_bytes, chunk_bytes)


def locate_tiles(view: memoryview, index: Index, chunk_starts: Sequence[int]) -> TileViews:
    """Tiles of the first ``len(chunk_starts)`` DATA chunks, whose payloads start there."""
    tiles_per_chunk = index.tiles_per_chunk[: len(chunk_starts)]
    sizes = index.tile_bytes[: int(tiles_per_chunk.sum())]
    # Where a tile would lie if DATA payloads were adjacent, plus how far its chunk is from there.
    chunk_bytes = index.chunk_bytes[: len(chunk_starts)]
    shifts = np.array(chunk_starts, np.int64) - (np.cumsum(chunk_bytes) - chunk_bytes)
    return TileViews(view, np.cumsum(sizes) - sizes + np.repeat(shifts, tiles_per_chunk), sizes)


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
