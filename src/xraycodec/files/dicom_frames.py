"""Frames of DICOM pixel data: found, decoded, and checked against the data set.

::

    Pixel Data ─┬─ native ─────────────────────────────────────┬─▶ cells ──▶ stored values
                └─ encapsulated ─ fragments ─ frames ─ decoder ┘

Native cells, and stored values of any, are dicom_cells' matter. Encapsulation is PS3.5 A.4.
"""

from __future__ import annotations

import struct
from collections.abc import Callable
from dataclasses import dataclass
from importlib import import_module
from itertools import pairwise
from typing import Any

import numpy as np
import numpy.typing as npt

from xraycodec.errors import CorruptImageError, FormatError, UnsupportedImageError
from xraycodec.files import jpegxl
from xraycodec.files.checks import damage_as_corrupt
from xraycodec.files.codestreams import (
    check_gray,
    decode_codestream,
    read_jpeg2000_header,
    read_jpeg_header,
)
from xraycodec.files.dicom_cells import PixelLayout
from xraycodec.files.frame_losses import method_of_loss
from xraycodec.image import MAX_RATIO, Loss
from xraycodec.limits import Limits

IMPLICIT_LITTLE = "1.2.840.10008.1.2"
EXPLICIT_LITTLE = "1.2.840.10008.1.2.1"
EXPLICIT_BIG = "1.2.840.10008.1.2.2"
DEFLATED = "1.2.840.10008.1.2.1.99"
NATIVE = frozenset((IMPLICIT_LITTLE, EXPLICIT_LITTLE, EXPLICIT_BIG, DEFLATED))

_RLE = "1.2.840.10008.1.2.5"
_JPEG = "1.2.840.10008.1.2.4."
_FAMILIES = {
    _RLE: "rle",
    **{_JPEG + n: "jpeg" for n in ("50", "51", "57", "70", "80", "81")},
    **{_JPEG + n: "jpeg2000" for n in ("90", "91", "201", "202", "203")},
    **{_JPEG + n: "jpegxl" for n in ("110", "111", "112")},
}


@dataclass(frozen=True)
class FrameDecoder:
    """How frames of a transfer syntax are decoded that a layer above brings.

    Attributes:
        decode: a frame, perhaps with a padding byte, to cells ``(row, column)`` as the layout has
            them; it raises any `XrayCodecError`.
        method_of_loss: Lossy Image Compression Method (0028,2114) of a frame that lost something.
    """

    decode: Callable[[bytes, PixelLayout], npt.NDArray[Any]]
    method_of_loss: Callable[[bytes], str | None]


# This layer cannot import what is above it. Each of these modules registers its decoder when it
# is imported, which happens once a transfer syntax is met that is not known here.
_REGISTERING_MODULES = ("xraycodec.dicom.encapsulation",)
_registered: dict[str, FrameDecoder] = {}


def register(transfer_syntax: str, decoder: FrameDecoder) -> None:
    """Make every reader of DICOM files decode a further transfer syntax."""
    _registered[transfer_syntax] = decoder


def encapsulated_cells(
    value: bytes,
    layout: PixelLayout,
    transfer_syntax: str,
    extended_offsets: tuple[bytes, bytes] | None,
) -> npt.NDArray[Any]:
    """Cells of compressed pixel data.

    Args:
        value: Pixel Data, from the item of the basic offset table on.
        layout: what the data set says of it.
        transfer_syntax: its UID.
        extended_offsets: Extended Offset Table and its lengths, where present.

    Returns:
        ``(frame, row, column)``. Where a codestream has fewer bits than a cell, its samples
        are the low bits.

    Raises:
        UnsupportedImageError: an unknown transfer syntax, or colour codestreams.
        CorruptImageError: frames missing, damaged or of another size.
        FormatError, ModelError, LimitError: of ``.xrc`` frames, as `xraycodec.decompress`.
    """
    decode = _decoder(transfer_syntax).decode
    frames = split_frames(value, layout.frames, extended_offsets)
    cells = np.empty(layout.shape, layout.cell)
    for number, frame in enumerate(frames):
        try:
            cells[number] = decode(frame, layout)
        except (CorruptImageError, UnsupportedImageError, FormatError) as error:
            raise type(error)(f"frame {number}: {error}") from error
    return cells


def loss_of(
    value: bytes,
    layout: PixelLayout,
    transfer_syntax: str,
    extended_offsets: tuple[bytes, bytes] | None,
) -> Loss | None:
    """What the frames of pixel data that `encapsulated_cells` decodes say of their loss.

    Returns:
        The method of the first frame that lost something, with the ratio of all frames at their
        bits stored; ``None`` where no frame says that it did.
    """
    method_of = _decoder(transfer_syntax).method_of_loss
    frames = split_frames(value, layout.frames, extended_offsets)
    method = next(filter(None, map(method_of, frames)), None)
    if method is None:
        return None
    pixel_bytes = layout.frames * layout.rows * layout.columns * layout.bits_stored / 8
    ratio = pixel_bytes / sum(map(len, frames))
    return Loss(method, min(max(ratio, 0.001), MAX_RATIO))


def _decoder(transfer_syntax: str) -> FrameDecoder:
    """What decodes frames of a transfer syntax.

    Raises:
        UnsupportedImageError: nothing does.
    """
    family = _FAMILIES.get(transfer_syntax)
    if family is not None:
        return FrameDecoder(
            lambda frame, layout: _decode_frame(frame, family, layout),
            lambda frame: method_of_loss(frame, family, transfer_syntax),
        )
    if transfer_syntax not in _registered:
        for module in _REGISTERING_MODULES:
            import_module(module)
    if transfer_syntax not in _registered:
        raise UnsupportedImageError(f"transfer syntax {transfer_syntax} is not supported")
    return _registered[transfer_syntax]


def split_frames(
    value: bytes, frames: int, extended_offsets: tuple[bytes, bytes] | None = None
) -> list[bytes]:
    """Compressed frames of encapsulated pixel data, fragments joined.

    Offset tables count only if every offset meets the start of a fragment, because writers
    that leave them wrong are common; without one, fragments and frames that are equal in
    number pair up, and otherwise a frame ends with an end-of-image marker.

    Raises:
        CorruptImageError: broken items, or another number of frames.
    """
    from pydicom.encaps import generate_frames, parse_basic_offsets, parse_fragments

    with damage_as_corrupt("encapsulated Pixel Data"):
        if value[:4] != b"\xfe\xff\x00\xe0":
            raise CorruptImageError("Pixel Data does not begin with a basic offset table item")
        (table_bytes,) = struct.unpack_from("<I", value, 4)
        start = 8 + table_bytes
        fragments = set(parse_fragments(value[start:])[1])
        basic = parse_basic_offsets(value) if table_bytes % 4 == 0 else []
        if extended_offsets and not _extended_table_fits(extended_offsets, frames, fragments):
            extended_offsets = None
        if not _table_fits(basic, frames, fragments):
            value = b"\xfe\xff\x00\xe0\x00\x00\x00\x00" + value[start:]
        found = list(
            generate_frames(value, number_of_frames=frames, extended_offsets=extended_offsets)
        )
    if len(found) != frames:
        raise CorruptImageError(f"Pixel Data holds {len(found)} frames; the data set says {frames}")
    return found


def _decode_frame(frame: bytes, family: str, layout: PixelLayout) -> npt.NDArray[Any]:
    """Cells ``(row, column)`` of one compressed frame."""
    if family == "rle":
        return _decode_rle(frame, layout)
    if family == "jpegxl":
        xl = jpegxl.read_header(frame)
        if xl.animated:
            raise CorruptImageError("JPEG XL: an animation; allowed is one image in a frame")
        _check_size(xl.rows, xl.columns, xl.bits, layout)
        samples = jpegxl.decode_samples(frame, xl, Limits(max_pixels=xl.rows * xl.columns))
        bits = xl.bits
    else:
        read_header = read_jpeg_header if family == "jpeg" else read_jpeg2000_header
        expected = b"\xff\xd8" if family == "jpeg" else b"\xff\x4f"
        if frame[:2] != expected:
            raise CorruptImageError(
                f"the frame begins with {frame[:4].hex(' ')}; its transfer syntax needs"
                f" {expected.hex(' ')}"
            )
        header = read_header(frame)
        check_gray(header)
        _check_size(header.rows, header.columns, header.bits, layout)
        samples = decode_codestream(frame, header)
        bits = header.bits
    if samples.dtype.kind == "i":
        samples = samples.astype(np.dtype(f"i{layout.cell.itemsize}")).view(layout.cell)
    cells = samples.astype(layout.cell, copy=False)
    # A codestream of the stored bits alone lies at bit 0, not below High Bit as in a cell.
    if bits <= layout.high_bit:
        cells = cells << (layout.high_bit + 1 - layout.bits_stored)
    return cells


def _decode_rle(frame: bytes, layout: PixelLayout) -> npt.NDArray[Any]:
    """RLE of PS3.5 annex G: one PackBits segment a byte plane, most significant first."""
    import imagecodecs

    planes = layout.cell.itemsize
    if len(frame) < 64 or int.from_bytes(frame[:4], "little") != planes:
        raise CorruptImageError(
            f"RLE: {int.from_bytes(frame[:4], 'little')} segments in {len(frame)} bytes;"
            f" {layout.bits_allocated} bits allocated need {planes} after a header of 64 bytes"
        )
    offsets = struct.unpack_from(f"<{planes}I", frame, 4)
    ends = (*offsets[1:], len(frame))
    expected = layout.rows * layout.columns
    octets = np.empty((planes, expected), np.uint8)
    # imagecodecs.dicomrle_decode takes the whole frame, but trusts these offsets.
    for plane, (begin, end) in enumerate(zip(offsets, ends, strict=True)):
        if not 64 <= begin < end <= len(frame):
            raise CorruptImageError(
                f"RLE: segment {plane} lies at bytes {begin} to {end} of {len(frame)}"
            )
        # Two bytes become at most 128, so the frame itself bounds the memory taken.
        with damage_as_corrupt(f"RLE: segment {plane}"):
            decoded = imagecodecs.packbits_decode(frame[begin:end])
        if len(decoded) != expected:
            raise CorruptImageError(
                f"RLE: segment {plane} decodes to {len(decoded)} bytes; {layout.rows} rows x"
                f" {layout.columns} columns need {expected}"
            )
        octets[plane] = np.frombuffer(decoded, np.uint8)
    cells = np.ascontiguousarray(octets.T).view(layout.cell.newbyteorder(">"))
    return cells.reshape(layout.rows, layout.columns)


def _check_size(rows: int, columns: int, bits: int, layout: PixelLayout) -> None:
    """Check a codestream against the data set before its decoder takes memory."""
    if (rows, columns) != (layout.rows, layout.columns):
        raise CorruptImageError(
            f"the codestream has {rows} rows x {columns} columns; the data set says"
            f" {layout.rows} x {layout.columns}"
        )
    if bits > layout.bits_allocated:
        raise CorruptImageError(
            f"the codestream has {bits} bits a sample; the data set allocates"
            f" {layout.bits_allocated}"
        )


def _table_fits(offsets: list[int], frames: int, fragments: set[int]) -> bool:
    ascending = all(a < b for a, b in pairwise(offsets))
    return len(offsets) == frames and offsets[0] == 0 and ascending and fragments >= set(offsets)


def _extended_table_fits(tables: tuple[bytes, bytes], frames: int, fragments: set[int]) -> bool:
    offsets, lengths = (
        list(struct.unpack(f"<{len(table) // 8}Q", table[: len(table) // 8 * 8]))
        for table in tables
    )
    if not _table_fits(offsets, frames, fragments) or len(lengths) != frames:
        return False
    # One fragment a frame (PS3.3 C.7.6.3): a length that runs into the next frame is wrong.
    following = [*offsets[1:], max(fragments) + (1 << 32)]
    return len(fragments) == frames and all(
        offset + 8 + length <= end
        for offset, length, end in zip(offsets, lengths, following, strict=True)
    )
