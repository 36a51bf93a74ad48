"""META: the DICOM data set that came with the pixels (spec/format.md, section 5.3)."""

from __future__ import annotations

import struct

from xraycodec.container.deflated import ZLIB, check_compression, deflate, inflate, inflate_front
from xraycodec.dicom_outline import outline
from xraycodec.errors import CorruptError, LimitError, OptionError, UnsupportedFormatError
from xraycodec.limits import Limits

_META = struct.Struct("<BBHI")  # kind, compression, reserved, inflated size
_EXPLICIT_VR_LITTLE_ENDIAN = 1
_MAX_BYTES = 2**32 - 1
_FRONT_BYTES = 2**23


def pack_metadata(dicom: bytes) -> bytes:
    """Serialise META's payload, deflated where that is smaller.

    Raises:
        OptionError: the data set is larger than its size field can say.
    """
    if len(dicom) > _MAX_BYTES:
        raise OptionError(f"the data set has {len(dicom)} bytes; the format allows {_MAX_BYTES}")
    compression, body = deflate(dicom)
    return _META.pack(_EXPLICIT_VR_LITTLE_ENDIAN, compression, 0, len(dicom)) + body


def unpack_metadata(payload: memoryview, limits: Limits, place: str) -> bytes:
    """Parse META's payload; ``place`` names the chunk in messages.

    Raises:
        LimitError: the data set claims more bytes than ``limits`` allow, of which nothing was
            inflated then, or has more elements or deeper sequences.
        UnsupportedFormatError: an unknown kind or compression, a reserved bit that is set.
        CorruptError: a body that does not give exactly the bytes claimed.
    """
    if len(payload) < _META.size:
        raise CorruptError(f"{place} has {len(payload)} bytes; it must have {_META.size} or more")
    kind, compression, reserved, size = _META.unpack_from(payload)
    if kind != _EXPLICIT_VR_LITTLE_ENDIAN:
        raise UnsupportedFormatError(f"{place} has kind {kind}; this reader knows 1")
    check_compression(compression, place)
    if reserved:
        raise UnsupportedFormatError(f"{place} has reserved field {reserved}; it must be zero")
    if size > limits.max_metadata_bytes:
        raise LimitError(
            f"{place} claims {size} bytes of metadata; the limit is"
            f" {limits.max_metadata_bytes} (max_metadata_bytes)"
        )
    if compression == ZLIB and size > _FRONT_BYTES:
        # Most of what is too much shows before the rest takes memory.
        outline(inflate_front(payload[_META.size :], _FRONT_BYTES), limits)
    dicom = inflate(compression, payload[_META.size :], size, place, "metadata")
    outline(dicom, limits)
    return dicom
