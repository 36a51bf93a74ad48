"""Elements where they lie: ends of values, and what does not fit together."""

from __future__ import annotations

import struct

import numpy as np
import pytest
from files_building import (
    EXPLICIT_BIG,
    EXPLICIT_LITTLE,
    IMPLICIT_LITTLE,
    compressed_dicom,
    dicom_by_hand,
    encode_frame,
    encoded_element,
    random_pixels,
)

from xraycodec.errors import CorruptImageError, LimitError
from xraycodec.files import decode
from xraycodec.files.dicom_elements import Element, Reader

ITEM, ITEM_END, SEQUENCE_END = b"\xfe\xff\0\xe0", b"\xfe\xff\x0d\xe0", b"\xfe\xff\xdd\xe0"
UNDEFINED = b"\xff\xff\xff\xff"
NAME = encoded_element(0x00100010, "PN", b"Test", EXPLICIT_LITTLE)
SEQUENCE = b"\x40\0\0\1SQ\0\0"  # (0040,0100), without its length


def elements(data: bytes, *, implicit: bool = False) -> list[Element]:
    return list(Reader(data).elements(implicit=implicit))


def test_every_encoding() -> None:
    values = ((0x00100010, "PN", b"Test"), (0x00420011, "OB", b"\1\2"), (0x00500065, "ZZ", b""))
    for syntax in (EXPLICIT_LITTLE, IMPLICIT_LITTLE, EXPLICIT_BIG):
        data = b"".join(encoded_element(*value, syntax) for value in values)
        reader = Reader(data, little=syntax != EXPLICIT_BIG)
        found = list(reader.elements(implicit=syntax == IMPLICIT_LITTLE))
        assert [(each.tag, bytes(each.value)) for each in found] == [(a, c) for a, _, c in values]
        vrs = ["", "", ""] if syntax == IMPLICIT_LITTLE else ["PN", "OB", "ZZ"]
        assert [each.vr for each in found] == vrs
        assert found[-1].after == len(data)


NESTED = {
    "defined": (
        SEQUENCE + struct.pack("<I", 8 + len(NAME)),
        ITEM + struct.pack("<I", len(NAME)) + NAME,
        b"",
    ),
    "undefined": (
        SEQUENCE + UNDEFINED,
        ITEM + UNDEFINED + NAME + ITEM_END + bytes(4),
        SEQUENCE_END + bytes(4),
    ),
    "no items": (SEQUENCE + UNDEFINED, b"", SEQUENCE_END + bytes(4)),
    "fragments": (
        b"\xe0\x7f\x10\0OB\0\0" + UNDEFINED,
        ITEM + bytes(4) + ITEM + b"\2\0\0\0ab",
        SEQUENCE_END + bytes(4),
    ),
    "octets": (b"\x42\0\x11\0OB\0\0" + UNDEFINED, b"anything at all", SEQUENCE_END + bytes(4)),
}


@pytest.mark.parametrize("case", NESTED)
def test_values_of_any_length_end_where_they_end(case: str) -> None:
    head, value, end = NESTED[case]
    first, last = elements(head + value + end + NAME)
    assert bytes(first.value) == value
    assert first.defined is (case == "defined")
    assert (last.tag, bytes(last.value)) == (0x00100010, b"Test")


def test_items_in_items() -> None:
    inner = ITEM + UNDEFINED + NAME + ITEM_END + bytes(4)
    data = SEQUENCE + UNDEFINED + ITEM + UNDEFINED + SEQUENCE + UNDEFINED + inner
    data += SEQUENCE_END + bytes(4) + ITEM_END + bytes(4) + SEQUENCE_END + bytes(4)
    (sequence,) = elements(data)
    (item,) = Reader(sequence.value).items(implicit=False)
    (nested,) = Reader(sequence.value).elements(item.start, item.end)
    assert bytes(nested.value) == inner


DAMAGED = {
    "cut value": (NAME[:-1], r"\(0010,0010\) at byte 0 claims 4 bytes; 3 are left"),
    "cut header": (NAME + NAME[:7], "the last 7 bytes are no whole element"),
    "cut length": (NAME + SEQUENCE + b"\0", "the last 9 bytes are no whole element"),
    "no delimiter": (SEQUENCE + UNDEFINED + ITEM + bytes(4), "ends at byte 28"),
    "no delimiter of an item": (SEQUENCE + UNDEFINED + ITEM + UNDEFINED + NAME, "ends at byte"),
    "no item": (SEQUENCE + UNDEFINED + NAME, r"\(0010,0010\) at byte 12 in \(0040,0100\) is no"),
    "item that is too long": (SEQUENCE + UNDEFINED + ITEM + b"\xff\0\0\0", "an item or its"),
    "octets without end": (b"\x42\0\x11\0OB\0\0" + UNDEFINED + NAME, "and no delimiter"),
    "item outside": (ITEM + UNDEFINED, r"\(FFFE,E000\) at byte 0 is not in a sequence"),
    "sequence end in an item": (
        SEQUENCE + UNDEFINED + ITEM + UNDEFINED + SEQUENCE_END + bytes(4),
        r"\(FFFE,E0DD\) is among the elements of an item",
    ),
}


@pytest.mark.parametrize("case", DAMAGED)
def test_damage(case: str) -> None:
    data, message = DAMAGED[case]
    with pytest.raises(CorruptImageError, match=message):
        elements(data)


def test_zeros_at_the_end_are_padding() -> None:
    assert len(elements(NAME + bytes(7))) == len(elements(NAME + bytes(512))) == 1
    data = dicom_by_hand()
    assert decode(data + bytes(512)).dicom == decode(data).dicom


def test_fragments_to_the_end_of_the_file() -> None:
    cells = random_pixels((3, 5), 12)
    data = compressed_dicom([encode_frame("rle", cells, 12)], cells, 12, "1.2.840.10008.1.2.5")
    assert data.endswith(SEQUENCE_END + bytes(4))
    assert np.array_equal(decode(data[:-8]).pixels, cells)


def test_nesting_beyond_any_limit() -> None:
    data, place = dicom_by_hand(), dicom_by_hand().index(b"\xe0\x7f\x10\0OW")
    nested = (SEQUENCE + UNDEFINED + ITEM + UNDEFINED) * 5000
    with pytest.raises(LimitError, match="deep in each other"):
        decode(data[:place] + nested + data[place:])
