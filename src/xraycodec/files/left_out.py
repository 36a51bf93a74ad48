"""What image files say besides their pixels and an XRay has no place for.

A DICOM data set is kept whole. Of the other formats, pixels, bits stored and MONOCHROME1 are kept
(see the package's table), and everything else is not: sizes in millimetres, colour spaces, text.
"""

from __future__ import annotations

import struct
from collections.abc import Callable, Iterator

from xraycodec.files import png
from xraycodec.files.signatures import sniff
from xraycodec.image import XRay

_PNG_KEPT = frozenset((b"IHDR", b"PLTE", b"IDAT", b"IEND"))
# JPEG XL (18181-2) and JP2 (T.800 annex I): signature, brand, header, codestream and its index.
_BOXES_KEPT = frozenset(
    (b"JXL ", b"jP  ", b"ftyp", b"jxll", b"jxli", b"jxlc", b"jxlp", b"jp2h", b"jp2c")
)
_JP2_HEADER_KEPT = frozenset((b"ihdr", b"bpcc", b"colr", b"cdef"))
# TIFF 6.0: what tells where and how samples lie, and what `tiff` keeps or checks.
_TAGS_KEPT = frozenset(
    (
        *(*range(254, 260), 262, 263, 266, 273, 274, 277, 278, 279, 280, 281, 284, 292, 293),
        *(297, 317, *range(322, 326), 338, 339, 340, 341, 347, *range(512, 522)),
    )
)
_TAG_NAMES = {
    270: "ImageDescription",
    271: "Make",
    272: "Model",
    282: "XResolution",
    283: "YResolution",
    296: "ResolutionUnit",
    305: "Software",
    306: "DateTime",
    315: "Artist",
    330: "SubIFDs",
    700: "XMP",
    33432: "Copyright",
    34665: "Exif",
    34675: "ICC profile",
}


def left_out(data: bytes, image: XRay) -> tuple[str, ...]:
    """Names of what a file says besides what was kept of it, each once, in the file's order.

    Args:
        data: a whole file that was decoded.
        image: what it was decoded to.

    Returns:
        Chunks of PNG, tags of TIFF, boxes of JPEG XL and JP2, segments of JPEG and JPEG-LS, and
        comments of PGM; nothing for other formats, which hold no more than is kept.
    """
    name_all = _NAMES.get(sniff(data) or "")
    return () if name_all is None else tuple(dict.fromkeys(name_all(data, image)))


def _of_png(data: bytes, image: XRay) -> Iterator[str]:
    for kind, body in png.chunks(data):
        ours = body == png.MONOCHROME1_TEXT or (
            kind == b"sBIT" and body[:1] == bytes((image.bits_stored,))
        )
        if kind not in _PNG_KEPT and not ours:
            yield kind.decode("latin-1")


def _of_boxes(data: bytes, image: XRay) -> Iterator[str]:
    for kind, body in _boxes(data):
        if kind == b"jp2h":
            inside = (inner for inner, _ in _boxes(body) if inner not in _JP2_HEADER_KEPT)
            yield from (inner.decode("latin-1").strip() for inner in inside)
        elif kind not in _BOXES_KEPT:
            yield kind.decode("latin-1").strip()


def _boxes(data: bytes) -> Iterator[tuple[bytes, bytes]]:
    """Type and content of each box, if ``data`` is boxes."""
    position = 0
    while position + 8 <= len(data) and data[:2] == b"\0\0":
        length, kind = struct.unpack_from(">I4s", data, position)
        header = 8
        if length == 1 and position + 16 <= len(data):
            (length,) = struct.unpack_from(">Q", data, position + 8)
            header = 16
        length = length or len(data) - position
        if length < header:
            return
        yield kind, data[position + header : position + length]
        position += length


def _of_tiff(data: bytes, image: XRay) -> Iterator[str]:
    order = "<" if data[:2] == b"II" else ">"
    big = struct.unpack_from(order + "H", data, 2)[0] == 43
    count_code, entry_bytes, offset_code = ("Q", 20, "Q") if big else ("H", 12, "I")
    (at,) = struct.unpack_from(order + offset_code, data, 8 if big else 4)
    for _ in image.frames:
        (entries,) = struct.unpack_from(order + count_code, data, at)
        at += struct.calcsize(order + count_code)
        for _ in range(entries):
            (tag,) = struct.unpack_from(order + "H", data, at)
            if tag not in _TAGS_KEPT:
                yield _TAG_NAMES.get(tag, f"tag {tag}")
            at += entry_bytes
        (at,) = struct.unpack_from(order + offset_code, data, at)


def _of_jpeg(data: bytes, image: XRay) -> Iterator[str]:
    position = 2
    while position + 4 <= len(data) and data[position] == 0xFF and data[position + 1] != 0xDA:
        marker, length = struct.unpack_from(">xBH", data, position)
        if marker == 0xFF:  # fill byte
            position += 1
            continue
        body = data[position + 4 : position + 2 + length]
        # JFIF of square pixels without a size; SPIFF, which repeats the frame header (T.84 F.2),
        # and its end.
        plain = body[:5] == b"JFIF\0" and body[7:12] == b"\0\0\1\0\1"
        plain |= body[:6] == b"SPIFF\0" or body[:4] == b"\0\0\0\1"
        if marker == 0xFE:
            yield "COM"
        elif 0xE0 <= marker <= 0xEF and not plain:
            yield f"APP{marker - 0xE0}"
        position += 2 + length


def _of_pgm(data: bytes, image: XRay) -> Iterator[str]:
    lines = iter(data[:4096].split(b"\n"))
    next(lines)
    for line in lines:
        if not line.startswith(b"#"):
            return
        if not line.startswith(b"# xraycodec:"):
            yield "comment"


_NAMES: dict[str, Callable[[bytes, XRay], Iterator[str]]] = {
    "png": _of_png,
    "tiff": _of_tiff,
    "jpegxl": _of_boxes,
    "jpeg2000": _of_boxes,
    "jpeg": _of_jpeg,
    "jpegls": _of_jpeg,
    "pgm": _of_pgm,
}
