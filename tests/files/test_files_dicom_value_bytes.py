"""Bytes of values, from every encoding of a data set into every other."""

from __future__ import annotations

import io
import struct

import numpy as np
import pydicom
import pytest
from files_building import (
    DEFLATED,
    EXPLICIT_BIG,
    EXPLICIT_LITTLE,
    IMPLICIT_LITTLE,
    dicom_by_hand,
    encoded_element,
    random_pixels,
)

from xraycodec import Stored, compress, decompress, verify
from xraycodec.dicom.transcode import read, transcode
from xraycodec.errors import CorruptImageError
from xraycodec.files import decode, encode
from xraycodec.files.dicom_elements import Reader

ENCODINGS = (EXPLICIT_LITTLE, IMPLICIT_LITTLE, EXPLICIT_BIG)
LUT_DATA, LUT_DESCRIPTOR, LUT_SEQUENCE = 0x00283006, 0x00283002, 0x00283000
CREATOR, PRIVATE = 0x00110010, 0x00111001


def values_in(data: bytes) -> dict[int, tuple[str, bytes]]:
    """Value representations and values of a file's elements, as they lie there."""
    end = 132
    for element in Reader(data).elements(132, group=2):
        end = element.after
        if element.tag == 0x00020010:
            implicit = bytes(element.value).strip(b"\0").decode() == IMPLICIT_LITTLE
    elements = Reader(data).elements(end, implicit=implicit)
    return {element.tag: (element.vr, bytes(element.value)) for element in elements}


def item(*elements: tuple[int, str, bytes], syntax: str, undefined: bool = False) -> bytes:
    body = b"".join(encoded_element(*element, syntax) for element in elements)
    order = ">" if syntax == EXPLICIT_BIG else "<"
    head = struct.pack(order + "HHI", 0xFFFE, 0xE000, 0xFFFFFFFF if undefined else len(body))
    end = struct.pack(order + "HHI", 0xFFFE, 0xE00D, 0) if undefined else b""
    return head + body + end


ODD_VALUES = {
    "LUT Data as US": (LUT_DATA, "US", b"\1\2\3\4\5\6"),
    "LUT Data as OW": (LUT_DATA, "OW", b"\1\2\3\4\5\6"),
    "LUT Data as OB": (LUT_DATA, "OB", b"\1\2\3\4\5\6"),
    "in no dictionary": (0x00500065, "LO", b"anything"),
    "in no dictionary, numbers": (0x00500065, "FD", b"12345678"),
    "as UN": (0x00500065, "UN", b"anything"),
    "known as UN": (0x00280106, "UN", b"\1\2"),
    "another VR than the dictionary's": (0x00280106, "LO", b"no"),
    "signed, as unsigned": (0x00280106, "US", b"\xff\xff"),
    "unsigned, as signed": (0x00280106, "SS", b"\xff\xff"),
    "numbers of odd length": (0x00280106, "US", b"\1\2\3"),
    "octets of odd length": (0x00420011, "OB", b"\1\2\3"),
    "padded with spaces": (0x0008103E, "LO", b"text  "),
    "padded with zeros": (0x0008103E, "LO", b"text\0\0"),
    "spaces in front": (0x00200013, "IS", b"  01"),
    "no number": (0x00281053, "DS", b"slope "),
    "no date": (0x00080020, "DA", b"20201399"),
    "no UID": (0x0020000D, "UI", b"Study^One\0"),
    "bytes of no character set": (0x00100020, "LO", b"\xff\xfe\x80\x81"),
    "attribute tags": (0x00280009, "AT", b"\x18\0\x63\x10\x18\0\x65\x10"),
    "many values": (0x00281101, "US", b"\0\1\0\0\x10\0\1\0"),
    "no value": (LUT_DESCRIPTOR, "US", b""),
    "private": (PRIVATE, "FD", b"12345678"),
    "curve": (0x50003000, "OW", b"\1\0\2\0"),
    "curve of a later group": (0x501E3000, "OB", b"\1\0\2\0"),
    "overlay": (0x60003000, "OB", b"\1\0\2\0"),
    "DICONDE": (0x00142024, "IS", b"3 "),
    "retired": (0x00281200, "US", b"\1\0\2\0"),
    "waveform": (0x5400100A, "OB", b"\1\2"),
    "length to end": (0x00080001, "UL", b"\1\2\3\4"),
    "of a later edition": (0x00500065, "ZZ", b"anything"),
}


@pytest.mark.parametrize("case", ODD_VALUES)
@pytest.mark.parametrize("target", ["implicit", "explicit", "deflated", "rle"])
@pytest.mark.parametrize("source", [EXPLICIT_LITTLE, IMPLICIT_LITTLE])
def test_values_are_the_same_bytes(source: str, target: str, case: str) -> None:
    tag, vr, value = ODD_VALUES[case]
    data = dicom_by_hand((CREATOR, "LO", b"ACME"), (tag, vr, value), transfer_syntax=source)
    image = read(data)
    done = transcode(image, target)
    if target == "deflated":
        done = transcode(read(done.data), "explicit")
    written = values_in(done.data)
    assert written[tag][1] == value
    if source == EXPLICIT_LITTLE and target != "implicit":
        assert written[tag][0] == vr
    expected = values_in(data)
    for other in expected.keys() - {tag, 0x7FE00010}:
        assert written[other][1] == expected[other][1]
    assert np.array_equal(image.pixels, random_pixels((3, 5), 12))


@pytest.mark.parametrize("case", ODD_VALUES)
@pytest.mark.parametrize("source", ENCODINGS)
def test_they_come_back_from_an_xrc_file(source: str, case: str) -> None:
    tag, vr, value = ODD_VALUES[case]
    data = dicom_by_hand((CREATOR, "LO", b"ACME"), (tag, vr, value), transfer_syntax=source)
    image = decode(data)
    stream = compress(image, Stored())
    assert verify(stream, original=image).identical
    written = values_in(encode(decompress(stream), "dicom"))
    if source != EXPLICIT_BIG:
        assert written[tag][1] == value
    if source != IMPLICIT_LITTLE:
        assert written[tag][0] == vr


@pytest.mark.parametrize("undefined", [False, True])
@pytest.mark.parametrize("source", ENCODINGS)
@pytest.mark.parametrize("case", ODD_VALUES)
def test_nested_values_are_the_same_bytes(case: str, source: str, undefined: bool) -> None:
    """Pixel Representation is in the data set around; private creators are in the item."""
    tag, vr, value = ODD_VALUES[case]
    elements = sorted([(CREATOR, "LO", b"ACME"), (tag, vr, value)])
    inner = item(*elements, syntax=source, undefined=undefined)
    middle = item((LUT_SEQUENCE, "SQ", inner + item(syntax=source)), syntax=source)
    data = dicom_by_hand((0x00082112, "SQ", middle), transfer_syntax=source)
    image = read(data)
    found = []
    for target in ("explicit", "implicit"):
        written = transcode(image, target).data
        assert read(written).dicom is not None
        (_, sequence) = values_in(written)[0x00082112]
        for _ in range(2):
            reader = Reader(sequence)
            first = next(reader.items(implicit=target == "implicit"))
            inside = list(reader.elements(first.start, first.end, implicit=first.implicit))
            found.append(inside)
            sequence = inside[0].value
        assert first.defined is not undefined
    for inside in found[1::2]:
        element = next(each for each in inside if each.tag == tag)
        if source != EXPLICIT_BIG:
            assert bytes(element.value) == value
        assert len(element.value) == len(value)


@pytest.mark.parametrize(
    ("vr", "big", "little"),
    [
        ("US", b"\1\2\3\4", b"\2\1\4\3"),
        ("SS", b"\1\2\3\4\5", b"\2\1\4\3\5"),
        ("OW", b"\1\2\3\4", b"\2\1\4\3"),
        ("AT", b"\0\x18\x10\x63", b"\x18\0\x63\x10"),
        ("UL", b"\1\2\3\4", b"\4\3\2\1"),
        ("OF", b"\1\2\3\4", b"\4\3\2\1"),
        ("OL", b"\1\2\3\4", b"\4\3\2\1"),
        ("FD", b"12345678", b"87654321"),
        ("UV", b"12345678", b"87654321"),
        ("OB", b"\1\2\3\4", b"\1\2\3\4"),
        ("UN", b"\1\2\3\4", b"\1\2\3\4"),
        ("LO", b"text", b"text"),
    ],
)
def test_big_endian_values_are_swapped_by_their_units(vr: str, big: bytes, little: bytes) -> None:
    nested = item((PRIVATE, vr, big), syntax=EXPLICIT_BIG)
    data = dicom_by_hand(
        (PRIVATE, vr, big), (LUT_SEQUENCE, "SQ", nested), transfer_syntax=EXPLICIT_BIG
    )
    written = values_in(encode(decode(data), "dicom"))
    assert written[PRIVATE] == (vr, little)
    assert written[LUT_SEQUENCE][1] == item((PRIVATE, vr, little), syntax=EXPLICIT_LITTLE)


@pytest.mark.parametrize(
    ("signed", "vr", "number"), [(False, "US", 0xFFFE), (True, "SS", -2)], ids=["US", "SS"]
)
def test_vr_after_the_pixel_representation_around(signed: bool, vr: str, number: int) -> None:
    nested = item((0x00280106, "US", b"\xfe\xff"), syntax=IMPLICIT_LITTLE)
    data = dicom_by_hand(
        (0x00280106, "US", b"\xfe\xff"),
        (LUT_SEQUENCE, "SQ", nested),
        transfer_syntax=IMPLICIT_LITTLE,
        signed=signed,
    )
    ds = pydicom.dcmread(io.BytesIO(encode(decode(data), "dicom")))
    inner = ds.ModalityLUTSequence[0]["SmallestImagePixelValue"]
    for element in (ds["SmallestImagePixelValue"], inner):
        assert (element.VR, element.value) == (vr, number)


def test_long_values_of_short_vrs() -> None:
    """LUT Data beyond 64 KiB has to be OW in explicit VR, and other elements UN (PS3.5 6.2.2)."""
    lut, text = bytes(range(256)) * 512, b"text" * (1 << 15)
    data = dicom_by_hand(
        (LUT_DATA, "", lut), (0x00081030, "", text), transfer_syntax=IMPLICIT_LITTLE
    )
    written = values_in(encode(decode(data), "dicom"))
    assert written[LUT_DATA] == ("OW", lut)
    assert written[0x00081030] == ("UN", text)


class TestSequences:
    def test_of_unknown_vr_in_implicit_vr(self) -> None:
        """UN of undefined length holds items in implicit VR (PS3.5 6.2.2)."""
        items = item((LUT_DATA, "", b"\1\2"), syntax=IMPLICIT_LITTLE)
        end = b"\xfe\xff\xdd\xe0\0\0\0\0"
        data = dicom_by_hand()
        unknown = struct.pack("<HH2sHI", 0x0011, 0x1001, b"UN", 0, 0xFFFFFFFF) + items + end
        place = data.index(b"\x28\0\2\0US")
        image = read(data[:place] + unknown + data[place:])
        assert image.dicom is not None
        assert unknown in image.dicom
        assert unknown in transcode(image, "explicit").data
        assert unknown[:4] + unknown[8:] in transcode(image, "implicit").data

    @pytest.mark.parametrize("undefined", [False, True])
    def test_in_implicit_vr_inside_of_explicit_vr(self, undefined: bool) -> None:
        items = item((LUT_DATA, "", b"\1\2"), syntax=IMPLICIT_LITTLE, undefined=undefined)
        data = dicom_by_hand((LUT_SEQUENCE, "SQ", items))
        assert values_in(encode(decode(data), "dicom"))[LUT_SEQUENCE] == ("SQ", items)
        assert values_in(transcode(read(data), "implicit").data)[LUT_SEQUENCE][1] == items

    def test_what_the_dictionary_takes_for_one_and_is_none(self) -> None:
        for value in (b"text", b"\xfe\xff\0\xe0\xff\0\0\0abcd", b"\xfe\xff\0\xe0\4\0\0\0abcd"):
            data = dicom_by_hand((LUT_SEQUENCE, "", value), transfer_syntax=IMPLICIT_LITTLE)
            written = values_in(encode(decode(data), "dicom"))
            assert written[LUT_SEQUENCE] == ("UN", value)
            assert values_in(transcode(read(data), "implicit").data)[LUT_SEQUENCE][1] == value

    def test_damaged_ones_stay_in_explicit_vr_alone(self) -> None:
        data = dicom_by_hand((LUT_SEQUENCE, "SQ", b"\xfe\xff\0\xe0\xff\0\0\0abcd"))
        assert values_in(transcode(read(data), "explicit").data)[LUT_SEQUENCE][0] == "SQ"
        with pytest.raises(CorruptImageError, match=r"sequence \(0028,3000\): an item"):
            transcode(read(data), "implicit")

    def test_single_elements_in_implicit_vr(self) -> None:
        head = struct.pack("<HHI", LUT_DATA >> 16, LUT_DATA & 0xFFFF, 4)
        data = dicom_by_hand((0x00283010, "UN", b"ab"))
        place = data.index(b"\x28\0\x10\x30UN")
        written = values_in(
            encode(decode(data[:place] + head + b"\1\2\3\4" + data[place:]), "dicom")
        )
        assert written[LUT_DATA] == ("OW", b"\1\2\3\4")
        assert written[0x00283010] == ("UN", b"ab")


def test_deflated_data_sets_have_an_even_length() -> None:
    for size in range(8):
        image = read(dicom_by_hand((0x00420011, "OB", bytes(range(size)))))
        data = transcode(image, "deflated").data
        assert len(data) % 2 == 0
        ds = pydicom.dcmread(io.BytesIO(data))
        assert ds.file_meta.TransferSyntaxUID == DEFLATED
        assert (ds.EncapsulatedDocument or b"") == bytes(range(size))
