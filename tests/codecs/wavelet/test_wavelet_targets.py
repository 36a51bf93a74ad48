"""What a user asks for is what the file is: size, ratio, PSNR, step, quality, preset."""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable

import numpy as np
import pytest
from wavelet_building import noise, psnr, smooth

from xraycodec.codecs.wavelet import Wavelet
from xraycodec.codecs.wavelet.parameters import Parameters, finest_step
from xraycodec.codecs.wavelet.target import PRESETS, bounds_of, search, step_of_quality
from xraycodec.container import parse
from xraycodec.errors import OptionError
from xraycodec.image import DicomFile, XRay
from xraycodec.pipeline import compress, decompress

pytestmark = pytest.mark.usefixtures("tiny_model")

IMAGE = smooth(129, 200)
DEEP = smooth(100, 90, 14, signed=True)
FRAMES = XRay(np.stack([smooth(60, 70).pixels, 255 - smooth(60, 70).pixels // 2]), 8)


def step_of(data: bytes) -> int:
    return Parameters.from_bytes(bytes(parse(data).parameters)).step


class TestSize:
    @pytest.mark.parametrize(
        ("image", "size"), [(IMAGE, 2800), (IMAGE, 12000), (DEEP, 1800), (FRAMES, 1800)]
    )
    def test_it_is_met_from_below(self, image: XRay, size: int) -> None:
        data = compress(image, Wavelet(size=size, threads=1))
        assert 0.98 * size <= len(data) <= size

    def test_a_data_set_counts(self) -> None:
        image = XRay(IMAGE.pixels, 8, dicom=bytes(range(256)) * 8, dicom_file=DicomFile())
        data = compress(image, Wavelet(size=6000, threads=1))
        assert 0.98 * 6000 <= len(data) <= 6000

    @pytest.mark.parametrize("ratio", [6.5, 12.0])
    def test_a_ratio_is_that_of_the_bits_stored(self, ratio: float) -> None:
        data = compress(DEEP, Wavelet(ratio=ratio, threads=1))
        assert ratio <= DEEP.size_bytes / len(data) <= 1.03 * ratio

    def test_a_preset_is_a_ratio(self) -> None:
        preset = compress(IMAGE, Wavelet(preset="chest-car", threads=1))
        assert preset == compress(IMAGE, Wavelet(ratio=PRESETS["chest-car"], threads=1))

    @pytest.mark.parametrize("asked", [{"size": 1}, {"size": 200}, {"ratio": 1e6}])
    def test_what_no_step_gives(self, asked: dict[str, int]) -> None:
        with pytest.raises(OptionError, match="no step of quantisation gives a file of"):
            compress(smooth(9, 9), Wavelet(**asked, threads=1))  # type: ignore[arg-type]

    def test_more_bytes_than_the_finest_step_takes(self) -> None:
        data = compress(smooth(40, 40), Wavelet(size=1 << 40, threads=1))
        assert step_of(data) == bounds_of(*_range(smooth(40, 40)))[0]

    def test_an_image_of_one_pixel(self) -> None:
        with pytest.raises(OptionError, match="a file of 1 bytes"):
            compress(smooth(1, 1), Wavelet(ratio=30, threads=1))


class TestPsnr:
    @pytest.mark.parametrize(
        ("image", "wanted"), [(IMAGE, 36.0), (IMAGE, 45.0), (DEEP, 40.0), (FRAMES, 42.0)]
    )
    def test_it_is_met_from_above(self, image: XRay, wanted: float) -> None:
        found = psnr(image, decompress(compress(image, Wavelet(psnr=wanted, threads=1)), threads=1))
        assert wanted <= found <= wanted + 0.06

    @pytest.mark.parametrize("wanted", [58.0, 100.0, 150.0])
    def test_between_some_error_and_none(self, wanted: float) -> None:
        """At 8 bits, nothing is between one wrong pixel and an infinite PSNR."""
        image = smooth(30, 30)
        found = decompress(compress(image, Wavelet(psnr=wanted, threads=1)), threads=1)
        assert psnr(image, found) >= wanted

    def test_constant_images(self) -> None:
        image = XRay(np.full((5, 5), 9, np.uint8), 8)
        found = decompress(compress(image, Wavelet(psnr=60, threads=1)), threads=1)
        np.testing.assert_array_equal(found.pixels, image.pixels)

    def test_what_no_step_gives(self) -> None:
        with pytest.raises(OptionError, match=r"no step of quantisation gives a PSNR of 150 dB"):
            compress(noise(30, 30, 16), Wavelet(psnr=150, threads=1))


def _range(image: XRay) -> tuple[int, int]:
    return int(image.pixels.min()), int(image.pixels.max())


class TestStep:
    @pytest.mark.parametrize("step", [0.5, 1, 7.25, 300, 65536])
    def test_it_is_taken(self, step: float) -> None:
        assert step_of(compress(smooth(20, 20), Wavelet(step=step, threads=1))) == 256 * step

    def test_a_finer_one_than_there_is(self) -> None:
        image = smooth(20, 20, 16)
        finest = finest_step(*_range(image))
        assert finest > 256
        with pytest.raises(OptionError, match=rf"step 1; values .* take {finest / 256:g} or more"):
            compress(image, Wavelet(step=1, threads=1))
        data = compress(image, Wavelet(step=finest / 256, threads=1))
        assert step_of(data) == finest

    def test_quality_is_relative_to_the_range(self) -> None:
        steps = [step_of_quality(quality, 0, 255) for quality in range(0, 101, 10)]
        assert steps[0] == 64 << 8
        assert steps[5] == pytest.approx(4.76 * 256, rel=0.01)
        assert steps == sorted(steps, reverse=True)
        ratios = [a / b for a, b in itertools.pairwise(steps)]
        assert ratios == pytest.approx([2**0.75] * 10, rel=0.02)
        assert step_of_quality(50, -500, 3595) == pytest.approx(16 * steps[5], rel=1e-3)
        for low, high in ((0, 0), (0, 1), (0, 65535), (-32768, 32767)):
            finest, coarsest = bounds_of(low, high)
            for quality in (0.0, 50.0, 100.0):
                assert finest <= step_of_quality(quality, low, high) <= coarsest

    def test_quality_is_that_of_the_file(self) -> None:
        image = smooth(20, 20)
        for quality in (0.0, 50.0, 99.5):
            data = compress(image, Wavelet(quality=quality, threads=1))
            assert step_of(data) == step_of_quality(quality, *_range(image))
        assert compress(image, Wavelet(quality=50, threads=1)) == compress(
            image, Wavelet(threads=1)
        )

    def test_a_higher_quality_is_better_and_larger(self) -> None:
        files = [compress(IMAGE, Wavelet(quality=quality, threads=1)) for quality in (10, 50, 90)]
        sizes = list(map(len, files))
        assert sizes == sorted(sizes)
        found = [psnr(IMAGE, decompress(data, threads=1)) for data in files]
        assert found == sorted(found)


@pytest.mark.parametrize(
    ("chosen", "match"),
    [
        ({"quality": -0.1}, "quality -0.1; wavelet takes 0 to 100"),
        ({"quality": 100.1}, "quality 100.1"),
        ({"quality": math.nan}, "quality nan"),
        ({"psnr": 0.9}, "psnr 0.9; wavelet takes 1 to 150"),
        ({"psnr": math.inf}, "psnr inf"),
        ({"ratio": 0.5}, "ratio 0.5"),
        ({"ratio": 1e7}, r"ratio 1e\+07"),
        ({"size": 0}, "size 0"),
        ({"step": 0}, "step 0"),
        ({"step": 65537}, "step 65537"),
        ({"preset": "chest"}, "preset 'chest'; wavelet has radiograph-drg, "),
        ({"effort": -1}, "effort -1; wavelet takes 0 to 1"),
        ({"effort": 2}, "effort 2"),
        ({"threads": -1}, "-1 threads"),
        ({"quality": 50, "step": 1}, "quality and step were given; wavelet takes one of them"),
        ({"psnr": 50, "size": 9, "preset": "chest-car"}, "psnr and size and preset were given"),
    ],
    ids=str,
)
def test_out_of_range(chosen: dict[str, float], match: str) -> None:
    with pytest.raises(OptionError, match=match):
        Wavelet(**chosen)  # type: ignore[arg-type]


class TestSearch:
    """On functions of the step that are known."""

    @staticmethod
    def tried(
        excess: Callable[[int], float], first: int, *, from_below: bool = True
    ) -> tuple[int | None, list[int]]:
        seen: list[int] = []

        def encode(step: int) -> tuple[int, float]:
            seen.append(step)
            return step, excess(step)

        accepted = (lambda x: -0.03 <= x <= 0) if from_below else (lambda x: 0 <= x <= 0.008)
        return search(encode, first, (16, 65536), accepted, from_below=from_below), seen

    @pytest.mark.parametrize("first", [16, 1000, 65536])
    @pytest.mark.parametrize("target", [20, 700, 60000])
    @pytest.mark.parametrize("slope", [0.4, 1.2, 3.0])
    @pytest.mark.parametrize("from_below", [True, False])
    def test_straight_lines(self, first: int, target: int, slope: float, from_below: bool) -> None:
        found, seen = self.tried(
            lambda step: slope * math.log2(target / step), first, from_below=from_below
        )
        assert found is not None
        assert found == target or abs(slope * math.log2(target / found)) <= max(
            0.03, slope * math.log2((target + 1) / target)
        )
        assert len(seen) <= 9

    @pytest.mark.parametrize("jump", [17, 18, 1000, 65535, 65536])
    def test_a_jump_is_met_from_the_allowed_side(self, jump: int) -> None:
        found, seen = self.tried(lambda step: 1.0 if step < jump else -1.0, 1000)
        assert found is not None
        assert found >= jump
        assert len(seen) == len(set(seen)) <= 14

    def test_the_closest_of_the_allowed_side_where_none_is_accepted(self) -> None:
        found, _ = self.tried(lambda step: -1 - step / 65536, 1000)
        assert found == 16
        assert self.tried(lambda step: 1.0, 1000)[0] is None
