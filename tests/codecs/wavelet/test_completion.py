"""Files whose lossy base has a completion: bit-exact or bounded whole, the base alone before."""

from __future__ import annotations

import struct

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from wavelet_building import noise, smooth

from xraycodec.codecs.lattice.geometry import LAYERS as COMPLETION_LAYERS
from xraycodec.codecs.wavelet import Wavelet
from xraycodec.codecs.wavelet import codec as codec_module
from xraycodec.codecs.wavelet.completion_parameters import Kind
from xraycodec.codecs.wavelet.geometry import LAYERS
from xraycodec.codecs.wavelet.parameters import Parameters
from xraycodec.container import inspect, parse
from xraycodec.errors import OptionError
from xraycodec.exact.pack import named_pack
from xraycodec.image import XRay, pixel_type, value_range
from xraycodec.parts import decompress_part
from xraycodec.pipeline import compress, decompress, verify
from xraycodec.prefix import decompress_prefix

pytestmark = pytest.mark.usefixtures("tiny_model")

ALL = LAYERS + COMPLETION_LAYERS


def codec(max_error: int = 0, **more: float | int | str) -> Wavelet:
    return Wavelet(max_error=max_error, profile="fast", threads=1, **more)  # type: ignore[arg-type]


def check(image: XRay, chosen: Wavelet | None = None) -> bytes:
    """Assert that an image comes back as it was, or within the bound; return its file."""
    chosen = chosen or codec()
    assert chosen.max_error is not None
    data = compress(image, chosen)
    found = decompress(data, threads=1)
    error = np.abs(found.frames.astype(np.int64) - image.frames).max()
    assert error <= chosen.max_error
    assert found.pixels.dtype == pixel_type(image.bits_stored, signed=image.signed)
    assert (found.bits_stored, found.photometric_interpretation) == (
        image.bits_stored,
        image.photometric_interpretation,
    )
    return data


def parameters_of(data: bytes) -> Parameters:
    return Parameters.from_bytes(bytes(parse(data).parameters))


def kind_of(data: bytes) -> Kind:
    completion = parameters_of(data).completion
    assert completion is not None
    return completion.kind


SHAPES = [(1, 1), (1, 2), (2, 1), (2, 2), (3, 5), (1, 40), (40, 1), (31, 33), (64, 70)]


@pytest.mark.parametrize("shape", [*SHAPES, (513, 9), (6, 1025)])
@pytest.mark.parametrize("bits", [8, 12])
def test_sizes(shape: tuple[int, int], bits: int) -> None:
    check(smooth(*shape, bits))


@pytest.mark.parametrize("bits", range(1, 17))
@pytest.mark.parametrize("signed", [False, True])
@pytest.mark.parametrize("max_error", [0, 1])
def test_depths(bits: int, signed: bool, max_error: int) -> None:
    check(smooth(17, 21, bits, signed=signed), codec(max_error))
    low, high = value_range(bits, signed=signed)
    ends = np.full((9, 13), low, pixel_type(bits, signed=signed))
    ends[::3, 1::2] = high
    check(XRay(ends, bits, "MONOCHROME1"), codec(max_error, quality=0))


@pytest.mark.parametrize("max_error", [0, 1, 4, 100, 65535])
@pytest.mark.parametrize("quality", [0, 50, 100])
@pytest.mark.parametrize(
    "image",
    [smooth(36, 30), smooth(20, 37, 12), smooth(23, 29, 16, signed=True), noise(20, 30, 8)],
    ids=["8 bits", "12 bits", "16 bits signed", "noise"],
)
def test_no_pixel_is_farther_than_the_bound(image: XRay, quality: float, max_error: int) -> None:
    data = check(image, codec(max_error, quality=quality))
    assert parse(data).header.max_error == min(max_error, image.peak)
    assert verify(data, original=image, threads=1).identical


def test_a_wider_bound_is_smaller() -> None:
    sizes = [len(check(smooth(90, 80, 12), codec(bound))) for bound in (0, 1, 4, 20, 4095)]
    assert sizes == sorted(sizes, reverse=True)
    base = len(alone(smooth(90, 80, 12)))
    assert base < sizes[-1] < base + 400


@pytest.mark.parametrize("max_error", [0, 3])
def test_frames_and_tiles(max_error: int) -> None:
    frames = np.stack([smooth(530, 20).pixels // k for k in (1, 2, 250)])
    image = XRay(frames, 8)
    data = check(image, codec(max_error))
    header = parse(data).header
    assert (header.frames, header.tiles_down, header.tiles_across) == (3, 2, 1)
    sizes = np.array([len(p) for p in parse(data).payloads]).reshape(ALL, 3, 2)
    assert not sizes[:LAYERS, :, 1].any()
    assert sizes[:LAYERS, :, 0].all()


def test_patterns() -> None:
    rows, columns = np.mgrid[:40, :50]
    hot = np.zeros((40, 50), np.uint16)
    hot[13, 28] = 65535
    for pixels in (
        ((rows + columns) % 2 * 65535).astype(np.uint16),
        (columns % 2 * 200).astype(np.uint8),
        hot,
        65535 - hot,
        np.full((40, 50), 7, np.uint8),
    ):
        for quality in (0, 60):
            check(XRay(pixels, 8 * pixels.itemsize), codec(quality=quality))


def test_differences_with_too_wide_a_range_give_way_to_the_image() -> None:
    assert kind_of(check(noise(30, 33, 16), codec(quality=0))) is Kind.DIFFERENCE
    halves = np.zeros((64, 64), np.uint16)
    halves[32:] = 65535
    halves[9, 40], halves[55, 21] = 65535, 0
    for max_error in (0, 2):
        assert kind_of(check(XRay(halves, 16), codec(max_error, step=65535))) is Kind.IMAGE


def test_differences_that_do_not_occur_are_left_out() -> None:
    few = XRay(smooth(80, 90, 4).pixels.astype(np.uint16) * 811 + 7, 16)
    for max_error in (0, 1):
        completion = parameters_of(check(few, codec(max_error, step=65535))).completion
        assert completion is not None
        assert (completion.levels.values is None) == bool(max_error)


@settings(max_examples=40)
@given(st.data())
def test_any_image(data: st.DataObject) -> None:
    bits, signed = data.draw(st.integers(1, 16)), data.draw(st.booleans())
    low, high = value_range(bits, signed=signed)
    shape = data.draw(hnp.array_shapes(min_dims=2, max_dims=3, max_side=9))
    values = hnp.arrays(pixel_type(bits, signed=signed), shape, elements=st.integers(low, high))
    max_error = data.draw(st.sampled_from([0, 0, 1, 4]))
    quality = data.draw(st.floats(0, 100))
    check(XRay(data.draw(values), bits), codec(max_error, quality=quality))


@pytest.mark.parametrize("max_error", [0, 2])
def test_any_number_of_threads_gives_the_same_bytes(max_error: int) -> None:
    image = XRay(np.stack([smooth(516, 40, 12).pixels] * 2), 12)
    streams = [
        compress(image, Wavelet(max_error=max_error, profile="fast", threads=threads))
        for threads in (1, 2)
    ]
    assert streams[0] == streams[1]
    pixels = [decompress(streams[0], threads=threads).pixels for threads in (1, 2, 0)]
    assert all((found == pixels[0]).all() for found in pixels)


def test_progress_counts_frames_and_then_tiles() -> None:
    seen: list[tuple[int, int]] = []
    image = XRay(np.stack([smooth(20, 520).pixels] * 2), 8)
    data = compress(image, codec(), progress=lambda *step: seen.append(step))
    decompress(data, threads=1, progress=lambda *step: seen.append(step))
    assert seen == [(n, 6) for n in range(1, 7)] * 2


def test_what_the_file_says_of_itself() -> None:
    image = smooth(64, 70)
    for max_error, losses in ((0, 0), (3, 1)):
        data = check(image, codec(max_error))
        header = parse(data).header
        assert (header.codec, header.exact, header.max_error) == ("WAVE", True, max_error)
        assert (header.layers, header.tile) == (ALL, 512)
        assert header.model == named_pack("wavelet").digest
        completion = parameters_of(data).completion
        assert completion is not None
        assert completion.model == named_pack("lattice-fast").digest
        found = decompress(data, threads=1).losses
        assert [(loss.method, loss.max_error) for loss in found] == [("XRC_WAVELET", 3)] * losses


def test_the_best_model_is_the_default() -> None:
    completion = parameters_of(compress(smooth(30, 30), Wavelet(max_error=0, threads=1))).completion
    assert completion is not None
    assert completion.model == named_pack("lattice-guided").digest


def test_files_of_an_earlier_completion_model_are_read() -> None:
    image = smooth(70, 90)
    data = check(image, Wavelet(max_error=0, completion_model="lattice-guided-1", threads=1))
    completion = parameters_of(data).completion
    assert completion is not None
    assert completion.model.hex() == (
        "14a5a77cc0045edd11b4f6c77825a084ee2a4afcf70dba02cf24b63833ed4da8"
    )


@pytest.mark.parametrize(
    ("chosen", "message"),
    [
        ({"max_error": -1}, "maximum error -1; wavelet takes 0 to 65535"),
        ({"max_error": 65536}, "maximum error 65536; wavelet takes 0 to 65535"),
        ({"max_error": 0, "profile": "worst"}, "profile 'worst'; wavelet has best, fast"),
        ({"profile": "fast"}, "profile fast is of a completion; it needs a maximum error"),
    ],
    ids=str,
)
def test_settings_out_of_range(chosen: dict[str, int], message: str) -> None:
    with pytest.raises(OptionError, match=message):
        Wavelet(**chosen)  # type: ignore[arg-type]


TWO = XRay(np.stack([smooth(40, 530, 12).pixels, smooth(40, 530, 12).pixels // 3]), 12)


@pytest.fixture(scope="module")
def data(tiny_model: object) -> bytes:
    return compress(TWO, codec(quality=40))


def alone(image: XRay, **chosen: float) -> bytes:
    """A file without a completion, in four layers whatever its size."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(codec_module, "_JOINED_BYTES", 0)
        return compress(image, Wavelet(threads=1, **chosen))  # type: ignore[arg-type]


@pytest.fixture(scope="module")
def base(tiny_model: object) -> bytes:
    return alone(TWO, quality=40)


class TestBase:
    """The first four layers are the file without a completion."""

    @pytest.mark.parametrize("layers", range(1, ALL))
    def test_prefixes(self, data: bytes, base: bytes, layers: int) -> None:
        found = decompress_prefix(data, layers=layers, threads=1)
        expected = decompress_prefix(base, layers=min(layers, LAYERS), threads=1)
        np.testing.assert_array_equal(found.image.pixels, expected.image.pixels)
        assert (found.layers, found.of_layers) == (min(layers, LAYERS), ALL)
        (loss,) = found.image.losses
        assert loss.max_error is None
        assert loss == expected.image.losses[0]

    def test_all_layers(self, data: bytes) -> None:
        for layers in (ALL, None):
            found = decompress_prefix(data, layers=layers, threads=1)
            np.testing.assert_array_equal(found.image.pixels, TWO.pixels)
            assert (found.layers, found.of_layers, found.image.losses) == (ALL, ALL, ())

    def test_a_file_that_was_cut_off(self, data: bytes, base: bytes) -> None:
        container = parse(data)
        # Chunks hold payloads of one layer only.
        sizes = np.array([len(p) for p in container.payloads]).reshape(ALL, -1).sum(1)
        ends: list[int] = []
        total = 0
        for chunk in container.chunks:
            if chunk.type == "DATA":
                total += chunk.length
                if total == sizes[: len(ends) + 1].sum():
                    ends.append(chunk.end)
        assert len(ends) == ALL
        whole = decompress(base, threads=1).pixels
        for end in (ends[3], ends[3] + 5, ends[4], ends[6] + 1, ends[7] - 1):
            found = decompress_prefix(data[:end], threads=1)
            assert found.layers == LAYERS
            np.testing.assert_array_equal(found.image.pixels, whole)
            assert len(found.image.losses) == 1
        found = decompress_prefix(data[: ends[2] + 1], threads=1)
        assert found.layers == 3
        found = decompress_prefix(data[: ends[7]], threads=1)
        np.testing.assert_array_equal(found.image.pixels, TWO.pixels)

    @pytest.mark.parametrize("region", [(0, 0, 40, 530), (30, 500, 9, 30), (3, 520, 1, 1)])
    def test_regions_at_the_full_size_are_complete(
        self, data: bytes, region: tuple[int, int, int, int]
    ) -> None:
        part = decompress_part(data, region=region, threads=1)
        row, column, rows, columns = region
        np.testing.assert_array_equal(
            part.image.pixels, TWO.pixels[:, row : row + rows, column : column + columns]
        )
        assert part.image.losses == ()

    def test_regions_read_the_tiles_that_they_touch(self) -> None:
        image = smooth(40, 1100, 12)
        data = compress(image, codec(quality=20))
        part = decompress_part(data, region=(20, 1030, 20, 20), threads=1)
        np.testing.assert_array_equal(part.image.pixels, image.pixels[20:40, 1030:1050])
        assert part.bytes_read < 0.6 * len(data)

    @pytest.mark.parametrize("scale", [2, 4, 8])
    def test_smaller_images_are_those_of_the_base(
        self, data: bytes, base: bytes, scale: int
    ) -> None:
        for region in (None, (10, 500, 30, 30)):
            found = decompress_part(data, scale=scale, region=region, threads=1)
            expected = decompress_part(base, scale=scale, region=region, threads=1)
            np.testing.assert_array_equal(found.image.pixels, expected.image.pixels)
            (loss,) = found.image.losses
            assert (loss.method, loss.max_error) == ("XRC_WAVELET", None)
        assert found.bytes_read < len(base) + 1200


@pytest.mark.parametrize("max_error", [0, 2])
def test_targets_are_those_of_the_base(max_error: int) -> None:
    image = smooth(150, 150, 12)
    plain = alone(image, ratio=20)
    data = check(image, codec(max_error, ratio=20))
    assert inspect(data).layer_bytes[:LAYERS] == inspect(plain).layer_bytes


def test_layer_bytes_are_those_of_the_payloads() -> None:
    data = check(smooth(60, 70))
    payloads = [len(payload) for payload in parse(data).payloads]
    assert inspect(data).layer_bytes == tuple(payloads)
    assert inspect(data[:30]).layer_bytes == ()


def test_parameters_of_a_completion_end_with_those_of_lattice() -> None:
    data = check(smooth(30, 30), codec(2))
    raw = bytes(parse(data).parameters)
    version, flags = raw[:2]
    assert (version, flags) == (1, 1)
    assert raw[14] == Kind.DIFFERENCE
    assert raw[15:47] == named_pack("lattice-fast").digest
    _, _, peak, lowest = struct.unpack("<BBHi", raw[47:])
    assert lowest < 0 < lowest + peak
