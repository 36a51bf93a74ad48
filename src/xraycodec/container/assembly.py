"""What the chunks of a stream add up to: their order and their content, checked one by one."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from xraycodec.container.dicom_file import unpack_dicom_file
from xraycodec.container.framing import MAX_PARAMETER_BYTES, Chunk, Frame
from xraycodec.container.header import Header, check_header, unpack_header
from xraycodec.container.index import Index, unpack_index
from xraycodec.container.losses import unpack_losses
from xraycodec.container.metadata import unpack_metadata
from xraycodec.container.pixel_hash import unpack_hash
from xraycodec.container.spare_bits import unpack_spare_bits
from xraycodec.errors import CorruptError, UnsupportedFormatError
from xraycodec.image import DicomFile, Loss, SpareBits
from xraycodec.limits import Limits

# Which known chunks may follow which; ancillary chunks may stand in between after HEAD.
_FOLLOWERS = {
    "": ("HEAD",),
    "HEAD": ("PARM",),
    "PARM": ("META", "loSS", "INDX"),
    "META": ("fiLE", "loSS", "INDX"),
    "fiLE": ("loSS", "INDX"),
    "loSS": ("INDX",),
    "INDX": ("DATA",),
    "DATA": ("DATA", "spAR", "HASH"),
    "spAR": ("HASH",),
    "HASH": ("DONE",),
    "DONE": (),  # never looked up in a whole file: the walk ends with DONE
}


class Assembly:
    """State of one walk over a stream.

    ``parse`` stops at the first error that :meth:`accept` raises. ``inspect`` notes it and goes
    on, so every step copes with an earlier chunk that was refused. ``PartialReader`` passes over
    DATA chunks whose content nobody asked for.

    Attributes:
        header, parameters, dicom, dicom_file, index, spare_bits, pixel_hash: ``None`` until their
            chunk was accepted.
        losses: empty until then.
        data_starts: bytes of the file at which the content of each accepted DATA chunk begins.
    """

    def __init__(self, limits: Limits, size_bytes: int | None = None) -> None:
        """Begin a walk over a file of ``size_bytes``; ``None`` if only its beginning is there."""
        self.header: Header | None = None
        self.parameters: bytes | None = None
        self.dicom: bytes | None = None
        self.dicom_file: DicomFile | None = None
        self.losses: tuple[Loss, ...] = ()
        self.spare_bits: SpareBits | None = None
        self.index: Index | None = None
        self.pixel_hash: bytes | None = None
        self.data_starts: list[int] = []
        self._limits = limits
        self._size_bytes = size_bytes
        self._last: str | None = ""  # None: a damaged chunk of unknown type, anything may follow
        self._header_in_limits: Header | None = None
        self._data_seen = 0
        self._data_intact = np.zeros(0, np.bool_)  # of each chunk that the index lists

    @property
    def intact(self) -> npt.NDArray[np.bool_]:
        """Which tiles lie in DATA chunks accepted so far: ``(layer, tile)``, empty without INDX."""
        if self.index is None:
            return np.zeros((0, 0), np.bool_)
        return self.index.spread(self._data_intact)

    def accept(self, chunk: Chunk, payload: memoryview) -> None:
        """Check the next chunk and keep what it says.

        Raises:
            CorruptError: a wrong CRC-32, a chunk out of order, or content against the format.
            UnsupportedFormatError: an unknown critical chunk, or content of a later version.
            LimitError: content larger than the limits allow.
        """
        previous = self._last
        known = chunk.type in _FOLLOWERS
        if known or not chunk.crc_ok:
            self._last = chunk.type if known else None
        self._data_seen += chunk.type == "DATA"
        # The checksum comes first: until it holds, the type itself may be damaged.
        chunk.check_crc()
        if not chunk.type[2].isupper():
            raise UnsupportedFormatError(
                f"{chunk.place} has a lower-case third letter, which version 1 reserves"
            )
        if chunk.critical and not known:
            raise UnsupportedFormatError(
                f"{chunk.place} is critical and unknown; this reader knows"
                f" {', '.join(filter(None, _FOLLOWERS))}"
            )
        if previous is not None and (known or not previous):
            _check_order(chunk, previous)
        if known:
            self._read(chunk, payload)

    def pass_over(self, data: Frame, index: Index) -> None:
        """Check the next chunk by its frame alone: a DATA chunk after INDX, which was accepted.

        Raises:
            CorruptError: a chunk too many, or of another length than ``index`` lists; nothing
                was noted then.
        """
        _check_listed(data, self._data_seen, index)
        self._last = data.type
        self._data_seen += 1

    def _read(self, chunk: Chunk, payload: memoryview) -> None:
        match chunk.type:
            case "HEAD":
                self.header = unpack_header(payload, chunk.place)
                check_header(self.header, self._limits, chunk.place, self._size_bytes)
                self._header_in_limits = self.header
            case "PARM":
                if chunk.length > MAX_PARAMETER_BYTES:
                    raise CorruptError(
                        f"{chunk.place} has {chunk.length} bytes; the format allows"
                        f" {MAX_PARAMETER_BYTES}"
                    )
                self.parameters = bytes(payload)
            case "META":
                self.dicom = unpack_metadata(payload, self._limits, chunk.place)
            case "fiLE":
                self.dicom_file = unpack_dicom_file(payload, self._limits, chunk.place)
            case "loSS":
                self.losses = unpack_losses(payload, chunk.place)
            case "INDX" if self._header_in_limits is not None:
                self.index = unpack_index(payload, self._header_in_limits, chunk.place)
                self._data_intact = np.zeros(len(self.index.chunk_bytes), np.bool_)
            case "DATA" if self.index is not None:
                number = self._data_seen - 1
                _check_listed(chunk, number, self.index)
                self._data_intact[number] = True
                self.data_starts.append(chunk.start)
            case "spAR" if self._header_in_limits is not None:
                self.spare_bits = unpack_spare_bits(payload, self._header_in_limits, chunk.place)
                self._check_data_count(chunk)
            case "HASH":
                self.pixel_hash = unpack_hash(payload, chunk.place)
                self._check_data_count(chunk)
            case "DONE" if chunk.length:
                raise CorruptError(f"{chunk.place} has {chunk.length} bytes; it must have none")

    def _check_data_count(self, chunk: Chunk) -> None:
        if self.index is not None and self._data_seen < len(self.index.chunk_bytes):
            raise CorruptError(
                f"{chunk.place} follows {self._data_seen} DATA chunks; 'INDX' lists"
                f" {len(self.index.chunk_bytes)}"
            )


def check_end(done: Frame, size_bytes: int) -> None:
    """Check that a file ends with its last chunk.

    Raises:
        CorruptError: bytes follow.
    """
    if surplus := size_bytes - done.end:
        raise CorruptError(f"{surplus} bytes follow {done.place}; none may")


def _check_listed(data: Frame, number: int, index: Index) -> None:
    if number >= len(index.chunk_bytes):
        raise CorruptError(
            f"{data.place} is one too many: 'INDX' lists {len(index.chunk_bytes)} of them,"
            f" this is number {number + 1}"
        )
    if data.length != (listed := int(index.chunk_bytes[number])):
        raise CorruptError(f"{data.place} has {data.length} bytes; 'INDX' lists {listed}")


def _check_order(chunk: Chunk, previous: str) -> None:
    allowed = _FOLLOWERS[previous]
    if chunk.type not in allowed:
        raise CorruptError(
            f"{chunk.place} follows {repr(previous) if previous else 'the signature'}; allowed"
            f" there: {' or '.join(map(repr, allowed))}"
        )
