"""The zarr v3 codec in real stores: whole, in parts, in shards, and what it refuses."""

from __future__ import annotations

import json

import numpy as np
import pytest
import zarr
from plugin_building import damaged, pixels
from zarr.codecs import ShardingCodec
from zarr.registry import register_codec

from xraycodec import CorruptError, LimitError, OptionError, UnsupportedImageError, compress
from xraycodec.container import SIGNATURE
from xraycodec.plugins.zarr import XrcCodec

FAST = XrcCodec(profile="fast", tile=64)


@pytest.fixture(autouse=True)
def _registered():
    """What the entry point of an installed package does."""
    register_codec("xraycodec", XrcCodec)


@pytest.mark.parametrize("dtype", ["uint8", "int8", "uint16", "int16"])
@pytest.mark.parametrize("shape", [(40, 50), (2, 40, 50), (2, 2, 20, 30)])
def test_create_write_and_reopen(tmp_path, dtype, shape):
    bits = 8 if dtype.endswith("8") else 12
    array = pixels(shape, bits, signed=dtype.startswith("i"))
    chunks = (*(1,) * (len(shape) - 2), 32, 32)
    stored = zarr.create_array(
        tmp_path, shape=shape, chunks=chunks, dtype=dtype, serializer=FAST, compressors=None
    )
    stored[:] = array
    again = zarr.open_array(tmp_path, mode="r")
    assert again.dtype == array.dtype
    np.testing.assert_array_equal(again[:], array)
    np.testing.assert_array_equal(again[..., 5:35, 7], array[..., 5:35, 7])
    chunk = tmp_path / "c" / "/".join("0" * len(shape))
    assert chunk.read_bytes().startswith(SIGNATURE)


def test_metadata_are_json_and_make_the_codec_again(tmp_path):
    codec = XrcCodec(max_error=2, profile="fast", tile=128, bits_stored=12)
    zarr.create_array(
        tmp_path, shape=(8, 8), chunks=(8, 8), dtype="uint16", serializer=codec, compressors=None
    )
    (entry,) = json.loads((tmp_path / "zarr.json").read_text())["codecs"]
    assert entry == {
        "name": "xraycodec",
        "configuration": {"max_error": 2, "profile": "fast", "tile": 128, "bits_stored": 12},
    }
    assert XrcCodec.from_dict(entry) == codec
    assert zarr.open_array(tmp_path).metadata.codecs == (codec,)
    assert XrcCodec.from_dict({"name": "xraycodec"}) == XrcCodec()


def test_partial_writes(tmp_path):
    array = pixels((70, 50))
    stored = zarr.create_array(
        tmp_path, shape=array.shape, chunks=(32, 32), dtype="uint16", serializer=FAST
    )
    stored[:] = array
    stored[3:60, 10:12] = 4095
    array[3:60, 10:12] = 4095
    np.testing.assert_array_equal(zarr.open_array(tmp_path)[:], array)


def test_sharded(tmp_path):
    array = pixels((4, 64, 64))
    stored = zarr.create_array(
        tmp_path,
        shape=array.shape,
        chunks=(1, 32, 32),
        shards=(2, 64, 64),
        dtype="uint16",
        serializer=FAST,
        compressors=None,
    )
    stored[:] = array
    stored[1:3, 20:40, 20:40] = 1
    array[1:3, 20:40, 20:40] = 1
    again = zarr.open_array(tmp_path, mode="r")
    (sharding,) = again.metadata.codecs
    assert isinstance(sharding, ShardingCodec)
    assert sharding.codecs == (FAST,)
    np.testing.assert_array_equal(again[:], array)
    np.testing.assert_array_equal(again[3, 33:40, :5], array[3, 33:40, :5])


def test_compressors_may_follow_and_chunks_of_the_fill_value_are_not_stored(tmp_path):
    stored = zarr.create_array(
        tmp_path, shape=(64, 32), chunks=(32, 32), dtype="uint16", serializer=FAST, fill_value=9
    )
    stored[:32] = pixels((32, 32))
    stored[32:] = 9
    assert not (tmp_path / "c" / "1" / "0").exists()
    np.testing.assert_array_equal(zarr.open_array(tmp_path)[32:], np.full((32, 32), 9))


def test_the_maximum_error_holds():
    array = pixels((40, 50))
    stored = zarr.create_array(
        zarr.storage.MemoryStore(),
        shape=array.shape,
        chunks=array.shape,
        dtype="uint16",
        serializer=XrcCodec(max_error=3, profile="fast"),
    )
    stored[:] = array
    assert 0 < np.abs(stored[:].astype(int) - array).max() <= 3


@pytest.mark.parametrize(("dtype", "shape"), [("float32", (8, 8)), ("int32", (8, 8)), ("u2", (8,))])
@pytest.mark.parametrize("sharded", [False, True])
def test_other_arrays_are_refused_when_they_are_made(dtype, shape, sharded):
    with pytest.raises(UnsupportedImageError, match=r"elements are|has shape \(8,\)"):
        zarr.create_array(
            zarr.storage.MemoryStore(),
            shape=shape,
            chunks=shape,
            shards=shape if sharded else None,
            dtype=dtype,
            serializer=FAST,
            compressors=None,
        )


@pytest.mark.parametrize(
    ("entry", "message"),
    [
        ({"name": "bytes"}, "called 'bytes', not 'xraycodec'"),
        ({"name": "xraycodec", "configuration": {"level": 3}}, "level"),
        ({"name": "xraycodec", "configuration": {"max_error": "2"}}, "max_error is '2'"),
        ({"name": "xraycodec", "configuration": 3}, "configuration 3"),
    ],
)
def test_metadata_of_another_codec(entry, message):
    with pytest.raises(OptionError, match=message):
        XrcCodec.from_dict(entry)


class TestChunksFromElsewhere:
    @pytest.fixture
    def chunk(self, tmp_path):
        stored = zarr.create_array(
            tmp_path,
            shape=(40, 50),
            chunks=(40, 50),
            dtype="uint16",
            serializer=FAST,
            compressors=None,
        )
        stored[:] = pixels((40, 50))
        return tmp_path / "c" / "0" / "0"

    def test_damaged(self, chunk, tmp_path):
        chunk.write_bytes(damaged(chunk.read_bytes()))
        with pytest.raises(CorruptError, match="CRC-32"):
            zarr.open_array(tmp_path)[:]

    def test_of_another_shape(self, chunk, tmp_path):
        chunk.write_bytes(compress(pixels((50, 40))))
        with pytest.raises(CorruptError, match=r"holds uint16 \(50, 40\); .* uint16 \(40, 50\)"):
            zarr.open_array(tmp_path)[:]

    def test_of_another_type(self, chunk, tmp_path):
        chunk.write_bytes(compress(pixels((40, 50), 8)))
        with pytest.raises(CorruptError, match="holds uint8"):
            zarr.open_array(tmp_path)[:]

    def test_too_large(self, chunk, tmp_path):
        chunk.write_bytes(compress(pixels((41, 50))))
        with pytest.raises(LimitError):
            zarr.open_array(tmp_path)[:]
