"""Overlays in unused bits of pixel cells, moved to Overlay Data.

PS3.5 8.1.2 retired them in 2004, and codestreams of the stored bits cannot carry them.
"""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from xraycodec.errors import CorruptImageError
from xraycodec.files.dicom import layout_of
from xraycodec.files.dicom_cells import PixelLayout, cells_of, native_cells
from xraycodec.files.dicom_values import integer_of
from xraycodec.files.dicom_writer import to_data_set
from xraycodec.image import XRay

if TYPE_CHECKING:
    from pydicom.dataset import Dataset

_GROUPS = range(0x6000, 0x6020, 2)  # PS3.5 7.6
_ROWS, _COLUMNS, _FRAMES, _FRAME_ORIGIN = 0x0010, 0x0011, 0x0015, 0x0051
_BITS_ALLOCATED, _BIT_POSITION, _DATA = 0x0100, 0x0102, 0x3000


def of_stored_bits(image: XRay) -> tuple[Dataset, int]:
    """Make the DICOM object of an image that a lossy codec can take.

    Returns:
        A data set as `to_data_set` gives it, of the source's instance, but with nothing around
        the stored bits of its cells, which begin at bit 0: embedded overlays have moved, other
        bits are dropped. And how many overlays were moved.

    Raises:
        OptionError: sizes beyond DICOM's fields.
        CorruptImageError: the data set cannot be parsed, or `move_embedded` cannot be done.
    """
    dataset = to_data_set(image, uid_policy="keep")
    layout = layout_of(dataset)
    value = dataset.PixelData
    cells = native_cells(value, layout, big_endian=False, words=False)
    moved = move_embedded(dataset, cells)
    if layout.high_bit != image.bits_stored - 1:
        dataset.HighBit = image.bits_stored - 1
    plain = cells_of(
        image.frames, dataclasses.replace(layout, high_bit=image.bits_stored - 1), None
    )
    raster = plain.astype(layout.cell.newbyteorder("<"), copy=False).tobytes()
    dataset["PixelData"].value = raster + value[len(raster) :]
    return dataset, moved


def move_embedded(dataset: Dataset, cells: npt.NDArray[Any]) -> int:
    """Give every overlay that lies in unused bits of the cells Overlay Data (PS3.3 C.9.2).

    A group without Overlay Data that describes anything else, such as a bit among those stored,
    is no overlay, and stays as it is.

    Args:
        dataset: changed in place; its Pixel Data is neither read nor changed.
        cells: ``(frame, row, column)``, unsigned.

    Returns:
        How many overlays were moved.

    Raises:
        CorruptImageError: the data set does not say which bits are unused.
    """
    layout = layout_of(dataset)
    moved = 0
    for group in _GROUPS:
        if (group, _DATA) in dataset or (position := _position(dataset, group, layout)) is None:
            continue
        planes = (cells >> position) & 1
        if layout.signed and position > layout.high_bit:
            sign = (cells >> layout.high_bit) & 1
            if np.array_equal(planes, sign):
                continue
        packed = np.packbits(planes.astype(np.uint8), axis=None, bitorder="little").tobytes()
        if len(cells) > 1 or (group, _FRAMES) in dataset:
            _set(dataset, group, _FRAMES, "IS", len(cells))
            _set(dataset, group, _FRAME_ORIGIN, "US", 1)
        _set(dataset, group, _BITS_ALLOCATED, "US", 1)
        _set(dataset, group, _BIT_POSITION, "US", 0)
        _set(dataset, group, _DATA, "OW", packed + b"\0" * (len(packed) % 2))
        moved += 1
    return moved


def _position(dataset: Dataset, group: int, layout: PixelLayout) -> int | None:
    """The unused bit of every cell that a group without Overlay Data says its overlay is in."""
    try:
        rows, columns, position = (
            integer_of(dataset, group << 16 | element)
            for element in (_ROWS, _COLUMNS, _BIT_POSITION)
        )
        allocated = integer_of(dataset, group << 16 | _BITS_ALLOCATED, layout.bits_allocated)
    except CorruptImageError:
        return None
    # An overlay in cells has as many bits allocated as they; 1 bit has one of its own, and 0 none.
    if (rows, columns) != (layout.rows, layout.columns) or allocated < 2:
        return None
    if not 0 <= position < layout.bits_allocated or layout.stored_mask >> position & 1:
        return None
    return position


def _set(dataset: Dataset, group: int, element: int, vr: str, value: object) -> None:
    if (group, element) in dataset:
        del dataset[group, element]  # its value need not be one that pydicom can parse
    dataset.add_new((group, element), vr, value)
