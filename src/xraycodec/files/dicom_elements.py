"""Elements of a DICOM data set, found where they lie in its bytes (PS3.5 7.1, 7.5, A.4).

Values are not looked into, so that none is lost: what they mean is pydicom's matter. What does not
fit together is an error here, where pydicom passes over it.

::

    tag  VR  length  value                     explicit VR
    tag      length  value                     implicit VR; single elements and sequences, too
    tag  VR  ffffffff  items  delimiter        undefined length; implicit VR alike
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from dataclasses import dataclass

from xraycodec.errors import CorruptImageError

DELIMITER_GROUP = 0xFFFE
UNDEFINED_LENGTH = 0xFFFFFFFF
LONG_VRS = frozenset(("OB", "OD", "OF", "OL", "OV", "OW", "SQ", "SV", "UC", "UN", "UR", "UT", "UV"))
"""Value representations whose length has 32 bits (PS3.5 7.1.2)."""
UNIT_BYTES = {
    **dict.fromkeys(("AT", "OW", "SS", "US"), 2),
    **dict.fromkeys(("FL", "OF", "OL", "SL", "UL"), 4),
    **dict.fromkeys(("FD", "OD", "OV", "SV", "UV"), 8),
}
"""Sizes of the units that byte order is about, by value representations (PS3.5 7.3)."""

_ITEM, _ITEM_END, _SEQUENCE_END = 0xFFFEE000, 0xFFFEE00D, 0xFFFEE0DD
_FRAGMENTED = ("", "OB", "OW")  # Pixel Data as it may be encapsulated
_PIXEL_DATA = 0x7FE00010
_LAST_GROUPS = frozenset((0xFFFA, 0xFFFC))  # signatures and padding: all that may follow pixels


@dataclass(frozen=True, slots=True)
class Element:
    """An element as it was encoded.

    Attributes:
        tag: group and number in 32 bits.
        vr: value representation, empty where the encoding has none.
        value: its bytes; of undefined length, without the delimiter.
        defined: whether its length was.
        implicit: whether its items have no value representations; where they have, single items
            still may have none.
        little: byte order.
        start: byte at which the value begins.
    """

    tag: int
    vr: str
    value: memoryview
    defined: bool
    implicit: bool
    little: bool
    start: int = 0

    @property
    def after(self) -> int:
        """The byte after it."""
        return self.start + len(self.value) + (0 if self.defined else 8)


@dataclass(frozen=True, slots=True)
class Item:
    """An item of a sequence: where its elements lie in the sequence's value, and how."""

    start: int
    end: int
    defined: bool
    implicit: bool


def name_of(tag: int) -> str:
    """A tag as messages give it."""
    return f"({tag >> 16:04X},{tag & 0xFFFF:04X})"


def check_in_item(tag: int) -> None:
    """Check that an element can be in an item, where delimiters belong to what is around it.

    Raises:
        CorruptImageError: it cannot.
    """
    if tag >> 16 == DELIMITER_GROUP:
        raise CorruptImageError(f"{name_of(tag)} is among the elements of an item")


class Reader:
    """Reads data sets and sequences out of bytes.

    Args:
        data: read-only bytes.
        little: byte order.
    """

    def __init__(self, data: bytes | memoryview, *, little: bool = True) -> None:
        order = "<" if little else ">"
        self._data = memoryview(data)
        self._little = little
        self._tag_and_length = struct.Struct(order + "HHI").unpack_from
        self._short = struct.Struct(order + "H").unpack_from
        self._long = struct.Struct(order + "I").unpack_from

    def elements(
        self,
        start: int = 0,
        end: int | None = None,
        *,
        implicit: bool = False,
        group: int | None = None,
    ) -> Iterator[Element]:
        """Elements of a data set, those of its items not among them.

        Args:
            start: byte at which it begins.
            end: byte after it, ``None`` for that of the data. Zeros there are padding.
            implicit: implicit VR.
            group: end at the first element of another group.

        Raises:
            CorruptImageError: an element that does not end where its data set does, or before.
        """
        end = len(self._data) if end is None else end
        position = start
        while position < end:
            if self._data[position] == 0 and not any(self._data[position:end]):
                return
            if group is not None and end - position >= 2:
                (found,) = self._short(self._data, position)
                if found != group:
                    return
            element, position = self._element_at(position, end, implicit)
            yield element

    def items(self, *, implicit: bool) -> Iterator[Item]:
        """Items of a sequence, whose value the data are.

        Args:
            implicit: its elements have no value representations.

        Raises:
            CorruptImageError: what is there is not items, from the first byte to the last.
        """
        position, end = 0, len(self._data)
        while position < end:
            tag, length = self._item_at(position, end)
            position += 8
            if tag == _SEQUENCE_END and position == end:
                return
            if tag != _ITEM:
                raise CorruptImageError(f"{name_of(tag)} at byte {position - 8} is no item")
            implicit_item = implicit or self.looks_implicit(position)
            if length != UNDEFINED_LENGTH:
                self._check_end(position + length, end)
                yield Item(position, position + length, True, implicit_item)
                position += length
            else:
                after = self._after_item(position, end, implicit)
                yield Item(position, after - 8, False, implicit_item)
                position = after

    def looks_implicit(self, position: int) -> bool:
        """Whether the first element there has no value representation."""
        vr = bytes(self._data[position + 4 : position + 6])
        return len(vr) == 2 and not _is_vr(vr)

    def _element_at(self, position: int, end: int, implicit: bool) -> tuple[Element, int]:
        """An element, and the byte after it."""
        if end - position < 8:
            raise CorruptImageError(f"the last {end - position} bytes are no whole element")
        group, number, length = self._tag_and_length(self._data, position)
        tag, value = group << 16 | number, position + 8
        vr = (
            b""
            if implicit or group == DELIMITER_GROUP
            else bytes(self._data[position + 4 : position + 6])
        )
        if not _is_vr(vr):
            vr = b""  # PS3.5 has no such element, but writers have, in sequences above all
        elif (name := vr.decode("ascii")) not in LONG_VRS:
            (length,) = self._short(self._data, position + 6)
        elif end - value < 4:
            raise CorruptImageError(f"the last {end - position} bytes are no whole element")
        else:
            (length,) = self._long(self._data, value)
            value += 4
        name = vr.decode("ascii")
        if length == UNDEFINED_LENGTH and group == DELIMITER_GROUP:
            raise CorruptImageError(f"{name_of(tag)} at byte {position} is not in a sequence")
        if length == UNDEFINED_LENGTH:
            # What has VR UN and undefined length is a sequence in implicit VR (PS3.5 6.2.2).
            nested = name in ("", "UN")
            value_end, after = self._ends_of_undefined(value, end, tag, name, nested)
        else:
            nested = not name
            value_end = after = value + length
            if after > end:
                raise CorruptImageError(
                    f"element {name_of(tag)} at byte {position} claims {length} bytes;"
                    f" {end - value} are left"
                )
        content = self._data[value:value_end]
        defined = length != UNDEFINED_LENGTH
        return Element(tag, name, content, defined, nested, self._little, value), after

    def _ends_of_undefined(
        self, start: int, end: int, tag: int, vr: str, implicit: bool
    ) -> tuple[int, int]:
        """The byte after a value of undefined length, and that after its delimiter."""
        position = start
        while position < end or vr not in _FRAGMENTED or position == start:
            if tag == _PIXEL_DATA and 4 <= end - position < 8 and self._ends_in_delimiter(position):
                return position, end
            found, length = self._item_at(position, end)
            if found == _SEQUENCE_END:
                return position, self._after_delimiters(position, end, tag)
            if found != _ITEM:
                if tag == _PIXEL_DATA and position > start and self._may_follow(position, end):
                    return position, position  # writers have left the delimiter out
                if vr in ("SQ", "UN") or position > start:
                    raise CorruptImageError(
                        f"{name_of(found)} at byte {position} in {name_of(tag)} is no item"
                    )
                return self._ends_of_octets(start, end, tag)
            position += 8
            if length == UNDEFINED_LENGTH:
                position = self._after_item(position, end, implicit)
            else:
                position += length
                self._check_end(position, end)
        return position, position  # fragments to the end of the file, whose delimiter was cut off

    def _after_delimiters(self, position: int, end: int, tag: int) -> int:
        """The byte after a sequence delimiter; some writers end Pixel Data with two."""
        position += 8
        while tag == _PIXEL_DATA and position + 8 <= end:
            if self._item_at(position, end)[0] != _SEQUENCE_END:
                break
            position += 8
        return position

    def _ends_in_delimiter(self, position: int) -> bool:
        """Whether the data end inside of the delimiter, behind its tag."""
        group, number = (self._short(self._data, place)[0] for place in (position, position + 2))
        return bool(group << 16 | number == _SEQUENCE_END)

    def _may_follow(self, position: int, end: int) -> bool:
        """Whether what is there can follow Pixel Data: few elements, or zeros to the end."""
        (group,) = self._short(self._data, position)
        return group in _LAST_GROUPS or not any(self._data[position:end])

    def _ends_of_octets(self, start: int, end: int, tag: int) -> tuple[int, int]:
        """The same of a value that is not items."""
        delimiter = struct.pack("<HHI" if self._little else ">HHI", 0xFFFE, 0xE0DD, 0)
        place = bytes(self._data[start:end]).find(delimiter)
        if place < 0:
            raise CorruptImageError(f"{name_of(tag)} has undefined length and no delimiter")
        return start + place, start + place + 8

    def _after_item(self, position: int, end: int, implicit: bool) -> int:
        """The byte after an item of undefined length."""
        implicit = implicit or self.looks_implicit(position)
        while True:
            tag, _ = self._item_at(position, end)
            if tag == _ITEM_END:
                return position + 8
            check_in_item(tag)
            _, position = self._element_at(position, end, implicit)

    def _item_at(self, position: int, end: int) -> tuple[int, int]:
        self._check_end(position + 8, end)
        group, number, length = self._tag_and_length(self._data, position)
        return group << 16 | number, length

    def _check_end(self, position: int, end: int) -> None:
        if position > end:
            raise CorruptImageError(
                f"an item or its delimiter ends at byte {position}; the data set or the sequence"
                f" that it is in at byte {end}"
            )


def _is_vr(vr: bytes) -> bool:
    """Whether two bytes can be a value representation, one of later editions included."""
    return len(vr) == 2 and all(0x41 <= letter <= 0x5A for letter in vr)
