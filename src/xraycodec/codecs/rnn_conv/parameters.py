"""The PARM chunk of RNNC (``spec/rnn-conv.md``, section 2)."""

from __future__ import annotations

import struct
from dataclasses import dataclass

import numpy as np

from xraycodec.codecs.rnn_conv.model import MAX_BETA
from xraycodec.errors import CorruptError, UnsupportedFormatError
from xraycodec.image import XRay

VERSION = 1
DIGEST_BYTES = 8
_LAYOUT = struct.Struct(f"<BBBBiI{DIGEST_BYTES}s")
_INVERTED = 1


@dataclass(frozen=True)
class Parameters:
    """How pixels map to the network's 0 .. 1, and what the tiles hold.

    Attributes:
        beta: channels kept of the bottleneck, 1 to 128.
        low: pixel value that maps to 0.
        span: pixel steps from 0 to 1, at least 1.
        inverted: the network sees ``1 - x``, so that bone is bright in MONOCHROME1 as well.
        digest: first 8 bytes of the SHA-256 over header, parameters and all codes.
    """

    beta: int
    low: int
    span: int
    inverted: bool
    digest: bytes

    def to_bytes(self) -> bytes:
        flags = _INVERTED if self.inverted else 0
        return _LAYOUT.pack(VERSION, self.beta, flags, 0, self.low, self.span, self.digest)

    @staticmethod
    def from_bytes(data: bytes) -> Parameters:
        """Read the chunk's payload.

        Raises:
            CorruptError: another length, a reserved bit, or a field out of its range.
            UnsupportedFormatError: a later version.
        """
        if data and data[0] != VERSION:
            raise UnsupportedFormatError(
                f"RNNC parameters have version {data[0]}; this reader knows {VERSION}"
            )
        if len(data) != _LAYOUT.size:
            raise CorruptError(f"RNNC parameters have {len(data)} bytes, not {_LAYOUT.size}")
        _, beta, flags, zero, low, span, digest = _LAYOUT.unpack(data)
        if flags & ~_INVERTED or zero:
            raise CorruptError("reserved bits of the RNNC parameters are set")
        if not 1 <= beta <= MAX_BETA:
            raise CorruptError(f"RNNC parameters keep {beta} channels; allowed are 1 to {MAX_BETA}")
        if not (-(1 << 15) <= low < 1 << 16 and 1 <= span < 1 << 16):
            raise CorruptError(
                f"RNNC parameters map 0 .. 1 to {low} + {span}; 16 bits are the limit"
            )
        return Parameters(beta, low, span, bool(flags & _INVERTED), digest)


def intensity_window(image: XRay) -> tuple[int, int]:
    """Choose ``(low, span)``: the smallest power-of-two range that holds the image.

    Deep images seldom use all of their bits; codes are spent on the range in use. Below 8 bits
    the range is not narrowed, so that 8-bit images are seen as the network was trained.
    """
    low, high = int(np.min(image.pixels)), int(np.max(image.pixels))
    bits = max(min(8, image.bits_stored), (high - low).bit_length())
    base = 0 if not image.signed and high < 1 << bits else low
    return base, (1 << bits) - 1
