"""Which format a file is in, from its first bytes."""

from __future__ import annotations

import struct

from xraycodec.errors import CorruptImageError
from xraycodec.files.codestreams import read_jpeg_header

HEAD_BYTES = 64 * 1024
"""Bytes that :func:`sniff` wants at most; a JPEG's frame header may follow long comments."""

_SIGNATURES = (
    (b"\x89PNG\r\n\x1a\n", "png"),
    (b"II*\x00", "tiff"),
    (b"MM\x00*", "tiff"),
    (b"II+\x00", "tiff"),
    (b"MM\x00+", "tiff"),
    (b"\x93NUMPY", "npy"),
    (b"\xff\x0a", "jpegxl"),
    (b"\x00\x00\x00\x0cJXL \r\n\x87\n", "jpegxl"),
    (b"\x00\x00\x00\x0cjP  \r\n\x87\n", "jpeg2000"),
    (b"\xff\x4f\xff\x51", "jpeg2000"),
)

# Value representations that open a group 0002 or 0008 element in practice.
_FIRST_VRS = frozenset((b"UL", b"OB", b"UI", b"CS", b"DA", b"TM", b"DT", b"LO", b"SH"))


def sniff(head: bytes) -> str | None:
    """Name the format of a file that begins with ``head``.

    Args:
        head: the first bytes, all of them or :data:`HEAD_BYTES`.

    Returns:
        ``dicom``, ``png``, ``tiff``, ``pgm``, ``npy``, ``jpegxl``, ``jpeg2000``, ``jpegls``,
        ``jpeg``, or ``None`` for anything else.
    """
    if head[128:132] == b"DICM":
        return "dicom"
    for signature, name in _SIGNATURES:
        if head.startswith(signature):
            return name
    if head[:2] in (b"P2", b"P5") and head[2:3] in (b" ", b"\t", b"\n", b"\r", b"\v", b"\f", b"#"):
        return "pgm"
    if head.startswith(b"\xff\xd8\xff"):
        return _jpeg_or_jpegls(head)
    return "dicom" if _begins_like_data_set(head) else None


def _jpeg_or_jpegls(head: bytes) -> str:
    try:
        return "jpegls" if read_jpeg_header(head).lossless_ls else "jpeg"
    except CorruptImageError:
        # Too short to reach the frame header: the JPEG reader reports what is wrong.
        return "jpeg"


def _begins_like_data_set(head: bytes) -> bool:
    """Whether a data set without preamble opens here: an element of group 0002 or 0008."""
    if len(head) < 8:
        return False
    if head[:2] in (b"\x02\x00", b"\x08\x00"):
        if head[4:6] in _FIRST_VRS:
            return True
        element, length = struct.unpack_from("<HI", head, 2)
        # Implicit VR: early elements of these groups are short, group lengths are 4 bytes.
        return bool(element <= 0x18 and length <= 256 and (element != 0 or length == 4))
    return head[:2] == b"\x00\x08" and head[4:6] in _FIRST_VRS
