"""Whether the scans of a grayscale JPEG are whole, which its decoder does not tell.

To libjpeg a scan that ends early, bits that are no code and superfluous bytes are warnings: it goes
on and gives gray or garbage. imagecodecs drops the warnings. So every Huffman code of every scan is
read here before libjpeg decodes it (T.81 F.2, G.2, H.2)::

    segments ─▶ tables ─▶ scan: every bit a code ─▶ every unit there ─▶ a marker next ─▶ EOI

Damage that leaves a sequence of codes of the right length is not found.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt

from xraycodec.errors import CorruptImageError, UnsupportedImageError

SOF = frozenset(range(0xC0, 0xD0)) - {0xC4, 0xC8, 0xCC}
"""Markers of frame headers (B.1.1.3); those three are DHT, JPG and DAC."""
EOI, SOS = 0xD9, 0xDA

_PROGRESSIVE, _LOSSLESS = 0xC2, 0xC3
_HUFFMAN = frozenset((0xC0, 0xC1, _PROGRESSIVE, _LOSSLESS))
_DHT, _DRI = 0xC4, 0xDD
_STANDALONE = frozenset((0x01, *range(0xD0, 0xD9)))
_UNSENT = 16  # more than the bits of any coefficient
_FOUND = {  # by outcome of jpeg_kernel.walk
    1: "its data end",
    2: "bits are no Huffman code",
    3: "a coefficient lies beyond the band",
    4: "superfluous bytes follow",
    5: "the restart marker is missing",
    6: "a run of blocks is too long",
}


@dataclass
class _Image:
    """What the segments before a scan have said.

    Attributes:
        process: marker of the frame header, 0 before it.
        interval: units between restart markers, 0 for none.
        codes: by class and destination (Tc, Th), as `jpeg_kernel.walk` takes them.
        sent_to: of each coefficient, the lowest bit that a scan has sent.
        coded: of each block, a mask of its coefficients that are not 0.
    """

    process: int = 0
    rows: int = 0
    columns: int = 0
    interval: int = 0
    codes: dict[int, npt.NDArray[np.int32]] = field(default_factory=dict)
    sent_to: npt.NDArray[np.int64] = field(default_factory=lambda: np.full(64, _UNSENT))
    coded: npt.NDArray[np.int64] = field(default_factory=lambda: np.zeros(0, np.int64))

    @property
    def blocks(self) -> int:
        return -(-self.rows // 8) * -(-self.columns // 8)


def next_segment(data: bytes, position: int) -> tuple[int, bytes, int]:
    """Marker at a position, body of its segment if it has one, and the position after both.

    Raises:
        CorruptImageError: no marker there, or a segment that the data do not hold.
    """
    if position < len(data) and data[position] != 0xFF:
        raise CorruptImageError(
            f"JPEG: byte {position} is 0x{data[position]:02x} where a marker must begin"
        )
    while data[position : position + 2] == b"\xff\xff":  # fill bytes (B.1.1.2)
        position += 1
    marker = int.from_bytes(data[position + 1 : position + 2], "big")
    start = position + 2
    if marker in _STANDALONE or marker == EOI:
        return marker, b"", start
    length = int.from_bytes(data[start : start + 2], "big")
    if start + 2 > len(data) or start + length > len(data):
        raise CorruptImageError(f"JPEG: the {len(data)} bytes end inside a segment")
    if length < 2:
        raise CorruptImageError(
            f"JPEG: segment at byte {position} claims {length} bytes; allowed is 2 or more"
        )
    return marker, data[start + 2 : start + length], start + length


def check_scans(data: bytes) -> bytes:
    """Check that a JPEG of one component is whole.

    Args:
        data: from SOI on; what follows EOI is ignored.

    Returns:
        The same, with 0 for Se of a lossless scan: H.1.2 gives it no meaning and some writers put
        63 there, which libjpeg refuses.

    Raises:
        CorruptImageError: a segment or a scan is damaged, or scans are missing.
        UnsupportedImageError: arithmetic coding or a hierarchical process.
    """
    image = _Image()
    marker, position = 0, 2
    while marker != EOI:
        marker, body, position = next_segment(data, position)
        if marker == _DHT:
            _read_tables(body, image)
        elif marker == _DRI and len(body) >= 2:
            image.interval = int.from_bytes(body[:2], "big")
        elif marker in SOF:
            _begin(marker, body, image)
        elif marker == SOS:
            if image.process == _LOSSLESS and len(body) == 6 and body[4] != 0:
                data = data[: position - 2] + b"\0" + data[position - 1 :]
            position = _check_scan(data, position, body, image)
    if image.sent_to.any():
        missing = int(np.count_nonzero(image.sent_to))
        raise CorruptImageError(f"JPEG: no scan completes {missing} of the 64 coefficients")
    return data


def _begin(marker: int, body: bytes, image: _Image) -> None:
    if image.process or len(body) < 9:
        raise CorruptImageError("JPEG: a second frame header, or one that is cut short")
    if marker not in _HUFFMAN:
        raise UnsupportedImageError(
            f"JPEG: process of marker FF {marker:02X}; allowed are the sequential, progressive and"
            " lossless ones with Huffman coding"
        )
    image.process = marker
    image.rows, image.columns = struct.unpack_from(">HH", body, 1)
    if marker == _PROGRESSIVE:
        image.coded = np.zeros(image.blocks, np.int64)
    if marker == _LOSSLESS:
        image.sent_to[1:] = 0


def _read_tables(body: bytes, image: _Image) -> None:
    """Huffman tables of a DHT segment (B.2.4.2, C.2)."""
    while body:
        lengths = np.repeat(np.arange(1, 17), np.frombuffer(body[1:17].ljust(16, b"\0"), np.uint8))
        values = np.frombuffer(body[17 : 17 + len(lengths)], np.uint8)
        spans = 1 << (16 - lengths)
        if len(body) < 17 or len(values) != len(lengths) or spans.sum() > 1 << 16:
            raise CorruptImageError("JPEG: a Huffman table is cut short or has too many codes")
        if body[0] < 16 and max(values, default=0) > 16:
            raise CorruptImageError("JPEG: a Huffman table has differences of more than 16 bits")
        codes = np.zeros(1 << 16, np.int32)
        codes[: spans.sum()] = np.repeat(256 * lengths + values, spans)
        image.codes[body[0]] = codes
        body = body[17 + len(lengths) :]


def _check_scan(data: bytes, position: int, body: bytes, image: _Image) -> int:
    """Walk through a scan, and return the position of the marker after it."""
    from xraycodec.files import jpeg_kernel

    if not image.process or len(body) != 6 or body[0] != 1:
        raise CorruptImageError(
            f"JPEG: scan header at byte {position - len(body) - 2} is not of one component"
        )
    tables, first, last = body[2:5]
    kind = _progress(image, first, last, body[5] >> 4, body[5] & 15)
    units = image.rows * image.columns if image.process == _LOSSLESS else image.blocks
    outcome, sound, stop = jpeg_kernel.walk(
        np.frombuffer(data, np.uint8),
        position,
        units,
        image.interval or units + 1,
        (kind, first, 63 if kind == jpeg_kernel.SEQUENTIAL else last),
        _codes(image, tables >> 4, kind <= jpeg_kernel.DC_FIRST),
        _codes(image, 16 | tables & 15, kind in jpeg_kernel.WITH_AC_CODES),
        image.coded,
    )
    if outcome != jpeg_kernel.WHOLE:
        what = "sample" if image.process == _LOSSLESS else "block"
        raise CorruptImageError(
            f"JPEG: the scan is damaged: {_FOUND[outcome]} at byte {stop}, after {what} {sound} of"
            f" {units}"
        )
    return int(stop)


def _progress(image: _Image, first: int, last: int, high: int, low: int) -> int:
    """Note what a scan sends of each coefficient (G.1.1.1), and return its kind."""
    from xraycodec.files import jpeg_kernel

    if image.process != _PROGRESSIVE:
        if not image.sent_to.any():
            raise CorruptImageError("JPEG: a second scan of the same component")
        image.sent_to[:] = 0
        return jpeg_kernel.LOSSLESS if image.process == _LOSSLESS else jpeg_kernel.SEQUENTIAL
    band = image.sent_to[first : last + 1]
    dc_sent = first == 0 or image.sent_to[0] < _UNSENT
    shape = last == 0 if first == 0 else first <= last <= 63
    steps = high == low + 1 and (band == high).all() if high else (band == _UNSENT).all()
    if not (dc_sent and shape and steps and low < 14):
        raise CorruptImageError(
            f"JPEG: a scan of coefficients {first} to {last}, bits {high} to {low}, does not"
            " continue those before"
        )
    band[:] = low
    if first == 0:
        return jpeg_kernel.DC_REFINING if high else jpeg_kernel.DC_FIRST
    return jpeg_kernel.AC_REFINING if high else jpeg_kernel.AC_FIRST


def _codes(image: _Image, table: int, needed: bool) -> npt.NDArray[Any]:
    if not needed:
        return np.zeros(0, np.int32)
    if table not in image.codes:
        raise CorruptImageError(f"JPEG: the scan's Huffman table {table:02x} is missing")
    return image.codes[table]
