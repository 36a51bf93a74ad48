"""Frames of the private transfer syntax: cells to ``.xrc`` streams and back (spec/dicom.md).

A frame's stream holds stored values where the rest of each cell follows from them, and else whole
cells, so that overlays in unused bits survive.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from xraycodec.codecs.base import Codec, Progress, no_progress
from xraycodec.container import Header, read_header, read_length
from xraycodec.errors import CorruptError, UnsupportedImageError
from xraycodec.files.dicom_cells import PixelLayout, stored_values
from xraycodec.image import PhotometricInterpretation, XRay, pixel_type
from xraycodec.limits import Limits
from xraycodec.pipeline import compress, decompress

Cells = npt.NDArray[Any]
"""Pixels as allocated, unsigned."""


def encode_frame(
    cells: Cells,
    layout: PixelLayout,
    photometric_interpretation: PhotometricInterpretation = "MONOCHROME2",
    codec: Codec | None = None,
    *,
    progress: Progress = no_progress,
) -> bytes:
    """Compress one frame to a stream (spec/dicom.md, section 3).

    Args:
        cells: ``(row, column)``, unsigned, ``layout.bits_allocated`` wide.
        layout: where the stored bits lie.
        photometric_interpretation: of the data set.
        codec: `Lattice()` without, which is lossless.
        progress: called with steps done and steps in all.

    Raises:
        UnsupportedImageError: a lossy codec, but bits beside the stored ones are in use.
        OptionError, ModelError: as `compress`.
    """
    if is_plain(cells, layout):
        values = stored_values(cells, layout).astype(
            pixel_type(layout.bits_stored, signed=layout.signed), copy=False
        )
        return compress(
            XRay(values, layout.bits_stored, photometric_interpretation), codec, progress=progress
        )
    whole = cells.view(f"{'i' if layout.signed else 'u'}{cells.dtype.itemsize}")
    stream = compress(
        XRay(whole, layout.bits_allocated, photometric_interpretation), codec, progress=progress
    )
    if read_header(stream).max_error != 0:
        raise UnsupportedImageError(
            f"bits beside the {layout.bits_stored} stored ones are in use, such as for overlays;"
            " a lossy codec would damage them"
        )
    return stream


def decode_frame(
    data: bytes,
    layout: PixelLayout,
    *,
    threads: int = 0,
    progress: Progress = no_progress,
) -> Cells:
    """Decompress one frame (spec/dicom.md, section 3).

    Args:
        data: a stream, which one zero byte may follow.
        layout: what the data set says of the frame; nothing larger is decoded.
        threads: for the networks, 0 for every core.
        progress: called with steps done and steps in all.

    Returns:
        Cells ``(row, column)``, unsigned, ``layout.bits_allocated`` wide.

    Raises:
        FormatError, ModelError: as `decompress`.
        CorruptError: the stream is of another frame than ``layout`` describes, or holds what
            belongs to the data set.
    """
    size_bytes = read_length(data)
    if data[size_bytes:] not in (b"", b"\0"):
        raise CorruptError(
            f"{len(data) - size_bytes} bytes follow the stream; allowed is one zero byte"
        )
    header = read_header(data)
    _check_frame(header, layout)
    pixels = layout.rows * layout.columns  # held against the caller's limits before
    limits = Limits(max_frame_pixels=pixels, max_pixels=pixels, free_pixels=pixels)
    image = decompress(data[:size_bytes], limits=limits, threads=threads, progress=progress)
    if image.dicom is not None or image.spare_bits is not None:
        raise CorruptError("the stream holds a data set or spare bits; allowed are pixels alone")
    # To the full width as signed: the sign bit is repeated in the bits above the stored ones.
    cells = image.pixels.astype(f"{'i' if layout.signed else 'u'}{layout.cell.itemsize}")
    return cells.view(layout.cell)


def is_plain(cells: Cells, layout: PixelLayout) -> bool:
    """Whether stored values say all of their cells.

    They do where they begin at bit 0 and the bits above repeat the sign, or are zero if unsigned.
    """
    if layout.high_bit != layout.bits_stored - 1:
        return False
    values = stored_values(cells, layout)
    return np.array_equal(values.view(cells.dtype), cells)


def _check_frame(header: Header, layout: PixelLayout) -> None:
    """Hold a stream's header against the data set, before memory is taken for pixels."""
    found = (header.frames, header.rows, header.columns)
    if found != (1, layout.rows, layout.columns):
        raise CorruptError(
            "the stream holds {} frame(s) of {} rows x {} columns; the data set says 1 of {} x"
            " {}".format(*found, layout.rows, layout.columns)
        )
    if header.signed != layout.signed:
        raise CorruptError(
            f"the stream is {'' if header.signed else 'un'}signed; Pixel Representation is"
            f" {int(layout.signed)}"
        )
    whole = header.bits_stored == layout.bits_allocated
    plain = header.bits_stored == layout.bits_stored and layout.high_bit == layout.bits_stored - 1
    if not whole and not plain:
        raise CorruptError(
            f"the stream has {header.bits_stored} bits a pixel; the data set stores"
            f" {layout.bits_stored} up to bit {layout.high_bit} in {layout.bits_allocated}"
        )
