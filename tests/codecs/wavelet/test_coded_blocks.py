"""Which blocks of a level are coded, and networks that are evaluated there only."""

from __future__ import annotations

import numpy as np
import pytest
from wavelet_building import smooth

from xraycodec.codecs.wavelet import Wavelet, areas, coded_blocks
from xraycodec.codecs.wavelet.areas import Area, evaluate, whole
from xraycodec.codecs.wavelet.geometry import FEATURES
from xraycodec.codecs.wavelet.model import model_by_name
from xraycodec.codecs.wavelet.parameters import Parameters
from xraycodec.container import parse
from xraycodec.entropy.mixture_kernels import INITIAL, STATE_WORDS, push_all
from xraycodec.image import XRay
from xraycodec.pipeline import compress, decompress

SHARES = [0.0, 0.03, 0.3, 0.9, 1.0]


def random_flags(share: float, shape: tuple[int, int], seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).random(shape) < share


@pytest.mark.parametrize("share", SHARES)
@pytest.mark.parametrize("shape", [(1, 1), (1, 40), (17, 9)])
def test_flags_come_back(share: float, shape: tuple[int, int]) -> None:
    flags = random_flags(share, shape)
    starts, sizes = coded_blocks.encode(flags)
    words = np.empty(STATE_WORDS + starts.size, np.uint32)
    words = words[push_all(starts, sizes, words) :]
    state = np.uint64(int(words[0]) | int(words[1]) << 32)
    found = np.zeros_like(flags)
    end, position = coded_blocks.decode(words, state, 2, found)
    np.testing.assert_array_equal(found, flags)
    assert (int(end), position) == (INITIAL, len(words))


def test_words_that_run_out() -> None:
    flags = random_flags(0.5, (30, 30))
    starts, sizes = coded_blocks.encode(flags)
    words = np.empty(STATE_WORDS + starts.size, np.uint32)
    words = words[push_all(starts, sizes, words) :][:-3]
    state = np.uint64(int(words[0]) | int(words[1]) << 32)
    _, position = coded_blocks.decode(words, state, 2, np.zeros_like(flags))
    assert position == len(words) + 1


def test_few_flags_of_many_blocks_take_few_bits() -> None:
    """One block in a hundred: entropy says 0.08 bits a block."""
    _, sizes = coded_blocks.encode(random_flags(0.01, (40, 40)))
    assert (24 - np.log2(sizes)).sum() < 0.12 * sizes.size + 30


@pytest.mark.parametrize("share", SHARES)
def test_areas_are_the_flagged_cells_each_once(share: float) -> None:
    rows, columns, top = 75, 50, 7
    flags = random_flags(share, coded_blocks.blocks_of(rows, columns), 3)
    covered = np.zeros((top + rows, columns), int)
    for area in coded_blocks.areas_of(flags, top, rows, columns):
        assert area.top < area.end
        assert area.left < area.right
        covered[area.top : area.end, area.left : area.right] += 1
    assert not covered[:top].any()
    np.testing.assert_array_equal(covered[top:], coded_blocks.cells_of(flags, rows, columns))


def test_equal_rows_of_blocks_are_one_area() -> None:
    flags = np.array([[1, 1, 0, 1], [1, 1, 0, 1], [0, 1, 0, 1]], bool)
    found = set(coded_blocks.areas_of(flags, 0, 48, 60))
    assert found == {Area(0, 32, 0, 32), Area(0, 48, 48, 60), Area(32, 48, 16, 32)}


def test_a_block_is_flagged_for_any_of_its_cells() -> None:
    worthy = np.zeros((20, 33), bool)
    worthy[19, 32] = worthy[3, 15] = True
    expected = [[True, False, False], [False, False, True]]
    np.testing.assert_array_equal(coded_blocks.flags_of(worthy), expected)


@pytest.mark.usefixtures("tiny_model")
@pytest.mark.parametrize("cells", [1, 20, 1 << 15])
def test_areas_agree_with_the_whole(cells: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(areas, "AREA_CELLS", cells)
    model = model_by_name("wavelet", 1)
    network = model.phases[0][0]
    x = np.random.default_rng(5).integers(0, 256, (1, FEATURES + model.channels, 21, 18), np.uint8)
    expected = network(x)["state"]
    before = np.full_like(expected, 77)
    inner = Area(4, 13, 2, 18)
    for area in (whole((21, 18)), inner):
        found = before.copy()
        evaluate(network, x, [area], {"state": found})
        covered = np.zeros((21, 18), bool)
        covered[area.top : area.end, area.left : area.right] = True
        np.testing.assert_array_equal(found, np.where(covered, expected, before))


@pytest.mark.usefixtures("tiny_model")
def test_only_files_that_use_blocks_say_so() -> None:
    """What uses none stays readable to those who do not know them."""
    flat = XRay(np.full((200, 210), 70, np.uint8), 8)
    flat.pixels[:40, :40] = smooth(40, 40).pixels
    for image, blocks in ((flat, True), (smooth(60, 50), False)):
        data = compress(image, Wavelet(step=3, threads=1))
        assert Parameters.from_bytes(parse(data).parameters).blocks is blocks
        assert decompress(data, threads=1).pixels.shape == image.pixels.shape
