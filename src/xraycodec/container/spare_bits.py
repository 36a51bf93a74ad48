"""spAR: bits of DICOM cells around the bits stored (spec/format.md, section 5.10)."""

from __future__ import annotations

import struct

from xraycodec.container.deflated import check_compression, deflate, inflate
from xraycodec.container.header import Header
from xraycodec.errors import CorruptError, UnsupportedFormatError
from xraycodec.image import SpareBits

_SPARE = struct.Struct("<HHBB2s")  # sign bits, plane bits, compression, two reserved fields
_CELL_BITS = 16


def pack_spare_bits(spare: SpareBits) -> bytes:
    """Serialise spAR's payload."""
    compression, body = deflate(spare.planes)
    return _SPARE.pack(spare.sign_bits, spare.plane_bits, compression, 0, bytes(2)) + body


def unpack_spare_bits(payload: memoryview, header: Header, place: str) -> SpareBits:
    """Parse spAR's payload; ``place`` names the chunk in messages.

    Args:
        payload: the chunk's.
        header: of the stream, within the limits: it bounds the memory taken.
        place: names the chunk in messages.

    Raises:
        UnsupportedFormatError: an unknown compression, a reserved bit that is set.
        CorruptError: bits that the image cannot have, or planes of another size.
    """
    if len(payload) < _SPARE.size:
        raise CorruptError(f"{place} has {len(payload)} bytes; it must have {_SPARE.size} or more")
    sign_bits, plane_bits, compression, reserved, reserved_2 = _SPARE.unpack_from(payload)
    check_compression(compression, place)
    if reserved or any(reserved_2):
        raise UnsupportedFormatError(
            f"{place} has reserved bytes {payload[5:8].hex(' ')}; all must be zero"
        )
    if sign_bits & plane_bits:
        raise CorruptError(
            f"{place} gives bits 0x{sign_bits & plane_bits:04x} as the sign's and as planes"
        )
    if sign_bits and not header.signed:
        raise CorruptError(f"{place} repeats the sign of pixels that are unsigned")
    count = (sign_bits | plane_bits).bit_count()
    if count > _CELL_BITS - header.bits_stored:
        raise CorruptError(
            f"{place} has {count} bits around {header.bits_stored} bits stored; allowed are"
            f" {_CELL_BITS} together"
        )
    plane = SpareBits.plane_bytes(header.pixel_count)
    body = payload[_SPARE.size :]
    planes = inflate(compression, body, plane_bits.bit_count() * plane, place, "bit planes")
    unused = 8 * plane - header.pixel_count
    for last in range(plane - 1, len(planes), plane):
        if planes[last] & ((1 << unused) - 1):
            raise CorruptError(f"{place} has bits set after the last pixel of a plane")
    return SpareBits(sign_bits, plane_bits, planes)
