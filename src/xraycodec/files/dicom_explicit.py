"""Data sets as bytes in explicit VR little endian, values kept byte for byte.

pydicom would parse the values of an implicit VR data set to write them as explicit VR, and lose
what it cannot parse, such as text outside its character set. Here only value representations are
looked up; the bytes of the values stay.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from pydicom.dataset import Dataset
    from pydicom.tag import BaseTag

# Bytes of the unit in which a value representation is swapped; pydicom leaves these as read.
_UNIT_BYTES = {"OW": 2, "OF": 4, "OL": 4, "OD": 8, "OV": 8}


def as_bytes(dataset: Dataset, leave_out: Callable[[BaseTag], bool] = lambda tag: False) -> bytes:
    """Write a data set without preamble and file meta information.

    Group lengths are left out: PS3.5 7.2 retired them, and they hold for the source's encoding.

    Args:
        dataset: as it was read; big endian values have been swapped where pydicom does not.
        leave_out: tells which elements at the top level are not written.
    """
    from pydicom.filebase import DicomBytesIO
    from pydicom.filewriter import write_dataset

    stream = DicomBytesIO()
    stream.is_little_endian = True
    stream.is_implicit_VR = False
    write_dataset(stream, _explicit(dataset, leave_out))
    return bytes(stream.getvalue())


def _explicit(dataset: Dataset, leave_out: Callable[[BaseTag], bool]) -> Dataset:
    """A data set of the same elements, those of implicit VR little endian with their VR."""
    from pydicom.dataset import Dataset

    implicit_little = dataset.original_encoding == (True, True)
    elements = {
        tag: _with_vr(dataset, tag) if implicit_little else dataset.get_item(tag)
        for tag in dataset.keys()  # noqa: SIM118 - the data set itself iterates over values
        if not leave_out(tag)
    }
    character_set = dataset.original_character_set
    explicit = Dataset(elements, parent_encoding=character_set)
    encoding = (False, True) if implicit_little else dataset.original_encoding
    explicit.set_original_encoding(*encoding, character_set)
    return explicit


def _with_vr(dataset: Dataset, tag: BaseTag) -> Any:
    """One element of an implicit VR data set, its value as it was read."""
    from pydicom.dataelem import DataElement, RawDataElement
    from pydicom.sequence import Sequence

    raw = dataset.get_item(tag)
    element = dataset[tag]  # looks the value representation up, where it depends on others too
    if element.VR == "SQ":
        items = Sequence([_explicit(item, lambda _: False) for item in element.value])
        undefined = element.is_undefined_length
        return DataElement(tag, "SQ", items, is_undefined_length=undefined, already_converted=True)
    if not raw.is_raw or len(element.VR) != 2:
        return element
    value = raw.value or b""
    return RawDataElement(tag, element.VR, len(value), value, 0, False, True)


def swap_units(_dataset: Dataset, element: Any) -> None:
    """Swap an element's big endian value in place where pydicom leaves it as read."""
    unit_bytes = _UNIT_BYTES.get(element.VR)
    if unit_bytes and isinstance(element.value, bytes) and len(element.value) % unit_bytes == 0:
        element.value = np.frombuffer(element.value, f"u{unit_bytes}").byteswap().tobytes()
