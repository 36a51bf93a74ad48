"""What the chunks of a stream add up to: their order and their content, checked one by one."""

from __future__ import annotations

from xraycodec.container.framing import MAX_PARAMETER_BYTES, Chunk, computed_crc, stored_crc
from xraycodec.container.header import Header, check_header, unpack_header
from xraycodec.container.index import Index, TileViews, locate_tiles, unpack_index
from xraycodec.container.limits import Limits
from xraycodec.container.metadata import unpack_metadata
from xraycodec.container.pixel_hash import unpack_hash
from xraycodec.errors import CorruptError, UnsupportedFormatError

# Which known chunks may follow which; ancillary chunks may stand in between after HEAD.
_FOLLOWERS = {
    "": ("HEAD",),
    "HEAD": ("PARM",),
    "PARM": ("META", "INDX"),
    "META": ("INDX",),
    "INDX": ("DATA",),
    "DATA": ("DATA", "HASH"),
    "HASH": ("DONE",),
    "DONE": (),  # never looked up in a whole file: the walk ends with DONE
}


class Assembly:
    """State of one walk over a stream.

    ``parse`` stops at the first error that :meth:`accept` raises. ``inspect`` notes it and goes
    on, so every step copes with an earlier chunk that was refused.

    Attributes:
        header, parameters, dicom, index, pixel_hash: ``None`` until their chunk was accepted.
        tiles_intact: tiles in the DATA chunks accepted so far.
    """

    def __init__(self, view: memoryview, limits: Limits) -> None:
        self.header: Header | None = None
        self.parameters: bytes | None = None
        self.dicom: bytes | None = None
        self.index: Index | None = None
        self.pixel_hash: bytes | None = None
        self.tiles_intact = 0
        self._view = view
        self._limits = limits
        self._last: str | None = ""  # None: a damaged chunk of unknown type, anything may follow
        self._tile_count: int | None = None  # once known to be within the limits
        self._data_seen = 0
        self._data_starts: list[int] = []

    def accept(self, chunk: Chunk) -> None:
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
        if not chunk.crc_ok:
            raise CorruptError(
                f"{chunk.place} stores CRC-32 0x{stored_crc(self._view, chunk):08x}; its"
                f" {chunk.length} bytes give"
                f" 0x{computed_crc(self._view, chunk.offset, chunk.length):08x}"
            )
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
            self._read(chunk)

    def tiles(self, index: Index) -> TileViews:
        """Tiles of the DATA chunks so far, all of which were accepted."""
        return locate_tiles(self._view, index, self._data_starts)

    def check_end(self, done: Chunk) -> None:
        """Check that the file ends with its last chunk.

        Raises:
            CorruptError: bytes follow.
        """
        if surplus := len(self._view) - done.end:
            raise CorruptError(f"{surplus} bytes follow {done.place}; none may")

    def _read(self, chunk: Chunk) -> None:
        payload = chunk.payload(self._view)
        match chunk.type:
            case "HEAD":
                self.header = unpack_header(payload, chunk.place)
                check_header(self.header, self._limits, chunk.place)
                self._tile_count = self.header.tile_count
            case "PARM":
                if chunk.length > MAX_PARAMETER_BYTES:
                    raise CorruptError(
                        f"{chunk.place} has {chunk.length} bytes; the format allows"
                        f" {MAX_PARAMETER_BYTES}"
                    )
                self.parameters = bytes(payload)
            case "META":
                self.dicom = unpack_metadata(payload, self._limits, chunk.place)
            case "INDX" if self._tile_count is not None:
                self.index = unpack_index(payload, self._tile_count, chunk.place)
            case "DATA" if self.index is not None:
                self._read_data(chunk, self.index)
            case "HASH":
                self.pixel_hash = unpack_hash(payload, chunk.place)
                self._check_data_count(chunk)
            case "DONE" if chunk.length:
                raise CorruptError(f"{chunk.place} has {chunk.length} bytes; it must have none")

    def _read_data(self, chunk: Chunk, index: Index) -> None:
        number = self._data_seen - 1
        if number >= len(index.chunk_bytes):
            raise CorruptError(
                f"{chunk.place} is one too many: 'INDX' lists {len(index.chunk_bytes)} of them,"
                f" this is number {number + 1}"
            )
        if chunk.length != (listed := int(index.chunk_bytes[number])):
            raise CorruptError(f"{chunk.place} has {chunk.length} bytes; 'INDX' lists {listed}")
        self._data_starts.append(chunk.start)
        self.tiles_intact += int(index.tiles_per_chunk[number])

    def _check_data_count(self, chunk: Chunk) -> None:
        if self.index is not None and self._data_seen < len(self.index.chunk_bytes):
            raise CorruptError(
                f"{chunk.place} follows {self._data_seen} DATA chunks; 'INDX' lists"
                f" {len(self.index.chunk_bytes)}"
            )


def _check_order(chunk: Chunk, previous: str) -> None:
    allowed = _FOLLOWERS[previous]
    if chunk.type not in allowed:
        raise CorruptError(
            f"{chunk.place} follows {repr(previous) if previous else 'the signature'}; allowed"
            f" there: {' or '.join(map(repr, allowed))}"
        )
