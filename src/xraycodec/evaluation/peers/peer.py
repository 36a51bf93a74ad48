"""One codec as a comparison sees it, and what a file keeps beside a codestream."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from xraycodec.errors import CorruptImageError, OptionError, UnsupportedImageError
from xraycodec.image import Pixels, XRay, pixel_type

BLOCK_PIXELS = 256
"""Pixels of the 16 x 16 blocks that the paper's ratio counts in."""
_WIDE = 0x20
"""Bit of the depth byte that says that pixels came in 16-bit integers."""


def any_value(quality: float) -> float:
    """Snap nothing: a continuous control."""
    return quality


def whole_number(quality: float) -> float:
    """Snap to whole numbers."""
    return float(round(quality))


def whole_beta(ratio: float) -> float:
    """Snap the paper's ratio 256 / beta to a whole number beta."""
    return BLOCK_PIXELS / max(1, round(BLOCK_PIXELS / ratio))


@dataclass(frozen=True)
class Peer:
    """One codec as a comparison sees it; can be sent to another process.

    Attributes:
        name: what tables call it.
        key: what people type.
        qualities: values of its natural control, best quality first, that span about 0.02 to 2
            bits a pixel, as far as the codec goes, on radiographs of 8 bits.
        lossless: whether it codes without loss, too.
        max_bits: deepest image that it serves, in bits stored.
        encode: ``encode(image, quality)`` gives a file; without loss for ``None``.
        decode: ``decode(data)`` gives the pixels, ``(row, column)`` or ``(frame, row, column)``,
            in the type of the original, from the file alone.
        snap: the value nearest to a quality among those that the codec tells apart.
        most_grey_levels: set where qualities are errors in grey levels: the largest one.
    """

    name: str
    key: str
    qualities: tuple[float, ...]
    lossless: bool
    max_bits: int
    encode: Callable[[XRay, float | None], bytes]
    decode: Callable[[bytes], Pixels]
    snap: Callable[[float], float] = any_value
    most_grey_levels: int | None = None

    def ladder(self, image: XRay) -> tuple[float, ...]:
        """Return the qualities for an image, best first.

        Errors in grey levels grow with the bits stored beyond 8, after powers of two up to
        there; all other controls are relative to the peak and serve every depth.
        """
        if self.most_grey_levels is None or image.bits_stored <= 8:
            return self.qualities
        extra = image.bits_stored - 8
        errors = {float(1 << k) for k in range(extra)}
        errors |= {quality * (1 << extra) for quality in self.qualities}
        return tuple(sorted({min(error, float(self.most_grey_levels)) for error in errors}))


def check_served(image: XRay, name: str, max_bits: int, max_side: int) -> None:
    """Refuse what a codec for plain gray images does not take.

    Raises:
        UnsupportedImageError: signed, several frames, too deep or too large.
    """
    frames, rows, columns = image.frames.shape
    if image.signed:
        raise UnsupportedImageError(f"{name}: pixels are signed; allowed are unsigned ones")
    if frames != 1:
        raise UnsupportedImageError(f"{name}: the image has {frames} frames; allowed is 1")
    if image.bits_stored > max_bits:
        raise UnsupportedImageError(
            f"{name}: {image.bits_stored} bits stored; allowed are 1 to {max_bits}"
        )
    if max(rows, columns) > max_side:
        raise UnsupportedImageError(
            f"{name}: {rows} rows x {columns} columns; allowed are sides up to {max_side}"
        )


def check_quality(quality: float, name: str, limits: tuple[float, float]) -> None:
    """Refuse a quality outside the codec's control.

    Raises:
        OptionError: it is.
    """
    low, high = limits
    if not low <= quality <= high:
        raise OptionError(f"quality {quality:g}; {name} takes {low:g} to {high:g}")


def samples_of(image: XRay) -> npt.NDArray[Any]:
    """Return the one frame as ``(row, column)`` in the smallest type for its bits stored."""
    kind = pixel_type(image.bits_stored, signed=False)
    return np.ascontiguousarray(image.frames[0], kind)


def depth_byte(image: XRay) -> bytes:
    """Return the byte that keeps bits stored and type: what DICOM has outside of codestreams.

    Without it, JPEG-LS and HTJ2K of 12-bit images, which imagecodecs writes as 16-bit ones,
    could decode to values that 12 bits do not hold.
    """
    wide = _WIDE if image.pixels.dtype.itemsize == 2 else 0
    return bytes([wide | image.bits_stored])


def pixels_from(data: bytes, name: str, decode: Callable[[bytes, int], npt.NDArray[Any]]) -> Pixels:
    """Decode a codestream that a depth byte follows, and cut the pixels to what it allows.

    ``decode`` takes the codestream and the bits stored.

    Raises:
        CorruptImageError: no depth byte, or the pixels are not those of one gray image.
    """
    depth = data[-1] if data else 0
    bits, wide = depth & ~_WIDE, bool(depth & _WIDE)
    if not 1 <= bits <= (16 if wide else 8):
        raise CorruptImageError(
            f"{name}: the last of {len(data)} bytes is 0x{depth:02x}; allowed are 1 to 8 bits"
            " stored in 8-bit pixels, or 1 to 16 with 0x20 set"
        )
    samples = decode(data[:-1], bits)
    if samples.ndim != 2 or samples.dtype.kind not in "ui":
        raise CorruptImageError(
            f"{name}: decoded to {samples.dtype.name} of shape {samples.shape}; allowed are"
            " integers, (row, column)"
        )
    pixels: Pixels = np.minimum(samples, (1 << bits) - 1).astype(np.uint16 if wide else np.uint8)
    return pixels
