from __future__ import annotations

import math

import numpy as np
import pytest
from skimage.metrics import structural_similarity

from xraycodec.evaluation import AnatomyFidelity, anatomy_fidelity, anatomy_mask
from xraycodec.evaluation.exposure import _labels
from xraycodec.files import read
from xraycodec.image import XRay

PEAK = 4095


def chest(side=400, seed=0):
    """A body in dark air with two darker lungs inside: pixels of 12 bits, and the body's mask."""
    rng = np.random.default_rng(seed)
    row, column = (np.mgrid[:side, :side] + 0.5) / side

    def ellipse(centre_row, centre_column, height, width):
        return ((row - centre_row) / height) ** 2 + ((column - centre_column) / width) ** 2 < 1

    body = ellipse(0.6, 0.5, 0.5, 0.35)
    lungs = ellipse(0.55, 0.36, 0.2, 0.1) | ellipse(0.55, 0.64, 0.2, 0.1)
    level = np.where(body, 2400 + 500 * np.sin(40 * row), 250.0)
    level = np.where(lungs, 700 + 200 * np.sin(60 * row), level)
    pixels = np.clip(np.rint(level + rng.normal(0, 15, level.shape)), 0, PEAK)
    return pixels.astype(np.uint16), body


def agreement(found, expected):
    """Share of the expected anatomy that is found, and of the background that is left out."""
    return found[expected].mean(), 1 - found[~expected].mean()


def framed(pixels, body, level, width=40):
    pixels, body = pixels.copy(), body.copy()
    inside = np.zeros(body.shape, bool)
    inside[width:-width, width:-width] = True
    pixels[~inside] = level
    return pixels, body & inside


def test_the_body_is_found_with_its_lungs():
    pixels, body = chest()
    kept, left_out = agreement(anatomy_mask(XRay(pixels, 12)), body)
    assert kept > 0.99
    assert left_out > 0.9


@pytest.mark.parametrize("level", [0, PEAK])
def test_collimation_of_either_shade_is_left_out(level):
    pixels, body = framed(*chest(), level)
    found = anatomy_mask(XRay(pixels, 12))
    kept, left_out = agreement(found, body)
    assert kept > 0.97
    assert left_out > 0.9
    assert not found[:38].any()


def test_noisy_bright_collimation_is_left_out_by_its_straight_edge():
    pixels, body = framed(*chest(), PEAK)
    pixels[pixels == PEAK] -= (
        np.random.default_rng(1).integers(0, 700, (pixels == PEAK).sum()).astype(np.uint16)
    )
    kept, left_out = agreement(anatomy_mask(XRay(pixels, 12)), body)
    assert kept > 0.97
    assert left_out > 0.9


def test_a_chest_wall_along_the_edge_is_no_collimation():
    row, column = np.mgrid[:400, :300]
    pixels = np.zeros((400, 300), np.uint16)
    pixels[(row - 170) ** 2 + column**2 < 140**2] = 2500
    pixels[:, :14] = (2500 + 200 * np.sin(row / 20 + column / 5))[:, :14]
    found = anatomy_mask(XRay(pixels, 12))
    assert found[pixels > 0].mean() > 0.95
    assert found[:, 0].mean() > 0.95
    assert found[pixels == 0].mean() < 0.03


def test_white_markers_beside_the_body_are_left_out():
    pixels, body = chest()
    pixels[20:50, 20:24] = pixels[20:24, 20:40] = PEAK
    pixels[30:60, 340:370] = PEAK
    found = anatomy_mask(XRay(pixels, 12))
    assert not found[:70, :60].any()
    assert not found[25:65, 335:375].any()
    assert found[body].mean() > 0.99


@pytest.mark.parametrize("signed", [False, True])
@pytest.mark.parametrize("photometric", ["MONOCHROME1", "MONOCHROME2"])
def test_the_same_picture_in_another_format_has_the_same_anatomy(signed, photometric):
    x, _ = chest()
    y = np.clip(x + np.random.default_rng(1).integers(-40, 41, x.shape), 0, PEAK).astype(np.uint16)
    plain = [XRay(v, 12) for v in (x, y)]
    other = []
    for v in (x, y):
        v = PEAK - v if photometric == "MONOCHROME1" else v
        v = v.astype(np.int16) - 2048 if signed else v
        other.append(XRay(v, 12, photometric))
    assert np.array_equal(anatomy_mask(plain[0]), anatomy_mask(other[0]))
    assert anatomy_fidelity(*plain) == anatomy_fidelity(*other)


@pytest.mark.parametrize("level", [0, 77, PEAK])
def test_one_level_is_taken_whole(level):
    image = XRay(np.full((90, 70), level, np.uint16), 12)
    assert anatomy_mask(image).all()
    assert anatomy_fidelity(image, image) == AnatomyFidelity(math.inf, 1.0, 1.0)
    off = XRay(np.full((90, 70), abs(level - 5), np.uint16), 12)
    assert anatomy_fidelity(image, off).psnr_db == pytest.approx(20 * math.log10(PEAK / 5))


def test_an_image_without_background_is_taken_whole():
    row, column = np.mgrid[:300, :300]
    wave = 2000 + 900 * np.sin(row / 7) * np.cos(column / 9)
    assert anatomy_mask(XRay(wave.astype(np.uint16), 12)).mean() > 0.99


def test_nearly_all_black_is_taken_whole():
    pixels = np.zeros((300, 300), np.uint16)
    pixels[100:104, 100:104] = 900
    assert anatomy_mask(XRay(pixels, 12)).all()


@pytest.mark.parametrize("shape", [(1, 1), (1, 9), (9, 1), (2, 3), (3, 700), (257, 2)])
def test_any_size(shape):
    pixels = np.random.default_rng(0).integers(0, 256, shape, dtype=np.uint8)
    image = XRay(pixels, 8)
    found = anatomy_fidelity(image, image)
    assert anatomy_mask(image).shape == shape
    assert found.psnr_db == math.inf
    assert found.ssim == pytest.approx(1, abs=1e-12)
    assert 0 < found.share <= 1


@pytest.mark.parametrize("bits", [1, 8, 16])
def test_any_depth(bits):
    pixels, body = chest()
    pixels = (pixels >> 4 << 8 if bits == 16 else pixels >> (12 - bits)).astype(
        np.uint16 if bits == 16 else np.uint8
    )
    found = anatomy_mask(XRay(pixels, bits))
    assert found.any()
    if bits > 1:
        assert found[body].mean() > 0.98


def test_frames_have_a_mask_each():
    x, _ = chest()
    image = XRay(np.stack([x, np.roll(x, 60, axis=1)]), 12)
    found = anatomy_mask(image)
    assert found.shape == image.pixels.shape
    assert np.array_equal(found[0], anatomy_mask(XRay(x, 12)))
    assert not np.array_equal(found[0], found[1])
    assert anatomy_fidelity(image, image).share == pytest.approx(found.mean())


def test_errors_in_the_background_do_not_count():
    x, _ = chest()
    mask = anatomy_mask(XRay(x, 12))
    y = x.copy()
    y[:15] += 400
    assert not mask[:30].any()
    found = anatomy_fidelity(XRay(x, 12), XRay(y, 12))
    assert found.psnr_db == math.inf
    assert found.ssim == pytest.approx(1, abs=1e-12)


def test_values_against_a_plain_computation():
    x, _ = chest()
    y = np.clip(x + np.random.default_rng(1).normal(0, 60, x.shape), 0, PEAK).astype(np.uint16)
    found = anatomy_fidelity(XRay(x, 12), XRay(y, 12))
    mask = anatomy_mask(XRay(x, 12))
    low, high = np.percentile(x[mask].astype(float), [0.5, 99.5], method="inverted_cdf")
    a, b = (np.clip(v.astype(float), low, high) - low for v in (x, y))
    error = ((a - b)[mask] ** 2).mean()
    _, similarity = structural_similarity(
        a,
        b,
        gaussian_weights=True,
        sigma=1.5,
        use_sample_covariance=False,
        data_range=high - low,
        full=True,
    )
    centres = np.zeros_like(mask)
    centres[5:-5, 5:-5] = mask[5:-5, 5:-5]
    assert found.psnr_db == pytest.approx(10 * math.log10((high - low) ** 2 / error), abs=1e-6)
    assert found.ssim == pytest.approx(similarity[centres].mean(), abs=1e-6)
    assert found.share == mask.mean()


def test_images_of_different_formats_are_refused():
    x = np.zeros((4, 4), np.uint16)
    with pytest.raises(ValueError, match="bits stored"):
        anatomy_fidelity(XRay(x, 12), XRay(x, 10))
    with pytest.raises(ValueError, match="MONOCHROME1"):
        anatomy_fidelity(XRay(x, 12), XRay(x, 12, "MONOCHROME1"))


def test_winding_parts_keep_one_label():
    maze = np.ones((41, 41), bool)
    maze[1::4, :-1] = maze[3::4, 1:] = False
    labels = _labels(maze)
    assert (labels[maze] == 0).all()
    assert (labels[~maze] == maze.size).all()
    chess = np.add.outer(np.arange(8), np.arange(8)) % 2 == 0
    assert len(np.unique(_labels(chess)[chess])) == 32


@pytest.mark.parametrize(
    ("name", "least", "most"),
    [
        ("angiogram-xa", 0.76, 0.80),  # a disc in a black square: pi / 4
        ("breast-mg-cc", 0.23, 0.28),
        ("hand-cr-kodak", 0.28, 0.40),
        ("hip-cr-fuji", 0.45, 0.58),
        ("panoramic-cr", 0.50, 0.55),  # MONOCHROME1
        ("chest-cr-fuji", 0.95, 1.00),  # MONOCHROME1
    ],
)
def test_share_of_anatomy_in_real_radiographs(data_dir, name, least, most):
    share = anatomy_mask(read(data_dir / "deep" / f"{name}.dcm")).mean()
    assert least < share < most
