"""META: the DICOM data set that came with the pixels (spec/format.md, section 5.3)."""

from __future__ import annotations

import struct
import zlib

from xraycodec.container.limits import Limits
from xraycodec.errors import CorruptError, LimitError, OptionError, UnsupportedFormatError

_META = struct.Struct("<BBHI")  # kind, compression, reserved, inflated size
_EXPLICIT_VR_LITTLE_ENDIAN = 1
_STORED, _ZLIB = 0, 1
_MAX_BYTES = 2**32 - 1


def pack_metadata(dicom: bytes) -> bytes:
    """Serialise META's payload, deflated where that is smaller.

    Raises:
        OptionError: the data set is larger than its size field can say.
    """
    if len(dicom) > _MAX_BYTES:
        raise OptionError(f"the data set has {len(dicom)} bytes; the format allows {_MAX_BYTES}")
    deflated = zlib.compress(dicom, 9)
    compression, body = (_ZLIB, deflated) if len(deflated) < len(dicom) else (_STORED, dicom)
    return _META.pack(_EXPLICIT_VR_LITTLE_ENDIAN, compression, 0, len(dicom)) + body


def unpack_metadata(payload: memoryview, limits: Limits, place: str) -> bytes:
    """Parse META's payload; ``place`` names the chunk in messages.

    Raises:
        LimitError: the data set claims more bytes than ``limits`` allow; nothing was inflated.
        UnsupportedFormatError: an unknown kind or compression, a reserved bit that is set.
        CorruptError: a body that does not give exactly the bytes claimed.
    """
    if len(payload) < _META.size:
        raise CorruptError(f"{place} has {len(payload)} bytes; it must have {_META.size} or more")
    kind, compression, reserved, size = _META.unpack_from(payload)
    if kind != _EXPLICIT_VR_LITTLE_ENDIAN:
        raise UnsupportedFormatError(f"{place} has kind {kind}; this reader knows 1")
    if compression not in (_STORED, _ZLIB):
        raise UnsupportedFormatError(
            f"{place} has compression {compression}; this reader knows 0 and 1"
        )
    if reserved:
        raise UnsupportedFormatError(f"{place} has reserved field {reserved}; it must be zero")
    if size > limits.max_metadata_bytes:
        raise LimitError(
            f"{place} claims {size} bytes of metadata; the limit is {limits.max_metadata_bytes}"
        )
    body = payload[_META.size :]
    if compression == _STORED:
        if len(body) != size:
            raise CorruptError(f"{place} claims {size} bytes of metadata; it holds {len(body)}")
        return bytes(body)
    return _inflate(body, size, place)


def _inflate(body: memoryview, size: int, place: str) -> bytes:
    """The zlib stream's content, if that is exactly ``size`` bytes."""
    inflater = zlib.decompressobj()
    try:
        # One byte more than claimed shows a stream that is too long without inflating the rest.
        content = inflater.decompress(body, size + 1)
    except zlib.error as fault:
        raise CorruptError(f"{place} holds a broken zlib stream: {fault}") from None
    if len(content) != size:
        found = f"more than {size}" if len(content) > size else f"{len(content)}"
        raise CorruptError(f"{place} claims {size} bytes of metadata; it inflates to {found}")
    if not inflater.eof:
        raise CorruptError(f"{place} holds a zlib stream without its end")
    if inflater.unused_data:
        raise CorruptError(
            f"{place} has {len(inflater.unused_data)} bytes after its zlib stream; allowed are none"
        )
    return content
