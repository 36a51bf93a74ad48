"""Signature and chunk frames of ``.xrc`` (spec/format.md, sections 3 and 4).

::

    signature | chunk | chunk | ... | chunk DONE
                  │
                  └ type (4 letters) | length (u32) | payload | CRC-32 of all three (u32)

Nothing here knows what a chunk means, only how to step from one to the next.
"""

from __future__ import annotations

import io
import os
import struct
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import count
from typing import Any, BinaryIO

from xraycodec.errors import CorruptError, LimitError, NotXrcError, OptionError, TruncatedError
from xraycodec.limits import DEFAULT_LIMITS, Limits

SIGNATURE = b"\x89XRC\r\n\x1a\n"
LAST_CHUNK = "DONE"
MAX_CHUNK_BYTES = 2**31 - 1
MAX_CHUNKS = 2**20
MAX_PARAMETER_BYTES = 2**16
_LEAST_CHUNK_BYTES = 2**10
"""That chunks of a large file have on the average; writers put 16 KiB of tiles into each."""

PREFIX = struct.Struct("<4sI")  # type, length
CHECKSUM = struct.Struct("<I")
FRAME_BYTES = PREFIX.size + CHECKSUM.size

Buffer = bytes | bytearray | memoryview


@dataclass(frozen=True, slots=True)
class Frame:
    """What a chunk's first eight bytes say: its type, its place in the file, its length.

    Attributes:
        type: four ASCII letters.
        offset: byte of the file at which the type begins.
        length: payload in bytes, frame not counted.
    """

    type: str
    offset: int
    length: int

    @property
    def start(self) -> int:
        """Byte of the file at which the payload begins."""
        return self.offset + PREFIX.size

    @property
    def end(self) -> int:
        """Byte of the file after the chunk's CRC-32."""
        return self.offset + self.length + FRAME_BYTES

    @property
    def critical(self) -> bool:
        """Whether a reader that does not know the type must refuse the file."""
        return self.type[0].isupper()

    @property
    def place(self) -> str:
        """How messages name the chunk."""
        return f"chunk {self.type!r} at byte {self.offset}"


@dataclass(frozen=True, slots=True)
class Chunk(Frame):
    """One chunk of which every byte was read.

    Attributes:
        stored_crc: the CRC-32 that the file gives for it.
        computed_crc: the CRC-32 that its type, length and payload have.
    """

    stored_crc: int
    computed_crc: int

    @property
    def crc_ok(self) -> bool:
        """Whether the stored CRC-32 is that of type, length and payload."""
        return self.stored_crc == self.computed_crc

    def payload(self, view: memoryview) -> memoryview:
        """The chunk's content, ``view`` being the whole file; not copied."""
        return view[self.start : self.start + self.length]

    def check_crc(self) -> None:
        """Hold the stored CRC-32 against the computed one.

        Raises:
            CorruptError: they differ.
        """
        if not self.crc_ok:
            raise CorruptError(
                f"{self.place} stores CRC-32 0x{self.stored_crc:08x}; its {self.length} bytes give"
                f" 0x{self.computed_crc:08x}"
            )


def byte_view(data: Buffer) -> memoryview:
    """``data`` as read-only bytes, not copied.

    Raises:
        NotXrcError: it is no buffer of bytes.
    """
    try:
        return memoryview(data).toreadonly().cast("B")
    except TypeError:
        raise NotXrcError(_not_bytes(data)) from None


def as_file(source: BinaryIO | Buffer) -> BinaryIO:
    """A seekable binary file as it is, or one over bytes.

    Raises:
        NotXrcError: it is neither.
    """
    if isinstance(source, bytes | bytearray | memoryview):
        return io.BytesIO(source)
    given: Any = source
    if isinstance(given, io.TextIOBase):
        raise NotXrcError("the file is open as text; allowed are files open with mode 'rb'")
    if not hasattr(given, "read"):
        raise NotXrcError(_not_bytes(given))
    return source


def _not_bytes(found: object) -> str:
    """What to say of something that was given in place of the bytes of a stream."""
    if isinstance(found, str | os.PathLike):
        return (
            "the bytes of an .xrc file are expected, not its name;"
            " pathlib.Path(name).read_bytes() gives them"
        )
    if hasattr(found, "read"):
        return "the bytes of an .xrc file are expected, not an open file; file.read() gives them"
    return f"the bytes of an .xrc file are expected, not an object of type {type(found).__name__}"


def ends_whole(file: BinaryIO) -> bool:
    """Whether a seekable file begins with the signature and ends with the chunk DONE.

    No more than 20 bytes are read: damage between them goes unnoticed.
    """
    last = b"".join(pack_chunk(LAST_CHUNK))
    size_bytes = file.seek(0, os.SEEK_END)
    if size_bytes < len(SIGNATURE) + len(last):
        return False
    file.seek(0)
    begins = file.read(len(SIGNATURE)) == SIGNATURE
    file.seek(-len(last), os.SEEK_END)
    return begins and file.read(len(last)) == last


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


def check_signature(start: memoryview) -> None:
    """Check the bytes with which a file begins; more of them do not matter.

    Raises:
        NotXrcError: they are not the signature.
    """
    found = bytes(start[: len(SIGNATURE)])
    if found != SIGNATURE:
        raise NotXrcError(
            f"the file begins with {found.hex(' ') or 'nothing'}; an .xrc file begins with"
            f" {SIGNATURE.hex(' ')}"
        )


def read_frame(
    prefix: memoryview, offset: int, number: int, size_bytes: int, limits: Limits
) -> Frame:
    """Read the frame of the chunk at ``offset``.

    Args:
        prefix: the eight bytes there, fewer where the file ends.
        offset: byte of the file at which the chunk begins.
        number: chunks before it.
        size_bytes: the whole file. The chunk may reach beyond: see :func:`check_cut`.
        limits: sizes to accept.

    Raises:
        TruncatedError: the file ends before the frame does.
        CorruptError: a type that is not four letters, a length that no chunk may have, or too
            many chunks.
        LimitError: a chunk larger than ``limits`` allow, or more of them.
    """
    if number >= MAX_CHUNKS:
        raise CorruptError(
            f"no {LAST_CHUNK!r} among the {MAX_CHUNKS} chunks before byte {offset}; the format"
            " allows no more"
        )
    if number >= (most := limits.max_chunks + size_bytes // _LEAST_CHUNK_BYTES):
        raise LimitError(
            f"{number} chunks come before byte {offset} of {size_bytes}; the limit is {most}, one"
            f" for each {_LEAST_CHUNK_BYTES} bytes and {limits.max_chunks} more (max_chunks)"
        )
    if len(prefix) < PREFIX.size:
        raise TruncatedError(
            f"the file ends at byte {size_bytes}, where byte {offset} should begin a chunk"
        )
    raw_type, length = PREFIX.unpack(prefix)
    if not raw_type.isalpha():
        raise CorruptError(
            f"the chunk at byte {offset} has type {raw_type.hex(' ')}; allowed are four"
            " ASCII letters"
        )
    frame = Frame(raw_type.decode("ascii"), offset, length)
    if length > MAX_CHUNK_BYTES:
        raise CorruptError(
            f"{frame.place} claims {length} bytes; the format allows {MAX_CHUNK_BYTES}"
        )
    if length > limits.max_chunk_bytes:
        raise LimitError(
            f"{frame.place} claims {length} bytes; the limit is {limits.max_chunk_bytes}"
            " (max_chunk_bytes)"
        )
    return frame


def check_cut(frame: Frame, size_bytes: int) -> None:
    """Hold a chunk's end against the file's.

    Raises:
        TruncatedError: the file ends first.
    """
    if frame.end > size_bytes:
        raise TruncatedError(
            f"{frame.place} claims {frame.length} bytes and ends at byte {frame.end}; the file"
            f" ends at {size_bytes}"
        )


def read_chunk(frame: Frame, rest: memoryview) -> Chunk:
    """Compute the CRC-32 of a chunk, ``rest`` being its payload and the stored CRC-32."""
    prefix = PREFIX.pack(frame.type.encode("ascii"), frame.length)
    (stored,) = CHECKSUM.unpack_from(rest, frame.length)
    computed = zlib.crc32(rest[: frame.length], zlib.crc32(prefix))
    return Chunk(frame.type, frame.offset, frame.length, stored, computed)


def walk(view: memoryview, limits: Limits) -> Iterator[Chunk]:
    """Step over the chunks of a stream up to and including DONE, CRC-32s computed.

    Raises:
        NotXrcError, TruncatedError, CorruptError, LimitError: as :func:`read_length`; the
            chunks before the fault have been yielded by then.
    """
    for frame in _frames(view, limits):
        yield read_chunk(frame, view[frame.start : frame.end])


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
    for frame in _frames(byte_view(data), limits):
        end = frame.end
    return end


def _frames(view: memoryview, limits: Limits) -> Iterator[Frame]:
    """Frame of each chunk up to DONE, each chunk wholly inside ``view``."""
    check_signature(view)
    offset = len(SIGNATURE)
    for number in count():
        prefix = view[offset : offset + PREFIX.size]
        frame = read_frame(prefix, offset, number, len(view), limits)
        check_cut(frame, len(view))
        yield frame
        if frame.type == LAST_CHUNK:
            return
        offset = frame.end
