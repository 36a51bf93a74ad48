"""Data sets as bytes in explicit or implicit VR little endian, values kept byte for byte.

pydicom would parse values to write them in another encoding, and lose or refuse what it cannot
parse: text outside its character set, numbers that are none, elements whose value representation
depends on others that are not there. Here only value representations are looked up; the bytes of
the values stay. Those of big endian data sets are swapped, unit by unit.
"""

from __future__ import annotations

import struct
from collections.abc import Callable, Iterable, Iterator
from copy import copy
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, cast

import numpy as np

from xraycodec.errors import CorruptImageError
from xraycodec.files.dicom_elements import (
    DELIMITER_GROUP,
    LONG_VRS,
    UNDEFINED_LENGTH,
    UNIT_BYTES,
    Element,
    Reader,
    check_in_item,
    name_of,
)

if TYPE_CHECKING:
    from pydicom.dataelem import DataElement
    from pydicom.dataset import Dataset
    from pydicom.tag import BaseTag

Parts = tuple[bytes | memoryview, ...]
"""An element's bytes in pieces, so that pixels are not copied."""

_PIXEL_REPRESENTATION = 0x00280103
_SEQUENCE_END = b"\xfe\xff\xdd\xe0\0\0\0\0"
_ITEM, _ITEM_END = b"\xfe\xff\x00\xe0", b"\xfe\xff\x0d\xe0\0\0\0\0"
_SHORTEST_UN = 1 << 16  # bytes, which a length of 16 bits cannot say
_OCTET_VRS = ("OB", "OD", "OF", "OL", "OV", "OW")


def as_bytes(
    dataset: Dataset,
    leave_out: Callable[[BaseTag], bool] = lambda tag: False,
    *,
    implicit: bool = False,
) -> bytes:
    """Write a data set without preamble and file meta information.

    Args:
        dataset: elements as they were read stay so; those that were set are encoded by pydicom.
        leave_out: tells which elements at the top level are not written.
        implicit: implicit VR, in place of explicit VR.

    Raises:
        CorruptImageError: a sequence that has to be written in another encoding, but cannot be
            read.
    """
    encoded = encode_elements(dataset, implicit=implicit)
    return b"".join(part for tag in encoded if not leave_out(tag) for part in encoded[tag])


def encode_elements(dataset: Dataset, *, implicit: bool = False) -> dict[BaseTag, Parts]:
    """Encode each element of a data set, in the order of their tags; as `as_bytes`.

    Group lengths are left out: PS3.5 7.2 retired them, and they hold for the source's encoding.
    """
    return _Encoder(implicit).data_set(dataset, _Context())


@dataclass(frozen=True)
class _Context:
    """What value representations depend on beside their tags.

    Attributes:
        signed: Pixel Representation of this data set, or of the nearest around it that has one.
        creators: private creators of this data set by group and block.
    """

    signed: bool = False
    creators: dict[int, str] | None = None

    def of(self, elements: Iterable[Element]) -> _Context:
        """The context of a data set that lies in one of this context."""
        signed, creators = self.signed, {}
        for element in elements:
            if element.tag == _PIXEL_REPRESENTATION and len(element.value):
                signed = element.value[0 if element.little else -1] == 1
            elif _is_creator(element.tag):
                name = bytes(element.value).decode("latin-1").strip("\0 ")
                creators[element.tag >> 16 << 8 | element.tag & 0xFF] = name
        return _Context(signed, creators)


class _Encoder:
    """Encodes elements in one of the two encodings."""

    def __init__(self, implicit: bool) -> None:
        self._implicit = implicit

    def data_set(self, dataset: Dataset, around: _Context) -> dict[BaseTag, Parts]:
        from pydicom.tag import BaseTag

        elements = {
            tag: _as_read(dataset, BaseTag(tag))
            for tag in sorted(dataset.keys())
            if tag & 0xFFFF or tag >> 16 == DELIMITER_GROUP
        }
        context = around.of(each for each in elements.values() if isinstance(each, Element))
        return {
            tag: self._element(element, context)
            if isinstance(element, Element)
            else self._items_that_were_set(element, context)
            for tag, element in elements.items()
        }

    def _element(self, element: Element, context: _Context) -> Parts:
        vr = element.vr or _vr_of(element.tag, context)
        if vr == "SQ" or (element.implicit and not element.defined):
            return self._sequence(element, vr, context)
        return self._with_header(element.tag, vr, (_swapped(element, vr),), element.defined)

    def _sequence(self, element: Element, vr: str, context: _Context) -> Parts:
        if element.vr and element.little and not self._implicit:
            return self._with_header(element.tag, vr, (element.value,), element.defined)
        try:
            parts = tuple(self._items(element, context))
        except CorruptImageError as error:
            if not element.implicit or not element.little:
                raise CorruptImageError(f"sequence {name_of(element.tag)}: {error}") from error
            # Looks like a sequence and is none, or is damaged: unknown to all that read it.
            fragments = vr in ("OB", "OW")
            defined = element.defined or not fragments
            return self._with_header(
                element.tag, vr if fragments else "UN", (element.value,), defined
            )
        return self._with_header(element.tag, "SQ", parts, element.defined)

    def _items(self, element: Element, context: _Context) -> Iterator[bytes | memoryview]:
        reader = Reader(element.value, little=element.little)
        for item in reader.items(implicit=element.implicit):
            elements = list(reader.elements(item.start, item.end, implicit=item.implicit))
            inner = context.of(elements)
            parts: list[bytes | memoryview] = []
            for each in elements:
                check_in_item(each.tag)
                if each.tag & 0xFFFF:
                    parts.extend(self._element(each, inner))
            yield from _item(parts, defined=item.defined)

    def _items_that_were_set(self, element: DataElement, context: _Context) -> Parts:
        parts: list[bytes | memoryview] = []
        for dataset in element.value:
            encoded = self.data_set(dataset, context)
            defined = not getattr(dataset, "is_undefined_length_sequence_item", False)
            content = [part for pieces in encoded.values() for part in pieces]
            parts.extend(_item(content, defined=defined))
        return self._with_header(element.tag, "SQ", tuple(parts), not element.is_undefined_length)

    def _with_header(self, tag: int, vr: str, parts: Parts, defined: bool) -> Parts:
        length = sum(map(len, parts)) if defined else UNDEFINED_LENGTH
        end = () if defined else (_SEQUENCE_END,)
        group, number = tag >> 16, tag & 0xFFFF
        if self._implicit or group == DELIMITER_GROUP:
            return struct.pack("<HHI", group, number, length), *parts, *end
        if vr not in LONG_VRS and length >= _SHORTEST_UN:
            vr = "UN"  # PS3.5 6.2.2
        if vr in LONG_VRS:
            header = struct.pack("<HH2sHI", group, number, vr.encode("ascii"), 0, length)
        else:
            header = struct.pack("<HH2sH", group, number, vr.encode("ascii"), length)
        return header, *parts, *end


def _item(parts: list[bytes | memoryview], *, defined: bool) -> Parts:
    length = sum(map(len, parts)) if defined else UNDEFINED_LENGTH
    return _ITEM + struct.pack("<I", length), *parts, *(() if defined else (_ITEM_END,))


def _as_read(dataset: Dataset, tag: BaseTag) -> Element | DataElement:
    """An element of a pydicom data set as it was read; a sequence that was set as that."""
    element: Any = dataset.get_item(tag)
    if element.is_raw:
        defined = element.length != UNDEFINED_LENGTH
        vr = element.VR or ""
        # What has VR UN and undefined length is a sequence in implicit VR (PS3.5 6.2.2).
        implicit = not vr or (vr == "UN" and not defined)
        value = memoryview(element.value or b"")
        return Element(tag, vr, value, defined, implicit, element.is_little_endian)
    if element.VR == "SQ":
        return cast("DataElement", element)
    if element.VR in _OCTET_VRS and isinstance(element.value, (bytes, memoryview)):
        value = memoryview(element.value)
        padded = memoryview(bytes(value) + b"\0") if len(value) % 2 else value
        return Element(tag, element.VR, padded, not element.is_undefined_length, False, True)
    return next(iter(Reader(_encoded(element, dataset)).elements()))


def _encoded(element: Any, dataset: Dataset) -> bytes:
    """An element that was set, in explicit VR little endian."""
    from pydicom.filebase import DicomBytesIO
    from pydicom.filewriter import correct_ambiguous_vr_element, write_data_element
    from pydicom.valuerep import AMBIGUOUS_VR

    if element.VR in AMBIGUOUS_VR:
        element = correct_ambiguous_vr_element(copy(element), dataset, True)
    stream = DicomBytesIO()
    stream.is_little_endian, stream.is_implicit_VR = True, False
    write_data_element(stream, element, dataset.original_character_set or dataset._character_set)
    return bytes(stream.getvalue())


def _vr_of(tag: int, context: _Context) -> str:
    """The value representation of an element of which only the tag is known, UN if nothing is.

    Of those that a tag allows, one is taken that holds values of any length.
    """
    from pydicom.datadict import dictionary_VR, private_dictionary_VR

    try:
        if not tag >> 16 & 1:
            vr = dictionary_VR(tag)
        elif _is_creator(tag):
            vr = "LO"
        else:
            block = tag >> 16 << 8 | (tag & 0xFFFF) >> 8
            vr = private_dictionary_VR(tag, (context.creators or {}).get(block, ""))
    except KeyError:
        return "UN"
    if vr == "US or SS":
        return "SS" if context.signed else "US"
    if vr.endswith("or OW"):
        return "OW"
    return vr if len(vr) == 2 else "UN"


def _is_creator(tag: int) -> bool:
    return bool(tag >> 16 & 1) and 0x10 <= tag & 0xFFFF <= 0xFF


def _swapped(element: Element, vr: str) -> bytes | memoryview:
    """An element's value in little endian."""
    unit_bytes = 1 if element.little else UNIT_BYTES.get(vr, 1)
    if unit_bytes == 1:
        return element.value
    whole = len(element.value) // unit_bytes * unit_bytes
    units = np.frombuffer(element.value[:whole], f"u{unit_bytes}")
    return units.byteswap().tobytes() + bytes(element.value[whole:])
