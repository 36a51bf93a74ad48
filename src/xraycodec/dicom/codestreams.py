"""Frames as codestreams of the JPEG family and as RLE, and how many bytes they may take.

Every encoder takes pixels ``(row, column)`` as `XRay` has them. What DICOM says of signed pixels
and of precision is in PS3.5 8.2; what DCMTK, GDCM, dcm4che and pydicom do decides the rest.
"""

from __future__ import annotations

import struct
from collections.abc import Callable
from typing import Any

import numpy as np
import numpy.typing as npt

from xraycodec.dicom import jpegls
from xraycodec.errors import OptionError
from xraycodec.image import pixel_type, value_range

Frame = npt.NDArray[Any]

_SIZ_PRECISION = 42  # byte of Ssiz in a codestream of one component (T.800 A.5.1)
_SEARCH_STEPS = 10
_CLOSE_ENOUGH = 0.98  # of the bytes allowed


def encode_rle(cells: Frame) -> bytes:
    """RLE of PS3.5 annex G: a segment a byte of the cells, most significant first, by rows."""
    import imagecodecs

    planes = np.ascontiguousarray(cells).view(np.uint8).reshape(*cells.shape, -1)
    if cells.dtype.newbyteorder("=") == cells.dtype.newbyteorder("<"):
        planes = planes[..., ::-1]
    segments = [
        bytes(imagecodecs.packbits_encode(planes[..., plane].copy()))
        for plane in range(planes.shape[-1])
    ]
    segments = [segment + b"\0" * (len(segment) % 2) for segment in segments]
    offsets = [64]
    for segment in segments[:-1]:
        offsets.append(offsets[-1] + len(segment))
    header = struct.pack(f"<{1 + len(offsets)}I", len(segments), *offsets)
    return header.ljust(64, b"\0") + b"".join(segments)


def encode_jpegls(frame: Frame, bits: int, bits_allocated: int, near: int = 0) -> bytes:
    """JPEG-LS, which knows unsigned samples alone.

    Lossless signed pixels are coded as whole cells, in two's complement with the sign in every
    bit above those stored, as DCMTK, GDCM and dcm4che do: decoders that do not extend the sign
    give them back right. Unsigned ones get at least the precision from which DCMTK and GDCM take
    samples for 8 and for 16 bits.

    Near-lossless pixels have their bits stored for precision, signed ones without their sign's
    repetition: what is decoded then stays within its range, where it would otherwise come out on
    the other end of the grey scale. Only the largest and the smallest signed pixel are neighbours
    then, which no decoder can tell apart once there is an error.

    Raises:
        OptionError: near-lossless, and a signed pixel is within the error of an end of its range.
    """
    if near > 0:
        low, high = value_range(bits, signed=True)
        ends = int(frame.min()), int(frame.max())
        if frame.dtype.kind == "i" and not low + near <= ends[0] <= ends[1] <= high - near:
            raise OptionError(
                f"near-lossless JPEG-LS would change the sign of pixels: they range from {ends[0]}"
                f" to {ends[1]}; an error of {near} needs {low + near} to {high - near}"
            )
        samples = frame.view(f"u{frame.dtype.itemsize}") & ((1 << bits) - 1)
        return jpegls.encode(samples, max(bits, jpegls.MIN_BITS), near)
    if frame.dtype.kind == "i":
        width = bits_allocated // 8
        return jpegls.encode(frame.astype(f"i{width}").view(f"u{width}"), bits_allocated)
    return jpegls.encode(frame, max(bits, 8 if bits_allocated == 8 else 9))


def encode_jpeg2000(frame: Frame, bits: int, psnr: float | None = None) -> bytes:
    """JPEG 2000 with the reversible wavelet, or for a ``psnr`` in dB with the irreversible one."""
    import imagecodecs

    samples = frame.astype(pixel_type(bits, signed=frame.dtype.kind == "i"), copy=False)
    level: Any = psnr  # declared as an integer
    return bytes(
        imagecodecs.jpeg2k_encode(
            np.ascontiguousarray(samples),
            codecformat="j2k",
            bitspersample=bits,
            reversible=psnr is None,
            level=level,
        )
    )


def encode_htj2k(frame: Frame, bits: int, step: float | None = None) -> bytes:
    """HTJ2K, reversible, or for a quantisation ``step``, 1 for the whole range, irreversible.

    OpenJPH takes the precision from the type of the samples; the one of the bits stored is written
    over it. In a reversible codestream nothing but the level shift depends on it, which is done
    here. In an irreversible one everything is relative to the range, so samples fill 16 bits.
    """
    import imagecodecs

    signed = frame.dtype.kind == "i"
    if step is not None:
        samples = (frame.astype(np.int32) << (16 - bits)).astype("i2" if signed else "u2")
    else:
        shift = 0 if signed else 1 << (bits - 1)
        samples = (frame.astype(np.int32) - shift).astype(np.int16)
    codestream = bytearray(imagecodecs.htj2k_encode(samples, reversible=step is None, level=step))
    codestream[_SIZ_PRECISION] = bits - 1 | (0x80 if signed else 0)
    return bytes(codestream)


def encode_jpegxl(frame: Frame, bits: int, distance: float | None = None) -> bytes:
    """JPEG XL, lossless, or for a ``distance`` in just noticeable differences, lossy."""
    import imagecodecs

    return bytes(
        imagecodecs.jpegxl_encode(
            np.ascontiguousarray(frame.astype(pixel_type(bits, signed=False), copy=False)),
            lossless=distance is None,
            distance=distance,
            photometric="gray",
            bitspersample=bits,
        )
    )


def encode_within(
    encode: Callable[[float], bytes], worst: float, best: float, limit_bytes: float
) -> bytes:
    """The best encoding that is small enough.

    Args:
        encode: takes a setting of quality.
        worst: the setting of the smallest encodings.
        best: that of the largest; both above 0.
        limit_bytes: what the result may take.

    Raises:
        OptionError: even the worst takes more.
    """
    codestream = encode(worst)
    if len(codestream) > limit_bytes:
        raise OptionError(
            f"a frame takes {len(codestream)} bytes at the lowest quality; the ratio allows"
            f" {int(limit_bytes)}"
        )
    # Halving by logarithms suits steps and distances, and does no harm to decibels.
    low, high = 0.0, 1.0
    for _ in range(_SEARCH_STEPS):
        if len(codestream) >= _CLOSE_ENOUGH * limit_bytes:
            break
        middle = (low + high) / 2
        tried = encode(worst * (best / worst) ** middle)
        if len(tried) <= limit_bytes:
            low, codestream = middle, max(codestream, tried, key=len)
        else:
            high = middle
    return codestream
