from __future__ import annotations

import numpy as np
import pytest

from xraycodec import XRay
from xraycodec.demo.phantom import chest_phantom
from xraycodec.errors import OptionError
from xraycodec.evaluation.peers import Peer, at_size, peer
from xraycodec.evaluation.peers.peer import any_value, whole_beta, whole_number


@pytest.fixture(scope="module")
def chest():
    return chest_phantom(256, 256, seed=5, bits_stored=8)


class Recorder:
    """A codec whose files have any size that a function gives; counts its work."""

    def __init__(self, size, *, lossless=None):
        self.size, self.lossless, self.asked = size, lossless, []

    def __call__(self, image, quality):
        self.asked.append(quality)
        return bytes(self.lossless if quality is None else round(self.size(quality)))


def made(size, qualities, snap=any_value, lossless=None) -> tuple[Peer, Recorder]:
    recorder = Recorder(size, lossless=lossless)
    return (
        Peer(
            "made up",
            "made-up",
            qualities,
            lossless is not None,
            8,
            recorder,
            lambda data: np.zeros((1, 1), np.uint8),
            snap,
        ),
        recorder,
    )


IMAGE = XRay(np.zeros((100, 100), np.uint8), 8)
CONTROLS = {
    "rising": (lambda q: 10 * 2 ** (q / 6), (60, 50, 40, 30, 20)),
    "falling": (lambda q: 5000 / q, (0.5, 1, 2, 5, 10, 50)),
    "wavy": (lambda q: 10 * 2 ** (q / 6) * (1 + 0.02 * np.sin(7 * q)), (60, 45, 20)),
    "steep at one end": (lambda q: 100 + q**6 / 1e5, (50, 10, 1)),
}


@pytest.mark.parametrize("control", CONTROLS)
@pytest.mark.parametrize("target", [250, 777, 4000])
def test_a_continuous_control_lands_within_the_tolerance(control, target):
    codec, recorder = made(*CONTROLS[control])
    found = at_size(codec, IMAGE, target)
    assert 0.98 * target <= found.size_bytes <= target
    assert found.size_bytes == len(found.data) == round(CONTROLS[control][0](found.quality))
    assert len(recorder.asked) <= 9


@pytest.mark.parametrize("target", [101, 156, 333, 912])
def test_a_coarse_control_gives_the_largest_file_that_fits(target):
    def size(quality):
        return 1000 - 45 * quality

    codec, recorder = made(size, (1, 3, 7, 12, 20), whole_number)
    found = at_size(codec, IMAGE, target, tolerance=0)
    assert found.size_bytes == max(size(q) for q in range(1, 21) if size(q) <= target)
    assert all(quality == int(quality) for quality in recorder.asked)
    assert len(set(recorder.asked)) == len(recorder.asked)


def test_every_beta_can_be_found():
    def size(ratio):
        return 10_000 / ratio

    codec, _ = made(size, (2, 8, 64, 256), whole_beta)
    for beta in range(1, 129):
        target = int(size(256 / beta)) + 1
        assert at_size(codec, IMAGE, target, tolerance=0).quality == 256 / beta


def test_the_best_of_the_ladder_is_the_end():
    codec, _ = made(*CONTROLS["rising"])
    assert at_size(codec, IMAGE, 10**6).quality == 60


def test_a_target_below_the_ladder_is_refused():
    codec, _ = made(*CONTROLS["rising"])
    smallest = round(10 * 2 ** (20 / 6))
    with pytest.raises(OptionError, match=f"no file of 50 bytes or less.*20, takes {smallest}"):
        at_size(codec, IMAGE, 50)


def test_lossless_where_it_fits():
    size, ladder = CONTROLS["rising"]
    codec, recorder = made(size, ladder, lossless=3000)
    assert at_size(codec, IMAGE, 3000).quality is None
    assert recorder.asked == [None]
    assert at_size(codec, IMAGE, 2999).quality is not None


def test_lossless_is_not_tried_where_it_cannot_fit():
    size, ladder = CONTROLS["rising"]
    codec, recorder = made(size, ladder, lossless=3000)
    at_size(codec, IMAGE, IMAGE.pixels.size // 16 - 1)
    assert None not in recorder.asked


@pytest.mark.parametrize(("size", "tolerance"), [(0, 0.02), (-5, 0.02), (100, -0.1), (100, 1)])
def test_senseless_requests_are_refused(size, tolerance):
    codec, _ = made(*CONTROLS["rising"])
    with pytest.raises(OptionError, match="allowed are"):
        at_size(codec, IMAGE, size, tolerance)


FINE = {"jpeg2000", "htj2k", "jpegxl"}
COARSE = {"jpeg", "webp", "avif-fast", "jpeg-ls"}


@pytest.mark.parametrize("key", sorted(FINE | COARSE))
@pytest.mark.parametrize("bits_per_pixel", [0.4, 1.0])
def test_real_codecs_meet_a_target(chest, key, bits_per_pixel):
    codec = peer(key)
    target = int(chest.pixels.size * bits_per_pixel / 8)
    found = at_size(codec, chest, target)
    assert found.size_bytes == len(found.data) <= target
    assert codec.encode(chest, found.quality) == found.data
    if key in FINE:
        assert found.size_bytes >= 0.98 * target
    else:
        better = found.quality + (-1 if codec.qualities[0] < codec.qualities[-1] else 1)
        close = found.size_bytes >= 0.98 * target
        top = found.quality == codec.qualities[0]
        assert close or top or len(codec.encode(chest, better)) > target
