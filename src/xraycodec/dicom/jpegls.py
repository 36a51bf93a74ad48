"""JPEG-LS encoder (ITU-T T.87), lossless and near-lossless, of one component.

imagecodecs encodes JPEG-LS as well, but always with 8 or 16 bits a sample. Radiographs of 10 to
15 bits stored become a tenth larger by that, and near-lossless decoders may give values beyond the
bits stored, which wrap round from white to black. Here the precision is the caller's.
"""

from __future__ import annotations

import struct
from typing import Any

import numpy as np
import numpy.typing as npt

MIN_BITS = 2
"""Fewest bits of a sample that the frame header can say (T.87 C.2.2)."""


def encode(samples: npt.NDArray[Any], bits: int, near: int = 0) -> bytes:
    """Encode with default parameters (T.87 C.2.4.1.1) and no restart markers.

    Args:
        samples: ``(row, column)``, unsigned, each below ``2**bits``; sides of 1 to 65535.
        bits: of a sample, 2 to 16.
        near: largest difference of a decoded sample from its own, 0 to ``largest_near(bits)``.
    """
    rows, columns = samples.shape
    frame_header = struct.pack(">HHBHHBBBB", 0xFFF7, 11, bits, rows, columns, 1, 1, 0x11, 0)
    scan_header = struct.pack(">HHBBBBBB", 0xFFDA, 8, 1, 1, 0, near, 0, 0)
    return b"\xff\xd8" + frame_header + scan_header + _scan(samples, bits, near) + b"\xff\xd9"


def largest_near(bits: int) -> int:
    """Largest error that a scan header can allow (T.87 C.2.3)."""
    return min(255, ((1 << bits) - 1) // 2)


def _scan(samples: npt.NDArray[Any], bits: int, near: int) -> bytes:
    """Entropy-coded data, up to a whole byte."""
    from xraycodec.dicom import jpegls_kernel

    columns = samples.shape[1]
    max_value = (1 << bits) - 1
    value_range = (max_value + 2 * near) // (2 * near + 1) + 1
    limit = 2 * (bits + max(8, bits))
    parameters = (max_value, near, value_range, limit, (value_range - 1).bit_length())
    regions = _regions(max_value, near)
    learned = np.zeros((4, jpegls_kernel.CONTEXTS), np.int64)
    learned[0] = max(2, (value_range + 32) // 64)
    learned[1] = 1
    run = np.zeros(3, np.int64)
    above, here = np.zeros((2, columns + 2), np.int64)
    codes, widths = np.empty((2, jpegls_kernel.codes_of_row(columns)), np.int64)
    out = np.empty(jpegls_kernel.MAX_CODE_BYTES * codes.size, np.uint8)
    written = np.zeros(3, np.int64)
    scan = bytearray()
    for row in np.ascontiguousarray(samples, np.uint16):
        count = jpegls_kernel.encode_row(
            row, above, here, learned, run, codes, widths, parameters, regions
        )
        scan += out[: jpegls_kernel.write(out, written, codes, widths, count)].tobytes()
        above, here = here, above
    # Zeros fill the last byte; one of them stands after FF, lest it makes a marker with what comes.
    last, pending, waiting = (int(value) for value in written)
    if waiting or last == 0xFF:
        scan.append(pending << (7 if last == 0xFF else 8) - waiting)
        if scan[-1] == 0xFF:
            scan.append(0)
    return bytes(scan)


def _regions(max_value: int, near: int) -> npt.NDArray[np.int64]:
    """Region of each gradient from ``-max_value`` on, between default thresholds (C.2.4.1.1)."""

    def clamp(value: int, low: int) -> int:
        return low if value > max_value or value < low else value

    if max_value >= 128:
        factor = (min(max_value, 4095) + 128) // 256
        first = clamp(factor * (3 - 2) + 2 + 3 * near, near + 1)
        second = clamp(factor * (7 - 3) + 3 + 5 * near, first)
        third = clamp(factor * (21 - 4) + 4 + 7 * near, second)
    else:
        factor = 256 // (max_value + 1)
        first = clamp(max(2, 3 // factor + 3 * near), near + 1)
        second = clamp(max(3, 7 // factor + 5 * near), first)
        third = clamp(max(4, 21 // factor + 7 * near), second)
    gradients = np.arange(-max_value, max_value + 1)
    sizes = np.searchsorted([near + 1, first, second, third], np.abs(gradients), side="right")
    return np.sign(gradients) * sizes
