"""Files of images of every kind decode to what the encoder says they do."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from wavelet_building import noise, psnr, smooth

from xraycodec.codecs.wavelet import Wavelet, geometry
from xraycodec.codecs.wavelet.parameters import Parameters
from xraycodec.container import parse
from xraycodec.errors import ModelError
from xraycodec.exact.pack import named_pack
from xraycodec.image import XRay, pixel_type, value_range
from xraycodec.pipeline import compress, decompress, verify

pytestmark = pytest.mark.usefixtures("tiny_model")

SHAPES = [(1, 1), (1, 2), (2, 1), (1, 7), (2, 2), (3, 5), (5, 2), (17, 33), (64, 64), (129, 200)]


def check(image: XRay, codec: Wavelet | None = None) -> tuple[bytes, XRay]:
    """Assert that a file gives what its encoder saw, and return both."""
    codec = codec or Wavelet(threads=1)
    data = compress(image, codec)
    found = decompress(data, threads=1)  # which holds the pixels against the encoder's hash
    assert found.frames.shape == image.frames.shape
    assert found.pixels.dtype == pixel_type(image.bits_stored, signed=image.signed)
    assert found.bits_stored == image.bits_stored
    assert found.photometric_interpretation == image.photometric_interpretation
    assert image.frames.min() <= found.frames.min() <= found.frames.max() <= image.frames.max()
    assert verify(data, threads=1).identical
    return data, found


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("bits", [8, 12, 16])
def test_sizes(shape: tuple[int, int], bits: int) -> None:
    image = smooth(*shape, bits)
    _, found = check(image)
    assert psnr(image, found) > 38


def test_the_encoder_gives_the_pixels_of_the_decoder() -> None:
    image = smooth(40, 50, 10)
    encoded = Wavelet(threads=1).encode(image)
    np.testing.assert_array_equal(
        encoded.pixels, decompress(compress(image, Wavelet(threads=1)), threads=1).frames
    )


@pytest.mark.parametrize("bits", [1, 2, 7, 8, 9, 16])
@pytest.mark.parametrize("signed", [False, True])
def test_depths(bits: int, signed: bool) -> None:
    check(smooth(23, 30, bits, signed=signed))
    low, high = value_range(bits, signed=signed)
    ends = np.full((9, 13), low, pixel_type(bits, signed=signed))
    ends[::3, 1::2] = high
    check(XRay(ends, bits, "MONOCHROME1"))


@pytest.mark.parametrize("effort", [0, 1])
@pytest.mark.parametrize("quality", [0.0, 30.0, 100.0])
@pytest.mark.parametrize("image", [smooth(45, 38, 12), noise(20, 21, 8)], ids=["smooth", "noise"])
def test_efforts(image: XRay, quality: float, effort: int) -> None:
    check(image, Wavelet(quality=quality, effort=effort, threads=1))


@pytest.mark.parametrize("value", [-128, 0, 1, 127])
def test_constant_images_are_lossless_and_small(value: int) -> None:
    data, found = check(XRay(np.full((70, 130), value, np.int8), 8))
    assert (found.pixels == value).all()
    assert sum(map(len, parse(data).payloads)) < 40


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
@pytest.mark.parametrize("quality", [20.0, 100.0])
def test_patterns(name: str, quality: float) -> None:
    pixels = patterns()[name]
    image = XRay(pixels, 8 * pixels.itemsize)
    _, found = check(image, Wavelet(quality=quality, effort=1, threads=1))
    # Where a step is a thousandth of the range, so are errors, more or less.
    assert quality < 100 or psnr(image, found) > 55


def test_fine_steps_keep_every_pixel_of_8_bits() -> None:
    image = smooth(33, 40)
    _, found = check(image, Wavelet(step=1 / 8, threads=1))
    np.testing.assert_array_equal(found.pixels, image.pixels)


def test_frames_share_a_range_and_nothing_else() -> None:
    frames = np.stack([smooth(40, 44).pixels // k for k in (1, 2, 250)])  # without margins
    data, _ = check(XRay(frames, 8))
    container = parse(data)
    parameters = Parameters.from_bytes(bytes(container.parameters))
    assert (parameters.lowest, parameters.highest) == (frames.min(), frames.max())
    alone = frames[1].copy()
    alone[0, 0], alone[0, 1] = frames.min(), frames.max()
    both = np.stack([alone, frames[0]])
    one = parse(compress(XRay(alone, 8), Wavelet(threads=1))).payloads
    two = parse(compress(XRay(both, 8), Wavelet(threads=1))).payloads
    assert [bytes(p) for p in two[::2]] == [bytes(p) for p in one]


@settings(max_examples=25)
@given(st.data())
def test_any_image(data: st.DataObject) -> None:
    bits, signed = data.draw(st.integers(1, 16)), data.draw(st.booleans())
    low, high = value_range(bits, signed=signed)
    shape = data.draw(hnp.array_shapes(min_dims=2, max_dims=3, max_side=9))
    values = hnp.arrays(pixel_type(bits, signed=signed), shape, elements=st.integers(low, high))
    quality = data.draw(st.floats(0, 100))
    effort = data.draw(st.integers(0, 1))
    check(XRay(data.draw(values), bits), Wavelet(quality=quality, effort=effort, threads=1))


@pytest.mark.parametrize("frames", [1, 3])
def test_any_number_of_threads_gives_the_same_bytes(
    frames: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(geometry, "_STRIP_CELLS", 40)  # so that levels are cut, as large ones are
    pixels = np.stack([smooth(60, 70, 12).pixels // (k + 1) for k in range(frames)])
    streams = [
        compress(XRay(pixels, 12), Wavelet(effort=1, threads=threads)) for threads in (1, 2, 0)
    ]
    assert streams[0] == streams[1] == streams[2]
    decoded = [decompress(streams[0], threads=threads).pixels for threads in (1, 2, 0)]
    assert all((found == decoded[0]).all() for found in decoded)


def test_pixels_in_any_order_of_memory() -> None:
    image = smooth(31, 20, 12)
    turned = XRay(np.asfortranarray(image.pixels), 12)
    assert compress(turned, Wavelet(threads=1)) == compress(image, Wavelet(threads=1))


def test_progress_counts_frames() -> None:
    seen: list[tuple[int, int]] = []
    frames = XRay(np.stack([smooth(20, 20).pixels] * 3), 8)
    data = compress(frames, Wavelet(threads=1), progress=lambda *step: seen.append(step))
    decompress(data, threads=1, progress=lambda *step: seen.append(step))
    assert seen == [(n, 3) for n in range(1, 4)] * 2


def test_what_the_file_says_of_itself() -> None:
    data, found = check(smooth(64, 70))
    header = parse(data).header
    assert (header.codec, header.exact, header.max_error) == ("WAVE", True, None)
    assert (header.layers, header.tile) == (1, 0)
    assert header.model == named_pack("wavelet").digest
    (loss,) = found.losses
    payloads = sum(map(len, parse(data).payloads))
    assert (loss.method, loss.max_error) == ("XRC_WAVELET", None)
    assert loss.ratio == pytest.approx(64 * 70 / payloads, abs=1e-3)


def test_a_model_that_is_not_there() -> None:
    with pytest.raises(ModelError, match=r"no model pack other\.xrcpack"):
        compress(smooth(4, 4), Wavelet(model="other"))


def test_kernels_are_compiled_once() -> None:
    """Encoder and decoder, and every kind of image, pass one set of types."""
    from xraycodec.codecs.wavelet import features, kernels, transform

    for image in (smooth(90, 80), smooth(1, 33, 16, signed=True), XRay(smooth(9, 9).pixels.T, 8)):
        decompress(compress(image, Wavelet(effort=1, threads=1)), threads=1)
    for kernel in (
        features.describe,
        features.describe_coefficients,
        kernels.encode_cells,
        kernels.decode_cells,
        transform.forward,
        transform.inverse,
    ):
        assert len(kernel.signatures) == 1  # type: ignore[attr-defined]
