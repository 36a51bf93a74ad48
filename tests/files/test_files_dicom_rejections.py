"""DICOM: every rejection with its error."""

from __future__ import annotations

import io
import warnings

import imagecodecs
import numpy as np
import pytest
from files_building import (
    EXPLICIT_LITTLE,
    RLE,
    compressed_dicom,
    data_set,
    encode_frame,
    native_dicom,
    random_pixels,
    to_file,
)
from pydicom import dcmread
from pydicom.encaps import encapsulate
from pydicom.filewriter import write_file_meta_info

from xraycodec.errors import CorruptImageError, UnsupportedImageError
from xraycodec.files import decode

_JPEG = "1.2.840.10008.1.2.4."


REJECTED = {
    "no rows": ({"Rows": 0}, CorruptImageError, "0 rows"),
    "rows missing": ({"Rows": None}, CorruptImageError, "Rows is missing"),
    "negative frames": ({"NumberOfFrames": -1}, CorruptImageError, "-1 frame"),
    "too many frames": ({"NumberOfFrames": 2}, CorruptImageError, "need 60"),
    "pixels too short": ({"Columns": 6}, CorruptImageError, "holds 30 bytes"),
    "a frame too much": ({"Rows": 1}, CorruptImageError, "3 frames"),
    "17 bits stored": ({"BitsStored": 17}, CorruptImageError, "Bits Stored is 17"),
    "0 bits stored": ({"BitsStored": 0}, CorruptImageError, "Bits Stored is 0"),
    "bits stored missing": ({"BitsStored": None}, CorruptImageError, "BitsStored is missing"),
    "high bit too low": ({"HighBit": 4}, CorruptImageError, "High Bit is 4"),
    "high bit too high": ({"HighBit": 16}, CorruptImageError, "High Bit is 16"),
    "sign": ({"PixelRepresentation": 2}, CorruptImageError, "Pixel Representation is 2"),
    "two rows": ({"Rows": [3, 3]}, CorruptImageError, "Rows is"),
    "no photometric": ({"PhotometricInterpretation": None}, CorruptImageError, "missing"),
    "1 bit": ({"BitsAllocated": 1, "BitsStored": 1}, UnsupportedImageError, "Allocated is 1;"),
    "32 bits": ({"BitsAllocated": 32}, UnsupportedImageError, "Bits Allocated is 32"),
    "RGB": (
        {"PhotometricInterpretation": "RGB", "SamplesPerPixel": 3, "PlanarConfiguration": 0},
        UnsupportedImageError,
        "RGB",
    ),
    "palette": (
        {"PhotometricInterpretation": "PALETTE COLOR"},
        UnsupportedImageError,
        "PALETTE COLOR",
    ),
    "YBR": (
        {"PhotometricInterpretation": "YBR_FULL_422", "SamplesPerPixel": 3},
        UnsupportedImageError,
        "YBR_FULL_422",
    ),
}


@pytest.mark.parametrize("case", REJECTED)
def test_rejected(case):
    elements, error, message = REJECTED[case]
    data = native_dicom(random_pixels((3, 5), 12), 12, **elements)
    with pytest.raises(error, match=message):
        decode(data)


def test_float_pixel_data_are_rejected():
    ds = data_set(random_pixels((3, 5), 12), 12)
    ds.FloatPixelData = np.zeros(15, "<f4").tobytes()
    with pytest.raises(UnsupportedImageError, match="Float Pixel Data"):
        decode(to_file(ds, EXPLICIT_LITTLE))


@pytest.mark.parametrize("whole_meta", [False, True])
def test_a_file_that_ends_with_its_meta_information_is_damaged(whole_meta):
    data = to_file(data_set(np.zeros((4, 4), "u1"), 8), EXPLICIT_LITTLE)
    group_length = int.from_bytes(data[140:144], "little")
    with pytest.raises(CorruptImageError, match="the data set is empty"):
        decode(data[: 144 + group_length if whole_meta else 132])


def test_empty_pixel_data_are_rejected():
    ds = data_set(random_pixels((3, 5), 12), 12)
    ds.add_new("PixelData", "OW", b"")
    with pytest.raises(CorruptImageError, match="Pixel Data is empty"):
        decode(to_file(ds, EXPLICIT_LITTLE))


def test_objects_without_pixels_are_rejected():
    with pytest.raises(UnsupportedImageError, match="no Pixel Data"):
        decode(to_file(data_set(random_pixels((3, 5), 12), 12), EXPLICIT_LITTLE))


@pytest.mark.parametrize("length", [0, 0xFFFFFFFF], ids=["defined", "undefined"])
def test_empty_pixel_data(length):
    uid = EXPLICIT_LITTLE if length == 0 else _JPEG + "80"
    data = to_file(data_set(random_pixels((3, 5), 12), 12), uid)
    data += b"\xe0\x7f\x10\x00OB\0\0" + length.to_bytes(4, "little")
    data += b"\xfe\xff\xdd\xe0\0\0\0\0" if length else b""
    with pytest.raises(CorruptImageError, match=r"input: Pixel Data is empty$"):
        decode(data)


@pytest.mark.parametrize(
    ("uid", "message"),
    [
        ("1.3.46.670589.33.1.4.1", r"1\.4\.1 is not supported: it is private, of another maker;"),
        ("2.25.7", r"2\.25\.7 is not supported: it is private, of another maker; allowed are nat"),
        (_JPEG + "100", r"4\.100 is not supported: it is MPEG2 Main Profile / Main Level"),
        ("1.2.840.10008.1.2.77", "2.77 is not supported"),
        ("Test^Case", "the transfer syntax is no valid UID; allowed are native"),
    ],
)
@pytest.mark.parametrize("native", [True, False])
def test_transfer_syntaxes_that_are_not_supported(uid, message, native):
    """Whatever Pixel Data looks like, and whether or not the data set can be parsed."""
    cells = random_pixels((3, 5), 12)
    known = EXPLICIT_LITTLE if native else _JPEG + "80"
    frame = encode_frame("jpegls", cells, 12)
    data = native_dicom(cells, 12) if native else compressed_dicom([frame], cells, 12, known)
    meta = dcmread(io.BytesIO(data), stop_before_pixels=True).file_meta
    body = data[data.index(b"\x08\0\x05\0CS") :]
    stream = io.BytesIO()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # pydicom knows what is no UID
        meta.TransferSyntaxUID = uid
        write_file_meta_info(stream, meta, enforce_standard=False)
    head = bytes(128) + b"DICM" + stream.getvalue()
    for whole in (head + body, head + body[:-30], head + b"\0" * 100):
        with pytest.raises(UnsupportedImageError, match=message) as raised:
            decode(whole)
        assert "Test^Case" not in str(raised.value)


class TestRejectedFrames:
    cells = random_pixels((3, 5), 12)
    frame = encode_frame("jpegls", cells, 12)

    def check(self, frames, cells, uid, message, error=CorruptImageError, **options):
        with pytest.raises(error, match=message):
            decode(compressed_dicom(frames, cells, 12, uid, **options))

    def test_unknown_transfer_syntax(self):
        self.check([self.frame], self.cells, _JPEG + "100", "not supported", UnsupportedImageError)

    def test_another_size(self):
        self.check([self.frame], random_pixels((3, 6), 12), _JPEG + "80", "3 rows x 5 columns")

    def test_more_bits_than_allocated(self):
        cells = random_pixels((3, 5), 8)
        with pytest.raises(CorruptImageError, match="allocates 8"):
            decode(compressed_dicom([self.frame], cells, 8, _JPEG + "80"))

    def test_another_codestream(self):
        self.check([self.frame], self.cells, _JPEG + "90", "needs ff 4f")

    def test_frames_missing(self):
        self.check([self.frame], self.cells, _JPEG + "80", "1 frames", NumberOfFrames=2)

    def test_colour_codestream(self):
        rgb = imagecodecs.jpeg8_encode(np.zeros((3, 5, 3), np.uint8))
        self.check([rgb], self.cells, _JPEG + "50", "3 components", UnsupportedImageError)

    def test_cut_codestream(self):
        for family, uid in (("jpegls", "80"), ("jpeg", "70"), ("jpeg2000", "90"), ("htj2k", "201")):
            frame = encode_frame(family, self.cells, 12)
            self.check([frame[: len(frame) - 6]], self.cells, _JPEG + uid, "frame 0")

    def test_rle_segments(self):
        frame = encode_frame("rle", self.cells, 12)
        for wrong, message in (
            (b"\x03" + frame[1:], "3 segments"),
            (frame[:4] + b"\xff\xff\xff\x7f" + frame[8:], "lies at bytes"),
            (frame[:-8], "segment 1"),
        ):
            self.check([wrong], self.cells, RLE, message)

    def test_native_pixels_under_a_compressed_transfer_syntax(self):
        data = native_dicom(self.cells, 12).replace(
            EXPLICIT_LITTLE.encode() + b"\0", b"1.2.840.10008.1.2.5\0"
        )
        with pytest.raises(CorruptImageError, match="native, which contradicts"):
            decode(data)

    def test_compressed_pixels_under_a_native_transfer_syntax(self):
        data = compressed_dicom([encode_frame("rle", self.cells, 12)], self.cells, 12, RLE)
        data = data.replace(RLE.encode() + b"\0", EXPLICIT_LITTLE.encode() + b"\0")
        with pytest.raises(CorruptImageError, match="encapsulated, which contradicts"):
            decode(data)

    def test_no_offset_table_item(self):
        data = compressed_dicom([self.frame], self.cells, 12, _JPEG + "80")
        value = encapsulate([self.frame])
        assert value in data
        with pytest.raises(CorruptImageError, match="item"):
            decode(data.replace(value, b"\xfe\xff\x01\xe0" + value[4:]))
