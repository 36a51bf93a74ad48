"""Headers of JPEG, JPEG-LS and JPEG 2000 codestreams, and their decoders.

A codestream's own dimensions decide how much memory its decoder takes, whatever the file
around it says; they are read here first. Clauses: T.81 B.2.2 (frame header), T.87 C.2.2,
T.800 A.5.1 (SIZ).
"""

from __future__ import annotations

import struct
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from xraycodec.errors import CorruptImageError, LimitError, UnsupportedImageError
from xraycodec.files.checks import check_pixels, damage_as_corrupt
from xraycodec.files.jpeg2000 import check_tile_parts, codestream_of
from xraycodec.files.jpeg_scans import EOI, SOF, SOS, check_scans, next_segment
from xraycodec.image import XRay
from xraycodec.limits import Limits

MAX_SCANS = 100
"""Of one JPEG; encoders write up to about ten for an image of one component."""

_SOF55 = 0xF7  # JPEG-LS frame header


@dataclass(frozen=True)
class FrameHeader:
    """What a codestream's header says of its image.

    Attributes:
        rows, columns: size in pixels.
        components: channels.
        bits: bits of a sample.
        signed: whether samples are two's complement.
        lossless_ls: the codestream is JPEG-LS (which may be near-lossless).
    """

    rows: int
    columns: int
    components: int
    bits: int
    signed: bool = False
    lossless_ls: bool = False


def read_jpeg_header(data: bytes) -> FrameHeader:
    """Header of a JPEG (T.81) or JPEG-LS (T.87) codestream.

    Raises:
        CorruptImageError: no frame header before the first scan or the end.
    """
    position = 2
    while True:
        start = position
        marker, body, position = next_segment(data, position)
        if (marker in SOF or marker == _SOF55) and len(body) >= 6:
            bits, rows, columns, components = struct.unpack_from(">BHHB", body)
            return FrameHeader(rows, columns, components, bits, lossless_ls=marker == _SOF55)
        if marker in (SOS, EOI):
            raise CorruptImageError(f"JPEG: no frame header before byte {start}")


def read_jpeg2000_header(data: bytes) -> FrameHeader:
    """Header of a raw JPEG 2000 codestream, from its SIZ segment.

    Raises:
        CorruptImageError: no SIZ segment, or one that makes no sense.
    """
    if len(data) < 45 or data[:4] != b"\xff\x4f\xff\x51":
        raise CorruptImageError("JPEG 2000: the codestream does not begin with SOC and SIZ")
    x, y, x0, y0, tile_x, tile_y = struct.unpack_from(">IIIIII", data, 8)
    components, depth, step_x, step_y = struct.unpack_from(">HBBB", data, 40)
    if 0 in (step_x, step_y, tile_x, tile_y, components) or x0 >= x or y0 >= y:
        raise CorruptImageError(
            f"JPEG 2000: SIZ gives a grid of {x} x {y} from ({x0}, {y0}), tiles of"
            f" {tile_x} x {tile_y}, {components} component(s), sub-sampling {step_x} x {step_y}"
        )
    return FrameHeader(
        rows=-(-y // step_y) - -(-y0 // step_y),
        columns=-(-x // step_x) - -(-x0 // step_x),
        components=components,
        bits=(depth & 0x7F) + 1,
        signed=bool(depth & 0x80),
    )


def check_gray(header: FrameHeader) -> None:
    """Refuse what is not one channel of at most 16 bits.

    Raises:
        UnsupportedImageError: several components, or deeper samples.
    """
    if header.components != 1:
        raise UnsupportedImageError(
            f"the codestream has {header.components} components; allowed is 1 (grayscale)"
        )
    if not 1 <= header.bits <= 16:
        raise UnsupportedImageError(
            f"the codestream has {header.bits} bits a sample; allowed are 1 to 16"
        )


def decode_codestream(data: bytes, header: FrameHeader) -> npt.NDArray[Any]:
    """Decode one JPEG, JPEG-LS, JPEG 2000 or HTJ2K codestream to ``(row, column)`` samples.

    Args:
        data: the codestream, checked by the caller through ``header``.
        header: as read from ``data``.

    Raises:
        CorruptImageError: the decoder refuses it, or its result contradicts the header.
    """
    import imagecodecs

    if data[:2] == b"\xff\x4f":
        # OpenJPEG reads HTJ2K, too; imagecodecs.htj2k_decode drops its errors and returns junk.
        what, name = "JPEG 2000", "jpeg2k_decode"
    elif header.lossless_ls:
        what, name = "JPEG-LS", "jpegls_decode"
    else:
        what, name = "JPEG", "jpeg8_decode"
    if what == "JPEG 2000":
        check_tile_parts(data)
    if what == "JPEG":
        # Each scan of a progressive JPEG goes over the whole image. Comments may hold the marker.
        if (scans := data.count(b"\xff\xda")) > MAX_SCANS:
            raise LimitError(f"JPEG: the codestream has {scans} scans; the limit is {MAX_SCANS}")
        data = check_scans(data)
    # CharLS spins for half a minute on data that are cut short. Entropy-coded data never contain
    # the marker, for a bit is stuffed after FF.
    if what == "JPEG-LS" and data.find(b"\xff\xd9", data.rfind(b"\xff\xda") + 2) < 0:
        raise CorruptImageError(f"{what}: the {len(data)} bytes end before the end-of-image marker")
    decoder: Callable[[bytes], npt.NDArray[Any]] = getattr(imagecodecs, name)
    with damage_as_corrupt(what):
        samples: npt.NDArray[Any] = np.asarray(decoder(data))
    if samples.shape != (header.rows, header.columns) or samples.dtype.kind not in "ui":
        raise CorruptImageError(
            f"{what}: decoded to {samples.dtype.name} of shape {samples.shape}; the header says"
            f" {header.rows} rows x {header.columns} columns"
        )
    return samples


def decode_jpeg(data: bytes, limits: Limits) -> XRay:
    """Decode a grayscale JPEG or JPEG-LS file, lossy or lossless, of 2 to 16 bits."""
    return _to_xray(data, read_jpeg_header(data), limits)


def decode_jpeg2000(data: bytes, limits: Limits) -> XRay:
    """Decode a grayscale JPEG 2000 or HTJ2K file, raw codestream or JP2."""
    codestream = codestream_of(data)
    return _to_xray(codestream, read_jpeg2000_header(codestream), limits)


def _to_xray(data: bytes, header: FrameHeader, limits: Limits) -> XRay:
    check_gray(header)
    check_pixels(header.rows, header.columns, 1, limits, len(data))
    samples = decode_codestream(data, header)
    width = 8 if header.bits <= 8 else 16
    return XRay(samples.astype(f"{'int' if header.signed else 'uint'}{width}"), header.bits)
