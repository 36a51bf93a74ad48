"""Frames of DICOM pixel data: found, decoded, and checked against the data set.

::

    Pixel Data ─┬─ native ─────────────────────────────────────┬─▶ cells ──▶ stored values
                └─ encapsulated ─ fragments ─ frames ─ decoder ┘

Native cells, and stored values of any, are dicom_cells' matter. Encapsulation is PS3.5 A.4.
"""

from __future__ import annotations

import struct
import zlib
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from importlib import import_module
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
from xraycodec.files.dicom_fragments import split_frames
from xraycodec.files.frame_losses import method_of_loss
from xraycodec.files.jpeg2000 import codestream_of
from xraycodec.image import MAX_RATIO, Loss
from xraycodec.limits import Limits

IMPLICIT_LITTLE = "1.2.840.10008.1.2"
EXPLICIT_LITTLE = "1.2.840.10008.1.2.1"
EXPLICIT_BIG = "1.2.840.10008.1.2.2"
DEFLATED = "1.2.840.10008.1.2.1.99"
GE_BIG_PIXELS = "1.2.840.113619.5.2"
"""Implicit VR Little Endian, but for Pixel Data, which are big endian; private."""
NATIVE = frozenset((IMPLICIT_LITTLE, EXPLICIT_LITTLE, EXPLICIT_BIG, DEFLATED, GE_BIG_PIXELS))
IMPLICIT = frozenset((IMPLICIT_LITTLE, GE_BIG_PIXELS))
BIG_ENDIAN_PIXELS = frozenset((EXPLICIT_BIG, GE_BIG_PIXELS))

_RLE = "1.2.840.10008.1.2.5"
_JPEG = "1.2.840.10008.1.2.4."
_FAMILIES = {
    _RLE: "rle",
    "1.2.840.10008.1.2.8.1": "deflate",
    **{_JPEG + n: "jpeg" for n in ("50", "51", "57", "70", "80", "81")},
    **{_JPEG + n: "jpeg2000" for n in ("90", "91", "201", "202", "203")},
    **{_JPEG + n: "jpegxl" for n in ("110", "111", "112")},
}
_RLE_HEADER_BYTES = 64


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


def check_transfer_syntax(transfer_syntax: str) -> None:
    """Check that pixel data of a transfer syntax can be read.

    Raises:
        UnsupportedImageError: no reader is here; the message says whose syntax it is.
    """
    if transfer_syntax not in NATIVE:
        _decoder(transfer_syntax)


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
        raise UnsupportedImageError(_not_supported(transfer_syntax))
    return _registered[transfer_syntax]


def _not_supported(transfer_syntax: str) -> str:
    from pydicom.uid import UID

    allowed = (
        "allowed are native Pixel Data, RLE, JPEG, JPEG-LS, JPEG 2000, HTJ2K, JPEG XL and that of"
        " xraycodec"
    )
    uid = UID(transfer_syntax)
    if not uid.is_valid:  # then it may be anything, and no value of a file belongs in a message
        return f"the transfer syntax is no valid UID; {allowed}"
    is_what = "private, of another maker" if uid.is_private else uid.name
    return f"transfer syntax {uid} is not supported: it is {is_what}; {allowed}"


def _decode_frame(frame: bytes, family: str, layout: PixelLayout) -> npt.NDArray[Any]:
    """Cells ``(row, column)`` of one compressed frame."""
    if family == "rle":
        return _decode_rle(frame, layout)
    if family == "deflate":
        return _decode_deflated(frame, layout)
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
        if family == "jpeg2000":
            # PS3.5 8.2.4 allows no boxes; writers put them there all the same.
            frame = codestream_of(frame)
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
    planes = layout.cell.itemsize
    if len(frame) < _RLE_HEADER_BYTES or int.from_bytes(frame[:4], "little") != planes:
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
        if not _RLE_HEADER_BYTES <= begin < end <= len(frame):
            raise CorruptImageError(
                f"RLE: segment {plane} lies at bytes {begin} to {end} of {len(frame)}"
            )
        decoded = _unpacked(frame[begin:end], expected, f"RLE: segment {plane}")
        if len(decoded) != expected:
            raise CorruptImageError(
                f"RLE: segment {plane} decodes to {len(decoded)} bytes; {layout.rows} rows x"
                f" {layout.columns} columns need {expected}"
            )
        octets[plane] = np.frombuffer(decoded, np.uint8)
    cells = np.ascontiguousarray(octets.T).view(layout.cell.newbyteorder(">"))
    return cells.reshape(layout.rows, layout.columns)


def _unpacked(segment: bytes, expected: int, what: str) -> bytes:
    """Bytes of a PackBits segment, without few that follow a run which ends where they should.

    Writers pad with more than the one zero byte of PS3.5 G.3.1, which may decode to pixels.
    """
    import imagecodecs

    # Two bytes become at most 128, so the segment itself bounds the memory taken.
    with suppress(CorruptImageError), damage_as_corrupt(what):
        decoded = bytes(imagecodecs.packbits_decode(segment))
        if len(decoded) <= expected:
            return decoded
    position = decoded_bytes = 0
    while decoded_bytes < expected and position < len(segment):
        control = segment[position]
        decoded_bytes += control + 1 if control < 128 else (257 - control) % 129
        position += control + 2 if control < 128 else 1 + (control > 128)
    padded = decoded_bytes == expected and len(segment) - position < _RLE_HEADER_BYTES
    with damage_as_corrupt(what):
        return bytes(imagecodecs.packbits_decode(segment[:position] if padded else segment))


def _decode_deflated(frame: bytes, layout: PixelLayout) -> npt.NDArray[Any]:
    """Deflated Image Frame Compression (PS3.5 A.4.14): little endian cells in RFC 1951."""
    expected = layout.rows * layout.columns * layout.cell.itemsize
    inflater = zlib.decompressobj(-zlib.MAX_WBITS)
    with damage_as_corrupt("deflated frame"):
        cells = inflater.decompress(frame, expected + 2)
    # An odd frame may have been padded before it was compressed.
    if not inflater.eof or len(cells) not in (expected, expected + expected % 2):
        raise CorruptImageError(
            f"the deflated frame {'holds' if inflater.eof else 'does not end after'} {len(cells)}"
            f" bytes; {layout.rows} rows x {layout.columns} columns need {expected}"
        )
    stored = np.frombuffer(cells, layout.cell.newbyteorder("<"), layout.rows * layout.columns)
    return stored.reshape(layout.rows, layout.columns)


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
