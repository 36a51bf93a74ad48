from __future__ import annotations

import pickle

import numpy as np
import pytest

from xraycodec import XRay
from xraycodec.demo.phantom import chest_phantom
from xraycodec.errors import CorruptImageError, ModelError, OptionError, UnsupportedImageError
from xraycodec.evaluation.klt import learn_klt, reconstruct
from xraycodec.evaluation.metrics import psnr_db
from xraycodec.evaluation.peers import at_size, klt_peer

HEAD_BYTES = 10


@pytest.fixture(scope="module")
def crops():
    pixels = chest_phantom(256, 256, seed=1, bits_stored=8).pixels
    return pixels.reshape(4, 64, 4, 64).transpose(0, 2, 1, 3).reshape(-1, 64, 64).astype(np.uint8)


@pytest.fixture(scope="module")
def codec(crops):
    return klt_peer(crops)


@pytest.fixture(scope="module")
def deflated(crops):
    return klt_peer(crops, deflate=True)


@pytest.mark.parametrize("bend", [0.0, 3.0])
def test_files_hold_what_the_transform_gives(crops, bend):
    codec, transform = klt_peer(crops, bend=bend), learn_klt(crops, 16)
    for ratio in (2, 8, 64, 256):
        expected = reconstruct(transform, crops[5:8], 256 // ratio, bend)
        for crop, result in zip(crops[5:8], expected, strict=True):
            data = codec.encode(XRay(crop, 8), ratio)
            assert len(data) == HEAD_BYTES + crop.size // ratio
            # Products of matrices of other sizes round differently, where a grey level is near.
            difference = np.abs(codec.decode(data).astype(int) - result)
            assert difference.max() <= 1
            assert (difference > 0).mean() < 0.01


def test_deflated_codes_are_the_same_pixels_in_fewer_bytes(crops, codec, deflated):
    image = XRay(crops[9], 8)
    assert deflated.key != codec.key
    small, large = deflated.encode(image, 2), codec.encode(image, 2)
    assert len(small) < len(large)
    assert np.array_equal(deflated.decode(small), codec.decode(large))


@pytest.mark.parametrize("shape", [(1, 1), (16, 16), (17, 31), (100, 5)])
def test_any_size(codec, shape):
    pixels = np.full(shape, 90, np.uint8) + np.arange(shape[1], dtype=np.uint8)
    found = codec.decode(codec.encode(XRay(pixels, 8), 2))
    assert found.shape == shape
    assert psnr_db(pixels, found, 255) > 25


def test_the_type_of_the_original_comes_back(codec, crops):
    image = XRay((crops[0] // 4).astype(np.uint16), 6)
    found = codec.decode(codec.encode(image, 4))
    assert found.dtype == np.uint16
    assert found.max() <= 63


def test_flat_training_makes_a_codec_for_flat_images():
    codec = klt_peer(np.full((2, 16, 16), 77, np.uint8))
    pixels = np.full((20, 20), 77, np.uint8)
    assert (codec.decode(codec.encode(XRay(pixels, 8), 1)) == 77).all()


def test_a_target_gives_the_largest_beta(codec, crops):
    image = XRay(crops[3], 8)
    found = at_size(codec, image, HEAD_BYTES + 500, tolerance=0)
    assert found.quality == pytest.approx(256 / (500 // 16))
    assert found.size_bytes == HEAD_BYTES + 500 // 16 * 16


def test_another_basis_is_refused(codec, deflated, crops):
    data = codec.encode(XRay(crops[0], 8), 8)
    for other in (klt_peer(crops[:8]), klt_peer(crops, bend=1.0), deflated):
        with pytest.raises(ModelError, match="for the transform"):
            other.decode(data)


def test_it_travels_to_another_process(codec, crops):
    there = pickle.loads(pickle.dumps(codec))
    data = codec.encode(XRay(crops[0], 8), 8)
    assert np.array_equal(there.decode(data), codec.decode(data))


def test_damage_is_refused(codec, deflated, crops):
    data = codec.encode(XRay(crops[0], 8), 8)
    for damaged in (data[:4], data[:-1], data + b"\0", b"\0\0" + data[2:]):
        with pytest.raises(CorruptImageError):
            codec.decode(damaged)
    data = deflated.encode(XRay(crops[0], 8), 8)
    for damaged in (data[:-40], data[:HEAD_BYTES] + b"junk"):
        with pytest.raises(CorruptImageError):
            deflated.decode(damaged)


def test_what_is_not_served_is_refused(codec):
    flat = XRay(np.zeros((16, 16), np.uint8), 8)
    with pytest.raises(OptionError, match="without loss"):
        codec.encode(flat, None)
    with pytest.raises(OptionError, match="takes 1 to 256"):
        codec.encode(flat, 257)
    with pytest.raises(UnsupportedImageError, match="12 bits"):
        codec.encode(XRay(np.zeros((16, 16), np.uint16), 12), 8)
    with pytest.raises(UnsupportedImageError, match="signed"):
        codec.encode(XRay(np.zeros((16, 16), np.int8), 8), 8)
