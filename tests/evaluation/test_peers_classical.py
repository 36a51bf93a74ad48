from __future__ import annotations

import pickle

import numpy as np
import pytest

from xraycodec import XRay
from xraycodec.demo.phantom import chest_phantom
from xraycodec.errors import CorruptImageError, OptionError, UnsupportedImageError
from xraycodec.evaluation import peers as package
from xraycodec.evaluation.metrics import max_error, psnr_db
from xraycodec.evaluation.peers import peer
from xraycodec.evaluation.peers.classical import classical_peers, classical_variants
from xraycodec.evaluation.peers.formats import pillow_writes_avif

SIDE = 128
DEEP = ("jpeg2000", "htj2k", "jpeg-ls", "jpegxl")
UP_TO_12 = ("jpeg", *DEEP, "avif-fast")
AVIF = ("avif", "avif-fast", "avif-psnr")
KEYS = ("jpeg", "jpeg2000", "htj2k", "jpeg-ls", "jpegxl", "webp", "avif")
VARIANTS = ("jpegxl-e9", "avif-fast", *(["avif-psnr"] if pillow_writes_avif() else []))


@pytest.fixture(scope="module")
def chest():
    return chest_phantom(SIDE, SIDE, seed=5, bits_stored=8)


@pytest.fixture(scope="module")
def deep_chest():
    return chest_phantom(
        SIDE, SIDE, seed=5, bits_stored=12, photometric_interpretation="MONOCHROME1"
    )


def ramp(columns: int = 256) -> XRay:
    """Every grey level, one a column, low and wide: flat down, a slope across."""
    return XRay(np.tile(np.arange(columns, dtype=np.uint8), (64, 1)), 8)


def quick(key: str) -> str:
    """AVIF at speed 2 takes seconds; its settings but for the speed are those of speed 6."""
    return "avif-fast" if key == "avif" else key


def test_every_codec_is_there():
    assert tuple(found.key for found in classical_peers(1)) == KEYS
    assert tuple(found.key for found in classical_variants(1)) == VARIANTS
    assert {found.key for found in package.peers()} >= {*KEYS, "lattice", "rnn-conv"}


def test_an_unknown_key_names_the_choices():
    with pytest.raises(OptionError, match=r"no codec 'jpeg3000'.*jpeg2000.*avif-fast"):
        peer("jpeg3000")


def test_threads_are_checked():
    with pytest.raises(OptionError, match="-1 threads"):
        package.peers(threads=-1)


@pytest.mark.parametrize("key", [*KEYS, *VARIANTS])
def test_a_codec_travels_to_another_process(key):
    there = pickle.loads(pickle.dumps(peer(key, threads=1)))
    assert (there.key, there.qualities) == (key, peer(key).qualities)


@pytest.mark.parametrize("key", KEYS)
def test_qualities_fall_in_size_and_fidelity(chest, key):
    codec = peer(quick(key))
    files = [codec.encode(chest, quality) for quality in codec.qualities]
    found = [codec.decode(data) for data in files]
    assert all(pixels.dtype == np.uint8 and pixels.shape == (SIDE, SIDE) for pixels in found)
    sizes = np.array([len(data) for data in files])
    # Codecs are free to miss by a little from one rung to the next, not over two.
    assert (sizes[2:] < sizes[:-2]).all()
    fidelity = np.array([psnr_db(chest.pixels, pixels, 255) for pixels in found])
    assert (fidelity[2:] < fidelity[:-2]).all()
    assert fidelity[0] > 45


@pytest.mark.parametrize("key", [*KEYS[1:], *VARIANTS])
def test_lossless_gives_every_pixel_back(chest, key):
    codec = peer(quick(key))
    assert codec.lossless
    assert np.array_equal(codec.decode(codec.encode(chest, None)), chest.pixels)


def test_what_cannot_be_lossless_says_so(chest):
    with pytest.raises(OptionError, match="JPEG cannot code without loss"):
        peer("jpeg").encode(chest, None)


@pytest.mark.parametrize("key", [*KEYS, *VARIANTS])
def test_a_full_range_ramp_comes_back(key):
    """No detour over video range: black stays black and white white."""
    codec = peer(quick(key))
    image = ramp()
    found = codec.decode(codec.encode(image, codec.qualities[0]))
    assert max_error(image.pixels, found) <= 2


@pytest.mark.parametrize("key", ["jpeg", "webp", "avif-fast", "avif-psnr"])
def test_top_quality_spans_the_full_range(key):
    if key not in (*KEYS, *VARIANTS):
        pytest.skip("this Pillow has no AVIF")
    codec = peer(key)
    pixels = np.zeros((64, 64), np.uint8)
    pixels[:, 32:] = 255
    found = codec.decode(codec.encode(XRay(pixels, 8), codec.qualities[0]))
    assert max_error(pixels, found) <= 2


@pytest.mark.parametrize("key", UP_TO_12)
def test_twelve_bits_come_back_as_twelve(deep_chest, key):
    codec = peer(key)
    assert codec.max_bits >= 12
    for quality in (codec.ladder(deep_chest)[1], codec.qualities[len(codec.qualities) // 2]):
        found = codec.decode(codec.encode(deep_chest, quality))
        assert found.dtype == np.uint16
        XRay(found, 12)  # refuses values beyond 12 bits
        assert psnr_db(deep_chest.pixels, found, deep_chest.peak) > 30
    best = codec.decode(codec.encode(deep_chest, codec.ladder(deep_chest)[0]))
    assert psnr_db(deep_chest.pixels, best, deep_chest.peak) > 52


@pytest.mark.parametrize("key", [key for key in UP_TO_12 if key != "jpeg"])
@pytest.mark.parametrize("bits", [9, 10, 12, 16])
def test_deep_images_are_coded_without_loss(key, bits):
    codec = peer(key)
    if bits > codec.max_bits:
        with pytest.raises(UnsupportedImageError, match="16 bits stored; allowed are 1 to 12"):
            codec.encode(XRay(np.zeros((4, 4), np.uint16), 16), None)
        return
    pixels = np.random.default_rng(bits).integers(0, 1 << bits, (40, 24)).astype(np.uint16)
    assert np.array_equal(codec.decode(codec.encode(XRay(pixels, bits), None)), pixels)


@pytest.mark.parametrize("key", DEEP)
def test_sixteen_bits_are_served(key):
    image = chest_phantom(64, 64, seed=1, bits_stored=16)
    codec = peer(key)
    found = codec.decode(codec.encode(image, codec.ladder(image)[2]))
    assert psnr_db(image.pixels, found, image.peak) > 45


@pytest.mark.parametrize("key", KEYS)
@pytest.mark.parametrize("bits", [1, 6, 8])
def test_the_type_of_the_original_comes_back(key, bits):
    """8 bits or fewer in 16-bit pixels, and fewer than 8 in 8-bit ones."""
    codec = peer(quick(key))
    rows = np.arange(48) * ((1 << bits) - 1) // 47
    for kind in (np.uint8, np.uint16):
        image = XRay(np.tile(rows, (32, 1)).astype(kind), bits)
        found = codec.decode(codec.encode(image, codec.qualities[0]))
        assert found.dtype == kind
        assert found.max() <= image.peak


@pytest.mark.parametrize("key", KEYS)
@pytest.mark.parametrize("shape", [(1, 1), (1, 7), (5, 3), (17, 2)])
def test_small_and_odd_sizes(key, shape):
    codec = peer(quick(key))
    pixels = np.random.default_rng(2).integers(100, 120, shape).astype(np.uint8)
    for quality in (codec.qualities[0], codec.qualities[-1]):
        assert codec.decode(codec.encode(XRay(pixels, 8), quality)).shape == shape


@pytest.mark.parametrize("key", KEYS)
def test_what_is_not_served_is_refused(key):
    codec = peer(key)
    quality = codec.qualities[0]
    with pytest.raises(UnsupportedImageError, match="signed"):
        codec.encode(XRay(np.zeros((8, 8), np.int8), 8), quality)
    with pytest.raises(UnsupportedImageError, match="2 frames"):
        codec.encode(XRay(np.zeros((2, 8, 8), np.uint8), 8), quality)
    for wrong in (-1.0, 1e9, float("nan")):
        with pytest.raises(OptionError, match="takes"):
            codec.encode(ramp(), wrong)


def test_a_side_beyond_the_format_is_refused():
    image = XRay(np.zeros((1, 16_384), np.uint8), 8)
    with pytest.raises(UnsupportedImageError, match="sides up to 16383"):
        peer("webp").encode(image, 50)


@pytest.mark.parametrize("key", KEYS)
def test_damage_is_a_typed_error(key):
    codec = peer(key)
    for data in (b"", b"\x08", b"not an image\x08", b"\x00\x00\x00\x10"):
        with pytest.raises(CorruptImageError):
            codec.decode(data)


def test_an_impossible_depth_is_refused():
    codec = peer("jpeg")
    data = codec.encode(ramp(), 90)
    for depth in (0, 9, 0x20, 0x31, 0x80):
        with pytest.raises(CorruptImageError, match="last of"):
            codec.decode(data[:-1] + bytes([depth]))


def test_near_lossless_keeps_its_bound(chest, deep_chest):
    codec = peer("jpeg-ls")
    for image in (chest, deep_chest):
        for near in (1, 5, 40):
            found = codec.decode(codec.encode(image, near))
            assert max_error(image.pixels, found) <= near
    with pytest.raises(OptionError, match="1 to 127 for 8 bits"):
        codec.encode(chest, 128)


def test_errors_in_grey_levels_grow_with_the_depth(chest, deep_chest):
    codec = peer("jpeg-ls")
    assert codec.ladder(chest) == codec.qualities
    deep = codec.ladder(deep_chest)
    assert deep[:6] == (1, 2, 4, 8, 16, 32)
    assert deep == tuple(sorted(set(deep)))
    assert deep[-1] == 255
    assert peer("jpeg2000").ladder(deep_chest) == peer("jpeg2000").qualities


def test_jpeg2000_goes_on_past_the_irreversible_transform(chest):
    """Where 9/7 has no finer step, 5/3 takes over, larger and better."""
    codec = peer("jpeg2000")
    files = [codec.encode(chest, quality) for quality in (62, 64.9, 65.1, 68, None)]
    sizes = [len(data) for data in files]
    assert sizes == sorted(sizes)
    fidelity = [psnr_db(chest.pixels, codec.decode(data), 255) for data in files[:-1]]
    assert fidelity == sorted(fidelity)


def test_jpeg2000_reaches_the_psnr_it_is_asked_for(chest):
    codec = peer("jpeg2000")
    for asked in (38, 44, 48):
        found = psnr_db(chest.pixels, codec.decode(codec.encode(chest, asked)), 255)
        assert asked - 1.5 < found < asked + 1.5


def test_jpegxl_treats_deep_images_as_8_bit_ones():
    """The same picture in 8 and in 12 bits: about the same file, no greys favoured."""
    shallow = chest_phantom(SIDE, SIDE, seed=9, bits_stored=8)
    deep = XRay(((shallow.pixels.astype(np.uint32) * 4095 + 127) // 255).astype(np.uint16), 12)
    codec = peer("jpegxl")
    sizes = [len(codec.encode(image, 3)) for image in (shallow, deep)]
    assert sizes[1] == pytest.approx(sizes[0], rel=0.03)


@pytest.mark.parametrize("key", ["jpeg2000", "jpegxl"])
def test_threads_do_not_change_the_file(chest, key):
    assert peer(key, threads=1).encode(chest, peer(key).qualities[4]) == peer(
        key, threads=3
    ).encode(chest, peer(key).qualities[4])
