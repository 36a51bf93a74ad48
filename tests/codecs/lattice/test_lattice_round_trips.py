"""Images of every kind come back bit for bit, or within the bound that was asked for."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from lattice_building import noise, smooth

from xraycodec.codecs.lattice import Lattice
from xraycodec.codecs.lattice.coder import CODED, PLAIN
from xraycodec.codecs.lattice.parameters import read_parameters
from xraycodec.container import parse
from xraycodec.entropy import mixture_kernels
from xraycodec.errors import OptionError
from xraycodec.exact.pack import named_pack
from xraycodec.image import XRay, pixel_type, value_range
from xraycodec.pipeline import compress, decompress, verify

pytestmark = pytest.mark.usefixtures("tiny_model")


def check(image: XRay, codec: Lattice | None = None) -> bytes:
    """Assert that an image comes back as it was; return its stream."""
    data = compress(image, codec or Lattice(threads=1))
    result = decompress(data, threads=1)
    np.testing.assert_array_equal(result.frames, image.frames)
    assert result.pixels.dtype == pixel_type(image.bits_stored, signed=image.signed)
    assert result.bits_stored == image.bits_stored
    assert result.photometric_interpretation == image.photometric_interpretation
    return data


def peak_of(data: bytes) -> int:
    return read_parameters(parse(data).parameters).peak


SHAPES = [(1, 1), (1, 2), (2, 1), (2, 2), (3, 5), (5, 3), (1, 40), (40, 1), (2, 33), (31, 3)]


@pytest.mark.parametrize("shape", [*SHAPES, (63, 65), (64, 64), (65, 63), (130, 71)])
@pytest.mark.parametrize("bits", [8, 12])
def test_sizes(shape: tuple[int, int], bits: int) -> None:
    check(smooth(*shape, bits), Lattice(tile=64, threads=1))


@pytest.mark.parametrize("tile", [64, 72, 128, 264, 512, 4096])
def test_tiles(tile: int) -> None:
    check(smooth(140, 137), Lattice(tile=tile, threads=1))


def test_one_row_and_column_beyond_a_tile_of_the_default() -> None:
    check(smooth(513, 66), Lattice(threads=1))


@pytest.mark.parametrize("bits", range(1, 17))
@pytest.mark.parametrize("signed", [False, True])
def test_depths(bits: int, signed: bool) -> None:
    check(smooth(37, 41, bits, signed=signed))
    low, high = value_range(bits, signed=signed)
    ends = np.full((9, 13), low, pixel_type(bits, signed=signed))
    ends[::3, 1::2] = high
    check(XRay(ends, bits, "MONOCHROME1"))


def test_odd_bits_of_signed_pixels_in_wider_types() -> None:
    pixels = np.random.default_rng(1).integers(-1024, 1024, (33, 30)).astype(np.int16)
    check(XRay(pixels, 11))
    check(XRay(pixels, 16))


@pytest.mark.parametrize("level", [0, 1, 255])
def test_constant_images_have_no_payload(level: int) -> None:
    data = check(XRay(np.full((70, 130), level, np.uint8), 8), Lattice(tile=64, threads=1))
    assert peak_of(data) == 0
    assert not any(len(payload) for payload in parse(data).payloads)


def patterns() -> dict[str, np.ndarray]:
    rows, columns = np.mgrid[:70, :90]
    hot = np.zeros((70, 90), np.uint16)
    hot[33, 48] = 65535
    return {
        "gradient": (900 * (rows % 60) + 120 * columns).astype(np.uint16),
        "checkerboard": ((rows + columns) % 2 * 65535).astype(np.uint16),
        "stripes": (columns % 2 * 200).astype(np.uint8),
        "one hot pixel": hot,
        "one cold pixel": 65535 - hot,
        "full range": np.random.default_rng(2).integers(0, 65536, (70, 90)).astype(np.uint16),
    }


@pytest.mark.parametrize("name", patterns())
def test_patterns(name: str) -> None:
    pixels = patterns()[name]
    check(XRay(pixels, 8 * pixels.itemsize))
    check(
        XRay(
            (pixels.astype(int) - (1 << 8 * pixels.itemsize >> 1)).astype(f"i{pixels.itemsize}"),
            8 * pixels.itemsize,
        )
    )


@pytest.mark.parametrize(("bits", "side"), [(8, 300), (12, 300), (16, 300), (16, 160)])
def test_noise_costs_no_more_than_its_bits(bits: int, side: int) -> None:
    image = noise(side, side, bits)
    assert len(check(image)) <= 1.01 * image.size_bytes + (600 if side < 200 else 0)


def test_levels_that_do_not_occur_are_left_out() -> None:
    few = XRay((smooth(80, 90, 6).pixels.astype(np.uint16) * 811 + 7), 16)
    data = check(few)
    assert peak_of(data) == len(np.unique(few.pixels)) - 1
    assert len(data) < 0.6 * len(compress(few, Lattice(max_error=1, threads=1)))


def test_levels_begin_with_the_darkest() -> None:
    image = XRay(smooth(40, 40).pixels.astype(np.uint16) + 60000, 16)
    assert peak_of(check(image)) == int(np.ptp(image.pixels))


def test_frames_are_independent_but_for_their_levels() -> None:
    frames = np.stack([smooth(30, 70).pixels // k for k in (1, 2, 250)])
    data = check(XRay(frames, 8), Lattice(tile=64, threads=1))
    assert parse(data).header.frames == 3


def test_coefficients_are_sent_where_they_pay() -> None:
    assert read_parameters(parse(check(smooth(200, 200))).parameters).coefficients is not None
    assert read_parameters(parse(check(smooth(100, 200))).parameters).coefficients is None


@settings(max_examples=60)
@given(st.data())
def test_any_image(data: st.DataObject) -> None:
    bits, signed = data.draw(st.integers(1, 16)), data.draw(st.booleans())
    low, high = value_range(bits, signed=signed)
    shape = data.draw(hnp.array_shapes(min_dims=2, max_dims=3, max_side=9))
    values = hnp.arrays(pixel_type(bits, signed=signed), shape, elements=st.integers(low, high))
    check(XRay(data.draw(values), bits))


class TestBounds:
    @pytest.mark.parametrize("max_error", [0, 1, 2, 3, 4, 5, 100, 5000, 65535])
    @pytest.mark.parametrize(
        "image",
        [smooth(66, 70), smooth(40, 37, 12), smooth(33, 29, 16, signed=True), noise(20, 30, 8)],
        ids=["8 bits", "12 bits", "16 bits signed", "noise"],
    )
    def test_no_pixel_is_farther(self, image: XRay, max_error: int) -> None:
        data = compress(image, Lattice(max_error=max_error, tile=64, threads=1))
        result = decompress(data, threads=1)
        error = np.abs(result.pixels.astype(int) - image.pixels).max()
        assert error <= max_error
        assert parse(data).header.max_error == min(max_error, image.peak)
        assert verify(data, threads=1).identical

    def test_a_wider_bound_is_smaller(self) -> None:
        sizes = [
            len(compress(smooth(120, 120, 12), Lattice(max_error=bound, threads=1)))
            for bound in (0, 1, 4, 20, 4095)
        ]
        assert sizes == sorted(sizes, reverse=True)
        assert sizes[-1] < 600

    @pytest.mark.parametrize("max_error", [0, 1, 7])
    def test_plain_pixels_keep_the_bound(
        self, max_error: int, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setenv("XRAYCODEC_BACKEND", "onnxruntime")
        coded = compress(smooth(60, 70, 12), Lattice(max_error=max_error, threads=1))
        # Streams of as many words as there can be: the plain form is always the shorter one.
        monkeypatch.setattr(mixture_kernels, "push_all", lambda starts, sizes, words: 0)
        data = compress(smooth(60, 70, 12), Lattice(max_error=max_error, threads=1))
        assert [payload[0] for payload in parse(data).payloads] == [PLAIN] * 4
        assert [payload[0] for payload in parse(coded).payloads] == [CODED] * 4
        np.testing.assert_array_equal(
            decompress(data, threads=1).pixels, decompress(coded, threads=1).pixels
        )


class TestSettings:
    @pytest.mark.parametrize(
        "chosen",
        [
            {"max_error": -1},
            {"max_error": 65536},
            {"tile": 56},
            {"tile": 100},
            {"tile": 4104},
            {"tile": 0},
            {"threads": -1},
            {"profile": "worst"},
        ],
        ids=str,
    )
    def test_out_of_range(self, chosen: dict[str, int]) -> None:
        with pytest.raises(OptionError, match=str(next(iter(chosen.values())))):
            Lattice(**chosen)

    @pytest.mark.parametrize("max_error", [0, 2])
    def test_any_number_of_threads_gives_the_same_bytes(self, max_error: int) -> None:
        image = smooth(140, 130, 12)
        streams = [
            compress(image, Lattice(max_error=max_error, tile=tile, threads=threads))
            for tile in (64, 512)
            for threads in (1, 2)
        ]
        assert streams[0] == streams[1]
        assert streams[2] == streams[3]
        for stream in (streams[0], streams[2]):
            pixels = [decompress(stream, threads=threads).pixels for threads in (1, 2)]
            assert all((found == pixels[0]).all() for found in pixels)

    def test_progress_counts_tiles(self) -> None:
        seen: list[tuple[int, int]] = []
        data = compress(
            smooth(100, 100), Lattice(tile=64, threads=2), progress=lambda *step: seen.append(step)
        )
        decompress(data, threads=2, progress=lambda *step: seen.append(step))
        assert seen == [(n, 4) for n in range(1, 5)] * 2

    def test_what_the_header_says(self) -> None:
        header = parse(compress(smooth(70, 70), Lattice(max_error=3, threads=1))).header
        assert (header.codec, header.exact, header.max_error) == ("LTTC", True, 3)
        assert (header.layers, header.tile, header.model) == (
            4,
            512,
            named_pack("lattice-best").digest,
        )
