"""What files say besides what is kept of them."""

from __future__ import annotations

import io
import struct
import zlib

import imagecodecs
import numpy as np
import pytest
from files_building import native_dicom, random_pixels, same
from PIL import Image, PngImagePlugin

from xraycodec.files import decode, encode
from xraycodec.files.left_out import left_out
from xraycodec.image import XRay

PIXELS = random_pixels((13, 17), 12)
BYTES = random_pixels((13, 17), 8)


def names(data: bytes) -> tuple[str, ...]:
    return left_out(data, decode(data))


def saved(pixels: np.ndarray, format_name: str, **options) -> bytes:
    stream = io.BytesIO()
    Image.fromarray(pixels).save(stream, format_name, **options)
    return stream.getvalue()


def png_with(pixels: np.ndarray, *chunks: tuple[bytes, bytes]) -> bytes:
    data = imagecodecs.png_encode(pixels)
    more = b"".join(
        struct.pack(">I4s", len(body), kind) + body + struct.pack(">I", zlib.crc32(kind + body))
        for kind, body in chunks
    )
    return data[:33] + more + data[33:]


@pytest.mark.parametrize(
    ("format_name", "photometric"),
    [(name, "MONOCHROME2") for name in ("png", "tiff", "pgm", "npy", "jpegxl")]
    + [(name, "MONOCHROME1") for name in ("png", "tiff", "pgm")],
)
@pytest.mark.parametrize("bits", [12, 16])
def test_our_own_files_say_nothing_else(format_name, photometric, bits):
    image = XRay(PIXELS, bits, photometric)
    assert names(encode(image, format_name)) == ()


def test_dicom_is_kept_whole():
    assert names(native_dicom(PIXELS, 12)) == ()


class TestPng:
    def test_samples_that_were_scaled_up_keep_their_values(self):
        """12 bits spread over 16 as the standard asks: the high bits repeated in the low ones."""
        scaled = PIXELS << 4 | PIXELS >> 8
        data = png_with(scaled, (b"sBIT", bytes([12])), (b"pHYs", struct.pack(">IIB", 7, 7, 1)))
        assert same(decode(data), XRay(scaled, 16))
        assert names(data) == ("sBIT", "pHYs")

    def test_bits_that_are_kept(self):
        data = png_with(PIXELS, (b"sBIT", bytes([12])))
        assert same(decode(data), XRay(PIXELS, 12))
        assert names(data) == ()
        assert names(png_with(PIXELS, (b"sBIT", b""))) == ("sBIT",)

    def test_text_and_colour(self):
        text = PngImagePlugin.PngInfo()
        text.add_text("Title", "chest")
        text.add_itxt("Author", "someone")
        assert names(saved(BYTES, "PNG", pnginfo=text, dpi=(200, 200))) == ("tEXt", "iTXt", "pHYs")


class TestTiff:
    @pytest.mark.parametrize("compression", [None, "tiff_lzw", "jpeg"])
    def test_tags(self, compression):
        plain = saved(BYTES, "TIFF", compression=compression)
        assert names(plain) == ()
        more = saved(
            BYTES, "TIFF", compression=compression, dpi=(200, 200), description="chest",
            tiffinfo={65000: "ours"},
        )  # fmt: skip
        found = names(more)
        expected = ("ImageDescription", "XResolution", "YResolution", "ResolutionUnit", "tag 65000")
        assert found == expected

    @pytest.mark.parametrize("options", [{}, {"bigtiff": True}, {"byteorder": ">"}])
    def test_every_page(self, options):
        first = imagecodecs.tiff_encode(PIXELS, **options)
        both = imagecodecs.tiff_encode(PIXELS, appendto=first, software="x", **options)
        assert "Software" in names(both)


class TestJpeg:
    def test_segments(self):
        assert names(saved(BYTES, "JPEG")) == ()
        found = names(saved(BYTES, "JPEG", dpi=(200, 200), comment=b"chest", exif=b"Exif\0\0MM"))
        assert found == ("APP0", "APP1", "COM")

    def test_jpeg_ls(self):
        assert names(imagecodecs.jpegls_encode(BYTES)) == ()


class TestBoxes:
    def test_jpeg_xl(self):
        codestream = imagecodecs.jpegxl_encode(BYTES, lossless=True, photometric="gray")
        signature = b"\0\0\0\x0cJXL \r\n\x87\n"
        file_type = b"\0\0\0\x14ftypjxl \0\0\0\0jxl "
        assert codestream[:2] == b"\xff\x0a"
        whole = signature + file_type + struct.pack(">I4s", 8 + len(codestream), b"jxlc")
        whole += codestream
        assert names(whole) == ()
        assert names(whole + b"\0\0\0\x0cExif\0\0\0\0") == ("Exif",)
        assert names(codestream) == ()

    def test_jp2(self):
        data = imagecodecs.jpeg2k_encode(BYTES, reversible=True, codecformat="jp2")
        assert names(data) == ()
        at = data.index(b"jp2h") - 4
        (length,) = struct.unpack_from(">I", data, at)
        box = b"\0\0\0\x08res " + b""
        grown = data[:at] + struct.pack(">I", length + 8) + data[at + 4 : at + length] + box
        xml = b"\0\0\0\x0bxml <a>"
        assert names(grown + xml + data[at + length :]) == ("res", "xml")


def test_pgm_comments():
    data = encode(XRay(PIXELS, 12), "pgm")
    assert names(data.replace(b"P5\n", b"P5\n# chest\n")) == ("comment",)
