"""JPEG XL and the JPEG family: what is accepted, and every rejection with its error."""

from __future__ import annotations

import imagecodecs
import numpy as np
import pytest
from files_building import (
    encode_frame,
    random_pixels,
    same,
)

from xraycodec.errors import (
    CorruptImageError,
    UnsupportedImageError,
)
from xraycodec.files import decode
from xraycodec.image import XRay
from xraycodec.limits import Limits

PIXELS = random_pixels((13, 17), 12)


BYTES = random_pixels((13, 17), 8)


class TestJpegXl:
    @pytest.mark.parametrize(
        "shape", [(8, 8), (256, 256), (1, 1), (9, 256), (257, 3), (120, 144), (3, 4), (48, 96)]
    )
    @pytest.mark.parametrize("container", [False, True])
    def test_header_of_any_size(self, shape, container):
        """Small sizes, sizes in eighths and sizes given by a ratio are coded differently."""
        pixels = np.zeros(shape, np.uint8)
        data = imagecodecs.jpegxl_encode(pixels, lossless=True, usecontainer=container)
        assert decode(data, limits=Limits(max_pixels=pixels.size)).pixels.shape == shape

    @pytest.mark.parametrize(
        ("array", "options", "message"),
        [
            (np.zeros((4, 5), np.float32), {"lossless": True}, "of floats"),
            (np.dstack([BYTES, BYTES, BYTES ^ 1]), {"lossless": True}, "in colour"),
            (np.dstack([BYTES, BYTES]), {"lossless": True}, "transparent"),
        ],
    )
    def test_kinds_that_are_not_served(self, array, options, message):
        with pytest.raises(UnsupportedImageError, match=message):
            decode(imagecodecs.jpegxl_encode(array, **options))

    def test_opaque_alpha(self):
        samples = np.dstack([BYTES, np.full_like(BYTES, 255)])
        assert same(decode(imagecodecs.jpegxl_encode(samples, lossless=True)), XRay(BYTES, 8))

    def test_an_extra_channel_is_no_frame(self):
        planes = np.stack([BYTES, BYTES])
        data = imagecodecs.jpegxl_encode(planes, lossless=True, planar=True, photometric="gray")
        with pytest.raises(UnsupportedImageError, match="JPEG XL: decoded to shape"):
            decode(data)

    @pytest.mark.parametrize(
        ("data", "message"),
        [
            (b"\xff\x0a", "ends inside its header"),
            (b"\x00\x00\x00\x0cJXL \r\n\x87\n", "no codestream box"),
            (b"\x00\x00\x00\x0cJXL \r\n\x87\n\x00\x00\x00\x03jxlc", "claims 3 bytes"),
            (b"\x00\x00\x00\x0cJXL \r\n\x87\n\x00\x00\x00\x0cjxlcabcd", "FF 0A"),
        ],
    )
    def test_damage(self, data, message):
        with pytest.raises(CorruptImageError, match=message):
            decode(data)


class TestJpegFamily:
    @pytest.mark.parametrize("family", ["jpeg", "jpegls", "jpeg2000", "htj2k"])
    @pytest.mark.parametrize("bits_stored", [8, 10, 12, 16])
    def test_lossless_codestreams(self, family, bits_stored):
        pixels = random_pixels((13, 17), bits_stored)
        assert same(decode(encode_frame(family, pixels, bits_stored)), _as_declared(family, pixels))

    @pytest.mark.parametrize("bits_stored", [8, 12, 16])
    @pytest.mark.parametrize("container", ["j2k", "jp2"])
    def test_signed_jpeg2000(self, bits_stored, container):
        pixels = random_pixels((5, 7), bits_stored, signed=True)
        data = imagecodecs.jpeg2k_encode(
            pixels, level=0, reversible=True, codecformat=container, bitspersample=bits_stored
        )
        assert same(decode(data), XRay(pixels, bits_stored))

    def test_gray_jpeg(self):
        data = imagecodecs.jpeg8_encode(BYTES, level=80)
        assert same(decode(data), XRay(imagecodecs.jpeg8_decode(data), 8))

    @pytest.mark.parametrize("encoder", ["jpeg8_encode", "jpeg2k_encode", "jpegls_encode"])
    def test_colour(self, encoder):
        data = getattr(imagecodecs, encoder)(np.zeros((4, 5, 3), np.uint8))
        with pytest.raises(UnsupportedImageError, match="3 components"):
            decode(data)

    def test_deep_samples(self):
        data = imagecodecs.jpeg2k_encode(
            np.zeros((4, 5), np.uint32), level=0, codecformat="j2k", bitspersample=20
        )
        with pytest.raises(UnsupportedImageError, match="20 bits"):
            decode(data)

    def test_palette(self):
        data = imagecodecs.jpeg2k_encode(BYTES, level=0, codecformat="jp2")
        assert b"colr" in data
        with pytest.raises(UnsupportedImageError, match="palette"):
            decode(data.replace(b"colr", b"pclr"))

    @pytest.mark.parametrize(
        ("data", "message"),
        [
            (b"\xff\xd8\xff\xe0\x00\x01", "claims 1 bytes"),
            (b"\xff\xd8\xff\xe0\x00\x04ab\x00\x00\x00\x00", "where a marker must begin"),
            (b"\xff\xd8\xff\xda\x00\x04ab", "no frame header"),
            (b"\xff\xd8\xff\xff\xff\xff", "end inside a segment"),
            (b"\xff\x4f\xff\x51" + bytes(20), "SOC and SIZ"),
            (b"\xff\x4f\xff\x51" + bytes(60), "SIZ gives"),
            (b"\x00\x00\x00\x0cjP  \r\n\x87\n", "no codestream box"),
            (b"\x00\x00\x00\x0cjP  \r\n\x87\n\x00\x00\x00\x02jp2h", "claims 2 bytes"),
        ],
    )
    def test_damaged_headers(self, data, message):
        with pytest.raises(CorruptImageError, match=message):
            decode(data)

    @pytest.mark.parametrize("cut", [300, 362, 440])
    def test_cut_jpegls_fails_at_once(self, cut):
        """CharLS spins for half a minute on some of these."""
        data = imagecodecs.jpegls_encode(PIXELS)
        with pytest.raises(CorruptImageError, match="end-of-image marker"):
            decode(data[:cut])


def _as_declared(family: str, pixels: np.ndarray) -> XRay:
    """What the codestream says its depth is; CharLS and OpenJPH are not told the bits stored."""
    told = family in ("jpeg", "jpeg2000")
    bits = int(pixels.max()).bit_length() if told else 8 * pixels.dtype.itemsize
    return XRay(pixels, bits)
