"""JPEG XL (ISO/IEC 18181): unsigned frames; bits per sample carry the bits stored."""

from __future__ import annotations

import struct
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from xraycodec.errors import CorruptImageError, LimitError, OptionError, UnsupportedImageError
from xraycodec.files.checks import check_pixels, damage_as_corrupt, gray_channel
from xraycodec.image import XRay
from xraycodec.limits import Limits

_RATIOS = ((1, 1), (12, 10), (4, 3), (3, 2), (16, 9), (5, 4), (2, 1))  # 18181-1, table of sizes
_HEADER_BYTES = 256  # more than the size and bit depth fields can take


@dataclass(frozen=True)
class FrameHeader:
    """What the codestream's SizeHeader and ImageMetadata say.

    Attributes:
        rows, columns: size in pixels before any orientation is applied.
        bits: bits per sample.
        floats: samples are floating point.
        animated: there may be several frames.
        extra_channels: channels beyond colour, such as alpha.
        xyb: samples are in the XYB colour space, which only lossy encodings use; not told where
            there are extra channels.
    """

    rows: int
    columns: int
    bits: int
    floats: bool
    animated: bool
    extra_channels: int
    xyb: bool = False


def decode(data: bytes, limits: Limits) -> XRay:
    """Decode a JPEG XL file, codestream or container, of one or several frames."""
    header = read_header(data)
    check_pixels(header.rows, header.columns, 1, limits, len(data))
    samples = decode_samples(data, header, limits)
    return XRay(samples, header.bits)


def encode(image: XRay) -> bytes:
    """Encode without loss; see the package for what JPEG XL keeps."""
    if image.signed:
        raise OptionError("JPEG XL cannot hold signed pixels; DICOM, TIFF and NPY can")
    if image.photometric_interpretation == "MONOCHROME1":
        raise OptionError("JPEG XL has no place for MONOCHROME1; DICOM, TIFF, PNG and PGM have")

    import imagecodecs

    samples = image.frames.astype(np.uint8 if image.bits_stored <= 8 else np.uint16, copy=False)
    # The explicit channel axis keeps frames of three columns from being taken for RGB.
    samples = np.ascontiguousarray(samples[0] if len(samples) == 1 else samples[..., None])
    return bytes(
        imagecodecs.jpegxl_encode(
            samples, lossless=True, photometric="gray", bitspersample=image.bits_stored
        )
    )


def decode_samples(data: bytes, header: FrameHeader, limits: Limits) -> npt.NDArray[Any]:
    """Decode to ``(row, column)`` or ``(frame, row, column)`` of uint8 or uint16.

    Raises:
        UnsupportedImageError: colour, transparency, floats or more than 16 bits.
        CorruptImageError: the decoder refuses it.
        LimitError: more pixels than ``limits`` allow.
    """
    check_pixels(header.rows, header.columns, 1, limits)
    if header.floats or header.bits > 16:
        raise UnsupportedImageError(
            f"JPEG XL: {header.bits} bits a sample{' of floats' if header.floats else ''};"
            " allowed are 1 to 16 bits of integers"
        )
    if header.extra_channels > (0 if header.animated else 1):
        raise UnsupportedImageError(
            f"JPEG XL: {header.extra_channels} extra channel(s); allowed is one opaque alpha"
            " channel in a still image"
        )

    import imagecodecs

    if header.animated:
        _check_frame_count(data, header, limits)
    with damage_as_corrupt("JPEG XL"):
        samples = np.asarray(imagecodecs.jpegxl_decode(data))
    if samples.dtype not in (np.uint8, np.uint16):
        raise CorruptImageError(f"JPEG XL: decoded to {samples.dtype.name}")
    sizes = ((header.rows, header.columns), (header.columns, header.rows))  # orientation applied
    if header.animated and samples.ndim == 3 and samples.shape[1:] in sizes:
        return samples
    if samples.shape[:2] not in sizes:
        # One extra channel that is no alpha comes as a plane of its own.
        raise UnsupportedImageError(
            f"JPEG XL: decoded to shape {samples.shape}; allowed is {header.rows} rows x"
            f" {header.columns} columns of one channel"
        )
    return gray_channel(samples)


def read_header(data: bytes) -> FrameHeader:
    """Read the fields up to the extra channels (18181-1, SizeHeader and ImageMetadata)."""
    codestream = data if data[:2] == b"\xff\x0a" else _codestream_of_container(data)
    if codestream[:2] != b"\xff\x0a":
        raise CorruptImageError("JPEG XL: the codestream does not begin with FF 0A")
    fields = _BitReader(codestream[2:_HEADER_BYTES])
    rows, columns = _size(fields)
    if fields.take(1):  # all_default: 8 bits, no animation, no extra channels
        return FrameHeader(rows, columns, 8, False, False, 0, xyb=True)
    animated = False
    if fields.take(1):  # extra_fields
        fields.take(3)  # orientation
        if fields.take(1):  # intrinsic size
            _size(fields)
        if fields.take(1):
            _skip_preview(fields)
        animated = bool(fields.take(1))
        if animated:
            fields.choose((100, 0), (1000, 0), (1, 10), (1, 30))  # ticks per second
            fields.choose((1, 0), (1001, 0), (1, 8), (1, 10))
            fields.choose((0, 0), (0, 3), (0, 16), (0, 32))  # loops
            fields.take(1)  # timecodes
    floats = bool(fields.take(1))
    if floats:
        bits = fields.choose((32, 0), (16, 0), (24, 0), (1, 6))
        fields.take(4)  # exponent bits
    else:
        bits = fields.choose((8, 0), (10, 0), (12, 0), (1, 6))
    fields.take(1)  # 16-bit buffers suffice
    extra_channels = fields.choose((0, 0), (1, 0), (2, 4), (1, 12))
    xyb = extra_channels == 0 and bool(fields.take(1))
    return FrameHeader(rows, columns, bits, floats, animated, extra_channels, xyb)


def _size(fields: _BitReader) -> tuple[int, int]:
    small = fields.take(1)
    sizes = ((1, 9), (1, 13), (1, 18), (1, 30))
    rows = 8 * (fields.take(5) + 1) if small else fields.choose(*sizes)
    ratio = fields.take(3)
    if ratio:
        numerator, denominator = _RATIOS[ratio - 1]
        return rows, rows * numerator // denominator
    return rows, 8 * (fields.take(5) + 1) if small else fields.choose(*sizes)


def _skip_preview(fields: _BitReader) -> None:
    eighths = fields.take(1)
    sizes = (
        ((16, 0), (32, 0), (1, 5), (33, 9)) if eighths else ((1, 6), (65, 8), (321, 10), (1345, 12))
    )
    fields.choose(*sizes)
    if not fields.take(3):
        fields.choose(*sizes)


class _BitReader:
    """Bits of a codestream header, least significant first."""

    def __init__(self, data: bytes) -> None:
        self._value = int.from_bytes(data, "little")
        self._left = 8 * len(data)

    def take(self, count: int) -> int:
        if count > self._left:
            raise CorruptImageError("JPEG XL: the codestream ends inside its header")
        taken = self._value & ((1 << count) - 1)
        self._value >>= count
        self._left -= count
        return taken

    def choose(self, *distributions: tuple[int, int]) -> int:
        """U32 of 18181-1: two bits select an offset and a number of bits to add."""
        offset, count = distributions[self.take(2)]
        return offset + self.take(count)


def _codestream_of_container(data: bytes) -> bytes:
    """The first bytes of the codestream in ``jxlc`` or ``jxlp`` boxes."""
    position = 0
    parts = b""
    while position + 8 <= len(data) and len(parts) < _HEADER_BYTES:
        length, kind = struct.unpack_from(">I4s", data, position)
        begin = position + 8
        if length == 1 and position + 16 <= len(data):
            (length,) = struct.unpack_from(">Q", data, position + 8)
            begin += 8
        elif length == 0:
            length = len(data) - position
        if length < begin - position:
            raise CorruptImageError(f"JPEG XL: box at byte {position} claims {length} bytes")
        end = min(position + length, begin + 4 + _HEADER_BYTES)
        if kind == b"jxlc":
            return data[begin:end]
        if kind == b"jxlp":  # a part, after its number
            parts += data[begin + 4 : end]
        position += length
    if not parts:
        raise CorruptImageError("JPEG XL: the container has no codestream box")
    return parts


def _check_frame_count(data: bytes, header: FrameHeader, limits: Limits) -> None:
    """Refuse an animation with more frames than ``limits`` allow, before decoding it.

    No header holds the number of frames and the decoder takes memory for all of them. But a
    frame past the last leaves the decoder's output as it was, and a frame that exists cannot
    match two different fillings.
    """
    import imagecodecs

    most = min(limits.max_pixels, max(limits.free_pixels, limits.max_expansion * len(data)))
    first_too_many = most // (header.rows * header.columns)
    for filling in (0x5A, 0xA5):
        shape = (header.rows, header.columns)
        probe = np.full(shape, filling, np.uint8 if header.bits <= 8 else np.uint16)
        with damage_as_corrupt("JPEG XL"):
            imagecodecs.jpegxl_decode(data, index=first_too_many, keeporientation=True, out=probe)
        if (probe != filling).any():
            raise LimitError(
                f"JPEG XL: more than {first_too_many} frames of {header.rows} rows x"
                f" {header.columns} columns; the limit is {most} pixels"
            )
