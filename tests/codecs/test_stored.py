"""RAWZ (spec/format.md, section 7.1): every bit comes back, and nothing but RAWZ is accepted."""

from __future__ import annotations

import zlib
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

import xrc_editing as edit
from xraycodec import CorruptError, LimitError, Limits, OptionError, Stored, XRay
from xraycodec.codecs.registry import codec_by_id, codec_by_name
from xraycodec.container import NO_MODEL, build, parse
from xraycodec.image import pixel_type, value_range
from xraycodec.pipeline import compress, decompress, verify


def _ramp(shape: tuple[int, ...], bits_stored: int, *, signed: bool = False) -> XRay:
    """From the lowest to the highest value of the bits stored."""
    ends = value_range(bits_stored, signed=signed)
    pixels = np.linspace(*ends, num=int(np.prod(shape))).astype(
        pixel_type(bits_stored, signed=signed)
    )
    return XRay(pixels.reshape(shape), bits_stored)


@st.composite
def _images(draw: st.DrawFn) -> XRay:
    bits_stored, signed = draw(st.integers(1, 16)), draw(st.booleans())
    shape = draw(hnp.array_shapes(min_dims=2, max_dims=3, max_side=9))
    low, high = value_range(bits_stored, signed=signed)
    kind = pixel_type(bits_stored, signed=signed)
    pixels = draw(hnp.arrays(kind, shape, elements=st.integers(low, high)))
    return XRay(pixels, bits_stored, draw(st.sampled_from(["MONOCHROME1", "MONOCHROME2"])))


@settings(max_examples=100)
@given(_images(), st.integers(0, 10), st.integers(0, 9))
def test_every_image_comes_back(image: XRay, tile: int, level: int) -> None:
    data = compress(image, Stored(tile, level))
    result = decompress(data)
    np.testing.assert_array_equal(result.frames, image.frames)
    assert result.pixels.dtype == image.pixels.dtype
    assert result.bits_stored == image.bits_stored
    assert result.photometric_interpretation == image.photometric_interpretation


@pytest.mark.parametrize("bits_stored", range(1, 17))
@pytest.mark.parametrize("signed", [False, True])
def test_both_ends_of_every_depth(bits_stored: int, signed: bool) -> None:
    image = _ramp((7, 11), bits_stored, signed=signed)
    result = decompress(compress(image, Stored(tile=4)))
    np.testing.assert_array_equal(result.pixels, image.pixels)


def test_few_bits_in_wide_pixels_come_back_in_the_smallest_type() -> None:
    pixels = np.array([[0, 1], [200, 255]], np.uint16)
    result = decompress(compress(XRay(pixels, 8), Stored()))
    assert result.pixels.dtype == np.uint8
    np.testing.assert_array_equal(result.pixels, pixels)


def test_pixels_that_are_a_view_of_others() -> None:
    pixels = np.arange(600, dtype=np.uint16).reshape(20, 30)[::-2, 3::3]
    result = decompress(compress(pixels, Stored(tile=4)))
    np.testing.assert_array_equal(result.pixels, pixels)


def test_the_stream_says_that_it_is_lossless() -> None:
    data = compress(_ramp((5, 9), 12), Stored(tile=4))
    header = parse(data).header
    assert (header.codec, header.exact, header.max_error) == ("RAWZ", True, 0)
    assert (header.model, header.tile, header.tile_count) == (NO_MODEL, 4, 6)
    assert verify(data).identical


def test_tiles_are_zlib_streams_of_their_pixels() -> None:
    image = _ramp((5, 9), 12)
    tiles = parse(compress(image, Stored(tile=4))).payloads
    corner = image.pixels[4:, 8:].astype("<u2")
    assert zlib.decompress(tiles[5]) == corner.tobytes()
    assert zlib.decompress(tiles[0]) == image.pixels[:4, :4].astype("<u2").tobytes()


def test_without_tiles_each_frame_is_one() -> None:
    image = _ramp((3, 5, 9), 9, signed=True)
    container = parse(compress(image, Stored(tile=0)))
    assert container.header.tile_count == 3
    assert zlib.decompress(container.payloads[1]) == image.pixels[1].tobytes()


def test_found_by_id_and_by_name() -> None:
    assert codec_by_id("RAWZ") is codec_by_name("stored") is Stored


@pytest.mark.parametrize("settings_", [{"tile": -1}, {"tile": 2**32}, {"level": -1}, {"level": 10}])
def test_settings_out_of_range(settings_: dict[str, int]) -> None:
    with pytest.raises(OptionError, match=r"stored takes|zlib knows"):
        Stored(**settings_)


def test_progress_ends_at_its_total() -> None:
    seen: list[tuple[int, int]] = []
    data = compress(
        _ramp((9, 9), 8), Stored(tile=4), progress=lambda done, total: seen.append((done, total))
    )
    decompress(data, progress=lambda done, total: seen.append((done, total)))
    assert seen[-1] == (9, 9)
    assert all(done <= total for done, total in seen)


SAMPLE = compress(_ramp((8, 12), 12), Stored(tile=4))
PIXELS = zlib.decompress(parse(SAMPLE).payloads[0])


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (edit.with_payload(SAMPLE, b"PARM", b"\0"), "PARM holds 1 bytes"),
        (edit.with_head(SAMPLE, model=b"m" * 32), "RAWZ has no model; HEAD names 6d6d"),
        (edit.with_head(SAMPLE, max_error=1), "HEAD says exact and 1"),
        (edit.with_head(SAMPLE, max_error=2**32 - 1), "HEAD says exact and None"),
        (edit.with_head(SAMPLE, max_error=2**32 - 1, flags=0), "HEAD says not exact and None"),
        (edit.with_head(SAMPLE, bits_stored=11), "values 0 to 4095|11 bits stored allow 0 to 2047"),
        (edit.with_head(SAMPLE, flags=3), "12 bits stored allow -2048 to 2047"),
        (edit.with_head(SAMPLE, bits_stored=8), "tile 0 is no whole zlib stream of exactly 16"),
    ],
    ids=lambda value: None if isinstance(value, bytes) else value[:20],
)
def test_what_no_encoder_writes_of_itself(data: bytes, message: str) -> None:
    with pytest.raises(CorruptError, match=message):
        decompress(data)


def test_layers_are_refused() -> None:
    container = parse(SAMPLE)
    header = replace(container.header, layers=2)
    data = build(header, b"", [*container.payloads] * 2, container.pixel_hash)
    with pytest.raises(CorruptError, match="RAWZ has one layer; HEAD says 2"):
        decompress(data)


@pytest.mark.parametrize(
    ("tile", "message"),
    [
        (b"", "no whole zlib stream of exactly 32 bytes"),
        (PIXELS, "tile 0 is no zlib stream"),
        (zlib.compress(PIXELS[:-1]), "no whole zlib stream of exactly 32 bytes"),
        (zlib.compress(PIXELS + b"\0"), "no whole zlib stream of exactly 32 bytes"),
        (zlib.compress(bytes(1 << 20)), "no whole zlib stream of exactly 32 bytes"),
        (zlib.compress(PIXELS)[:-1], "no whole zlib stream of exactly 32 bytes"),
        (zlib.compress(PIXELS) + b"\0", "no whole zlib stream of exactly 32 bytes"),
        (zlib.compress(PIXELS)[:-1] + b"\xff", "tile 0 is no zlib stream"),
        (zlib.compress(PIXELS[::-1]), "values|differ from the hash"),
        (zlib.compress(bytes(32)), "differ from the hash"),
    ],
    ids=[
        *("empty", "no zlib", "short", "long", "bomb"),
        *("no end", "bytes after the end", "wrong checksum", "out of range", "other pixels"),
    ],
)
def test_tiles_that_are_not_exactly_their_pixels(tile: bytes, message: str) -> None:
    tiles = [bytes(view) for view in parse(SAMPLE).payloads]
    with pytest.raises(CorruptError, match=message):
        decompress(edit.with_tiles(SAMPLE, [tile, *tiles[1:]]))


def test_a_small_stream_that_claims_a_large_image_is_refused_before_memory_is_taken() -> None:
    data = edit.with_head(SAMPLE, rows=1 << 20, columns=1 << 20)
    with pytest.raises(LimitError, match="pixels; the limit is 268435456"):
        decompress(data)
    with pytest.raises(LimitError, match="96 pixels; the limit is 95"):
        decompress(SAMPLE, limits=Limits(max_pixels=95))
