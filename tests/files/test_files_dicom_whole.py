"""What a DICOM file has beside its pixels: spare bits, file meta information, odd data sets."""

from __future__ import annotations

import io
from dataclasses import replace

import numpy as np
import pydicom
import pytest
from files_building import (
    DEFLATED,
    EXPLICIT_BIG,
    EXPLICIT_LITTLE,
    IMPLICIT_LITTLE,
    compressed_dicom,
    data_set,
    encode_frame,
    native_dicom,
    random_pixels,
    same,
    to_file,
)
from pydicom.dataset import Dataset

from xraycodec.errors import CorruptImageError, OptionError, UnsupportedImageError
from xraycodec.files import decode, encode
from xraycodec.files.dicom_writer import to_data_set
from xraycodec.files.dicom_writer import to_file as write_file
from xraycodec.image import DicomFile, SpareBits, XRay

NATIVE = (EXPLICIT_LITTLE, IMPLICIT_LITTLE, EXPLICIT_BIG, DEFLATED)
LAYOUTS = [(16, 12, 11), (16, 10, 15), (16, 12, 13), (8, 6, 7), (16, 8, 7), (16, 1, 0), (8, 7, 6)]


def cells_in(data: bytes, width: int) -> np.ndarray:
    return np.frombuffer(pydicom.dcmread(io.BytesIO(data)).PixelData, f"<u{width}")


class TestSpareBits:
    @pytest.mark.parametrize("transfer_syntax", NATIVE)
    @pytest.mark.parametrize("signed", [False, True])
    @pytest.mark.parametrize(("allocated", "stored", "high_bit"), LAYOUTS)
    def test_every_bit_of_every_cell_survives(
        self, transfer_syntax, signed, allocated, stored, high_bit
    ):
        width = allocated // 8
        kind = f"{'i' if signed else 'u'}{width}"
        cells = np.random.default_rng(2).integers(0, 1 << allocated, (2, 5, 7))
        cells = cells.astype(f"u{width}").view(kind)
        data = native_dicom(cells, stored, transfer_syntax, HighBit=high_bit)
        written = encode(decode(data), "dicom")
        assert np.array_equal(cells_in(written, width), cells.view(f"u{width}").ravel())
        ds = pydicom.dcmread(io.BytesIO(written))
        assert (ds.BitsAllocated, ds.BitsStored, ds.HighBit) == (allocated, stored, high_bit)

    def test_an_overlay_is_one_plane(self):
        values = random_pixels((5, 7), 12)
        overlay = np.arange(35).reshape(5, 7) % 3 == 0
        image = decode(native_dicom(values | overlay.astype(np.uint16) << 14, 12))
        assert image.spare_bits == SpareBits(0, 0x4000, np.packbits(overlay).tobytes())
        assert same(image, XRay(values, 12))

    def test_what_is_expected_takes_no_space(self):
        for signed in (False, True):
            values = random_pixels((5, 7), 12, signed=signed)
            assert decode(native_dicom(values, 12)).spare_bits is None

    def test_signs_that_are_not_repeated(self):
        values = random_pixels((5, 7), 12, signed=True)
        cells = (values.view(np.uint16) & 0x0FFF).view(np.int16)
        image = decode(native_dicom(cells, 12))
        assert image.spare_bits == SpareBits(0, 0, b"")
        assert same(image, XRay(values, 12))
        assert np.array_equal(cells_in(encode(image, "dicom"), 2), cells.view(np.uint16).ravel())

    def test_an_overlay_above_a_sign_follows_other_pixels(self):
        """In a lossy image signs change, and the bits that repeat them have to as well."""
        values = random_pixels((5, 7), 12, signed=True)
        overlay = (np.arange(35).reshape(5, 7) % 3 == 0).astype(np.uint16) << 15
        cells = (values.view(np.uint16) & 0x7FFF | overlay).view(np.int16)
        image = decode(native_dicom(cells, 12))
        assert image.spare_bits is not None
        assert image.spare_bits.sign_bits == 0x7000
        other = replace(image, pixels=np.roll(values, 3))
        expected = np.roll(values, 3).view(np.uint16) & 0x7FFF | overlay
        assert np.array_equal(cells_in(encode(other, "dicom"), 2), expected.ravel())

    def test_inside_a_codestream(self):
        values = random_pixels((5, 7), 12)
        cells = values | 0x8000
        frame = encode_frame("jpeg2000", cells, 16)
        image = decode(compressed_dicom([frame], cells, 12, "1.2.840.10008.1.2.4.90"))
        assert np.array_equal(cells_in(encode(image, "dicom"), 2), cells.ravel())

    def test_they_must_lie_around_the_stored_bits(self):
        image = decode(native_dicom(random_pixels((4, 4), 12), 12))
        for mask in (0x0800, 0x0001):
            wrong = replace(image, spare_bits=SpareBits(0, mask, bytes(2)))
            with pytest.raises(CorruptImageError, match="do not lie around the 12 bits stored"):
                encode(wrong, "dicom")

    def test_an_image_refuses_those_that_cannot_be(self):
        pixels = random_pixels((4, 4), 12)
        for sign, planes, data, message in (
            (0x1000, 0, b"", "repeat the sign of unsigned"),
            (0, 0xF800, bytes(10), "5 spare bits around 12 bits stored"),
            (0, 0x8000, bytes(3), "have 3 bytes; 16 pixels need 2"),
        ):
            with pytest.raises(UnsupportedImageError, match=message):
                XRay(pixels, 12, spare_bits=SpareBits(sign, planes, data))
        with pytest.raises(UnsupportedImageError, match="none of them twice"):
            SpareBits(0x1000, 0x1000, b"")

    def test_other_pixels_have_none(self):
        """They are the source's cells': a crop has others."""
        image = decode(native_dicom(random_pixels((4, 4), 12) | 0x8000, 12))
        crop = XRay(image.pixels[:2].copy(), 12, dicom=image.dicom, dicom_file=image.dicom_file)
        assert same(decode(encode(crop, "dicom")), crop)


class TestFile:
    def file_with(self, **meta: object) -> bytes:
        ds = pydicom.dcmread(io.BytesIO(native_dicom(random_pixels((3, 5), 12), 12)))
        for keyword, value in meta.items():
            setattr(ds.file_meta, keyword, value)
        ds.preamble = b"II*\0" + bytes(124)
        stream = io.BytesIO()
        ds.save_as(stream, enforce_file_format=True)
        return stream.getvalue()

    def test_file_meta_and_preamble(self):
        data = self.file_with(
            SourceApplicationEntityTitle="MODALITY",
            PrivateInformationCreatorUID="1.2.3",
            PrivateInformation=b"\1\2",
        )
        result = pydicom.dcmread(io.BytesIO(encode(decode(data), "dicom")))
        assert result.preamble == b"II*\0" + bytes(124)
        assert result.file_meta.SourceApplicationEntityTitle == "MODALITY"
        assert result.file_meta.PrivateInformation == b"\1\2"
        assert result.file_meta.ImplementationVersionName.startswith("XRAYCODEC_")

    def test_identity_in_file_meta_alone_stays_there(self):
        ds = pydicom.dcmread(io.BytesIO(self.file_with()))
        del ds.SOPInstanceUID, ds.SOPClassUID
        stream = io.BytesIO()
        ds.save_as(stream)
        result = to_data_set(decode(stream.getvalue()))
        assert "SOPInstanceUID" not in result
        assert result.file_meta.MediaStorageSOPInstanceUID == "1.2.3.4"

    def test_damaged_file_meta_is_refused(self):
        image = decode(self.file_with())
        for meta in (b"\2\0\2\0UI\xff\0123", b"\x08\0\x05\0CS\x02\0AB"):
            with pytest.raises(CorruptImageError):
                encode(replace(image, dicom_file=DicomFile(meta)), "dicom")

    def test_a_preamble_has_128_bytes(self):
        with pytest.raises(UnsupportedImageError, match="has 3 bytes; it must have 128"):
            DicomFile(preamble=b"abc")

    def test_the_vr_and_the_tail_of_pixel_data(self):
        for vr, tail in (("OB", b"\0"), ("OW", b"\7"), ("OW", bytes(range(9)))):
            ds = data_set(random_pixels((3, 5), 8), 8)
            ds.add_new("PixelData", vr, random_pixels((3, 5), 8).tobytes() + tail)
            result = pydicom.dcmread(
                io.BytesIO(encode(decode(to_file(ds, EXPLICIT_LITTLE)), "dicom"))
            )
            assert result["PixelData"] == ds["PixelData"]

    def test_8_bits_stored_in_16(self):
        cells = random_pixels((3, 5), 8).astype(np.uint16)
        image = decode(native_dicom(cells, 8))
        narrow = replace(image, pixels=cells.astype(np.uint8))  # as the container gives them
        ds = pydicom.dcmread(io.BytesIO(encode(narrow, "dicom")))
        assert (ds.BitsAllocated, ds["PixelData"].VR, len(ds.PixelData)) == (16, "OW", 30)


class TestDataSet:
    @pytest.mark.parametrize("transfer_syntax", [EXPLICIT_LITTLE, IMPLICIT_LITTLE])
    def test_bytes_outside_of_the_character_set_survive(self, transfer_syntax):
        data = native_dicom(random_pixels((3, 5), 12), 12, transfer_syntax, PatientID="ABCDEF")
        broken = data.replace(b"ABCDEF", b"AB\xff\xfeEF").replace(b"ISO_IR 100", b"ISO_IR 192")
        assert broken.count(b"AB\xff\xfeEF") == 1
        assert b"AB\xff\xfeEF" in encode(decode(broken), "dicom")

    @pytest.mark.parametrize("transfer_syntax", NATIVE)
    def test_private_and_nested_elements(self, transfer_syntax):
        inner = Dataset()
        inner.SpecificCharacterSet = "ISO_IR 192"
        inner.PatientName = "Рентген^Анна"
        outer = Dataset()
        outer.ReferencedImageSequence = [inner, Dataset()]
        ds = data_set(random_pixels((3, 5), 12), 12)
        block = ds.private_block(0x0009, "XRAYCODEC TEST", create=True)
        block.add_new(0x01, "SQ", [outer])
        block.add_new(0x02, "LO", "private")
        block.add_new(0x03, "OB", b"\1\2\3\4")
        ds.SourceImageSequence = [outer]
        cells = random_pixels((3, 5), 12)
        big = transfer_syntax == EXPLICIT_BIG
        ds.add_new("PixelData", "OW", cells.astype(">u2" if big else "<u2").tobytes())
        data = to_file(ds, transfer_syntax)
        source = pydicom.dcmread(io.BytesIO(data))
        result = pydicom.dcmread(io.BytesIO(encode(decode(data), "dicom")))
        for element in source:
            if element.tag != 0x7FE00010:
                assert result[element.tag] == element
        assert len(result) == len(source)

    def test_group_lengths_are_left_out(self):
        ds = data_set(random_pixels((3, 5), 12), 12)
        ds.add_new("PixelData", "OW", random_pixels((3, 5), 12).tobytes())
        data = to_file(ds, EXPLICIT_LITTLE)
        place = data.index(b"\x08\x00\x05\x00CS")
        grouped = data[:place] + b"\x08\x00\x00\x00UL\x04\x00\x99\0\0\0" + data[place:]
        assert 0x00080000 in pydicom.dcmread(io.BytesIO(grouped))
        result = pydicom.dcmread(io.BytesIO(encode(decode(grouped), "dicom")))
        assert 0x00080000 not in result


def test_to_file_leaves_the_data_set_as_it_is():
    ds = to_data_set(XRay(random_pixels((3, 5), 12), 12))
    before = ds.to_json(), ds.file_meta.to_json()
    for syntax in (EXPLICIT_LITTLE, IMPLICIT_LITTLE, DEFLATED):
        result = pydicom.dcmread(io.BytesIO(write_file(ds, syntax)))
        assert result.file_meta.TransferSyntaxUID == syntax
        assert np.array_equal(result.pixel_array, random_pixels((3, 5), 12))
    assert (ds.to_json(), ds.file_meta.to_json()) == before
    with pytest.raises(OptionError, match="Big Endian is retired"):
        write_file(ds, EXPLICIT_BIG)
