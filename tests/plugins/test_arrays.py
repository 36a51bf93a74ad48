"""Arrays of chunked stores: types, shapes, bits stored and what is refused."""

from __future__ import annotations

import numpy as np
import pytest
from plugin_building import pixels

from xraycodec import LimitError, OptionError, UnsupportedImageError
from xraycodec.container import read_header
from xraycodec.plugins.arrays import ArraySettings, decode_array

FAST = ArraySettings(profile="fast", tile=64)


@pytest.mark.parametrize(
    ("bits", "signed"), [(8, False), (8, True), (12, False), (16, False), (12, True), (16, True)]
)
@pytest.mark.parametrize("shape", [(5, 7), (3, 9, 5), (5, 4)])
def test_every_type_comes_back(bits, signed, shape):
    array = pixels(shape, bits, signed=signed)
    back = decode_array(FAST.encode_array(array))
    assert back.dtype == array.dtype
    np.testing.assert_array_equal(back, array)


def test_axes_before_the_last_two_are_frames():
    array = pixels((2, 3, 4, 5))
    back = decode_array(FAST.encode_array(array))
    np.testing.assert_array_equal(back, array.reshape(6, 4, 5))


@pytest.mark.parametrize(
    ("values", "dtype", "bits"),
    [
        ((0, 0), "u1", 1),
        ((0, 5), "u1", 3),
        ((0, 5), "u2", 9),  # fewer would come back as uint8
        ((0, 4095), "u2", 12),
        ((0, 65535), "u2", 16),
        ((-1, 0), "i2", 9),
        ((-512, 511), "i2", 10),
        ((-513, 0), "i2", 11),
        ((0, 512), "i2", 11),
        ((-32768, 0), "i2", 16),
        ((-1, 0), "i1", 1),
    ],
)
def test_bits_stored_are_the_fewest_that_hold_the_values(values, dtype, bits):
    array = np.array([values], dtype)
    data = FAST.encode_array(array)
    assert read_header(data).bits_stored == bits
    assert decode_array(data).dtype == array.dtype
    np.testing.assert_array_equal(decode_array(data), array)


def test_bits_stored_can_be_given():
    data = ArraySettings(bits_stored=14).encode_array(pixels(bits=12))
    assert read_header(data).bits_stored == 14


def test_the_maximum_error_holds():
    array = pixels()
    data = ArraySettings(max_error=3, profile="fast").encode_array(array)
    difference = np.abs(decode_array(data).astype(int) - array)
    assert 0 < difference.max() <= 3


@pytest.mark.parametrize("dtype", ["f4", "f8", "i4", "u8", "c8", "?", ">u2", "M8[s]"])
def test_other_types(dtype):
    with pytest.raises(UnsupportedImageError, match="allowed are uint8, int8, uint16, int16"):
        FAST.encode_array(np.zeros((4, 4), dtype))


@pytest.mark.parametrize("shape", [(), (5,)])
def test_too_few_axes(shape):
    with pytest.raises(UnsupportedImageError, match="two axes or more"):
        FAST.encode_array(np.zeros(shape, "u2"))


@pytest.mark.parametrize("shape", [(8, 9, 2), (8, 9, 3), (2, 8, 9, 4)])
def test_colour(shape):
    with pytest.raises(UnsupportedImageError, match="last axis looks like channels"):
        FAST.encode_array(np.zeros(shape, "u2"))


def test_masked_arrays():
    with pytest.raises(UnsupportedImageError, match="masked array"):
        FAST.encode_array(np.ma.masked_equal(pixels(), 0))


@pytest.mark.parametrize("shape", [(0, 5), (2, 0, 5)])
def test_empty_arrays(shape):
    with pytest.raises(UnsupportedImageError, match="empty"):
        FAST.encode_array(np.zeros(shape, "u2"))


def test_values_beyond_the_bits_stored():
    with pytest.raises(UnsupportedImageError, match="do not fit 10 bits stored"):
        ArraySettings(bits_stored=10).encode_array(np.full((4, 4), 1024, "u2"))


def test_bits_stored_that_would_change_the_type():
    with pytest.raises(OptionError, match="8 bits stored in uint16; allowed are 9 to 16"):
        ArraySettings(bits_stored=8).encode_array(np.zeros((4, 4), "u2"))


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"max_error": -1}, "maximum error -1"),
        ({"max_error": 0.5}, "max_error is 0.5; it must be an integer"),
        ({"max_error": True}, "max_error is True"),
        ({"profile": "slow"}, "profile 'slow'"),
        ({"tile": 60}, "tile 60"),
        ({"bits_stored": 17}, "bits_stored is 17"),
        ({"bits_stored": 0}, "bits_stored is 0"),
    ],
)
def test_settings_out_of_bounds(settings, message):
    with pytest.raises(OptionError, match=message):
        ArraySettings(**settings)


def test_more_elements_than_expected():
    with pytest.raises(LimitError):
        decode_array(FAST.encode_array(pixels()), max_elements=100)
