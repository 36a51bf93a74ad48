from __future__ import annotations

import math
import tracemalloc

import numpy as np
import pytest

from xraycodec.evaluation import metrics as metrics_module
from xraycodec.evaluation import ms_ssim, ssim
from xraycodec.evaluation.multiscale import MS_SSIM_WEIGHTS, scale_weights


def textured(shape, peak, dtype=np.uint16, seed=0):
    """An image with structure at every scale, and the same with coarse and fine errors."""
    rng = np.random.default_rng(seed)
    row, column = np.mgrid[: shape[-2], : shape[-1]] / 100
    wave = 0.5 + 0.2 * np.sin(3 * row + column**2) + 0.2 * np.cos(25 * row * column)
    x = peak * np.broadcast_to(wave, shape)
    y = x + peak * (0.03 * np.sin(9 * column) + rng.normal(0, 0.05, shape))
    return tuple(np.clip(np.rint(v), 0, peak).astype(dtype) for v in (x, y))


def plain_ms_ssim(x, y, peak):
    """MS-SSIM written down plainly: two-dimensional windows, whole images, float64."""
    x, y = x.astype(np.float64), y.astype(np.float64)
    offset = np.arange(11) - 5
    window = np.exp(-(offset[:, None] ** 2 + offset[None] ** 2) / (2 * 1.5**2))
    window /= window.sum()

    def local_mean(image):
        windows = np.lib.stride_tricks.sliding_window_view(image, (11, 11))
        return np.einsum("ijkl,kl->ij", windows, window)

    def average_pairs(image):
        if len(image) % 2:
            image = np.concatenate([image, image[-1:]])
        return (image[::2] + image[1::2]) / 2

    scales = sum(-(-min(x.shape) // 2**k) >= 11 for k in range(5))
    weights = np.array([0.0448, 0.2856, 0.3001, 0.2363, 0.1333])[:scales]
    if scales < 5:
        weights = weights / weights.sum()
    product = 1.0
    for k, weight in enumerate(weights):
        mean_x, mean_y = local_mean(x), local_mean(y)
        variance_x = local_mean((x) ** 2) - mean_x**2
        variance_y = local_mean((y) ** 2) - mean_y**2
        covariance = local_mean(x * y) - mean_x * mean_y
        c1, c2 = (0.01 * peak) ** 2, (0.03 * peak) ** 2
        term = (2 * covariance + c2) / (variance_x + variance_y + c2)
        if k == scales - 1:
            term = term * (2 * mean_x * mean_y + c1) / (mean_x**2 + mean_y**2 + c1)
        product *= max(0.0, term.mean()) ** weight
        x, y = (average_pairs(average_pairs(v).T).T for v in (x, y))
    return product


@pytest.mark.parametrize(
    "shape", [(176, 192), (161, 203), (160, 170), (81, 90), (45, 200), (21, 21)]
)
@pytest.mark.parametrize(
    ("peak", "dtype"), [(255, np.uint8), (4095, np.uint16), (65535, np.uint16)]
)
def test_agreement_with_a_plain_implementation(shape, peak, dtype):
    x, y = textured(shape, peak, dtype)
    found = ms_ssim(x, y, peak)
    assert 0.3 < found < 0.999
    assert found == pytest.approx(plain_ms_ssim(x, y, peak), abs=1e-9)


@pytest.mark.parametrize(
    ("side", "scales"),
    [(161, 5), (160, 4), (81, 4), (80, 3), (41, 3), (40, 2), (21, 2), (20, 1), (1, 1)],
)
def test_scales_follow_from_the_shorter_side(side, scales):
    for shape in ((side, 500), (500, side)):
        assert len(scale_weights(*shape)) == scales
    if scales < 5:
        assert sum(scale_weights(side, side)) == pytest.approx(1, abs=1e-15)
    else:
        assert scale_weights(side, side) == MS_SSIM_WEIGHTS


@pytest.mark.parametrize("shape", [(20, 90), (11, 11), (7, 300), (1, 1)])
def test_one_scale_is_ssim(shape):
    x, y = textured(shape, 1023)
    assert ms_ssim(x, y, 1023) == pytest.approx(ssim(x, y, 1023), abs=1e-12)


@pytest.mark.parametrize("dtype", [np.uint8, np.int8, np.uint16, np.int16])
def test_identical_images(dtype):
    x = np.random.default_rng(0).integers(-100, 100, (170, 180)).astype(dtype)
    assert ms_ssim(x, x.copy(), 255) == pytest.approx(1, abs=1e-9)


def test_more_noise_is_worse():
    x, _ = textured((170, 170), 4095)
    noise = np.random.default_rng(1).normal(0, 1, x.shape)
    found = [
        ms_ssim(x, np.clip(x + s * noise, 0, 4095).astype(np.uint16), 4095)
        for s in (0, 40, 160, 640)
    ]
    assert found == sorted(found, reverse=True)
    assert found[0] - found[-1] > 0.1


def test_a_negative_mean_counts_as_nothing():
    x = np.random.default_rng(0).integers(0, 256, (170, 170), dtype=np.uint8)
    assert ms_ssim(x, 255 - x, 255) == 0


def test_frames_are_averaged():
    x, y = textured((3, 60, 70), 4095)
    each = [ms_ssim(a, b, 4095) for a, b in zip(x, y, strict=True)]
    assert ms_ssim(x, y, 4095) == pytest.approx(np.mean(each))


def test_bands_do_not_change_the_result(monkeypatch):
    x, y = textured((165, 171), 65535)
    whole = ms_ssim(x, y, 65535)
    monkeypatch.setattr(metrics_module, "_BAND_PIXELS", 1000)
    assert ms_ssim(x, y, 65535) == pytest.approx(whole, abs=1e-12)


def test_memory_is_bounded():
    x = np.zeros((1000, 1500), np.uint16)
    tracemalloc.start()
    ms_ssim(x, x, 4095)
    peak_bytes = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak_bytes < 20 << 20


def test_bad_input_is_refused():
    x = np.zeros((20, 20), np.uint8)
    with pytest.raises(ValueError, match="shape"):
        ms_ssim(x, x[1:], 255)
    with pytest.raises(ValueError, match="peak"):
        ms_ssim(x, x, math.nan)
    with pytest.raises(TypeError, match="float64"):
        ms_ssim(x.astype(float), x, 255)
