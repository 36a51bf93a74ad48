"""TIFF 6.0 and BigTIFF: one frame a page; libtiff decodes, the tags are read here first.

Bits stored that are no multiple of eight ride in the tags of the lowest and highest value
(TIFF 6.0, sections 8 and 19); PhotometricInterpretation WhiteIsZero is MONOCHROME1.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass, field

import numpy as np

from xraycodec.errors import CorruptImageError, OptionError, UnsupportedImageError
from xraycodec.files.checks import check_pixels, damage_as_corrupt
from xraycodec.files.jpeg_scans import check_scans
from xraycodec.image import XRay
from xraycodec.limits import Limits

WIDTH, LENGTH, BITS, COMPRESSION, PHOTOMETRIC = 256, 257, 258, 259, 262
STRIP_OFFSETS, ORIENTATION, SAMPLES, ROWS_PER_STRIP, STRIP_BYTES = 273, 274, 277, 278, 279
MIN_VALUE, MAX_VALUE, TILE_WIDTH, TILE_LENGTH = 280, 281, 322, 323
TILE_OFFSETS, TILE_BYTES, JPEG_TABLES = 324, 325, 347
SAMPLE_FORMAT, SIGNED_MIN_VALUE, SIGNED_MAX_VALUE = 339, 340, 341
_JPEG = 7  # Compression (Adobe Photoshop TIFF Technical Notes, 2002)
_OF_JPEG = frozenset((STRIP_OFFSETS, STRIP_BYTES, TILE_OFFSETS, TILE_BYTES, JPEG_TABLES))
_MAX_TABLES_BYTES = 4096  # eight Huffman and four quantisation tables take 3300 at most
_READ = frozenset(
    (
        *(WIDTH, LENGTH, BITS, COMPRESSION, PHOTOMETRIC, ORIENTATION, SAMPLES),
        *(MIN_VALUE, MAX_VALUE),
        *(TILE_WIDTH, TILE_LENGTH, SAMPLE_FORMAT, SIGNED_MIN_VALUE, SIGNED_MAX_VALUE),
    )
)

_NAMES = {WIDTH: "ImageWidth", LENGTH: "ImageLength", PHOTOMETRIC: "PhotometricInterpretation"}
_PHOTOMETRICS = {2: "RGB", 3: "palette", 4: "mask", 5: "CMYK", 6: "YCbCr", 8: "CIE L*a*b*"}
_COMPRESSIONS = {
    1: "none",
    5: "LZW",
    7: "JPEG",
    32773: "PackBits",
    34887: "LERC",
    34925: "LZMA",
    50000: "Zstandard",
    6: "JPEG of TIFF 6.0",
    **dict.fromkeys((8, 32946), "Deflate"),
    **dict.fromkeys((2, 3, 4), "CCITT"),
}
_COMPRESSIONS_LACKING = {
    34661: "JBIG",
    50001: "WebP",
    **dict.fromkeys((33003, 33004, 33005, 34712), "JPEG 2000"),
    **dict.fromkeys((50002, 52546), "JPEG XL"),
}
_FORMATS = {3: "floats", 4: "undefined kind", 5: "complex integers", 6: "complex floats"}

# Field type of TIFF 6.0 section 2 and BigTIFF -> struct code.
_FIELD_CODES = {1: "B", 3: "H", 4: "I", 6: "b", 7: "B", 8: "h", 9: "i", 16: "Q", 17: "q"}
_SHORT, _LONG, _SBYTE, _SSHORT = 3, 4, 6, 8


@dataclass(frozen=True)
class _Page:
    """The tags of one page that decide what its samples are.

    ``highest`` is that of the samples, or of what they may be; pages may differ in it.
    """

    rows: int
    columns: int
    bits: int
    signed: bool
    white_is_zero: bool
    highest: int | None = field(compare=False)


def decode(data: bytes, limits: Limits) -> XRay:
    """Decode a TIFF of one or several pages of equal kind, 1 to 16 bits, in any compression.

    The tag of the highest value gives bits stored only if it is the full range of some number
    of bits, because other writers keep the highest value that occurs there.
    """
    pages = _read_pages(data, limits)
    page = pages[0]
    for number, other in enumerate(pages):
        if other != page:
            raise UnsupportedImageError(_unlike(number, other, page))

    import imagecodecs

    with damage_as_corrupt("TIFF"):
        samples = np.asarray(imagecodecs.tiff_decode(data, index=None))
    expected = (
        (page.rows, page.columns) if len(pages) == 1 else (len(pages), page.rows, page.columns)
    )
    if samples.shape != expected or samples.dtype.kind not in "uib":
        raise CorruptImageError(
            f"TIFF: decoded to {samples.dtype.name} of shape {samples.shape};"
            f" the tags say {expected}"
        )
    width = 8 if page.bits <= 8 else 16
    pixels = samples.astype(f"{'int' if page.signed else 'uint'}{width}", copy=False)
    return XRay(
        pixels,
        page.bits if len({each.highest for each in pages}) > 1 else _bits_stored(page, pixels),
        "MONOCHROME1" if page.white_is_zero else "MONOCHROME2",
    )


def encode(image: XRay) -> bytes:
    """Encode as classic little-endian TIFF, one uncompressed strip a page."""
    frames = image.frames
    frame_bytes = frames[0].nbytes + frames[0].nbytes % 2
    page_bytes = 2 + 14 * 12 + 4
    total = 8 + len(frames) * (frame_bytes + page_bytes)
    if total >= 1 << 32:
        raise OptionError(f"TIFF would take {total} bytes; the format ends at {(1 << 32) - 1}")
    parts = [b"II*\x00", struct.pack("<I", 8 + frame_bytes)]
    position = 8
    for number, frame in enumerate(frames):
        raster = frame.astype(frame.dtype.newbyteorder("<"), copy=False).tobytes()
        last = number == len(frames) - 1
        following = 0 if last else position + 2 * frame_bytes + page_bytes
        tags = _tags(image, frame.shape, position, len(raster))
        directory = struct.pack("<H", len(tags)) + b"".join(tags) + struct.pack("<I", following)
        parts += [raster.ljust(frame_bytes, b"\x00"), directory.ljust(page_bytes, b"\x00")]
        position += frame_bytes + page_bytes
    return b"".join(parts)


def _tags(image: XRay, shape: tuple[int, ...], offset: int, size: int) -> list[bytes]:
    def entry(tag: int, field: int, value: int) -> bytes:
        packed = struct.pack("<" + _FIELD_CODES[field], value).ljust(4, b"\x00")
        return struct.pack("<HHI", tag, field, 1) + packed

    low, high = image.value_range
    tags = [
        entry(WIDTH, _LONG, shape[1]),
        entry(LENGTH, _LONG, shape[0]),
        entry(BITS, _SHORT, 8 * image.pixels.dtype.itemsize),
        entry(COMPRESSION, _SHORT, 1),
        entry(PHOTOMETRIC, _SHORT, 0 if image.photometric_interpretation == "MONOCHROME1" else 1),
        entry(STRIP_OFFSETS, _LONG, offset),
        entry(SAMPLES, _SHORT, 1),
        entry(ROWS_PER_STRIP, _LONG, shape[0]),
        entry(STRIP_BYTES, _LONG, size),
    ]
    if image.signed:
        field = _SBYTE if image.pixels.dtype.itemsize == 1 else _SSHORT
        tags += [
            entry(SAMPLE_FORMAT, _SHORT, 2),
            entry(SIGNED_MIN_VALUE, field, low),
            entry(SIGNED_MAX_VALUE, field, high),
        ]
    else:
        tags += [
            entry(MIN_VALUE, _SHORT, low),
            entry(MAX_VALUE, _SHORT, high),
            entry(SAMPLE_FORMAT, _SHORT, 1),
        ]
    return tags


def _unlike(number: int, other: _Page, first: _Page) -> str:
    """How a page differs from page 0."""
    if (other.rows, other.columns) != (first.rows, first.columns):
        return (
            f"TIFF: page {number} has another size: {other.rows} rows x {other.columns} columns;"
            f" page 0 has {first.rows} x {first.columns}, and frames are of equal size"
        )
    kinds = [
        f"{page.bits} bits, {'signed' if page.signed else 'unsigned'},"
        f" {'WhiteIsZero' if page.white_is_zero else 'BlackIsZero'}"
        for page in (other, first)
    ]
    return f"TIFF: page {number} has other samples: {kinds[0]}; page 0 has {kinds[1]}"


def _bits_stored(page: _Page, pixels: np.ndarray) -> int:
    if page.highest is None or page.highest < 0:
        return page.bits
    bits = page.highest.bit_length() + page.signed
    full_range = page.highest == (1 << (bits - page.signed)) - 1
    if not full_range or not 1 <= bits < page.bits:
        return page.bits
    low = -(page.highest + 1) if page.signed else 0
    fits = low <= int(pixels.min()) and int(pixels.max()) <= page.highest
    return bits if fits else page.bits


def _read_pages(data: bytes, limits: Limits) -> list[_Page]:
    """Walk the chain of image file directories.

    Raises:
        CorruptImageError: a directory outside the file, a loop, tags missing or doubled.
        LimitError: too many pixels in a page, or in all pages so far.
    """
    order = "<" if data[:2] == b"II" else ">"
    with damage_as_corrupt("TIFF: a directory ends outside the file"):
        big = struct.unpack_from(order + "H", data, 2)[0] == 43
        position = struct.unpack_from(order + ("Q" if big else "I"), data, 8 if big else 4)[0]
        pages: list[_Page] = []
        seen: set[int] = set()
        while position:
            if position in seen:
                raise CorruptImageError(f"TIFF: directories form a loop at byte {position}")
            seen.add(position)
            tags, position = _read_directory(data, position, order, big)
            page = _page_of(tags, len(pages), limits)
            _check_jpeg(data, tags)
            pages.append(page)
            check_pixels(page.rows, page.columns, len(pages), limits, len(data))
    if not pages:
        raise CorruptImageError("TIFF: the file has no page")
    return pages


def _read_directory(
    data: bytes, position: int, order: str, big: bool
) -> tuple[dict[int, tuple[int, ...]], int]:
    """Tags of interest of the directory at ``position``, and where the next one is."""
    count_code, entry_bytes, offset_code = ("Q", 20, "Q") if big else ("H", 12, "I")
    (entries,) = struct.unpack_from(order + count_code, data, position)
    start = position + struct.calcsize(order + count_code)
    if start + entries * entry_bytes > len(data):
        raise CorruptImageError(
            f"TIFF: directory at byte {position} claims {entries} entries; the file ends before"
        )
    tags: dict[int, tuple[int, ...]] = {}
    inline = 8 if big else 4
    for at in range(start, start + entries * entry_bytes, entry_bytes):
        tag, field, count = struct.unpack_from(order + "HH" + offset_code, data, at)
        jpeg = tag in _OF_JPEG and tags.get(COMPRESSION) == (_JPEG,)
        if tag not in _READ and not jpeg:
            continue
        if tag in tags:
            raise CorruptImageError(f"TIFF: tag {tag} occurs twice")
        code = _FIELD_CODES.get(field)
        # Sixteen channels are more than any image here has; a count of 2**32 is an attack.
        most = 16
        if jpeg:
            most = tags[WIDTH][0] * tags[LENGTH][0] if tag != JPEG_TABLES else _MAX_TABLES_BYTES
        if code is None or not 1 <= count <= most:
            raise CorruptImageError(f"TIFF: tag {tag} has {count} values of field type {field}")
        layout = f"{order}{count}{code}"
        value_at = at + entry_bytes - inline
        if struct.calcsize(layout) > inline:
            (value_at,) = struct.unpack_from(order + offset_code, data, value_at)
        tags[tag] = struct.unpack_from(layout, data, value_at)
    following = struct.unpack_from(order + offset_code, data, start + entries * entry_bytes)[0]
    return tags, following


def _check_jpeg(data: bytes, tags: dict[int, tuple[int, ...]]) -> None:
    """Check the scans of every strip or tile, for libtiff shows libjpeg's warnings to nobody.

    Raises:
        CorruptImageError: a scan is damaged.
    """
    # The tables are a datastream of their own, with SOI and EOI.
    tables = bytes(tags.get(JPEG_TABLES, (0xFF, 0xD8, 0xFF, 0xD9)))[:-2]
    offsets = tags.get(TILE_OFFSETS) or tags.get(STRIP_OFFSETS, ())
    lengths = tags.get(TILE_BYTES) or tags.get(STRIP_BYTES, ())
    for offset, length in zip(offsets, lengths, strict=False):
        check_scans(tables + data[offset + 2 : offset + length])


def _page_of(tags: dict[int, tuple[int, ...]], number: int, limits: Limits) -> _Page:
    def value(tag: int, default: int) -> int:
        return tags.get(tag, (default,))[0]

    for tag in (WIDTH, LENGTH, PHOTOMETRIC):
        if tag not in tags:
            raise CorruptImageError(f"TIFF: page {number} has no tag {tag} ({_NAMES[tag]})")
    rows, columns = value(LENGTH, 0), value(WIDTH, 0)
    check_pixels(rows, columns, 1, limits)
    # libtiff takes memory for whole tiles, whatever the image's size.
    check_pixels(value(TILE_LENGTH, 1), value(TILE_WIDTH, 1), 1, limits)
    photometric, samples = value(PHOTOMETRIC, 0), value(SAMPLES, 1)
    if photometric not in (0, 1):
        raise UnsupportedImageError(
            f"TIFF: page {number} is {_PHOTOMETRICS.get(photometric, 'not grayscale')}, {samples}"
            f" sample(s) a pixel of photometric interpretation {photometric}; allowed is grayscale,"
            " 1 sample of 0 or 1"
        )
    if samples != 1:
        raise UnsupportedImageError(
            f"TIFF: page {number} has {samples} samples a pixel; allowed is 1, without alpha"
        )
    compression = value(COMPRESSION, 1)
    if compression not in _COMPRESSIONS:
        raise UnsupportedImageError(
            f"TIFF: page {number} is compressed by"
            f" {_COMPRESSIONS_LACKING.get(compression, 'scheme')} ({compression}); allowed are"
            f" {', '.join(dict.fromkeys(_COMPRESSIONS.values()))}"
        )
    bits, sample_format = value(BITS, 1), value(SAMPLE_FORMAT, 1)
    if sample_format == 2 and bits not in (8, 16):
        raise UnsupportedImageError(f"TIFF: {bits} bits a signed sample; allowed are 8 and 16")
    if sample_format not in (1, 2) or not 1 <= bits <= 16:
        kind = _FORMATS.get(sample_format, "integers")
        raise UnsupportedImageError(
            f"TIFF: page {number} has {bits} bits a sample of {kind} (sample format"
            f" {sample_format}); allowed are 1 to 16 bits of integers"
        )
    if value(ORIENTATION, 1) != 1:
        raise UnsupportedImageError(
            f"TIFF: orientation {value(ORIENTATION, 1)}; allowed is 1 (top left)"
        )
    signed = sample_format == 2
    highest = tags.get(SIGNED_MAX_VALUE if signed else MAX_VALUE)
    return _Page(rows, columns, bits, signed, photometric == 0, highest[0] if highest else None)
