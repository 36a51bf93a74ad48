"""fiLE: how a DICOM file held its data set (spec/format.md, section 5.8)."""

from __future__ import annotations

import struct
from typing import Literal

from xraycodec.container.deflated import check_compression, deflate, inflate
from xraycodec.dicom_outline import outline
from xraycodec.errors import CorruptError, LimitError, OptionError, UnsupportedFormatError
from xraycodec.image import PREAMBLE_BYTES, DicomFile
from xraycodec.limits import Limits

# flags, compression, pixel data's value representation, reserved, size of the file meta
# information, inflated size of the body
_FILE = struct.Struct("<BB2sII")
_PREAMBLE = 1
_NO_VR = b"\0\0"
_VRS: dict[bytes, Literal["OB", "OW"] | None] = {_NO_VR: None, b"OB": "OB", b"OW": "OW"}
_MAX_BYTES = 2**32 - 1


def pack_dicom_file(file: DicomFile) -> bytes:
    """Serialise fiLE's payload, deflated where that is smaller.

    Raises:
        OptionError: more bytes than its size fields can say.
    """
    body = (file.preamble or b"") + file.meta + file.pixel_tail
    if len(body) > _MAX_BYTES:
        raise OptionError(
            f"file meta information and the tail of Pixel Data have {len(body)} bytes; the format"
            f" allows {_MAX_BYTES}"
        )
    vr = file.pixel_vr.encode("ascii") if file.pixel_vr else _NO_VR
    compression, content = deflate(body)
    flags = _PREAMBLE if file.preamble is not None else 0
    return _FILE.pack(flags, compression, vr, len(file.meta), len(body)) + content


def unpack_dicom_file(payload: memoryview, limits: Limits, place: str) -> DicomFile:
    """Parse fiLE's payload; ``place`` names the chunk in messages.

    Raises:
        LimitError: the body claims more bytes than ``limits`` allow, of which nothing was inflated
            then, or the file meta information has more elements.
        UnsupportedFormatError: an unknown flag, compression or value representation.
        CorruptError: a body that does not give exactly the bytes claimed, or too few of them.
    """
    if len(payload) < _FILE.size:
        raise CorruptError(f"{place} has {len(payload)} bytes; it must have {_FILE.size} or more")
    flags, compression, vr, meta_bytes, size = _FILE.unpack_from(payload)
    if flags & ~_PREAMBLE:
        raise UnsupportedFormatError(
            f"{place} has flags 0x{flags:02x}; this reader knows 0x{_PREAMBLE:02x}"
        )
    check_compression(compression, place)
    if vr not in _VRS:
        raise UnsupportedFormatError(
            f"{place} has value representation {vr.hex(' ')}; this reader knows none, OB and OW"
        )
    if size > limits.max_metadata_bytes:
        raise LimitError(
            f"{place} claims {size} bytes of metadata; the limit is"
            f" {limits.max_metadata_bytes} (max_metadata_bytes)"
        )
    meta_start = PREAMBLE_BYTES * (flags & _PREAMBLE)
    tail_start = meta_start + meta_bytes
    if tail_start > size:
        raise CorruptError(
            f"{place} claims {size} bytes of metadata; the preamble and {meta_bytes} bytes of file"
            f" meta information need {tail_start}"
        )
    if vr == _NO_VR and tail_start < size:
        raise CorruptError(
            f"{place} has {size - tail_start} bytes after encapsulated Pixel Data; allowed are none"
        )
    body = inflate(compression, payload[_FILE.size :], size, place, "metadata")
    outline(body[:tail_start], limits, start=meta_start)
    return DicomFile(
        meta=body[meta_start:tail_start],
        preamble=body[:meta_start] if meta_start else None,
        pixel_vr=_VRS[vr],
        pixel_tail=body[tail_start:],
    )
