from __future__ import annotations

import math
import tracemalloc

import numpy as np
import pytest
from skimage.metrics import structural_similarity

from xraycodec.evaluation import Fidelity, max_error, measure, mse, psnr_db, ssim
from xraycodec.evaluation import metrics as metrics_module
from xraycodec.image import XRay


def noisy_pair(shape, dtype, low, high, seed=0):
    """A smooth structured image with edges, and the same with errors added."""
    rng = np.random.default_rng(seed)
    *_, rows, columns = shape
    row, column = np.mgrid[:rows, :columns] / max(rows, columns)
    wave = 0.5 + 0.3 * np.sin(9 * row) * np.cos(14 * column) + 0.2 * (row > column)
    span = high - low
    x = low + span * np.broadcast_to(wave, shape)
    y = x + rng.normal(0, 0.03 * span, shape) * (row > 0.3)
    return tuple(np.clip(np.rint(v), low, high).astype(dtype) for v in (x, y))


def skimage_ssim(x, y, peak):
    return structural_similarity(
        x.astype(np.float64),
        y.astype(np.float64),
        gaussian_weights=True,
        sigma=1.5,
        use_sample_covariance=False,
        data_range=peak,
    )


@pytest.mark.parametrize(
    ("dtype", "low", "high"),
    [
        (np.uint8, 0, 255),
        (np.int8, -128, 127),
        (np.uint16, 0, 4095),
        (np.uint16, 0, 65535),
        (np.int16, -32768, 32767),
    ],
)
def test_ssim_agrees_with_skimage_on_structure(dtype, low, high):
    x, y = noisy_pair((93, 121), dtype, low, high)
    assert ssim(x, y, high - low) == pytest.approx(skimage_ssim(x, y, high - low), abs=1e-6)


@pytest.mark.parametrize("shape", [(11, 11), (11, 40), (64, 12), (200, 31)])
def test_ssim_agrees_with_skimage_on_noise(shape):
    rng = np.random.default_rng(1)
    x, y = rng.integers(0, 256, (2, *shape), dtype=np.uint8)
    assert ssim(x, y, 255) == pytest.approx(skimage_ssim(x, y, 255), abs=1e-6)


def test_bands_do_not_change_the_result(monkeypatch):
    x, y = noisy_pair((70, 50), np.uint16, 0, 1023)
    whole = ssim(x, y, 1023), mse(x, y), max_error(x, y)
    monkeypatch.setattr(metrics_module, "_BAND_PIXELS", 100)
    assert (ssim(x, y, 1023), mse(x, y), max_error(x, y)) == pytest.approx(whole, abs=1e-12)


def test_memory_does_not_grow_with_the_image():
    x = np.zeros((3000, 1000), np.uint16)
    tracemalloc.start()
    ssim(x, x, 4095)
    mse(x, x)
    peak_bytes = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak_bytes < 20 << 20


@pytest.mark.parametrize("shape", [(1, 1), (1, 300), (5, 8), (10, 11), (64, 64), (3, 20, 20)])
@pytest.mark.parametrize("dtype", [np.uint8, np.int8, np.uint16, np.int16])
def test_identical_images(shape, dtype):
    x, _ = noisy_pair(shape, dtype, 3, 99)
    assert mse(x, x.copy()) == 0
    assert max_error(x, x.copy()) == 0
    assert psnr_db(x, x.copy(), 255) == math.inf
    assert ssim(x, x.copy(), 255) == pytest.approx(1.0, abs=1e-12)


@pytest.mark.parametrize(
    ("dtype", "span"), [("u1", 255), ("i1", 255), ("u2", 65535), ("i2", 65535)]
)
def test_the_widest_difference_does_not_wrap(dtype, span):
    info = np.iinfo(dtype)
    x = np.full((20, 20), info.min, dtype)
    y = np.full((20, 20), info.max, dtype)
    for a, b in ((x, y), (y, x)):
        assert mse(a, b) == span**2
        assert max_error(a, b) == span
        assert psnr_db(a, b, span) == 0.0


def test_psnr_of_a_known_error():
    x = np.full((8, 8), 100, np.uint8)
    y = x.copy()
    y[0, 0] = 108
    assert mse(x, y) == 1.0
    assert psnr_db(x, y, 255) == pytest.approx(48.1308, abs=1e-4)


def test_a_single_pixel_has_the_luminance_term_alone():
    x, y = np.array([[10]], np.uint8), np.array([[20]], np.uint8)
    c1 = (0.01 * 255) ** 2
    assert ssim(x, y, 255) == pytest.approx((2 * 200 + c1) / (100 + 400 + c1))


def test_frames_are_averaged():
    x, y = noisy_pair((3, 30, 40), np.uint16, 0, 4095)
    each = [ssim(a, b, 4095) for a, b in zip(x, y, strict=True)]
    assert ssim(x, y, 4095) == pytest.approx(np.mean(each))
    assert mse(x, y) == pytest.approx(np.mean((x.astype(float) - y) ** 2))
    assert max_error(x, y) == np.abs(x.astype(int) - y).max()


def test_non_contiguous_pixels():
    x, y = noisy_pair((60, 90), np.uint8, 0, 255)
    a, b = x.T[::2, ::3], y.T[::2, ::3]
    assert ssim(a, b, 255) == pytest.approx(ssim(a.copy(), b.copy(), 255))
    assert mse(a, b) == mse(a.copy(), b.copy())


def test_shapes_must_agree():
    x, y = np.zeros((4, 5), np.uint8), np.zeros((5, 4), np.uint8)
    for metric in (mse, max_error, lambda a, b: psnr_db(a, b, 255), lambda a, b: ssim(a, b, 255)):
        with pytest.raises(ValueError, match=r"\(5, 4\).*\(4, 5\)"):
            metric(x, y)


@pytest.mark.parametrize("shape", [(0, 4), (4,), (1, 2, 3, 4)])
def test_shapes_must_be_images(shape):
    x = np.zeros(shape, np.uint8)
    with pytest.raises(ValueError, match="allowed are"):
        mse(x, x)


def test_floats_are_refused():
    x = np.zeros((4, 4), np.float32)
    with pytest.raises(TypeError, match="reference pixels are float32"):
        ssim(x, x, 1)


@pytest.mark.parametrize("peak", [0, -1, math.nan, math.inf])
def test_the_peak_must_be_positive(peak):
    x = np.zeros((4, 4), np.uint8)
    for metric in (psnr_db, ssim):
        with pytest.raises(ValueError, match="peak"):
            metric(x, x, peak)


def test_measure_takes_the_peak_of_the_bits_stored():
    x, y = noisy_pair((40, 40), np.uint16, 0, 4095)
    found = measure(XRay(x, 12), XRay(y, 12))
    assert found == Fidelity(
        psnr_db=psnr_db(x, y, 4095), ssim=ssim(x, y, 4095), max_error=max_error(x, y), mse=mse(x, y)
    )


@pytest.mark.parametrize(("dtype", "bits"), [("i1", 7), ("i1", 8), ("i2", 12), ("i2", 16)])
def test_measure_is_the_same_for_signed_and_unsigned_pixels(dtype, bits):
    x, y = noisy_pair((40, 40), np.int64, 0, (1 << bits) - 1)
    shift = 1 << (bits - 1)
    unsigned = [XRay(v.astype(dtype.replace("i", "u")), bits) for v in (x, y)]
    signed = [XRay((v - shift).astype(dtype), bits) for v in (x, y)]
    assert measure(*signed) == measure(*unsigned)


def test_measure_refuses_images_of_different_formats():
    x = np.zeros((4, 4), np.uint16)
    with pytest.raises(ValueError, match=r"10 bits stored.*12 bits stored"):
        measure(XRay(x, 12), XRay(x, 10))
    with pytest.raises(ValueError, match="MONOCHROME1"):
        measure(XRay(x, 12), XRay(x, 12, "MONOCHROME1"))
