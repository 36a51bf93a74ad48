"""Small files that claim or ask for much: what they are, without any judgement of them."""

from __future__ import annotations

import io
import struct
import zlib
from collections.abc import Callable

import imagecodecs
import numpy as np

import xrc_editing as edit
from xraycodec import Lattice, Stored, Wavelet, XRay, compress

MANY = 1 << 20
EXPLICIT, IMPLICIT = "1.2.840.10008.1.2.1", "1.2.840.10008.1.2"
DEFLATED = "1.2.840.10008.1.2.1.99"
RLE, JPEG2000 = "1.2.840.10008.1.2.5", "1.2.840.10008.1.2.4.90"
_UNDEFINED = 0xFFFFFFFF
ITEM = struct.pack("<HHI", 0xFFFE, 0xE000, _UNDEFINED)
ITEM_END, SEQUENCE_END = (struct.pack("<HHI", 0xFFFE, end, 0) for end in (0xE00D, 0xE0DD))
SEQUENCE = struct.pack("<HH2sHI", 0x0040, 0x0275, b"SQ", 0, _UNDEFINED)
STREAM = bytes(9)
"""A payload of the mixture coder: much that is likely is in few bytes."""
EMPTY = struct.pack("<HH2sH", 0x0009, 0x1001, b"LO", 0)


# DICOM


def element(tag: int, vr: bytes, value: bytes) -> bytes:
    value += b"\0" * (len(value) % 2)
    long = vr in (b"OB", b"OW", b"SQ", b"UN")
    length = struct.pack("<HI", 0, len(value)) if long else struct.pack("<H", len(value))
    return struct.pack("<HH2s", tag >> 16, tag & 0xFFFF, vr) + length + value


def dicom(syntax: str, *parts: bytes) -> bytes:
    return bytes(128) + b"DICM" + element(0x00020010, b"UI", syntax.encode()) + b"".join(parts)


def size(rows: int, columns: int, frames: int = 1) -> bytes:
    """The Image Pixel module."""
    numbers = {
        0x00280010: rows,
        0x00280011: columns,
        0x00280100: 16,
        0x00280101: 12,
        0x00280102: 11,
        0x00280103: 0,
    }
    return (
        element(0x00280002, b"US", b"\1\0")
        + element(0x00280004, b"CS", b"MONOCHROME2")
        + element(0x00280008, b"IS", str(frames).encode())
        + b"".join(element(tag, b"US", struct.pack("<H", n)) for tag, n in numbers.items())
    )


def pixels(pixel_count: int) -> bytes:
    return element(0x7FE00010, b"OW", bytes(2 * pixel_count))


def encapsulated(*fragments: bytes) -> bytes:
    items = (struct.pack("<HHI", 0xFFFE, 0xE000, len(each)) + each for each in (b"", *fragments))
    header = struct.pack("<HH2sHI", 0x7FE0, 0x0010, b"OB", 0, _UNDEFINED)
    return header + b"".join(items) + SEQUENCE_END


def raw_deflated(data: bytes) -> bytes:
    deflater = zlib.compressobj(9, zlib.DEFLATED, -zlib.MAX_WBITS)
    return deflater.compress(data) + deflater.flush()


def nested(depth: int) -> bytes:
    """Sequences of undefined length in each other."""
    return (SEQUENCE + ITEM) * depth + (ITEM_END + SEQUENCE_END) * depth


def nested_defined(depth: int) -> bytes:
    """Sequences that say their lengths in each other: a lazy parser copies each from its parent."""
    heads: list[bytes] = []
    inside = 0
    for _ in range(depth):
        heads.append(struct.pack("<HHI", 0xFFFE, 0xE000, inside))
        heads.append(struct.pack("<HH2sHI", 0x0040, 0x0275, b"SQ", 0, inside + 8))
        inside += 20
    return b"".join(reversed(heads))


def directory(records: int) -> bytes:
    """A DICOMDIR of empty records."""
    head = element(0x00020002, b"UI", b"1.2.840.10008.1.3.10")
    syntax = element(0x00020010, b"UI", EXPLICIT.encode())
    sequence = struct.pack("<HH2sHI", 0x0004, 0x1220, b"SQ", 0, _UNDEFINED)
    body = sequence + (ITEM + ITEM_END) * records + SEQUENCE_END
    return bytes(128) + b"DICM" + head + syntax + body


# .xrc


def claiming(
    codec: Lattice | Stored | Wavelet, payload: bytes, side: int, tile: int, layers: int
) -> bytes:
    """A stream of a large image, with the same few bytes for each tile and layer."""
    two_values = np.arange(64, dtype=np.uint16).reshape(8, 8) % 2
    data = compress(XRay(two_values, 12), codec)
    tiles = (-(-side // tile) if tile else 1) ** 2
    data = edit.with_head(data, rows=side, columns=side, tile=tile, layers=layers - 1)
    data = edit.with_head(data, minor=0 if layers == 1 else 1)
    # A DATA chunk for each layer.
    index = edit.numbers(layers, *[tiles] * layers, *[len(payload)] * layers * tiles)
    chunks = [(t, index if t == b"INDX" else p) for t, p in edit.split(data) if t != b"DATA"]
    place = [t for t, _ in chunks].index(b"INDX") + 1
    return edit.join([*chunks[:place], *[(b"DATA", payload * tiles)] * layers, *chunks[place:]])


def with_metadata(data_set: bytes) -> bytes:
    """A small image with a data set, deflated."""
    data = compress(XRay(np.zeros((8, 8), np.uint16), 12), Stored())
    meta = struct.pack("<BBHI", 1, 1, 0, len(data_set)) + zlib.compress(data_set, 9)
    chunks = edit.split(data)
    return edit.join([*chunks[:2], (b"META", meta), *chunks[2:]])


def with_empty_chunks(count: int) -> bytes:
    chunks = edit.split(compress(XRay(np.zeros((8, 8), np.uint16), 12), Stored()))
    empty = edit.join([(b"voID", b"")])[8:]
    return edit.join(chunks[:2]) + empty * count + edit.join(chunks[2:])[8:]


# Image files


def png(columns: int, rows: int, *extra: tuple[bytes, bytes], data: bytes = b"\0" * 9) -> bytes:
    header = struct.pack(">IIBBBBB", columns, rows, 8, 0, 0, 0, 0)
    chunks = [(b"IHDR", header), *extra, (b"IDAT", zlib.compress(data, 9)), (b"IEND", b"")]
    return b"\x89PNG\r\n\x1a\n" + b"".join(
        struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))
        for kind, body in chunks
    )


def tiff(entries: list[tuple[int, int, int, int]], *, pages: int = 1, tail: bytes = b"") -> bytes:
    """Pages of equal tags (tag, field type, count, value), one after the other."""
    page = struct.pack("<H", len(entries)) + b"".join(
        struct.pack("<HHII", *entry) for entry in entries
    )
    parts = [b"II*\x00", struct.pack("<I", 8)]
    for number in range(pages):
        following = 0 if number == pages - 1 else 8 + (number + 1) * (len(page) + 4)
        parts += [page, struct.pack("<I", following)]
    return b"".join(parts) + tail


def tiff_tags(rows: int, columns: int) -> list[tuple[int, int, int, int]]:
    return [(256, 4, 1, columns), (257, 4, 1, rows), (258, 3, 1, 8), (259, 3, 1, 1), (262, 3, 1, 1)]


def progressive_jpeg(scans: int, side: int) -> bytes:
    """A constant progressive JPEG with one refinement of nothing, again and again."""
    data = bytes(imagecodecs.jpeg8_encode(np.zeros((16, 16), np.uint8), level=90))
    quantisers = data[data.index(b"\xff\xdb") :][:69]
    frame = struct.pack(">HHBHHBBBB", 0xFFC2, 11, 8, side, side, 1, 1, 0x11, 0)
    # One code of length 1: 0 for the DC table, a run to the end of the band for the AC table.
    table = b"\xff\xc4" + struct.pack(">H", 19 + 1)
    tables = table + b"\x00" + b"\1" + bytes(15) + b"\0" + table + b"\x10" + b"\1" + bytes(15)
    first = struct.pack(">HHBBBBBB", 0xFFDA, 8, 1, 1, 0x00, 0, 0, 0)
    blocks = (side // 8) ** 2
    dc = first + bytes(-(-blocks // 8))
    # 0xE0: end of 2^14 bands and more, by the 14 bits that follow.
    tables += b"\xe0"
    band = struct.pack(">HHBBBBBB", 0xFFDA, 8, 1, 1, 0x00, 1, 63, 0)
    runs = -(-blocks // (1 << 14))
    scan = band + bytes(2 * runs)
    return b"\xff\xd8" + quantisers + frame + tables + dc + scan * scans + b"\xff\xd9"


def jpeg2000(columns: int, rows: int, tile: int) -> bytes:
    """A small codestream whose SIZ claims another size and other tiles."""
    data = bytearray(imagecodecs.jpeg2k_encode(np.zeros((16, 16), np.uint8), codecformat="j2k"))
    struct.pack_into(">II", data, 8, columns, rows)
    struct.pack_into(">II", data, 24, tile, tile)
    return bytes(data)


def jpegxl_animation(frames: int, side: int) -> bytes:
    return bytes(
        imagecodecs.jpegxl_encode(
            np.zeros((frames, side, side, 1), np.uint8), lossless=True, photometric="gray"
        )
    )


def npy(shape: tuple[int, ...]) -> bytes:
    stream = io.BytesIO()
    np.lib.format.write_array_header_1_0(
        stream, {"descr": "<u2", "fortran_order": False, "shape": shape}
    )
    return stream.getvalue()


Build = Callable[[], bytes]

DICOM_BOMBS: dict[str, Build] = {
    "elements, deflated": lambda: dicom(DEFLATED, raw_deflated(EMPTY * (25 * MANY))),
    "elements behind an image, deflated": lambda: dicom(
        DEFLATED, raw_deflated(size(64, 64) + EMPTY * (25 * MANY))
    ),
    "items, deflated": lambda: dicom(
        DEFLATED, raw_deflated(SEQUENCE + (ITEM + ITEM_END) * (12 * MANY))
    ),
    "more pixel data than the image, deflated": lambda: dicom(
        DEFLATED, raw_deflated(size(64, 64) + pixels(140 * MANY))
    ),
    "items": lambda: dicom(EXPLICIT, SEQUENCE, (ITEM + ITEM_END) * MANY, SEQUENCE_END),
    "elements": lambda: dicom(EXPLICIT, EMPTY * MANY),
    "elements of implicit VR": lambda: dicom(
        IMPLICIT, *(struct.pack("<HHI", 0x0009, n & 0xFFFF, 0) for n in range(MANY))
    ),
    "elements of file meta information": lambda: dicom(
        EXPLICIT, struct.pack("<HH2sH", 2, 0x1001, b"LO", 0) * MANY, size(8, 8), pixels(64)
    ),
    "nesting of undefined length": lambda: dicom(EXPLICIT, nested(8000), size(8, 8), pixels(64)),
    "nesting of defined length": lambda: dicom(
        EXPLICIT, size(8, 8), nested_defined(13000), pixels(64)
    ),
    "nesting of implicit VR": lambda: dicom(
        IMPLICIT, (struct.pack("<HHI", 0x0040, 0x0275, _UNDEFINED) + ITEM) * 16000
    ),
    "nesting in UN": lambda: dicom(
        EXPLICIT,
        size(8, 8),
        struct.pack("<HH2sHI", 0x0009, 0x1010, b"UN", 0, _UNDEFINED),
        (ITEM + struct.pack("<HHI", 0x0040, 0x0275, _UNDEFINED)) * 8000,
    ),
    "fragments": lambda: dicom(RLE, size(8, 8), encapsulated(*[b""] * MANY)),
    "pixels, RLE": lambda: dicom(
        RLE, size(16384, 16384), encapsulated(struct.pack("<16I", 2, 64, 66, *[0] * 13) + bytes(4))
    ),
    "frames, JPEG 2000": lambda: dicom(
        JPEG2000, size(1024, 1024, 999_999_999), encapsulated(bytes(20))
    ),
}

XRC_BOMBS: dict[str, Build] = {
    "16384 x 16384, tiles of 4096": lambda: claiming(Lattice(), STREAM, 16384, 4096, 4),
    "32768 x 32768": lambda: claiming(Lattice(), STREAM, 32768, 4096, 4),
    "16384 x 16384, one tile, stored": lambda: claiming(Stored(), zlib.compress(b""), 16384, 0, 1),
    "16384 x 16384, wavelet": lambda: claiming(Wavelet(), STREAM, 16384, 0, 4),
    "empty chunks": lambda: with_empty_chunks(MANY - 16),
    "elements": lambda: with_metadata(EMPTY * (25 * MANY)),
    "nesting of undefined length": lambda: with_metadata(nested(8000)),
    "nesting of defined length": lambda: with_metadata(nested_defined(13000)),
}

IMAGE_BOMBS: dict[str, Build] = {
    "png of 16384 x 16384": lambda: png(16384, 16384),
    "png of 2^31 columns": lambda: png(2**31 - 1, 1),
    "tiff of 16384 x 16384, deflated": lambda: tiff(
        [
            *tiff_tags(16384, 16384)[:3],
            (259, 3, 1, 8),
            (262, 3, 1, 1),
            (273, 4, 1, 0),
            (278, 4, 1, 16384),
            (279, 4, 1, 8),
        ]
    ),
    "tiff with a tile of 32768 x 32768": lambda: tiff(
        [*tiff_tags(8, 8), (322, 3, 1, 32768), (323, 3, 1, 32768), (324, 4, 1, 8), (325, 4, 1, 8)]
    ),
    "tiff of 2^16 pages": lambda: tiff(tiff_tags(2048, 2048), pages=1 << 16),
    "jpeg 2000 of 16384 x 16384": lambda: jpeg2000(16384, 16384, 16384),
    "jpeg 2000 of 65535 x 65535 with tiles of 1 x 1": lambda: jpeg2000(65535, 65535, 1),
    "jpeg 2000 of 4096 x 4096 with tiles of 1 x 1": lambda: jpeg2000(4096, 4096, 1),
    "jpeg of 10000 scans": lambda: progressive_jpeg(10_000, 4096),
    "png with more samples than pixels": lambda: png(8, 8, data=bytes(500 * MANY)),
    "png of many chunks": lambda: png(8, 8, *[(b"tEXt", b"a\0b")] * (1 << 17)),
    "npy of 2^40 elements": lambda: npy((1 << 20, 1 << 20)),
}
