"""NPY: NumPy arrays of ``(row, column)`` or ``(frame, row, column)`` stored values.

The format has no place for bits stored (they read back as 8 or 16) nor for MONOCHROME1.
"""

from __future__ import annotations

import io
import math
import warnings

import numpy as np
from numpy.lib import format as npy_format

from xraycodec.errors import CorruptImageError, OptionError, UnsupportedImageError
from xraycodec.files.checks import check_pixels, damage_as_corrupt
from xraycodec.image import XRay, looks_like_channels
from xraycodec.limits import Limits


def decode(data: bytes, limits: Limits) -> XRay:
    """Decode an NPY file of 8- or 16-bit integers in any byte and array order.

    Three axes are frames; a last axis of up to 4 looks like colour channels and is refused,
    because nothing in the file tells the two apart.
    """
    stream = io.BytesIO(data)
    with damage_as_corrupt("NPY"), warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)  # headers that Python 2 wrote
        version = npy_format.read_magic(stream)
        if version == (1, 0):
            shape, by_columns, dtype = npy_format.read_array_header_1_0(stream)
        elif version == (2, 0):
            shape, by_columns, dtype = npy_format.read_array_header_2_0(stream)
        else:
            raise UnsupportedImageError(f"NPY: version {version}; allowed are (1, 0) and (2, 0)")
    if dtype.kind not in "ui" or dtype.itemsize > 2:
        raise UnsupportedImageError(
            f"NPY: elements are {dtype.name}; allowed are uint8, int8, uint16 and int16"
        )
    if len(shape) not in (2, 3):
        raise UnsupportedImageError(
            f"NPY: shape {shape}; allowed are (row, column) and (frame, row, column)"
        )
    if looks_like_channels(shape):
        raise UnsupportedImageError(f"NPY: shape {shape} looks like colour channels")
    check_pixels(shape[-2], shape[-1], shape[0] if len(shape) == 3 else 1, limits)
    expected = math.prod(shape) * dtype.itemsize
    found = len(data) - stream.tell()
    if found != expected:
        raise CorruptImageError(f"NPY: {found} bytes of elements; shape {shape} needs {expected}")
    flat = np.frombuffer(data, dtype, offset=stream.tell())
    pixels = flat.reshape(shape, order="F" if by_columns else "C")
    return XRay(np.array(pixels, dtype.newbyteorder("="), order="C"), 8 * dtype.itemsize)


def encode(image: XRay) -> bytes:
    """Encode the pixels in the type they have."""
    if image.photometric_interpretation == "MONOCHROME1":
        raise OptionError("NPY has no place for MONOCHROME1; DICOM, TIFF, PNG and PGM have")
    if looks_like_channels(image.pixels.shape):
        raise OptionError(
            f"NPY: frames of {image.pixels.shape[-1]} columns would read back as colour; DICOM"
            " and TIFF can hold them"
        )
    stream = io.BytesIO()
    np.save(stream, image.pixels, allow_pickle=False)
    return stream.getvalue()
