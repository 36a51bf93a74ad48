"""The numcodecs codec, alone and in real zarr stores of format 2."""

from __future__ import annotations

import json

import numcodecs
import numpy as np
import pytest
import zarr
from plugin_building import damaged, pixels

from xraycodec import CorruptError, NotXrcError, OptionError, UnsupportedImageError
from xraycodec.plugins.numcodecs import XrcCodec

FAST = XrcCodec(profile="fast", tile=64)


@pytest.fixture
def registered():
    """What the entry point of an installed package does."""
    numcodecs.register_codec(XrcCodec)


def test_round_trip():
    array = pixels((2, 20, 30), 12)
    np.testing.assert_array_equal(FAST.decode(FAST.encode(array)), array)


@pytest.mark.parametrize("wrap", [bytes, bytearray, memoryview, lambda b: np.frombuffer(b, "u1")])
def test_any_buffer_is_decoded(wrap):
    array = pixels((20, 30), 8)
    np.testing.assert_array_equal(FAST.decode(wrap(FAST.encode(array))), array)


def test_into_an_array():
    array = pixels((20, 30))
    out = np.zeros_like(array)
    assert FAST.decode(FAST.encode(array), out=out) is out
    np.testing.assert_array_equal(out, array)


def test_configuration_is_json_and_makes_the_codec_again(registered):
    codec = XrcCodec(max_error=2, profile="fast", tile=128, bits_stored=12)
    config = json.loads(json.dumps(codec.get_config()))
    assert config == {
        "id": "xraycodec",
        "max_error": 2,
        "profile": "fast",
        "tile": 128,
        "bits_stored": 12,
    }
    again = numcodecs.get_codec(config)
    assert again == codec
    assert again != FAST
    assert eval(repr(again)) == codec


def test_bytes_are_no_image():
    with pytest.raises(UnsupportedImageError):
        FAST.encode(b"0123")


@pytest.mark.parametrize(
    "array", [np.zeros((9, 8, 3), "u1"), np.ma.masked_equal(pixels(), 0)], ids=["colour", "masked"]
)
def test_colour_and_masks_are_refused(array):
    with pytest.raises(UnsupportedImageError):
        FAST.encode(array)


def test_damage():
    data = FAST.encode(pixels())
    with pytest.raises(CorruptError):
        FAST.decode(damaged(data))
    with pytest.raises(NotXrcError):
        FAST.decode(b"something else")


def test_settings_out_of_bounds(registered):
    with pytest.raises(OptionError, match="tile 1"):
        numcodecs.get_codec({"id": "xraycodec", "tile": 1})


class TestZarrFormat2:
    @pytest.mark.parametrize("order", ["C", "F"])
    @pytest.mark.parametrize("dtype", ["uint8", "uint16", "int16"])
    def test_write_and_reopen(self, registered, tmp_path, order, dtype):
        array = pixels((3, 40, 50), 8 if dtype == "uint8" else 12, signed=dtype == "int16")
        stored = zarr.create_array(
            tmp_path / "a.zarr",
            shape=array.shape,
            chunks=(1, 32, 32),
            dtype=dtype,
            order=order,
            zarr_format=2,
            compressors=FAST,
        )
        stored[:] = array
        again = zarr.open_array(tmp_path / "a.zarr", mode="r+")
        np.testing.assert_array_equal(again[:], array)
        again[1, 5:20, 3:40] = 7
        array[1, 5:20, 3:40] = 7
        np.testing.assert_array_equal(zarr.open_array(tmp_path / "a.zarr")[:], array)
