"""TIFF: what is accepted, and every rejection with its error."""

from __future__ import annotations

import struct

import imagecodecs
import numpy as np
import pytest
from files_building import (
    random_pixels,
    same,
)

from xraycodec.errors import (
    CorruptImageError,
    LimitError,
    UnsupportedImageError,
)
from xraycodec.files import decode, encode
from xraycodec.image import XRay

PIXELS = random_pixels((13, 17), 12)


class TestTiff:
    @pytest.mark.parametrize("byteorder", ["<", ">"])
    @pytest.mark.parametrize("bigtiff", [False, True])
    @pytest.mark.parametrize("compression", [None, "lzw", "deflate", "packbits", "zstd"])
    def test_foreign_writers(self, byteorder, bigtiff, compression):
        # libtiff swaps the caller's own pixels
        data = imagecodecs.tiff_encode(
            PIXELS.copy(), byteorder=byteorder, bigtiff=bigtiff, compression=compression
        )
        assert same(decode(data), XRay(PIXELS, 16))

    def test_tiles(self):
        data = imagecodecs.tiff_encode(PIXELS, tile=(16, 16), compression="deflate")
        assert same(decode(data), XRay(PIXELS, 16))

    @pytest.mark.parametrize("bits", [2, 4, 10, 12, 14])
    def test_packed_samples(self, bits):
        pixels = random_pixels((5, 7), bits)
        assert same(decode(imagecodecs.tiff_encode(pixels, bitspersample=bits)), XRay(pixels, bits))

    def test_bilevel(self):
        pixels = random_pixels((5, 7), 1)
        data = imagecodecs.tiff_encode(pixels.astype(bool))
        assert same(decode(data), XRay(pixels, 1))

    @pytest.mark.parametrize("signed", [False, True])
    @pytest.mark.parametrize("bits_stored", [8, 12])
    def test_other_readers_agree(self, signed, bits_stored):
        pixels = random_pixels((3, 5, 7), bits_stored, signed=signed)
        data = encode(XRay(pixels, bits_stored), "tiff")
        assert np.array_equal(imagecodecs.tiff_decode(data, index=None), pixels)

    def test_a_highest_value_that_is_no_full_range_says_nothing(self):
        data = encode(XRay(PIXELS, 12), "tiff")
        entry = struct.pack("<HHII", 281, 3, 1, 4095)
        assert entry in data
        for highest in (4000, 4096, 1023, 0):
            changed = data.replace(entry, struct.pack("<HHII", 281, 3, 1, highest))
            assert decode(changed).bits_stored == 16

    @pytest.mark.parametrize(
        ("array", "options", "message"),
        [
            (np.zeros((4, 5, 3), np.uint8), {"photometric": "rgb"}, "3 sample"),
            (np.zeros((4, 5), np.float32), {}, "sample format 3"),
            (np.zeros((4, 5), np.uint32), {}, "32 bits"),
        ],
    )
    def test_kinds_that_are_not_served(self, array, options, message):
        with pytest.raises(UnsupportedImageError, match=message):
            decode(imagecodecs.tiff_encode(array, **options))

    def changed(self, tag: int, value: int) -> bytes:
        """The test image with the value of one tag replaced."""
        data = bytearray(encode(XRay(PIXELS, 12), "tiff"))
        (directory,) = struct.unpack_from("<I", data, 4)
        for at in range(directory + 2, directory + 2 + 12 * 12, 12):
            if struct.unpack_from("<H", data, at)[0] == tag:
                struct.pack_into("<I", data, at + 8, value)
        return bytes(data)

    @pytest.mark.parametrize(
        ("tag", "value", "error", "message"),
        [
            (
                262,
                3,
                UnsupportedImageError,
                "page 0 is palette, 1 .* photometric interpretation 3;",
            ),
            (262, 32803, UnsupportedImageError, "not grayscale, .* interpretation 32803;"),
            (277, 2, UnsupportedImageError, "2 samples a pixel; allowed is 1, without alpha"),
            (
                259,
                34712,
                UnsupportedImageError,
                r"compressed by JPEG 2000 \(34712\); allowed are n",
            ),
            (259, 50002, UnsupportedImageError, r"compressed by JPEG XL \(50002\)"),
            (259, 65000, UnsupportedImageError, r"compressed by scheme \(65000\)"),
            (339, 3, UnsupportedImageError, "16 bits a sample of floats"),
            (339, 4, UnsupportedImageError, "16 bits a sample of undefined kind"),
            (257, 0, CorruptImageError, "0 rows"),
            (256, 2**31, LimitError, "the limit is"),
            (258, 0, UnsupportedImageError, "0 bits"),
            (273, 2**31, CorruptImageError, "TIFF"),
        ],
    )
    def test_tags_that_are_refused(self, tag, value, error, message):
        with pytest.raises(error, match=message):
            decode(self.changed(tag, value))

    def test_orientation(self):
        data = encode(XRay(PIXELS, 12), "tiff")
        entry = struct.pack("<HHII", 280, 3, 1, 0)
        rotated = data.replace(entry, struct.pack("<HHII", 274, 3, 1, 6))
        with pytest.raises(UnsupportedImageError, match="orientation 6"):
            decode(rotated)

    def test_huge_tiles(self):
        data = encode(XRay(PIXELS, 12), "tiff")
        low, high = struct.pack("<HHII", 280, 3, 1, 0), struct.pack("<HHII", 281, 3, 1, 4095)
        tiled = data.replace(low, struct.pack("<HHII", 322, 4, 1, 2**31))
        tiled = tiled.replace(high, struct.pack("<HHII", 323, 4, 1, 2**31))
        with pytest.raises(LimitError):
            decode(tiled)

    def test_doubled_tag(self):
        data = encode(XRay(PIXELS, 12), "tiff")
        entry = struct.pack("<HHII", 280, 3, 1, 0)
        with pytest.raises(CorruptImageError, match="tag 257 occurs twice"):
            decode(data.replace(entry, struct.pack("<HHII", 257, 4, 1, 13)))

    def test_a_tag_of_many_values(self):
        data = encode(XRay(PIXELS, 12), "tiff")
        entry = struct.pack("<HHII", 281, 3, 1, 4095)
        with pytest.raises(CorruptImageError, match="4294967295 values"):
            decode(data.replace(entry, struct.pack("<HHII", 281, 3, 2**32 - 1, 8)))

    def test_missing_tag(self):
        data = encode(XRay(PIXELS, 12), "tiff")
        entry = struct.pack("<HH", 257, 4)
        with pytest.raises(CorruptImageError, match="no tag 257"):
            decode(data.replace(entry, struct.pack("<HH", 255, 4)))

    def test_directories_in_a_loop(self):
        data = bytearray(encode(XRay(PIXELS, 12), "tiff"))
        (directory,) = struct.unpack_from("<I", data, 4)
        (entries,) = struct.unpack_from("<H", data, directory)
        struct.pack_into("<I", data, directory + 2 + 12 * entries, directory)
        with pytest.raises(CorruptImageError, match="loop"):
            decode(bytes(data))

    @pytest.mark.parametrize(
        ("other", "message"),
        [
            (
                PIXELS[:5, :7],
                "page 1 has another size: 5 rows x 7 columns; page 0 has 13 x 17, and frames are",
            ),
            (
                PIXELS.astype(np.uint8),
                "page 1 has other samples: 8 bits, unsigned, BlackIsZero; page 0 has 16 bits, unsi",
            ),
            (PIXELS.astype(np.int16), "page 1 has other samples: 16 bits, signed, BlackIsZero;"),
        ],
        ids=["size", "bits", "sign"],
    )
    def test_pages_that_differ(self, other, message):
        first = imagecodecs.tiff_encode(PIXELS)
        with pytest.raises(UnsupportedImageError, match=message) as raised:
            decode(imagecodecs.tiff_encode(other, appendto=first))
        assert "_Page" not in str(raised.value)

    def test_pages_with_other_highest_values_are_frames(self):
        """Other writers keep the highest value that occurs there, which differs page by page."""
        frames = np.stack([PIXELS, PIXELS // 2])
        data = encode(XRay(frames, 12), "tiff")
        entry = struct.pack("<HHII", 281, 3, 1, 4095)
        assert data.count(entry) == 2
        image = decode(data.replace(entry, struct.pack("<HHII", 281, 3, 1, 2047), 1))
        assert same(image, XRay(frames, 16))

    def test_no_page(self):
        with pytest.raises(CorruptImageError, match="no page"):
            decode(b"II*\x00\x00\x00\x00\x00")

    def test_directory_outside_the_file(self):
        with pytest.raises(CorruptImageError, match="outside the file"):
            decode(b"II*\x00\xff\xff\x00\x00")
