"""Malformed file meta information and data sets: refused, or written again as they were."""

from __future__ import annotations

import io
import random
from dataclasses import replace

import numpy as np
import pydicom
import pytest
from files_building import (
    EXPLICIT_BIG,
    EXPLICIT_LITTLE,
    IMPLICIT_LITTLE,
    dicom_by_hand,
    encoded_element,
    random_pixels,
)

from xraycodec import Stored, XRay, compress, decompress, verify
from xraycodec.dicom.encapsulation import unwrap, wrap
from xraycodec.dicom.encapsulation import verify as verify_wrapped
from xraycodec.dicom.transcode import read, transcode
from xraycodec.errors import CorruptError, CorruptImageError, XrayCodecError
from xraycodec.files import decode, encode
from xraycodec.files.dicom_elements import Reader
from xraycodec.files.dicom_writer import to_data_set, to_file
from xraycodec.image import DicomFile, Loss

SECRET = b"Doe^Jane"
# Version, class, instance, transfer syntax, implementation: the writer's own.
OWN_META = {0x00020000, 0x00020001, 0x00020002, 0x00020003, 0x00020010, 0x00020012, 0x00020013}

MALFORMED_META = {
    "UID with other characters": (0x00020100, "UI", b"\xff\xfe\x80."),
    "UID with a name": (0x00020100, "UI", SECRET),
    "number of 3 bytes": (0x00020016, "US", b"\1\2\3"),
    "number of no bytes": (0x00020016, "FD", b""),
    "title as a sequence": (0x00020016, "SQ", b"ABCDEFGH"),
    "title as no VR": (0x00020016, "", b"ABCD"),
    "title of a later VR": (0x00020016, "ZZ", b"ABCD"),
    "title that is too long": (0x00020016, "AE", b"x" * 300),
    "title in another character set": (0x00020016, "AE", b"\xe4\xf6\xfc\0"),
    "private information as UN": (0x00020102, "UN", b"\1\2\3"),
    "octets of odd length": (0x00020102, "OB", b"\1\2\3"),
    "in no dictionary": (0x00020999, "LO", b"ABCD"),
    "private block": (0x00020011, "LO", b"ACME"),
    "date": (0x00020017, "DA", b"nodate"),
    "person": (0x00020018, "PN", b"\x1b$B\xff\xff"),
}


def meta_of(data: bytes) -> dict[int, bytes]:
    return {
        element.tag: bytes(element.value)
        for element in Reader(data).elements(132, group=2)
        if element.tag not in OWN_META
    }


def check_restored(data: bytes) -> XRay:
    """Hold a file against what is made of it, by every way through this package."""
    image = decode(data)
    stream = compress(image, Stored())
    assert verify(stream, original=image).identical
    written = encode(decompress(stream), "dicom")
    assert meta_of(written) == meta_of(data)
    again = decode(written)
    assert (again.dicom, again.spare_bits) == (image.dicom, image.spare_bits)
    assert np.array_equal(again.pixels, image.pixels)
    return image


@pytest.mark.parametrize("case", MALFORMED_META)
def test_malformed_file_meta_comes_back(case: str) -> None:
    tag, vr, value = MALFORMED_META[case]
    data = dicom_by_hand(meta=encoded_element(tag, vr, value, EXPLICIT_LITTLE))
    check_restored(data)
    assert meta_of(data) == {tag: value}
    assert meta_of(unwrap(wrap(data, Stored()))) == {tag: value}
    assert meta_of(transcode(read(data), "jpeg-ls").data) == {tag: value}


def test_elements_that_are_there_twice() -> None:
    """Repetitions are harmless; of different values one would be lost."""
    title = encoded_element(0x00020016, "AE", b"ACME", EXPLICIT_LITTLE)
    other = encoded_element(0x00020016, "AE", SECRET, EXPLICIT_LITTLE)
    check_restored(dicom_by_hand(meta=title + title))
    for data in (dicom_by_hand(meta=title + other), dicom_by_hand(meta=other + title)):
        with pytest.raises(
            CorruptImageError, match=r"\(0002,0016\) is there twice, with"
        ) as caught:
            decode(data)
        assert SECRET.decode() not in str(caught.value)
    name = encoded_element(0x00100010, "PN", b"Test^Case ", EXPLICIT_LITTLE)
    data = dicom_by_hand()
    assert decode(data.replace(name, name + name)).dicom == decode(data).dicom
    twice = data.replace(name, name + name.replace(b"Case", b"Else"))
    with pytest.raises(CorruptImageError, match=r"\(0010,0010\) is there twice"):
        decode(twice)


PADDED = {
    "spaces": b"1.2.3.4   ",
    "zeros": b"1.2.3.4\0\0\0",
    "both": b"1.2.3.4 \0",
    "in front": b"  1.2.3.4\0",
    "odd": b"1.2.3.4",
}


@pytest.mark.parametrize("vr", ["UI", "UN", "LO", "OB"])
@pytest.mark.parametrize("case", PADDED)
def test_uids_of_any_vr_and_padding_are_wrapped(case: str, vr: str) -> None:
    data = dicom_by_hand(
        (0x00080018, vr, PADDED[case]), (0x00080016, vr, b"1.2.840.10008.5.1.4.1.1.1 ")
    )
    check_restored(data)
    body = data[data.index(b"\x08\0\x16\0") :]
    wrapped = wrap(data, Stored())
    verify_wrapped(wrapped, data)
    unwrapped = unwrap(wrapped)
    assert unwrapped.endswith(body)
    meta = pydicom.dcmread(io.BytesIO(unwrapped), stop_before_pixels=True).file_meta
    assert meta.MediaStorageSOPInstanceUID == "1.2.3.4"
    assert meta.MediaStorageSOPClassUID == "1.2.840.10008.5.1.4.1.1.1"


def test_a_changed_instance_is_told_whatever_its_uid_was() -> None:
    data = dicom_by_hand((0x00080018, "UN", b"1.2.3.4 "), (0x00282112, "DS", b"no ratio"))
    image = replace(decode(data), losses=(Loss("XRC_LATTICE", 2.0, 3),))
    ds = pydicom.dcmread(io.BytesIO(to_file(to_data_set(image))))
    assert ds.SourceImageSequence[0].ReferencedSOPInstanceUID == "1.2.3.4"
    assert ds.SOPInstanceUID.startswith("2.25.")
    assert ds.SOPInstanceUID == ds.file_meta.MediaStorageSOPInstanceUID
    assert ds.LossyImageCompressionRatio == ["", 2]


class TestVerify:
    """A stream whose data set no file can be written of is not verified."""

    pixels = random_pixels((3, 5), 12)

    @pytest.mark.parametrize(
        "image",
        [
            XRay(pixels, 12, dicom=b"\x10\0\x10\0PN\xff\0Doe^Jane"),
            XRay(pixels, 12, dicom=b"", dicom_file=DicomFile(b"\2\0\x16\0AE\xff\0Doe^Jane")),
            XRay(pixels, 12, dicom=b"", dicom_file=DicomFile(b"\x10\0\x10\0PN\x08\0Doe^Jane")),
        ],
        ids=["data set", "file meta", "other group"],
    )
    def test_what_cannot_be_restored(self, image: XRay) -> None:
        stream = compress(image, Stored())
        for original in (None, image):
            with pytest.raises(CorruptError, match="no DICOM file can be written") as caught:
                verify(stream, original=original)
            assert SECRET.decode() not in str(caught.value)

    def test_losses_count_as_well(self) -> None:
        sequence = encoded_element(0x00089215, "SQ", b"Doe^Jane", EXPLICIT_LITTLE)
        image = XRay(self.pixels, 12, dicom=sequence)
        assert verify(compress(image, Stored())).identical
        lossy = replace(image, losses=(Loss("XRC_LATTICE", 2.0, 3),))
        with pytest.raises(CorruptError, match="no DICOM file can be written") as caught:
            verify(compress(lossy, Stored()))
        assert SECRET.decode() not in str(caught.value)


def mutated(data: bytes, chance: random.Random, start: int, end: int) -> bytes:
    """A copy with one to three small changes between two bytes."""
    changed = bytearray(data)
    for _ in range(chance.choice((1, 1, 2, 3))):
        place = chance.randrange(start, end)
        noise = bytes(chance.randrange(256) for _ in range(chance.choice((1, 2, 4, 8))))
        kind = chance.randrange(6)
        if kind == 0:
            changed[place] ^= 1 << chance.randrange(8)
        elif kind == 1:
            changed[place : place + len(noise)] = noise
        elif kind == 2:
            changed[place : place + 2] = chance.choice((b"UN", b"SQ", b"US", b"FD", b"UI", b"ZZ"))
        elif kind == 3:
            changed[place : place + 4] = chance.choice((b"\xff" * 4, b"\xfe\xff\x0d\xe0", bytes(4)))
        elif kind == 4:
            del changed[place : place + len(noise)]
        else:
            changed[place:place] = noise
    return bytes(changed)


@pytest.mark.parametrize("syntax", [EXPLICIT_LITTLE, IMPLICIT_LITTLE, EXPLICIT_BIG])
@pytest.mark.parametrize("part", ["file meta", "data set"])
def test_what_is_accepted_comes_back(syntax: str, part: str) -> None:
    """Changes by chance, of a fixed seed. Some thousands of others were tried by hand."""
    nested = encoded_element(0x00100020, "LO", b"ID", syntax)
    head = b"\xff\xfe\xe0\0" if syntax == EXPLICIT_BIG else b"\xfe\xff\0\xe0"
    length = len(nested).to_bytes(4, "big" if syntax == EXPLICIT_BIG else "little")
    data = dicom_by_hand(
        (0x00082112, "SQ", head + length + nested),
        (0x00200013, "IS", b"1 "),
        (0x00280106, "US", b"\1\0"),
        (0x00500065, "UN", b"abcd"),
        transfer_syntax=syntax,
        meta=encoded_element(0x00020016, "AE", b"ACME", EXPLICIT_LITTLE)
        + encoded_element(0x00020102, "OB", b"\1\2", EXPLICIT_LITTLE),
    )
    body = data.index(b"\0\x08\0\x16" if syntax == EXPLICIT_BIG else b"\x08\0\x16\0")
    start, end = (132, body) if part == "file meta" else (body, len(data) - 40)
    chance = random.Random(f"{syntax} {part}")
    restored = 0
    for _ in range(60):
        changed = mutated(data, chance, start, end)
        try:
            decode(changed)
        except XrayCodecError:
            continue
        check_restored(changed)
        restored += 1
    assert restored >= 5


QUOTED = {
    "photometric interpretation": ((0x00280004, "CS", SECRET), "not a term of PS3.3"),
    "text for rows": ((0x00280010, "LO", SECRET), "Rows"),
    "numbers of another length": ((0x00280101, "US", SECRET + b"!"), "BitsStored"),
    "text for frames": ((0x00280008, "IS", SECRET), "NumberOfFrames"),
    "several frames": ((0x00280008, "IS", SECRET + b"\\1"), "NumberOfFrames"),
    "text for allocated bits": ((0x00280100, "DS", SECRET), "BitsAllocated"),
}


@pytest.mark.parametrize("case", QUOTED)
def test_messages_quote_no_values(case: str) -> None:
    element, message = QUOTED[case]
    data = dicom_by_hand(element)
    for reading in (decode, lambda changed: wrap(changed, Stored())):
        with pytest.raises(XrayCodecError, match=message) as caught:
            reading(data)
        assert "Doe" not in str(caught.value)


def test_messages_quote_no_transfer_syntax_that_is_no_uid() -> None:
    data = dicom_by_hand().replace(EXPLICIT_LITTLE.encode() + b"\0", SECRET + bytes(12))
    for reading in (decode, unwrap):
        with pytest.raises(XrayCodecError, match="transfer syntax") as caught:
            reading(data)
        assert "Doe" not in str(caught.value)
