"""Reading parts of a stream (spec/format.md, section 6.1)."""

from __future__ import annotations

import io
from collections.abc import Iterable, Iterator
from itertools import groupby
from typing import BinaryIO

import numpy as np

from xraycodec.container.assembly import Assembly
from xraycodec.container.framing import (
    CHECKSUM,
    PREFIX,
    SIGNATURE,
    Chunk,
    Frame,
    check_cut,
    check_signature,
    read_chunk,
    read_frame,
)
from xraycodec.container.header import Header
from xraycodec.container.index import Index
from xraycodec.errors import OptionError, TruncatedError
from xraycodec.limits import DEFAULT_LIMITS, Limits


class PartialReader:
    """Reads a stream's front matter, then only the payloads asked for, from a seekable file.

    ::

        signature HEAD PARM META INDX │ DATA  DATA  DATA  DATA │ HASH DONE
        read and checked by open()      └ frame of each up to the last one needed, 8 bytes
                                              └ content of those needed

    What is read is checked as :func:`~xraycodec.container.parse` checks it. The rest may be
    damaged or missing, and the digest of the pixels is not looked at.

    Attributes:
        header: what the image is.
        parameters: the codec's own.
        dicom: data set without pixels, explicit VR little endian, or ``None``.
        dicom_file: how a DICOM file held it, or ``None``.
        losses: lossy compression before that of this stream.
        index: how payloads are spread over DATA chunks.
        size_bytes: the whole file.
    """

    def __init__(self, walk: _FileWalk, header: Header, parameters: bytes, index: Index) -> None:
        self.header = header
        self.parameters = parameters
        self.dicom = walk.assembly.dicom
        self.dicom_file = walk.assembly.dicom_file
        self.losses = walk.assembly.losses
        self.index = index
        self.size_bytes = walk.size_bytes
        self._walk = walk
        self._data: list[Frame] = []  # DATA chunks found so far
        self._chunk_ends = np.cumsum(index.payloads_per_chunk)

    @classmethod
    def open(cls, file: BinaryIO, limits: Limits = DEFAULT_LIMITS) -> PartialReader:
        """Read the stream that begins at byte 0 of ``file`` through the end of INDX.

        Args:
            file: seekable; it has to stay open, and as it is, for as long as the reader is used.
            limits: sizes to accept, now and in :meth:`read`.

        Raises:
            NotXrcError: no signature at byte 0.
            TruncatedError: the file ends before INDX does.
            CorruptError, UnsupportedFormatError, LimitError: as
                :func:`~xraycodec.container.parse`.
        """
        walk = _FileWalk(file, limits)
        assembly = walk.assembly
        while assembly.index is None:
            walk.accept(walk.next_frame())
        # INDX is accepted after HEAD and PARM alone.
        assert assembly.header is not None
        assert assembly.parameters is not None
        return cls(walk, assembly.header, assembly.parameters, assembly.index)

    @property
    def bytes_read(self) -> int:
        """Bytes taken from the file so far."""
        return self._walk.bytes_read

    def read(self, payloads: Iterable[int]) -> dict[int, bytes]:
        """Read payloads by their places in coding order, as :meth:`Header.payload_index` gives.

        Each DATA chunk that holds one of them is read once; its CRC-32, type and length are
        checked. The chunks before it are stepped over, frame by frame.

        Returns:
            Places to payloads, in ascending order.

        Raises:
            OptionError: no such payload.
            TruncatedError: the file ends before a payload's DATA chunk does.
            CorruptError: a wrong CRC-32, or chunks other than INDX lists.
            UnsupportedFormatError: an unknown critical chunk on the way.
            LimitError: a chunk larger than the limits allow.
        """
        places = sorted(set(payloads))
        for place in (places[0], places[-1]) if places else ():
            if not 0 <= place < self.header.payload_count:
                raise OptionError(
                    f"no payload {place}; allowed are 0 to {self.header.payload_count - 1}"
                )
        found: dict[int, bytes] = {}
        for number, inside in groupby(places, self._chunk_of):
            found.update(self._read_from(number, inside))
        return found

    def _chunk_of(self, place: int) -> int:
        """Number of the DATA chunk that holds a payload."""
        return int(np.searchsorted(self._chunk_ends, place, side="right"))

    def _read_from(self, number: int, places: Iterable[int]) -> Iterator[tuple[int, bytes]]:
        """Payloads of one DATA chunk."""
        chunk, content = self._walk.read(self._locate(number))
        chunk.check_crc()
        end = int(self._chunk_ends[number])
        first = end - int(self.index.payloads_per_chunk[number])
        ends = np.cumsum(self.index.payload_bytes[first:end])
        for place in places:
            stop = int(ends[place - first])
            yield place, bytes(content[stop - int(self.index.payload_bytes[place]) : stop])

    def _locate(self, number: int) -> Frame:
        """Frame of DATA chunk ``number``, found by stepping over those before it."""
        while len(self._data) <= number:
            frame = self._walk.next_frame()
            if frame.type == "DATA":
                self._walk.pass_over(frame, self.index)
                self._data.append(frame)
            else:
                # Read although nobody asked: a DATA chunk whose type was damaged must not pass
                # for an ancillary one, or its successor would be taken for it.
                self._walk.accept(frame)
        return self._data[number]


class _FileWalk:
    """Steps through the chunks of a file, each to be read or passed over.

    Attributes:
        assembly: what the chunks so far add up to.
        size_bytes: the whole file.
        bytes_read: bytes taken from the file so far.
    """

    def __init__(self, file: BinaryIO, limits: Limits) -> None:
        self.size_bytes = file.seek(0, io.SEEK_END)
        self.assembly = Assembly(limits, self.size_bytes)
        self.bytes_read = 0
        self._file = file
        self._limits = limits
        check_signature(self._bytes(0, len(SIGNATURE)))
        self._offset = len(SIGNATURE)
        self._number = 0
        self._next: Frame | None = None

    def next_frame(self) -> Frame:
        """The next chunk's frame, until the chunk is accepted or passed over."""
        if self._next is None:
            prefix = self._bytes(self._offset, PREFIX.size)
            self._next = read_frame(
                prefix, self._offset, self._number, self.size_bytes, self._limits
            )
        return self._next

    def accept(self, frame: Frame) -> None:
        """Read the next chunk and check it as part of the stream."""
        self.assembly.accept(*self.read(frame))
        self._step(frame)

    def pass_over(self, data: Frame, index: Index) -> None:
        """Check the next chunk, a DATA chunk, by its frame alone."""
        self.assembly.pass_over(data, index)
        self._step(data)

    def read(self, frame: Frame) -> tuple[Chunk, memoryview]:
        """A chunk and its content, which were in the file to the last byte."""
        check_cut(frame, self.size_bytes)
        rest = self._bytes(frame.start, frame.length + CHECKSUM.size)
        if len(rest) < frame.length + CHECKSUM.size:
            raise TruncatedError(
                f"the file ended inside {frame.place} while it was read; it had"
                f" {self.size_bytes} bytes before"
            )
        return read_chunk(frame, rest), rest[: frame.length]

    def _step(self, frame: Frame) -> None:
        self._offset = frame.end
        self._number += 1
        self._next = None

    def _bytes(self, offset: int, size: int) -> memoryview:
        """Bytes of the file, fewer only at its end. Raw files may give less than asked for."""
        self._file.seek(offset)
        found = self._file.read(size)
        while len(found) < size and (more := self._file.read(size - len(found))):
            found += more
        self.bytes_read += len(found)
        return memoryview(found)
