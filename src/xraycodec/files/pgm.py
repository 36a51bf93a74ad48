"""PGM (Netpbm P2 and P5): one unsigned frame; maxval carries the bits stored.

MONOCHROME1 rides in a comment line of the header.
"""

from __future__ import annotations

import re

import numpy as np

from xraycodec.errors import CorruptImageError, OptionError, UnsupportedImageError
from xraycodec.files.checks import check_pixels
from xraycodec.image import PhotometricInterpretation, XRay
from xraycodec.limits import Limits

_COMMENT = b"# xraycodec:PhotometricInterpretation MONOCHROME1"
_HEADER_BYTES = 64 * 1024
# White space or comments between the numbers; one white space ends the header.
_GAP = rb"(?:\s|#[^\r\n]*[\r\n])+"
_HEADER = re.compile(
    rb"P([25])" + _GAP + rb"(\d{1,9})" + _GAP + rb"(\d{1,9})" + _GAP + rb"(\d{1,5})\s"
)


def decode(data: bytes, limits: Limits) -> XRay:
    """Decode a PGM. Bits stored are those that maxval needs: 4095 gives 12, and so does 3000."""
    match = _HEADER.match(data, 0, _HEADER_BYTES)
    if match is None:
        raise CorruptImageError(
            "PGM: the header is not P2 or P5, columns, rows and maxval as decimal numbers"
        )
    columns, rows, maxval = (int(match[i]) for i in (2, 3, 4))
    if not 1 <= maxval <= 65535:
        raise CorruptImageError(f"PGM: maxval is {maxval}; allowed are 1 to 65535")
    check_pixels(rows, columns, 1, limits)
    raster = memoryview(data)[match.end() :]
    if match[1] == b"5":
        pixels = _binary(raster, rows, columns, maxval)
    else:
        pixels = _plain(bytes(raster), rows, columns)
    if int(pixels.max()) > maxval:
        raise CorruptImageError(
            f"PGM: a pixel is {int(pixels.max())}; the header's maxval is {maxval}"
        )
    inverted = _COMMENT in match[0].splitlines()
    photometric: PhotometricInterpretation = "MONOCHROME1" if inverted else "MONOCHROME2"
    sized = pixels.astype(np.uint8) if maxval < 256 else pixels.astype(np.uint16)
    return XRay(sized, maxval.bit_length(), photometric)


def encode(image: XRay) -> bytes:
    """Encode one unsigned frame as P5."""
    if image.signed:
        raise OptionError("PGM cannot hold signed pixels; DICOM, TIFF and NPY can")
    if len(image.frames) > 1:
        raise OptionError(f"PGM cannot hold {len(image.frames)} frames; DICOM and TIFF can")
    rows, columns = image.frames[0].shape
    lines = [b"P5"]
    if image.photometric_interpretation == "MONOCHROME1":
        lines.append(_COMMENT)
    lines += [b"%d %d" % (columns, rows), b"%d" % image.value_range[1]]
    sample = ">u1" if image.bits_stored <= 8 else ">u2"
    return b"\n".join((*lines, image.frames[0].astype(sample).tobytes()))


def _binary(raster: memoryview, rows: int, columns: int, maxval: int) -> np.ndarray:
    sample = np.dtype(">u1" if maxval < 256 else ">u2")
    expected = rows * columns * sample.itemsize
    if len(raster) < expected:
        raise CorruptImageError(
            f"PGM: {len(raster)} bytes of pixels; {rows} rows x {columns} columns with maxval"
            f" {maxval} need {expected}"
        )
    # Netpbm allows several images in a row; dropping all but the first would be a silent loss.
    if bytes(raster[expected:]).strip():
        raise UnsupportedImageError(
            f"PGM: {len(raster) - expected} bytes follow the image; allowed is one image"
        )
    return np.frombuffer(raster[:expected], sample).reshape(rows, columns)


def _plain(raster: bytes, rows: int, columns: int) -> np.ndarray:
    # A number and a separator take two bytes, so the file's own size bounds the memory.
    if 2 * rows * columns - 1 > len(raster):
        raise CorruptImageError(
            f"PGM: {len(raster)} bytes of plain pixels; {rows} rows x {columns} columns need more"
        )
    if b"#" in raster:
        raster = re.sub(rb"#[^\r\n]*", b"", raster)
    if re.search(rb"[^\d\s]|\d{6}", raster):
        raise CorruptImageError("PGM: plain pixels must be decimal numbers of at most 5 digits")
    values = np.array(raster.split(), dtype="S5").astype(np.uint32)
    if values.size != rows * columns:
        raise CorruptImageError(
            f"PGM: {values.size} plain pixels; {rows} rows x {columns} columns need"
            f" {rows * columns}"
        )
    return values.reshape(rows, columns)
