"""DICOM frames that few writers make: padded RLE, boxed JPEG 2000, deflate, GE's byte order."""

from __future__ import annotations

import io
import struct
import zlib

import imagecodecs
import numpy as np
import pydicom
import pytest
from files_building import (
    EXPLICIT_LITTLE,
    IMPLICIT_LITTLE,
    RLE,
    compressed_dicom,
    encode_frame,
    native_dicom,
    random_pixels,
    same,
)

from xraycodec.dicom.transcode import read, transcode
from xraycodec.errors import CorruptImageError, UnsupportedImageError
from xraycodec.files import decode, encode
from xraycodec.image import XRay

_JPEG = "1.2.840.10008.1.2.4."
_DEFLATED_FRAMES = "1.2.840.10008.1.2.8.1"
_GE = "1.2.840.113619.5.2"
_CELLS = random_pixels((3, 20, 24), 12)
_RLE_FRAME = encode_frame("rle", _CELLS[0], 12)


class TestRle:
    @pytest.mark.parametrize("extra", [b"\0x", b"\0\0", b"\x02abc", b"\xfea" + b"\0\0"])
    @pytest.mark.parametrize("plane", [0, 1])
    def test_padding_that_decodes_to_pixels(self, extra, plane):
        frame = _RLE_FRAME
        count, first, second = struct.unpack_from("<3I", frame)
        segments = [frame[first:second], frame[second:]]
        segments[plane] += extra
        header = struct.pack("<3I", count, 64, 64 + len(segments[0])).ljust(64, b"\0")
        data = compressed_dicom([header + b"".join(segments)], _CELLS[0], 12, RLE)
        assert same(decode(data), XRay(_CELLS[0], 12))

    def test_a_run_beyond_the_last_pixel(self):
        """Its control byte is damaged, or one before it: no run ends where the pixels do."""
        cells = np.zeros((5, 7), np.uint8)
        segment = bytes([257 - 34, 0, 257 - 2, 0])
        frame = struct.pack("<2I", 1, 64).ljust(64, b"\0") + segment
        with pytest.raises(CorruptImageError, match="decodes to 36 bytes"):
            decode(compressed_dicom([frame], cells, 8, RLE))

    def test_more_than_padding(self):
        frame = _RLE_FRAME + b"\0x" * 40
        with pytest.raises(CorruptImageError, match=r"decodes to|packbits"):
            decode(compressed_dicom([frame], _CELLS[0], 12, RLE))


class TestJpeg2000:
    @pytest.mark.parametrize("brand", [b"jp2 ", b"jpx ", b"jph "])
    @pytest.mark.parametrize("uid", ["90", "91", "201"])
    def test_boxes_around_a_frame(self, brand, uid):
        cells = _CELLS[0]
        boxed = imagecodecs.jpeg2k_encode(
            cells, level=0, codecformat="jp2", reversible=True, bitspersample=12
        )
        assert boxed.count(b"ftypjp2 ") == 1
        boxed = boxed.replace(b"ftypjp2 ", b"ftyp" + brand)
        data = compressed_dicom([boxed], cells, 12, _JPEG + uid)
        assert same(decode(data), XRay(cells, 12))
        written = pydicom.dcmread(io.BytesIO(transcode(read(data), "jpeg2000").data))
        assert written.PixelData[8 + 4 + 8 :].startswith(b"\xff\x4f\xff\x51")

    def test_loss_is_told_through_boxes(self):
        boxed = imagecodecs.jpeg2k_encode(
            _CELLS[0], level=60, codecformat="jp2", reversible=False, bitspersample=12
        )
        image = decode(compressed_dicom([boxed], _CELLS[0], 12, _JPEG + "91"))
        assert b"ISO_15444_1" in image.dicom


class TestDeflatedFrames:
    @pytest.mark.parametrize(("bits", "shape"), [(12, (2, 5, 7)), (8, (3, 5, 7)), (8, (1, 4, 4))])
    @pytest.mark.parametrize("signed", [False, True])
    def test_frames(self, bits, shape, signed):
        cells = random_pixels(shape, bits, signed=signed)
        frames = [_deflate(cell.tobytes()) for cell in cells]
        data = compressed_dicom(frames, cells, bits, _DEFLATED_FRAMES)
        assert same(decode(data), XRay(cells, bits))
        assert same(decode(transcode(read(data), "rle").data), XRay(cells, bits))

    def test_bits_around_those_stored(self):
        cells = random_pixels((5, 7), 12) | 0x8000
        data = compressed_dicom([_deflate(cells.tobytes())], cells, 12, _DEFLATED_FRAMES)
        assert (
            pydicom.dcmread(io.BytesIO(encode(decode(data), "dicom"))).PixelData == cells.tobytes()
        )

    @pytest.mark.parametrize(
        ("frame", "message"),
        [
            (zlib.compress(bytes(70)), "DICOM: |frame 0"),
            (bytes(10), "does not end|frame 0"),
        ],
    )
    def test_other_data(self, frame, message):
        with pytest.raises(CorruptImageError, match=message):
            decode(compressed_dicom([frame], random_pixels((5, 7), 12), 12, _DEFLATED_FRAMES))

    def test_cut_short_and_another_size(self):
        cells = random_pixels((5, 7), 12)
        whole = _deflate(cells.tobytes())
        for frame, message in (
            (whole[:-4], "does not end after"),
            (_deflate(bytes(68)), "holds 68 bytes; 5 rows x 7 columns need 70"),
            (_deflate(bytes(71)), "holds 71 bytes"),
            (_deflate(bytes(1 << 24)), "does not end after 72 bytes"),
        ):
            with pytest.raises(CorruptImageError, match=message):
                decode(compressed_dicom([frame], cells, 12, _DEFLATED_FRAMES))


def _deflate(data: bytes) -> bytes:
    deflater = zlib.compressobj(wbits=-zlib.MAX_WBITS)
    return deflater.compress(data) + deflater.flush()


class TestBigEndianPixelsOfGe:
    def file(self, cells: np.ndarray, bits: int) -> bytes:
        """Implicit VR Little Endian, the words of Pixel Data swapped."""
        data = native_dicom(cells, bits, IMPLICIT_LITTLE, vr="OW")
        uid = b"\x02\x00\x10\x00UI\x12\x00"
        data = data.replace(uid + IMPLICIT_LITTLE.encode() + b"\0", uid + _GE.encode())
        pixels = cells.tobytes() + b"\0" * (cells.nbytes % 2)
        assert data.endswith(pixels)
        return data[: -len(pixels)] + np.frombuffer(pixels, "u2").byteswap().tobytes()

    @pytest.mark.parametrize(("bits", "shape"), [(12, (5, 7)), (16, (2, 5, 7)), (8, (5, 7))])
    @pytest.mark.parametrize("signed", [False, True])
    def test_pixels(self, bits, shape, signed):
        cells = random_pixels(shape, bits, signed=signed)
        data = self.file(cells, bits)
        assert same(decode(data), XRay(cells, bits))
        for written in (encode(decode(data), "dicom"), transcode(read(data), "implicit").data):
            ds = pydicom.dcmread(io.BytesIO(written))
            assert np.array_equal(ds.pixel_array, cells)
            assert ds.PatientName == "Röntgen^Anna Bertha"

    def test_explicit_data_sets(self):
        cells = random_pixels((5, 7), 12)
        data = native_dicom(cells, 12)
        uid = b"\x02\x00\x10\x00UI"
        data = data.replace(
            uid + b"\x14\0" + EXPLICIT_LITTLE.encode() + b"\0", uid + b"\x12\0" + _GE.encode()
        )
        with pytest.raises(UnsupportedImageError, match="is not supported with explicit VR"):
            decode(data)
