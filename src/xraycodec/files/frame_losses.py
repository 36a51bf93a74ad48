"""Whether a compressed frame lost something when it was made, as far as its codestream says so.

Writers often leave Lossy Image Compression (0028,2110) out of the data set. What codestreams say:
JPEG its process (T.81 B.2.2) and point transform (B.2.3), JPEG-LS NEAR (T.87 C.2.3), JPEG 2000 and
HTJ2K the wavelet (T.800 A.6.1), JPEG XL whether it is XYB (18181-1, ImageMetadata). A reversible
wavelet that was cut short, and lossy modular JPEG XL without XYB, say nothing.
"""

from __future__ import annotations

import struct
from collections.abc import Callable, Iterator

from xraycodec.files import jpegxl
from xraycodec.files.jpeg2000 import codestream_of

_JPEG = "1.2.840.10008.1.2.4."
_JPEG_XL_OF_JPEG = _JPEG + "111"
_HTJ2K = frozenset(_JPEG + n for n in ("201", "202", "203"))
_LOSSLESS_SOF = frozenset((0xC3, 0xC7, 0xCB, 0xCF))
_DCT_SOF = frozenset((0xC0, 0xC1, 0xC2, 0xC5, 0xC6, 0xC9, 0xCA, 0xCD, 0xCE))
_SOF55, _SOS = 0xF7, 0xDA
_COD, _SOT = 0x52, 0x90
_WITHOUT_LENGTH = frozenset((0x01, 0x4F, *range(0x30, 0x40), *range(0xD0, 0xD9)))
_IRREVERSIBLE = 0


def method_of_loss(frame: bytes, family: str, transfer_syntax: str) -> str | None:
    """Lossy Image Compression Method (PS3.3 C.7.6.1.1.5.1) of a frame that says it is lossy.

    Args:
        frame: one codestream, which decodes.
        family: ``rle``, ``deflate``, ``jpeg`` (JPEG-LS too), ``jpeg2000`` (HTJ2K too), ``jpegxl``.
        transfer_syntax: its UID.

    Returns:
        The defined term, ``None`` where the codestream does not say that anything was lost.
    """
    tell: dict[str, Callable[[bytes, str], str | None]] = {
        "jpeg": _of_jpeg,
        "jpeg2000": _of_jpeg2000,
        "jpegxl": _of_jpegxl,
    }
    return tell[family](frame, transfer_syntax) if family in tell else None


def _of_jpeg(frame: bytes, _: str) -> str | None:
    process = None
    for marker, body in _segments(frame):
        if marker in _DCT_SOF:
            return "ISO_10918_1"
        if marker in _LOSSLESS_SOF or marker == _SOF55:
            process = marker
        if marker == _SOS and body:
            # After the components: Ss, Se, Ah and Al; of JPEG-LS, NEAR, ILV and Al.
            parameters = body[1 + 2 * body[0] :]
            if len(parameters) < 3 or process is None:
                return None
            near = parameters[0] if process == _SOF55 else 0
            if not near and not parameters[2] & 0x0F:
                return None
            return "ISO_14495_1" if process == _SOF55 else "ISO_10918_1"
    return None


def _of_jpeg2000(frame: bytes, transfer_syntax: str) -> str | None:
    for marker, body in _segments(codestream_of(frame)):
        if marker == _COD and len(body) >= 10:
            if body[9] != _IRREVERSIBLE:
                return None
            return "ISO_15444_15" if transfer_syntax in _HTJ2K else "ISO_15444_1"
    return None


def _of_jpegxl(frame: bytes, transfer_syntax: str) -> str | None:
    lossy = transfer_syntax == _JPEG_XL_OF_JPEG or jpegxl.read_header(frame).xyb
    return "ISO_18181_1" if lossy else None


def _segments(frame: bytes) -> Iterator[tuple[int, bytes]]:
    """Markers and the bodies of their segments, up to the first coded data (T.81, T.800 A)."""
    position = 0
    while position + 4 <= len(frame) and frame[position] == 0xFF:
        marker = frame[position + 1]
        if marker == 0xFF:  # fill byte
            position += 1
        elif marker in _WITHOUT_LENGTH:
            position += 2
        else:
            (length,) = struct.unpack_from(">H", frame, position + 2)
            if length < 2:
                return  # the decoder did not mind, and no loss is told
            yield marker, frame[position + 4 : position + 2 + length]
            if marker in (_SOS, _SOT):
                return
            position += 2 + length
