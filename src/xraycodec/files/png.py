"""PNG (ISO/IEC 15948): one unsigned frame.

Samples are stored values, never scaled; the sBIT chunk carries the bits stored. (The standard
wants samples scaled up to the full depth, but radiographs are exchanged as they are, and a
reader that knows no sBIT then still sees the values of the original.) Samples that another writer
did scale up keep their values, and with them all bits of their type. MONOCHROME1 rides in a tEXt
chunk. Other chunks, pHYs among them, are not kept: `left_out` names them.
"""

from __future__ import annotations

import struct
import zlib
from collections.abc import Iterator

import numpy as np

from xraycodec.errors import CorruptImageError, LimitError, OptionError, UnsupportedImageError
from xraycodec.files.checks import check_pixels, damage_as_corrupt, gray_channel
from xraycodec.image import PhotometricInterpretation, XRay
from xraycodec.limits import Limits

_SIGNATURE = b"\x89PNG\r\n\x1a\n"
_GRAY_TYPES = (0, 4)  # grayscale, grayscale with alpha
MONOCHROME1_TEXT = b"xraycodec:PhotometricInterpretation\x00MONOCHROME1"
_SLACK_BYTES = 1 << 16
_MAX_CHUNKS = 1 << 16
_IHDR_END = len(_SIGNATURE) + 25


def decode(data: bytes, limits: Limits) -> XRay:
    """Decode a PNG; equal and opaque channels count as gray.

    Samples of 1, 2 and 4 bits keep their values and their depth as bits stored. A foreign sBIT
    chunk counts only if every sample fits its bits: samples are never changed.
    """
    found = chunks(data)
    kind, header = next(found)
    if kind != b"IHDR" or len(header) != 13:
        raise CorruptImageError("PNG: the first chunk is not an IHDR of 13 bytes")
    columns, rows, depth, colour_type = struct.unpack_from(">IIBB", header)
    check_pixels(rows, columns, 1, limits, len(data))
    significant = None
    data_bytes = 0
    photometric: PhotometricInterpretation = "MONOCHROME2"
    for kind, body in found:
        data_bytes += len(body) * (kind == b"IDAT")
        if kind == b"acTL":
            raise UnsupportedImageError("PNG: the image is animated; allowed is one frame")
        if kind == b"sBIT" and colour_type in _GRAY_TYPES and body:
            significant = body[0]
        if kind == b"tEXt" and body == MONOCHROME1_TEXT:
            photometric = "MONOCHROME1"

    # The decoder inflates to the end, however much there is.
    if data_bytes > (most := 16 * (rows + 7) * (columns + 8) + _SLACK_BYTES):
        raise CorruptImageError(
            f"PNG: {data_bytes} bytes of compressed samples; {rows} rows x {columns} columns take"
            f" {most} at most"
        )

    import imagecodecs

    with damage_as_corrupt("PNG"):
        samples = np.asarray(imagecodecs.png_decode(data))
    if samples.shape[:2] != (rows, columns) or samples.dtype not in (np.uint8, np.uint16):
        raise CorruptImageError(
            f"PNG: decoded to {samples.dtype.name} of shape {samples.shape}; the header says"
            f" {rows} rows x {columns} columns"
        )
    pixels = gray_channel(samples)
    bits_stored = 8 * pixels.dtype.itemsize
    if colour_type == 0 and depth < 8:
        # libpng spreads 1, 2 and 4 bits over 0 to 255 in equal steps; undo it.
        pixels = pixels // (255 // ((1 << depth) - 1))
        bits_stored = depth
    elif significant and significant < bits_stored and int(pixels.max()) >> significant == 0:
        bits_stored = significant
    return XRay(pixels, bits_stored, photometric)


def encode(image: XRay) -> bytes:
    """Encode one unsigned frame; see the module for what PNG keeps."""
    if image.signed:
        raise OptionError("PNG cannot hold signed pixels; DICOM, TIFF and NPY can")
    if len(image.frames) > 1:
        raise OptionError(f"PNG cannot hold {len(image.frames)} frames; DICOM and TIFF can")

    import imagecodecs

    data = bytes(imagecodecs.png_encode(np.ascontiguousarray(image.frames[0])))
    extra = _chunk(b"sBIT", bytes((image.bits_stored,)))
    if image.photometric_interpretation == "MONOCHROME1":
        extra += _chunk(b"tEXt", MONOCHROME1_TEXT)
    return data[:_IHDR_END] + extra + data[_IHDR_END:]


def _chunk(kind: bytes, body: bytes) -> bytes:
    return struct.pack(">I4s", len(body), kind) + body + struct.pack(">I", zlib.crc32(kind + body))


def chunks(data: bytes) -> Iterator[tuple[bytes, bytes]]:
    """Yield type and body of every chunk, checksums verified, IEND included."""
    position = len(_SIGNATURE)
    count = 0
    while position + 12 <= len(data):
        if (count := count + 1) > _MAX_CHUNKS:
            raise LimitError(f"PNG: the file has more than {_MAX_CHUNKS} chunks; that is the limit")
        length, kind = struct.unpack_from(">I4s", data, position)
        end = position + 12 + length
        if end > len(data):
            break
        body = data[position + 8 : end - 4]
        if zlib.crc32(body, zlib.crc32(kind)) != int.from_bytes(data[end - 4 : end], "big"):
            raise CorruptImageError(
                f"PNG: checksum of chunk {kind.decode('latin-1')!r} at byte {position} is wrong"
            )
        yield kind, body
        if kind == b"IEND":
            return
        position = end
    raise CorruptImageError(f"PNG: the {len(data)} bytes end inside the chunk at byte {position}")
