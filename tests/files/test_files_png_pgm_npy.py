"""PNG, PGM and NPY: what is accepted, and every rejection with its error."""

from __future__ import annotations

import io

import imagecodecs
import numpy as np
import pytest
from files_building import (
    png,
    random_pixels,
    same,
)

from xraycodec.errors import (
    CorruptImageError,
    LimitError,
    OptionError,
    UnsupportedImageError,
)
from xraycodec.files import decode, encode
from xraycodec.image import XRay

PIXELS = random_pixels((13, 17), 12)


BYTES = random_pixels((13, 17), 8)


def npy(array: np.ndarray, version: tuple[int, int] | None = None) -> bytes:
    stream = io.BytesIO()
    np.lib.format.write_array(stream, array, version=version)
    return stream.getvalue()


class TestPng:
    @pytest.mark.parametrize(("depth", "packed"), [(1, 0b10110001), (2, 0b10110001), (4, 0xB1)])
    def test_small_depths_keep_their_values(self, depth, packed):
        columns = 8 // depth
        image = decode(png(1, columns, depth, 0, bytes([0, packed])))
        mask = (1 << depth) - 1
        values = [packed >> shift & mask for shift in range(8 - depth, -1, -depth)]
        assert image.pixels.tolist() == [values]
        assert image.bits_stored == depth

    @pytest.mark.parametrize("channels", [2, 3, 4])
    @pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
    def test_equal_opaque_channels_are_gray(self, channels, dtype):
        pixels = random_pixels((5, 7), 8 * np.dtype(dtype).itemsize)
        samples = np.repeat(pixels[..., None], channels, axis=2)
        if channels in (2, 4):
            samples[..., -1] = np.iinfo(dtype).max
        image = decode(imagecodecs.png_encode(samples))
        assert same(image, XRay(pixels, 8 * pixels.dtype.itemsize))

    def test_colour(self):
        samples = np.repeat(BYTES[..., None], 3, axis=2)
        for channel in range(3):
            coloured = samples.copy()
            coloured[2, 3, channel] ^= 1
            with pytest.raises(UnsupportedImageError, match="in colour"):
                decode(imagecodecs.png_encode(coloured))

    @pytest.mark.parametrize("channels", [2, 4])
    def test_transparency(self, channels):
        samples = np.full((5, 7, channels), 255, np.uint8)
        samples[2, 3, -1] = 254
        with pytest.raises(UnsupportedImageError, match="transparent"):
            decode(imagecodecs.png_encode(samples))

    def test_animation(self):
        data = png(1, 1, 8, 0, b"\0\0", (b"acTL", bytes(8)))
        with pytest.raises(UnsupportedImageError, match="animated"):
            decode(data)

    def test_significant_bits_never_change_samples(self):
        scaled = png(1, 2, 8, 0, bytes([0, 0x10, 0xF0]), (b"sBIT", b"\x04"))
        assert same(decode(scaled), XRay(np.array([[0x10, 0xF0]], np.uint8), 8))
        plain = png(1, 2, 8, 0, bytes([0, 0x01, 0x0F]), (b"sBIT", b"\x04"))
        assert same(decode(plain), XRay(np.array([[0x01, 0x0F]], np.uint8), 4))

    def test_values_are_written_as_they_are(self):
        data = encode(XRay(PIXELS, 12), "png")
        assert np.array_equal(imagecodecs.png_decode(data), PIXELS)
        assert b"sBIT\x0c" in data

    def test_damage(self):
        data = encode(XRay(PIXELS, 12), "png")
        for damaged, message in (
            (data[:100], "end inside the chunk"),
            (data[:60] + bytes([data[60] ^ 1]) + data[61:], "checksum of chunk"),
            (data[:8] + data[33:], "first chunk is not an IHDR"),
            (png(0, 3, 8, 0, b""), "0 rows"),
            (png(3, 3, 8, 0, b""), "PNG"),
        ):
            with pytest.raises(CorruptImageError, match=message):
                decode(damaged)


class TestPgm:
    @pytest.mark.parametrize(
        ("data", "pixels", "bits_stored"),
        [
            (b"P5 2 1 255\n\x01\x02", [[1, 2]], 8),
            (b"P5 2 1 255\n\x01\x02\n", [[1, 2]], 8),
            (b"P5\n# a comment\n2 #another\n 1\r\n4095 \x01\x02\x03\x04", [[258, 772]], 12),
            (b"P5 2 1 256\n\x01\x00\x00\x01", [[256, 1]], 9),
            (b"P5 1 1 3\n\x0a", None, None),
            (b"P5 1 1 15\n\x0a", [[10]], 4),
            (b"P5 1 1 1\n\x01", [[1]], 1),
            (b"P2 2 2 1000\n0 1\n  999 1000", [[0, 1], [999, 1000]], 10),
            (b"P2\n#c\n2 1\n65535\n# c\n0 65535 # end\n", [[0, 65535]], 16),
        ],
    )
    def test_reads(self, data, pixels, bits_stored):
        if pixels is None:
            with pytest.raises(CorruptImageError, match="a pixel is 10"):
                decode(data)
            return
        image = decode(data)
        assert image.pixels.tolist() == pixels
        assert image.bits_stored == bits_stored

    @pytest.mark.parametrize(
        ("data", "error", "message"),
        [
            (b"P5 2 1 65536\n\x01\x02", CorruptImageError, "maxval is 65536"),
            (b"P5 2 1 0\n\x01\x02", CorruptImageError, "maxval is 0"),
            (b"P5 0 1 255\n", CorruptImageError, "0 columns"),
            (b"P5 2 x 255\n\x01\x02", CorruptImageError, "the header"),
            (b"P5 2", CorruptImageError, "the header"),
            (b"P5 -2 1 255\n\x01\x02", CorruptImageError, "the header"),
            (b"P5 2 1 255\n\x01", CorruptImageError, "1 bytes of pixels"),
            (b"P5 2 1 255\n\x01\x02P5 2 1 255\n\x01\x02", UnsupportedImageError, "one image"),
            (b"P5 99999 99999 255\n", LimitError, "the limit"),
            (b"P2 2 1 255\n1", CorruptImageError, "need more"),
            (b"P2 2 1 255\n1   ", CorruptImageError, "1 plain pixels"),
            (b"P2 2 1 255\n1 2 3", CorruptImageError, "3 plain pixels"),
            (b"P2 2 1 255\n1 -2", CorruptImageError, "decimal numbers"),
            (b"P2 2 1 255\n1 123456", CorruptImageError, "decimal numbers"),
            (b"P2 2 1 255\n1 256", CorruptImageError, "a pixel is 256"),
        ],
    )
    def test_rejected(self, data, error, message):
        with pytest.raises(error, match=message):
            decode(data)

    def test_maxval_carries_the_bits_stored(self):
        assert encode(XRay(PIXELS, 12), "pgm").startswith(b"P5\n17 13\n4095\n")

    def test_signed_and_frames(self):
        for kind in ("pgm", "png"):
            with pytest.raises(OptionError, match="signed"):
                encode(XRay(random_pixels((3, 5), 8, signed=True), 8), kind)
            with pytest.raises(OptionError, match="2 frames"):
                encode(XRay(random_pixels((2, 3, 5), 8), 8), kind)


class TestNpy:
    @pytest.mark.parametrize("dtype", ["u1", "i1", "<u2", ">u2", "<i2", ">i2"])
    @pytest.mark.parametrize("order", ["C", "F"])
    @pytest.mark.parametrize("version", [(1, 0), (2, 0)])
    def test_byte_and_array_orders(self, dtype, order, version):
        pixels = np.asarray(random_pixels((3, 5, 7), 7), dtype, order=order)
        image = decode(npy(pixels, version))
        assert np.array_equal(image.pixels, pixels)
        assert image.pixels.dtype.isnative
        assert image.bits_stored == 8 * pixels.dtype.itemsize

    @pytest.mark.parametrize(
        ("array", "message"),
        [
            (np.zeros((3, 5), np.float32), "float32"),
            (np.zeros((3, 5), bool), "bool"),
            (np.zeros((3, 5), np.uint32), "uint32"),
            (np.zeros((3, 5), np.int64), "int64"),
            (np.zeros((3, 5), complex), "complex128"),
            (np.zeros(5, np.uint8), "shape"),
            (np.zeros((2, 3, 4, 5), np.uint8), "shape"),
            (np.zeros((9, 8, 3), np.uint8), "colour"),
            (np.zeros((3, 5), [("a", "u1")]), "void8"),
        ],
    )
    def test_kinds_that_are_not_served(self, array, message):
        with pytest.raises(UnsupportedImageError, match=message):
            decode(npy(array))

    def test_pickles_are_not_opened(self):
        stream = io.BytesIO()
        np.save(stream, np.array([[print]], dtype=object), allow_pickle=True)
        with pytest.raises(UnsupportedImageError, match="object"):
            decode(stream.getvalue())

    @pytest.mark.parametrize(
        ("change", "error", "message"),
        [
            (lambda data: data[:-1], CorruptImageError, "bytes of elements"),
            (lambda data: data + b"\0", CorruptImageError, "bytes of elements"),
            (lambda data: data.replace(b"(13, 17)", b"(13, 0) "), CorruptImageError, "0 columns"),
            (lambda data: data.replace(b"(13, 17)", b"(-13,-17"), CorruptImageError, "NPY"),
            (
                lambda data: data.replace(b"(13, 17), }      ", b"(99999, 99999), }"),
                LimitError,
                "limit",
            ),
            (lambda data: data[:6] + b"\x03\x00" + data[8:], UnsupportedImageError, "version"),
            (lambda data: data[:7], CorruptImageError, "NPY"),
        ],
    )
    def test_rejected(self, change, error, message):
        with pytest.raises(error, match=message):
            decode(change(encode(XRay(PIXELS, 12), "npy")))

    def test_monochrome1(self):
        for kind in ("npy", "jpegxl"):
            with pytest.raises(OptionError, match="no place for MONOCHROME1"):
                encode(XRay(PIXELS, 12, "MONOCHROME1"), kind)
