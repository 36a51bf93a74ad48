"""Outermost lines that are scaled copies of those inside: spec/wavelet.md, section 2.3."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import numpy.typing as npt
import pytest
import spec_reader
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from wavelet_building import noise, psnr, smooth

from xraycodec.codecs.base import Part
from xraycodec.codecs.wavelet import Wavelet
from xraycodec.codecs.wavelet.decoding import decode_part
from xraycodec.codecs.wavelet.margins import LEAST_SIDE, SIZE, Margins, find_margins
from xraycodec.codecs.wavelet.parameters import Parameters
from xraycodec.container import parse
from xraycodec.errors import CorruptError
from xraycodec.exact.pack import find_pack
from xraycodec.image import XRay
from xraycodec.parts import decompress_part
from xraycodec.pipeline import compress, decompress
from xraycodec.prefix import decompress_prefix

UNCHANGED = 8 * (128,)
RESAMPLED = (64, 133, 76, 133, 64, 133, 76, 133)
"""What bicubic resampling against zeros leaves."""


def dimmed(frames: npt.NDArray[np.integer], margins: Margins) -> npt.NDArray[np.integer]:
    found = frames.astype(np.int32)
    margins.put_back(found, int(frames.min()) - 70000, int(frames.max()) + 70000)
    return found


def margins_of(data: bytes) -> Margins | None:
    return Parameters.from_bytes(bytes(parse(data).parameters)).margins


def dimmed_image(rows: int = 40, columns: int = 50, gains: tuple[int, ...] = RESAMPLED) -> XRay:
    plain = smooth(rows, columns).frames // 2 + 60
    return XRay(dimmed(plain, Margins(0, gains))[0].clip(0, 255).astype(np.uint8), 8)


@pytest.mark.parametrize("padding", [0, 4095])
def test_gains_are_found(padding: int) -> None:
    plain = smooth(60, 70, 12).frames // 4 + 1500
    gains = (64, 133, 76, 128, 0, 140, 128, 30)
    found = find_margins(dimmed(plain, Margins(padding, gains)))
    assert found is not None
    assert found.padding == padding
    # The lines inside are not quite those at the border.
    np.testing.assert_allclose(found.gains, gains, atol=6)


@pytest.mark.parametrize(
    "frames",
    [
        smooth(60, 70).frames,
        noise(60, 70, 8).frames,
        np.zeros((1, 20, 20), np.uint8),
        np.full((2, 20, 20), 9, np.uint8),
        dimmed_image(7, 50).frames,
        dimmed_image(50, 7).frames,
    ],
    ids=["smooth", "noise", "zero", "constant", "low", "narrow"],
)
def test_most_images_have_none(frames: npt.NDArray[np.integer]) -> None:
    assert find_margins(frames) is None


def test_frames_share_their_margins() -> None:
    plain = np.concatenate([smooth(40, 44).frames // 2 + 60, smooth(40, 44).frames // 3 + 40])
    found = find_margins(dimmed(plain, Margins(0, RESAMPLED)))
    assert found is not None
    np.testing.assert_allclose(found.gains, RESAMPLED, atol=6)


@settings(max_examples=60)
@given(st.data())
def test_taking_off_stays_within_the_range(data: st.DataObject) -> None:
    frames = data.draw(
        hnp.arrays(np.int16, st.tuples(st.just(2), st.integers(8, 12), st.integers(8, 12)))
    )
    gains = tuple(data.draw(st.lists(st.integers(0, 255), min_size=8, max_size=8)))
    margins = Margins(data.draw(st.integers(-(1 << 31), (1 << 31) - 1)), gains)
    lowest, highest = int(frames.min()), int(frames.max())
    plain = margins.take_off(frames)
    margins.put_back(plain, lowest, highest)
    assert lowest <= plain.min()
    assert plain.max() <= highest
    np.testing.assert_array_equal(plain[:, 2:-2, 2:-2], frames[:, 2:-2, 2:-2])


def test_what_was_scaled_comes_back() -> None:
    image = dimmed_image()
    margins = find_margins(image.frames)
    assert margins is not None
    plain = margins.take_off(image.frames)
    assert np.abs(np.diff(plain[0, :4].astype(int), axis=0)).mean() < 5
    margins.put_back(plain, 0, 255)
    assert np.abs(plain - image.frames.astype(int)).max() <= 2


def test_gains_of_128_change_nothing() -> None:
    frames = noise(20, 30, 8).frames
    margins = Margins(77, UNCHANGED)
    np.testing.assert_array_equal(margins.take_off(frames), frames)
    np.testing.assert_array_equal(dimmed(frames, margins), frames)


def test_bytes() -> None:
    margins = Margins(-5, (0, 255, 1, 2, 3, 4, 5, 6))
    assert len(margins.to_bytes()) == SIZE == 12
    assert Margins.from_bytes(margins.to_bytes()) == margins


@pytest.mark.usefixtures("tiny_model")
class TestStreams:
    def test_files_are_smaller_and_no_worse(self, monkeypatch: pytest.MonkeyPatch) -> None:
        image = dimmed_image(200, 200)
        with_margins = compress(image, Wavelet(step=6, threads=1))
        monkeypatch.setattr("xraycodec.codecs.wavelet.content.find_margins", lambda frames: None)
        without = compress(image, Wavelet(step=6, threads=1))
        assert margins_of(with_margins) is not None
        assert margins_of(without) is None
        assert len(with_margins) < 0.9 * len(without)
        better, worse = decompress(with_margins, threads=1), decompress(without, threads=1)
        assert psnr(image, better) > psnr(image, worse) - 0.3

    @pytest.mark.parametrize("gains", [RESAMPLED, (9, 118, 128, 128, 128, 128, 0, 70)])
    @pytest.mark.parametrize("shape", [(8, 8), (21, 34)])
    def test_the_specification_decodes_the_same_pixels(
        self, shape: tuple[int, int], gains: tuple[int, ...]
    ) -> None:
        data = compress(dimmed_image(*shape, gains), Wavelet(step=60, threads=1))
        container = parse(data)
        assert margins_of(data) is not None
        pixels = spec_reader.decode(container, find_pack(container.header.model))
        np.testing.assert_array_equal(pixels, decompress(data, threads=1).frames)

    @pytest.mark.usefixtures("four_layers")
    def test_parts_and_prefixes(self) -> None:
        image = dimmed_image()
        data = compress(image, Wavelet(step=3, threads=1))
        whole = decompress(data, threads=1).pixels
        region = decompress_part(data, region=(0, 31, 9, 19), threads=1).image.pixels
        np.testing.assert_array_equal(region, whole[:9, 31:50])
        # A smaller image has no margins: its border is as bright as what is beside it.
        half = decompress_part(data, scale=2, threads=1).image.pixels.astype(int)
        assert np.abs(half[0] - half[1]).mean() < 10
        assert np.abs(whole[0] - whole[1].astype(int)).mean() > 30
        front = decompress_prefix(data, layers=2, threads=1).image.pixels.astype(int)
        assert np.abs(front[0] * 2 - front[2]).mean() < 12

    def test_a_completion_is_bit_exact(self) -> None:
        image = dimmed_image()
        data = compress(
            image, Wavelet(step=9, max_error=0, threads=1, completion_model="lattice-fast")
        )
        assert margins_of(data) is not None
        np.testing.assert_array_equal(decompress(data, threads=1).pixels, image.pixels)

    def test_fine_steps_go_without(self) -> None:
        """Scaled lines are rounded, which fine steps cannot afford."""
        image = dimmed_image()
        assert margins_of(compress(image, Wavelet(step=0.1, threads=1))) is None
        assert psnr(image, decompress(compress(image, Wavelet(psnr=100, threads=1)))) >= 100

    def test_sizes_are_met(self) -> None:
        image = dimmed_image(64, 64)
        data = compress(image, Wavelet(size=900, threads=1))
        assert len(data) <= 900
        assert margins_of(data) is not None


@pytest.mark.usefixtures("tiny_model")
@pytest.mark.parametrize("shape", [(LEAST_SIDE - 1, 30), (30, LEAST_SIDE - 1)])
def test_small_frames_cannot_have_margins(shape: tuple[int, int]) -> None:
    container = parse(compress(smooth(*shape), Wavelet(threads=1)))
    read = Parameters.from_bytes(bytes(container.parameters))
    changed = replace(read, margins=Margins(0, RESAMPLED)).to_bytes()
    payloads = dict(enumerate(container.payloads))
    with pytest.raises(CorruptError, match=r"margins for frames of .* sides are at least 8"):
        decode_part(
            container.header, changed, payloads, Part(0, 0, *shape), 1, lambda done, total: None
        )


@pytest.mark.parametrize("missing", [1, 11])
def test_margins_that_are_cut_off(missing: int) -> None:
    data = Parameters(256, 0, 255, margins=Margins(0, RESAMPLED)).to_bytes()
    with pytest.raises(CorruptError, match=f"{12 - missing} bytes of margins; 12 belong"):
        Parameters.from_bytes(data[:-missing])
    with pytest.raises(CorruptError, match="1 bytes too many"):
        Parameters.from_bytes(data + b"\0")
