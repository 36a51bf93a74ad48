"""What a TODE stream says of itself: its PARM chunk and HEAD (``spec/toderici.md``, section 2)."""

from __future__ import annotations

import struct
from dataclasses import dataclass

from xraycodec.codecs.toderici.model import BLOCK
from xraycodec.container import Header
from xraycodec.errors import CorruptError, UnsupportedFormatError
from xraycodec.image import value_range

VERSION = 1
MAX_TILE = 512
"""Bounds what a network computes at once."""

_LAYOUT = struct.Struct("<BBHiI")
_INVERTED = 1


@dataclass(frozen=True)
class Parameters:
    """How pixels map to the network's 0 .. 1.

    Attributes:
        low: pixel value that maps to 0.
        span: pixel steps from 0 to 1, at least 1.
        inverted: the network sees ``1 - x``, so that bone is bright in MONOCHROME1 as well.
    """

    low: int
    span: int
    inverted: bool

    def to_bytes(self) -> bytes:
        return _LAYOUT.pack(VERSION, _INVERTED if self.inverted else 0, 0, self.low, self.span)

    @staticmethod
    def from_bytes(data: bytes) -> Parameters:
        """Read the chunk's payload.

        Raises:
            CorruptError: another length, or a field out of its range.
            UnsupportedFormatError: a later version, or a reserved bit.
        """
        if data and data[0] != VERSION:
            raise UnsupportedFormatError(
                f"TODE parameters have version {data[0]}; this reader knows {VERSION}"
            )
        if len(data) != _LAYOUT.size:
            raise CorruptError(f"TODE parameters have {len(data)} bytes, not {_LAYOUT.size}")
        _, flags, reserved, low, span = _LAYOUT.unpack(data)
        if flags & ~_INVERTED or reserved:
            raise UnsupportedFormatError(
                f"TODE parameters have flags 0x{flags:02x} and reserved bytes 0x{reserved:04x};"
                f" this reader knows 0x{_INVERTED:02x} and zero"
            )
        if not (-(1 << 15) <= low < 1 << 16 and 1 <= span < 1 << 16):
            raise CorruptError(
                f"TODE parameters map 0 .. 1 to {low} + {span}; 16 bits are the limit"
            )
        return Parameters(low, span, bool(flags & _INVERTED))


def check_header(header: Header) -> None:
    """Hold a header against what every TODE stream says of itself.

    Raises:
        CorruptError: it says something else.
    """
    if not BLOCK <= header.tile <= MAX_TILE or header.tile % BLOCK:
        raise CorruptError(
            f"TODE tiles have sides of {BLOCK} to {MAX_TILE}, multiples of {BLOCK}; HEAD says"
            f" {header.tile}"
        )
    if header.exact or header.max_error is not None:
        raise CorruptError(
            "TODE neither is exact nor bounds the error; HEAD says"
            f" {'exact' if header.exact else 'not exact'} and {header.max_error}"
        )


def check_range(header: Header, plan: Parameters) -> None:
    """Hold the lowest value against the bits stored.

    Raises:
        CorruptError: it does not fit.
    """
    low, high = value_range(header.bits_stored, signed=header.signed)
    if not low <= plan.low <= high:
        raise CorruptError(
            f"TODE parameters map 0 to {plan.low}; {header.bits_stored} bits stored hold {low} to"
            f" {high}"
        )
