"""Smaller images, regions and prefixes of wavelet files."""

from __future__ import annotations

import random

import numpy as np
import pytest
from wavelet_building import noise, psnr, smooth

from xraycodec.codecs.wavelet import Wavelet, geometry
from xraycodec.container import parse
from xraycodec.errors import OptionError, TruncatedError
from xraycodec.image import XRay
from xraycodec.parts import decompress_part
from xraycodec.pipeline import compress, decompress
from xraycodec.prefix import decompress_prefix

pytestmark = pytest.mark.usefixtures("tiny_model")

IMAGE = smooth(67, 90, noise=0)
FRAMES = XRay(np.stack([smooth(40, 33, 12).pixels, smooth(40, 33, 12).pixels // 2]), 12)


@pytest.fixture(params=[1, 4], ids=["one layer", "four layers"])
def layers(request: pytest.FixtureRequest) -> int:
    if request.param == 4:
        request.getfixturevalue("four_layers")
    count: int = request.param
    return count


@pytest.mark.parametrize(
    "image",
    [IMAGE, FRAMES, smooth(1, 1), smooth(2, 70)],
    ids=["one", "frames", "a pixel", "two rows"],
)
def test_a_region_is_that_of_the_whole(image: XRay, layers: int) -> None:
    data = compress(image, Wavelet(threads=1))
    assert parse(data).header.layers == layers
    rows, columns = image.frames.shape[1:]
    draw = random.Random(rows)
    for scale in (1, 2, 4, 8):
        whole = decompress_part(data, scale=scale, threads=1)
        expected = whole.image.frames
        assert expected.shape[1:] == (-(-rows // scale), -(-columns // scale))
        assert whole.image.pixels.dtype == image.pixels.dtype
        if scale == 1:
            np.testing.assert_array_equal(expected, decompress(data, threads=1).frames)
        for _ in range(4):
            row, column = draw.randrange(rows), draw.randrange(columns)
            height, width = draw.randint(1, rows - row), draw.randint(1, columns - column)
            top, left = -(-row // scale), -(-column // scale)
            below, right = -(-(row + height) // scale), -(-(column + width) // scale)
            region = (row, column, height, width)
            if top == below or left == right:
                with pytest.raises(OptionError, match=f"holds none at a scale of 1/{scale}"):
                    decompress_part(data, scale=scale, region=region, threads=1)
                continue
            part = decompress_part(data, scale=scale, region=region, threads=1)
            np.testing.assert_array_equal(part.image.frames, expected[:, top:below, left:right])


@pytest.mark.parametrize("shape", [(64, 96), (1, 128), (128, 1), (3, 160)])
@pytest.mark.parametrize("scale", [2, 4, 8])
def test_smaller_images_are_averages(shape: tuple[int, int], scale: int) -> None:
    """Of images as thin as a pixel too, whose low-pass bands would lose brightness otherwise."""
    image = smooth(*shape, noise=0)
    data = compress(image, Wavelet(quality=100, threads=1))
    small = decompress_part(data, scale=scale, threads=1).image
    # The low-pass filter is centred on the first pixel of each block.
    reach = scale // 2
    padded = np.pad(image.pixels.astype(float), reach, mode="reflect" if min(shape) > 9 else "edge")
    expected = [
        [
            padded[row : row + scale + 1, column : column + scale + 1].mean()
            for column in range(0, shape[1], scale)
        ]
        for row in range(0, shape[0], scale)
    ]
    difference = small.pixels - np.array(expected)
    assert np.abs(difference).mean() < 3
    assert abs(difference.mean()) < 1.5


def test_smaller_images_read_less(layers: int) -> None:
    data = compress(smooth(200, 190), Wavelet(quality=75, threads=1))
    read = [decompress_part(data, scale=scale, threads=1).bytes_read for scale in (1, 2, 4, 8)]
    if parse(data).header.layers == 4:
        assert read == sorted(read, reverse=True)
        assert read[3] < read[0] / 3
    assert max(read) <= len(data)


def test_a_region_outside_of_the_image() -> None:
    data = compress(IMAGE, Wavelet(threads=1))
    for region in ((0, 0, 68, 1), (67, 0, 1, 1), (-1, 0, 2, 2), (0, 0, 0, 1), (0, 89, 1, 2)):
        with pytest.raises(OptionError, match="is not inside the image of 67 x 90"):
            decompress_part(data, region=region, threads=1)


@pytest.mark.usefixtures("four_layers")
class TestPrefixes:
    @pytest.mark.parametrize("image", [IMAGE, FRAMES], ids=["one", "frames"])
    def test_more_layers_are_better(self, image: XRay) -> None:
        data = compress(image, Wavelet(quality=95, threads=1))
        found = [decompress_prefix(data, layers=count, threads=1) for count in (1, 2, 3, 4)]
        assert [prefix.layers for prefix in found] == [1, 2, 3, 4]
        assert all(prefix.of_layers == 4 for prefix in found)
        np.testing.assert_array_equal(found[3].image.pixels, decompress(data, threads=1).pixels)
        for prefix in found:
            assert prefix.image.pixels.shape == image.pixels.shape
        assert psnr(image, found[0].image) < psnr(image, found[3].image)
        (loss,) = found[0].image.losses
        assert (loss.method, loss.max_error) == ("XRC_WAVELET", None)
        assert loss.ratio > found[3].image.losses[0].ratio

    def test_a_file_that_was_cut_off(self) -> None:
        data = compress(IMAGE, Wavelet(threads=1))
        ends = [decompress_prefix(data, layers=count, threads=1) for count in (1, 2, 3, 4)]
        for count, (whole, size) in enumerate(
            zip(ends[:3], [prefix.bytes_read for prefix in ends][:3], strict=True), 1
        ):
            cut = decompress_prefix(data[: size + 5], threads=1)
            assert (cut.layers, cut.of_layers) == (count, 4)
            np.testing.assert_array_equal(cut.image.pixels, whole.image.pixels)
        with pytest.raises(TruncatedError, match="0 of 4 layers are whole"):
            decompress_prefix(data[: ends[0].bytes_read - 1], threads=1)

    def test_images_with_fewer_levels_than_layers(self) -> None:
        for shape in ((1, 1), (2, 2), (3, 2), (5, 7), (9, 16)):
            data = compress(smooth(*shape), Wavelet(threads=1))
            for count in (1, 2, 3, 4):
                found = decompress_prefix(data, layers=count, threads=1)
                assert found.image.pixels.shape == shape
            np.testing.assert_array_equal(found.image.pixels, decompress(data, threads=1).pixels)
            empty = [not len(payload) for payload in parse(data).payloads]
            top = len(geometry.levels(*shape)) - 1
            assert empty == [False, top < 3, top < 2, top < 1]


def test_a_prefix_of_one_layer_is_the_file() -> None:
    data = compress(IMAGE, Wavelet(threads=1))
    found = decompress_prefix(data, threads=1)
    assert (found.layers, found.of_layers) == (1, 1)
    np.testing.assert_array_equal(found.image.pixels, decompress(data, threads=1).pixels)


def test_large_files_and_images_have_four_layers(monkeypatch: pytest.MonkeyPatch) -> None:
    assert parse(compress(noise(150, 150, 8), Wavelet(step=0.5, threads=1))).header.layers == 4
    assert parse(compress(smooth(20, 20), Wavelet(threads=1))).header.layers == 1
    monkeypatch.setattr(geometry, "_STRIP_CELLS", 20)
    for image in (smooth(20, 20), XRay(np.full((20, 20), 5, np.uint8), 8)):
        data = compress(image, Wavelet(threads=1))
        assert parse(data).header.layers == 4
        assert decompress(data, threads=1).pixels.shape == (20, 20)
