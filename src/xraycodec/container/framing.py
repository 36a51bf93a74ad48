"""Signature and chunk frames of ``.xrc`` (spec/format.md, sections 3 and 4).

::

    signature | chunk | chunk | ... | chunk DONE
                  │
                  └ type (4 letters) | length (u32) | payload | CRC-32 of all three (u32)

Nothing here knows what a chunk means, only how to step from one to the next.
"""

from __future__ import annotations

import struct
import zlib
from collections.abc import Iterator
from dataclasses import dataclass

from xraycodec.container.limits import DEFAULT_LIMITS, Limits
from xraycodec.errors import CorruptError, LimitError, NotXrcError, OptionError, TruncatedError

SIGNATURE = b"\x89XRC\r\n\x1a\n"
LAST_CHUNK = "DONE"
MAX_CHUNK_BYTES = 2**31 - 1
MAX_CHUNKS = 2**20
MAX_PARAMETER_BYTES = 2**16

PREFIX = struct.Struct("<4sI")  # type, length
CHECKSUM = struct.Struct("<I")
FRAME_BYTES = PREFIX.size + CHECKSUM.size

Buffer = bytes | bytearray | memoryview


@dataclass(frozen=True, slots=True)
class Chunk:
    """One chunk's place in the file.

    Attributes:
        type: four ASCII letters.
        offset: byte of the file at which the type begins.
        length: payload in bytes, frame not counted.
        crc_ok: whether the stored CRC-32 is that of type, length and payload.
    """

    type: str
    offset: int
    length: int
    crc_ok: bool

    @property
    def start(self) -> int:
        """Byte of the file at which the payload begins."""
        return self.offset + PREFIX.size

    @property
    def end(self) -> int:
        """Byte of the file after the chunk's CRC-32."""
        return self.offset + self.length + FRAME_BYTES

    def payload(self, view: memoryview) -> memoryview:
        """The chunk's content, ``view`` being the whole file; not copied."""
        return view[self.start : self.start + self.length]

    @property
    def critical(self) -> bool:
        """Whether a reader that does not know the type must refuse the file."""
        return self.type[0].isupper()

    @property
    def place(self) -> str:
        """How messages name the chunk."""
        return f"chunk {self.type!r} at byte {self.offset}"


def byte_view(data: Buffer) -> memoryview:
    """``data`` as read-only bytes, not copied."""
    return memoryview(data).toreadonly().cast("B")


def pack_chunk(chunk_type: str, *payload: Buffer) -> list[Buffer]:
    """Frame a payload given in parts; the result is to be joined, so no part is copied twice.

    Raises:
        OptionError: the payload is larger than a chunk can be.
    """
    length = sum(len(part) for part in payload)
    if length > MAX_CHUNK_BYTES:
        raise OptionError(
            f"chunk {chunk_type!r} would hold {length} bytes; the format allows {MAX_CHUNK_BYTES}"
        )
    prefix = PREFIX.pack(chunk_type.encode("ascii"), length)
    crc = zlib.crc32(prefix)
    for part in payload:
        crc = zlib.crc32(part, crc)
    return [prefix, *payload, CHECKSUM.pack(crc)]


def stored_crc(view: memoryview, chunk: Chunk) -> int:
    """The CRC-32 that the file gives for a chunk."""
    crc: int = CHECKSUM.unpack_from(view, chunk.start + chunk.length)[0]
    return crc


def computed_crc(view: memoryview, offset: int, length: int) -> int:
    """The CRC-32 that the bytes of the chunk at ``offset`` have."""
    return zlib.crc32(view[offset : offset + PREFIX.size + length])


def walk(view: memoryview, limits: Limits) -> Iterator[Chunk]:
    """Step over the chunks of a stream up to and including DONE, CRC-32s computed.

    Raises:
        NotXrcError, TruncatedError, CorruptError, LimitError: as :func:`read_length`; the
            chunks before the fault have been yielded by then.
    """
    for chunk_type, offset, length in _frames(view, limits):
        stored = CHECKSUM.unpack_from(view, offset + PREFIX.size + length)[0]
        yield Chunk(chunk_type, offset, length, stored == computed_crc(view, offset, length))


def read_length(data: Buffer, limits: Limits = DEFAULT_LIMITS) -> int:
    """Length in bytes of the stream that ``data`` begins with, through the end of DONE.

    For streams inside longer buffers, such as a DICOM fragment with its padding byte. Only frames
    are read: :func:`~xraycodec.container.parse` checks what they hold.

    Raises:
        NotXrcError: no signature at byte 0.
        TruncatedError: ``data`` ends before DONE does.
        CorruptError: a chunk type that is not four letters, a length that no chunk may have,
            or too many chunks.
        LimitError: a chunk larger than ``limits`` allow.
    """
    end = 0
    for _, offset, length in _frames(byte_view(data), limits):
        end = offset + length + FRAME_BYTES
    return end


def _frames(view: memoryview, limits: Limits) -> Iterator[tuple[str, int, int]]:
    """Type, offset and payload length of each chunk up to DONE, each wholly inside ``view``."""
    if view[: len(SIGNATURE)] != SIGNATURE:
        raise NotXrcError(
            f"the file begins with {bytes(view[: len(SIGNATURE)]).hex(' ') or 'nothing'}; an .xrc"
            f" file begins with {SIGNATURE.hex(' ')}"
        )
    offset = len(SIGNATURE)
    for _ in range(MAX_CHUNKS):
        if len(view) - offset < PREFIX.size:
            raise TruncatedError(
                f"the file ends at byte {len(view)}, where byte {offset} should begin a chunk"
            )
        raw_type, length = PREFIX.unpack_from(view, offset)
        if not raw_type.isalpha():
            raise CorruptError(
                f"the chunk at byte {offset} has type {raw_type.hex(' ')}; allowed are four"
                " ASCII letters"
            )
        chunk_type = raw_type.decode("ascii")
        claim = f"chunk {chunk_type!r} at byte {offset} claims {length} bytes"
        if length > MAX_CHUNK_BYTES:
            raise CorruptError(f"{claim}; the format allows {MAX_CHUNK_BYTES}")
        if length > limits.max_chunk_bytes:
            raise LimitError(f"{claim}; the limit is {limits.max_chunk_bytes}")
        end = offset + length + FRAME_BYTES
        if end > len(view):
            raise TruncatedError(f"{claim} and ends at byte {end}; the file ends at {len(view)}")
        yield chunk_type, offset, length
        if chunk_type == LAST_CHUNK:
            return
        offset = end
    raise CorruptError(
        f"no {LAST_CHUNK!r} among the {MAX_CHUNKS} chunks before byte {offset}; the format allows"
        " no more"
    )
