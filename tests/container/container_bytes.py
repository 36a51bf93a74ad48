"""Streams made by hand from spec/format.md, sharing no code with the package."""

from __future__ import annotations

import struct
import zlib

SIGNATURE = bytes.fromhex("89 58 52 43 0D 0A 1A 0A")
Chunks = list[tuple[bytes, bytes]]

HEAD_FIELDS = {
    "major": 1,
    "minor": 0,
    "flags": 2,
    "bits_stored": 12,
    "photometric": 2,
    "layers": 0,
    "reserved": bytes(2),
    "frames": 1,
    "rows": 5,
    "columns": 4,
    "tile": 2,
    "max_error": 0,
    "codec": b"TEST",
    "model": bytes(range(32)),
}

# Six tiles, three rows of two, in two DATA chunks.
TILES = (b"one", b"", b"three", b"four", b"five five", b"6")
INDEX = bytes([2, 4, 2, 3, 0, 5, 4, 9, 1])
DICOM = b"\x10\x00\x10\x00PN\x08\x00Doe^Jane"
DIGEST = bytes(range(100, 132))


def chunk(chunk_type: bytes, payload: bytes) -> bytes:
    covered = chunk_type + struct.pack("<I", len(payload)) + payload
    return covered + struct.pack("<I", zlib.crc32(covered))


def head(**changes: object) -> bytes:
    return struct.pack("<6B2s5I4s32s", *(HEAD_FIELDS | changes).values())


def meta(
    kind: int = 1,
    compression: int = 0,
    reserved: int = 0,
    size: int = len(DICOM),
    body: bytes = DICOM,
) -> bytes:
    return struct.pack("<BBHI", kind, compression, reserved, size) + body


def hash_payload(algorithm: int = 1, reserved: int = 0, reserved_2: int = 0) -> bytes:
    return struct.pack("<BBH32s", algorithm, reserved, reserved_2, DIGEST)


def chunks() -> Chunks:
    """A sound stream's chunks, to be changed by tests."""
    return [
        (b"HEAD", head()),
        (b"PARM", b"parameters"),
        (b"META", meta()),
        (b"INDX", INDEX),
        (b"DATA", b"".join(TILES[:4])),
        (b"DATA", b"".join(TILES[4:])),
        (b"HASH", hash_payload()),
        (b"DONE", b""),
    ]


def stream(parts: Chunks | None = None) -> bytes:
    return SIGNATURE + b"".join(chunk(*part) for part in (chunks() if parts is None else parts))


def stream_with(chunk_type: bytes, payload: bytes) -> bytes:
    """The sound stream with the payload of one chunk replaced, checksum right."""
    return stream([(t, payload if t == chunk_type else p) for t, p in chunks()])
