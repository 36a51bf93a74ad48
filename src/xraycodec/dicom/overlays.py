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
from xraycodec.files.dicom_cells import cells_of, native_cells
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
    if dataset.get("HighBit") != image.bits_stored - 1:
        dataset.HighBit = image.bits_stored - 1
    plain = cells_of(
        image.frames, dataclasses.replace(layout, high_bit=image.bits_stored - 1), None
    )
    raster = plain.astype(layout.cell.newbyteorder("<"), copy=False).tobytes()
    dataset["PixelData"].value = raster + value[len(raster) :]
    return dataset, moved


def move_embedded(dataset: Dataset, cells: npt.NDArray[Any]) -> int:
    """Give every overlay that lies in the cells Overlay Data of its own (PS3.3 C.9.2).

    Args:
        dataset: changed in place; its Pixel Data is neither read nor changed.
        cells: ``(frame, row, column)``, unsigned.

    Returns:
        How many overlays were moved.

    Raises:
        CorruptImageError: an overlay that is said to be in the cells does not fit them.
    """
    moved = 0
    for group in _GROUPS:
        if (group, _ROWS) not in dataset or (group, _DATA) in dataset:
            continue
        position = _integer(dataset, group, _BIT_POSITION)
        size = _integer(dataset, group, _ROWS), _integer(dataset, group, _COLUMNS)
        if size != cells.shape[1:] or not 0 <= position < 8 * cells.dtype.itemsize:
            raise CorruptImageError(
                f"overlay 0x{group:04x} has no Overlay Data, {size[0]} rows x {size[1]} columns and"
                f" bit position {position}; the image has {cells.shape[1]} x {cells.shape[2]} cells"
                f" of {8 * cells.dtype.itemsize} bits"
            )
        bits = ((cells >> position) & 1).astype(np.uint8)
        packed = np.packbits(bits, axis=None, bitorder="little").tobytes()
        if len(cells) > 1:
            dataset.add_new((group, _FRAMES), "IS", len(cells))
            dataset.add_new((group, _FRAME_ORIGIN), "US", 1)
        dataset.add_new((group, _BITS_ALLOCATED), "US", 1)
        dataset.add_new((group, _BIT_POSITION), "US", 0)
        dataset.add_new((group, _DATA), "OW", packed + b"\0" * (len(packed) % 2))
        moved += 1
    return moved


def _integer(dataset: Dataset, group: int, element: int) -> int:
    value = dataset[group, element].value if (group, element) in dataset else None
    if not isinstance(value, int):
        raise CorruptImageError(
            f"(0x{group:04x},0x{element:04x}) of an overlay without Overlay Data is {value!r};"
            " allowed is one integer"
        )
    return value
