"""Bytes that a chunk holds as they are or as a zlib stream, whichever is smaller."""

from __future__ import annotations

import zlib

from xraycodec.errors import CorruptError, UnsupportedFormatError

STORED, ZLIB = 0, 1


def deflate(content: bytes) -> tuple[int, bytes]:
    """Compression and body that hold ``content`` in the fewest bytes."""
    deflated = zlib.compress(content, 9)
    return (ZLIB, deflated) if len(deflated) < len(content) else (STORED, content)


def check_compression(compression: int, place: str) -> None:
    """Check that a reader of this version can open a body.

    Raises:
        UnsupportedFormatError: it cannot.
    """
    if compression not in (STORED, ZLIB):
        raise UnsupportedFormatError(
            f"{place} has compression {compression}; this reader knows 0 and 1"
        )


def inflate(compression: int, body: memoryview, size: int, place: str, what: str) -> bytes:
    """Give a body's content, if that is exactly ``size`` bytes; no more are inflated.

    Args:
        compression: :data:`STORED` or :data:`ZLIB`.
        body: to the end of the chunk.
        size: what the chunk claims, held against the limits before.
        place: names the chunk in messages.
        what: names the content in messages.

    Raises:
        CorruptError: other content, a zlib stream that is broken or has no end, bytes after it.
    """
    if compression == STORED:
        if len(body) != size:
            raise CorruptError(f"{place} claims {size} bytes of {what}; it holds {len(body)}")
        return bytes(body)
    inflater = zlib.decompressobj()
    try:
        # One byte more than claimed shows a stream that is too long without inflating the rest.
        content = inflater.decompress(body, size + 1)
    except zlib.error as fault:
        raise CorruptError(f"{place} holds a broken zlib stream: {fault}") from None
    if len(content) != size:
        found = f"more than {size}" if len(content) > size else f"{len(content)}"
        raise CorruptError(f"{place} claims {size} bytes of {what}; it inflates to {found}")
    if not inflater.eof:
        raise CorruptError(f"{place} holds a zlib stream without its end")
    if inflater.unused_data:
        raise CorruptError(
            f"{place} has {len(inflater.unused_data)} bytes after its zlib stream; allowed are none"
        )
    return content


def inflate_front(body: memoryview, size: int) -> bytes:
    """The first ``size`` bytes of a zlib stream's content, fewer where it is broken or ends."""
    try:
        return zlib.decompressobj().decompress(body, size)
    except zlib.error:
        return b""  # `inflate` says what is wrong
