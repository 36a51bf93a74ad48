"""Values of a pydicom data set, read without changing it.

`Dataset.get` leaves a parsed value in the place of the bytes that were read, and the data set is
then written otherwise than it was. Messages name elements and never quote their values.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from xraycodec.errors import CorruptImageError
from xraycodec.files.dicom_elements import UNIT_BYTES, Reader, name_of

if TYPE_CHECKING:
    from pydicom.dataset import Dataset
    from pydicom.tag import BaseTag

_PADDING = " \0"
_MAX_UID = 64  # characters (PS3.5 9.1)


def value_of(dataset: Dataset, keyword: str | int) -> Any:
    """An element's value as pydicom parses it, ``None`` if there is none.

    Args:
        dataset: not changed.
        keyword: or tag.

    Raises:
        CorruptImageError: its bytes do not fit its value representation.
    """
    from pydicom.dataelem import convert_raw_data_element

    element: Any = _element(dataset, keyword)
    if element is None:
        return None
    if not element.is_raw:
        return element.value
    if element.VR == "UN":  # pydicom finds the one of the dictionary
        element = element._replace(VR=None, is_implicit_VR=True)
    try:
        return convert_raw_data_element(element, encoding=_character_set(dataset)).value
    except Exception as error:  # pydicom raises many kinds on bytes that do not fit the VR
        raise CorruptImageError(f"{_name(keyword)} cannot be read") from error


def text_of(dataset: Dataset, keyword: str) -> str:
    """A UID or a code, padding on both sides cut off.

    Its value representation may be any but those of numbers; missing elements are empty.
    """
    element: Any = _element(dataset, keyword)
    if element is None or element.VR in UNIT_BYTES:
        return ""
    if element.is_raw:
        return bytes(element.value or b"").decode("latin-1").strip(_PADDING)
    return str(element.value or "").strip(_PADDING)


def integer_of(dataset: Dataset, keyword: str | int, default: int | None = None) -> int:
    """An element's value, which is one integer.

    Args:
        dataset: not changed.
        keyword: or tag.
        default: for an element that is missing or empty; ``None`` if it must not be.

    Raises:
        CorruptImageError: it is missing, or something else.
    """
    value = value_of(dataset, keyword)
    if value is None or value == "" or value == b"":
        if default is None:
            raise CorruptImageError(f"{_name(keyword)} is missing")
        return default
    try:
        return int(value)
    except (TypeError, ValueError, OverflowError) as error:
        raise CorruptImageError(f"{_name(keyword)} is not one integer") from error


def items_of(dataset: Dataset, keyword: str) -> list[Dataset]:
    """Items of a sequence, empty without one; changes to them are changes of the data set.

    Raises:
        CorruptImageError: its value is not a sequence.
    """
    element: Any = _element(dataset, keyword)
    if element is None:
        return []
    if element.is_raw:
        reader = Reader(element.value or b"", little=element.is_little_endian)
        for item in reader.items(implicit=element.is_implicit_VR):
            for _ in reader.elements(item.start, item.end, implicit=item.implicit):
                pass
    value = dataset[_tag(keyword)].value
    if value and not hasattr(value, "insert"):
        raise CorruptImageError(f"{keyword} is not a sequence")
    return list(value or ())


def set_value(dataset: Dataset, keyword: str, value: object) -> None:
    """Set an element, whose value until now need not be one that pydicom can parse."""
    if keyword in dataset:
        delattr(dataset, keyword)
    setattr(dataset, keyword, value)


def shown_uid(uid: str) -> str:
    """A UID for messages. What is no UID can be anything, a patient's name included."""
    if not uid:
        return "not given"
    return uid if len(uid) <= _MAX_UID and not uid.strip("0123456789.") else "not a UID"


def _element(dataset: Dataset, keyword: str | int) -> Any:
    tag = _tag(keyword)
    return dataset.get_item(tag) if tag in dataset else None


def _tag(keyword: str | int) -> BaseTag:
    from pydicom.tag import Tag

    return Tag(keyword)


def _name(keyword: str | int) -> str:
    return keyword if isinstance(keyword, str) else name_of(keyword)


def _character_set(dataset: Dataset) -> Any:
    return dataset.original_character_set or dataset._character_set
