"""HASH: the digest of the pixels that decoding gives (spec/format.md, section 5.6)."""

from __future__ import annotations

import hashlib
import struct

import numpy as np

from xraycodec.errors import CorruptError, OptionError, UnsupportedFormatError
from xraycodec.image import PIXEL_TYPES, Pixels, pixel_type

HASH_BYTES = 32

_HASH = struct.Struct("<BBH32s")  # algorithm, two reserved fields, digest
_SHA_256 = 1
_BAND_PIXELS = 2**18


def hash_pixels(pixels: Pixels, bits_stored: int) -> bytes:
    """SHA-256 of pixels in the container's serialisation; arguments as `PixelDigest` takes them."""
    digest = PixelDigest(bits_stored)
    digest.update(pixels)
    return digest.digest()


class PixelDigest:
    """SHA-256 of pixels in the container's serialisation, which come frame by frame.

    Memory stays bounded: bands of about a quarter of a million pixels, or one row, are converted
    one after the other.

    """

    def __init__(self, bits_stored: int) -> None:
        """Begin; 1 to 8 bits hash a pixel as one byte, 9 to 16 as two, little-endian.

        Raises:
            OptionError: other bits.
        """
        if not 1 <= bits_stored <= 16:
            raise OptionError(f"bits stored is {bits_stored}; allowed are 1 to 16")
        self._bits_stored = bits_stored
        self._digest = hashlib.sha256()

    def update(self, pixels: Pixels) -> None:
        """Go on with pixels ``(row, column)`` or ``(frame, row, column)``, 8- or 16-bit integers.

        They are two's complement if the array's type is signed.

        Raises:
            OptionError: another shape or type, or values that do not fit the bytes of a pixel.
        """
        _check_type(pixels)
        bits_stored = self._bits_stored
        serialised = pixel_type(bits_stored, signed=pixels.dtype.kind == "i").newbyteorder("<")
        band_rows = max(1, _BAND_PIXELS // max(1, pixels.shape[-1]))
        for frame in pixels if pixels.ndim == 3 else pixels[None]:
            for top in range(0, len(frame), band_rows):
                rows = frame[top : top + band_rows]
                band = np.ascontiguousarray(rows, serialised)
                if serialised.itemsize < rows.itemsize and (band != rows).any():
                    raise OptionError(
                        f"pixel values {rows.min()} to {rows.max()} do not fit {bits_stored} bits"
                        " stored"
                    )
                self._digest.update(band.data)

    def digest(self) -> bytes:
        """Of all pixels so far."""
        return self._digest.digest()


def _check_type(pixels: Pixels) -> None:
    if pixels.ndim not in (2, 3) or pixels.dtype.name not in PIXEL_TYPES:
        raise OptionError(
            f"pixels have shape {pixels.shape} and type {pixels.dtype.name}; allowed are (row,"
            f" column) and (frame, row, column) of {', '.join(PIXEL_TYPES)}"
        )


def pack_hash(digest: bytes) -> bytes:
    """Serialise HASH's payload.

    Raises:
        OptionError: the digest has not 32 bytes.
    """
    if len(digest) != HASH_BYTES:
        raise OptionError(f"pixel hash has {len(digest)} bytes; a SHA-256 has {HASH_BYTES}")
    return _HASH.pack(_SHA_256, 0, 0, digest)


def unpack_hash(payload: memoryview, place: str) -> bytes:
    """Parse HASH's payload; ``place`` names the chunk in messages.

    Raises:
        UnsupportedFormatError: an unknown algorithm, a reserved bit that is set.
        CorruptError: a wrong size.
    """
    if len(payload) != _HASH.size:
        raise CorruptError(f"{place} has {len(payload)} bytes; it must have {_HASH.size}")
    algorithm, *reserved, digest = _HASH.unpack(payload)
    if algorithm != _SHA_256:
        raise UnsupportedFormatError(
            f"{place} has algorithm {algorithm}; this reader knows {_SHA_256}"
        )
    if any(reserved):
        raise UnsupportedFormatError(f"{place} has reserved fields {reserved}; both must be zero")
    return bytes(digest)
