"""Sound streams taken apart into chunks and put together again, checksums right."""

from __future__ import annotations

import struct
import zlib

SIGNATURE_BYTES = 8
Chunks = list[tuple[bytes, bytes]]

HEAD_OFFSETS = {
    "major": (0, "B"),
    "minor": (1, "B"),
    "flags": (2, "B"),
    "bits_stored": (3, "B"),
    "photometric": (4, "B"),
    "layers": (5, "B"),
    "reserved": (6, "B"),
    "frames": (8, "I"),
    "rows": (12, "I"),
    "columns": (16, "I"),
    "tile": (20, "I"),
    "max_error": (24, "I"),
    "codec": (28, "4s"),
    "model": (32, "32s"),
}


def split(data: bytes) -> Chunks:
    chunks = []
    offset = SIGNATURE_BYTES
    while offset < len(data):
        chunk_type, length = struct.unpack_from("<4sI", data, offset)
        chunks.append((chunk_type, data[offset + 8 : offset + 8 + length]))
        offset += length + 12
    return chunks


def join(chunks: Chunks) -> bytes:
    parts = [b"\x89XRC\r\n\x1a\n"]
    for chunk_type, payload in chunks:
        covered = chunk_type + struct.pack("<I", len(payload)) + payload
        parts += [covered, struct.pack("<I", zlib.crc32(covered))]
    return b"".join(parts)


def payload_of(data: bytes, chunk_type: bytes) -> bytes:
    """The payload of the only chunk of a type."""
    (payload,) = (p for t, p in split(data) if t == chunk_type)
    return payload


def with_payload(data: bytes, chunk_type: bytes, payload: bytes) -> bytes:
    return join([(t, payload if t == chunk_type else p) for t, p in split(data)])


def with_head(data: bytes, **fields: int | bytes) -> bytes:
    head = bytearray(payload_of(data, b"HEAD"))
    for name, value in fields.items():
        offset, layout = HEAD_OFFSETS[name]
        struct.pack_into(f"<{layout}", head, offset, value)
    return with_payload(data, b"HEAD", bytes(head))


def with_tiles(data: bytes, tiles: list[bytes]) -> bytes:
    """The same stream with other tiles, all in one DATA chunk, and an index that fits."""
    index = numbers(1, len(tiles), *map(len, tiles))
    chunks = [(t, index if t == b"INDX" else p) for t, p in split(data) if t != b"DATA"]
    place = [t for t, _ in chunks].index(b"INDX") + 1
    return join([*chunks[:place], (b"DATA", b"".join(tiles)), *chunks[place:]])


def numbers(*values: int) -> bytes:
    """A list of varints, as the index is one."""
    return b"".join(map(_varint, values))


def _varint(number: int) -> bytes:
    groups = bytearray()
    while number > 0x7F:
        groups.append(0x80 | number & 0x7F)
        number >>= 7
    return bytes((*groups, number))
