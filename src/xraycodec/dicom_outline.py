"""A DICOM data set stepped over, element by element, before anything parses it (PS3.5 7).

Parsers make objects of every element, and copy what is nested once for each level, so that a small
data set can cost minutes. Stepping over headers is cheap, and bounds both. What is malformed is
read as pydicom reads it, which parses the data set afterwards and reports what is wrong with it.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass, field

from xraycodec.errors import LimitError
from xraycodec.limits import Limits

ROWS, COLUMNS, NUMBER_OF_FRAMES = 0x00280010, 0x00280011, 0x00280008
BITS_ALLOCATED, PIXEL_DATA = 0x00280100, 0x7FE00010

_NOTED = frozenset((ROWS, COLUMNS, NUMBER_OF_FRAMES, BITS_ALLOCATED, PIXEL_DATA))
_ITEM_END, _SEQUENCE_END = 0xFFFEE00D, 0xFFFEE0DD
_UNDEFINED = 0xFFFFFFFF
_LONG_VRS = frozenset((b"OB", b"OD", b"OF", b"OL", b"OV", b"OW", b"SQ", b"SV", b"UC", b"UN"))
_LONG_VRS |= {b"UR", b"UT", b"UV"}


@dataclass(frozen=True)
class Place:
    """Where the value of an element lies: its first byte, and the byte after it."""

    start: int
    end: int


@dataclass
class Outline:
    """What was found on the way.

    Attributes:
        end: byte at which the walk ended.
        elements: elements and items, nested ones included.
        places: of the values at the top level that tell of the pixels, by their tags; the end of
            a value of undefined length is that of the data set.
    """

    end: int = 0
    elements: int = 0
    places: dict[int, Place] = field(default_factory=dict)


@dataclass(frozen=True)
class _Level:
    """A sequence or a data set that is being stepped over.

    Attributes:
        end: byte at which it ends; of undefined length, where its delimiter must come before.
        limit: byte up to which it can be read: elements may lead out of their item.
        defined: whether its length is.
        sequence: it holds items, not elements.
        implicit: its elements have no value representation.
    """

    end: int
    limit: int
    defined: bool
    sequence: bool
    implicit: bool


def outline(
    data: bytes,
    limits: Limits,
    *,
    start: int = 0,
    implicit: bool = False,
    little: bool = True,
    group: int | None = None,
) -> Outline:
    """Step over a data set.

    Args:
        data: holds it, from ``start`` to its end.
        limits: of elements and of sequences in each other.
        start: byte at which it begins.
        implicit: whether the transfer syntax is implicit VR.
        little: whether it is little endian.
        group: end at the first element of another group.

    Raises:
        LimitError: more elements or deeper sequences than ``limits`` allow.
    """
    return _Walk(data, limits, little=little, group=group).run(start, implicit=implicit)


class _Walk:
    """One walk; a stack in place of recursion, which hostile nesting would exhaust."""

    def __init__(self, data: bytes, limits: Limits, *, little: bool, group: int | None) -> None:
        order = "<" if little else ">"
        self._data = data
        self._tag_and_length = struct.Struct(order + "HHI").unpack_from
        self._short = struct.Struct(order + "H").unpack_from
        self._long = struct.Struct(order + "I").unpack_from
        self._item = struct.pack(order + "HH", 0xFFFE, 0xE000)
        self._sequence_end = struct.pack(order + "HH", 0xFFFE, 0xE0DD)
        self._limits = limits
        self._group = group
        self._outline = Outline()
        self._stack: list[_Level] = []

    def run(self, start: int, *, implicit: bool) -> Outline:
        end = len(self._data)
        self._stack = [_Level(end, end, True, False, self._looks_implicit(start, implicit))]
        position = start
        while self._stack:
            level = self._stack[-1]
            if position >= level.end or position + 8 > level.limit:
                position = self._leave(level, position)
            elif level.sequence:
                position = self._enter_item(level, position)
            else:
                position = self._step(level, position)
        self._outline.end = position
        return self._outline

    def _leave(self, level: _Level, position: int) -> int:
        self._stack.pop()
        # Sequences are parsed from their own bytes, so that nothing in them leads beyond.
        return level.end if level.defined and level.sequence else position

    def _count(self, position: int) -> None:
        self._outline.elements += 1
        if self._outline.elements > self._limits.max_elements:
            raise LimitError(
                f"the data set has more than {self._limits.max_elements} elements before byte"
                f" {position}; that is the limit (max_elements)"
            )

    def _enter_item(self, level: _Level, position: int) -> int:
        group, element, length = self._tag_and_length(self._data, position)
        tag = group << 16 | element
        position += 8
        if tag == _SEQUENCE_END:
            self._stack.pop()
            return level.end if level.defined else position
        self._count(position)
        defined = length != _UNDEFINED
        end = position + length if defined else level.limit
        implicit = level.implicit or self._looks_implicit(position, False)
        self._stack.append(_Level(end, level.limit, defined, False, implicit))
        return position

    def _step(self, level: _Level, position: int) -> int:
        group, element, length = self._tag_and_length(self._data, position)
        tag = group << 16 | element
        if self._group is not None and group != self._group and len(self._stack) == 1:
            self._stack.clear()
            return position
        if tag == _ITEM_END and len(self._stack) > 1:
            self._stack.pop()
            return position + 8
        self._count(position)
        vr = b"" if level.implicit else self._data[position + 4 : position + 6]
        value = position + 8
        if vr in _LONG_VRS:
            length = self._long(self._data, value)[0] if value + 4 <= level.limit else 0
            value += 4
        elif b"AA" <= vr <= b"ZZ":
            (length,) = self._short(self._data, position + 6)
        else:
            vr = b""  # pydicom takes it for implicit VR
        defined = length != _UNDEFINED
        end = min(level.limit, value + length) if defined else level.limit
        if tag in _NOTED and len(self._stack) == 1:
            self._outline.places[tag] = Place(value, end)
        if self._is_sequence(tag, vr, value, end, defined=defined):
            return self._enter_sequence(level, vr, value, end, defined=defined)
        return end if defined else self._after_fragments(value, level.limit)

    def _is_sequence(self, tag: int, vr: bytes, value: int, end: int, *, defined: bool) -> bool:
        if vr == b"SQ" or (vr == b"UN" and not defined):
            return True
        if vr not in (b"", b"UN") or end - value < 8:
            return False
        return self._data[value : value + 4] == self._item or _known_sequence(tag)

    def _enter_sequence(
        self, level: _Level, vr: bytes, value: int, end: int, *, defined: bool
    ) -> int:
        depth = sum(each.sequence for each in self._stack) + 1
        if depth > self._limits.max_depth:
            raise LimitError(
                f"sequences lie {depth} deep in each other at byte {value}; the limit is"
                f" {self._limits.max_depth} (max_depth)"
            )
        implicit = level.implicit or (vr == b"UN" and not defined)
        self._stack.append(_Level(end, end, defined, True, implicit))
        return value

    def _after_fragments(self, position: int, end: int) -> int:
        """Byte after a value of undefined length that is no sequence: fragments as a rule."""
        value = position
        while position + 8 <= end and self._data[position : position + 4] == self._item:
            self._count(position)
            position += 8 + self._long(self._data, position + 4)[0]
        if self._data[position : position + 4] != self._sequence_end:
            position = self._data.find(self._sequence_end, value, end)  # what is not fragments
        return min(end, position + 8) if position >= 0 else end

    def _looks_implicit(self, position: int, assumed: bool) -> bool:
        """Whether the first element there has no value representation (pydicom's heuristic)."""
        vr = self._data[position + 4 : position + 6]
        if len(vr) < 2:
            return assumed
        return not (0x40 < vr[0] < 0x5B and 0x40 < vr[1] < 0x5B)


def _known_sequence(tag: int) -> bool:
    """Whether the dictionary has the tag as a sequence, which is then parsed whatever it holds."""
    from pydicom.datadict import DicomDictionary

    return tag in DicomDictionary and DicomDictionary[tag][0] == "SQ"
