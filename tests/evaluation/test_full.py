from __future__ import annotations

import math

import numpy as np
import pytest
from skimage.metrics import peak_signal_noise_ratio, structural_similarity

from xraycodec.evaluation import (
    anatomy_fidelity,
    edge_preservation,
    max_error,
    measure_all,
    ms_ssim,
    psnr_db,
    ssim,
)
from xraycodec.files import read
from xraycodec.image import XRay

KEYS = [
    "psnr_db",
    "ssim",
    "ms_ssim",
    "max_error",
    "anatomy_psnr_db",
    "anatomy_ssim",
    "edge_preservation",
]


def pair(bits=12, shape=(180, 170)):
    rng = np.random.default_rng(0)
    peak = (1 << bits) - 1
    row, column = np.mgrid[: shape[-2], : shape[-1]]
    x = peak * np.broadcast_to(0.5 + 0.4 * np.sin(row / 9) * np.cos(column / 7), shape)
    y = x + rng.normal(0, 0.01 * peak, shape)
    dtype = np.uint8 if bits <= 8 else np.uint16
    return tuple(np.clip(np.rint(v), 0, peak).astype(dtype) for v in (x, y))


def check_against_skimage(reference, test):
    x, y = reference.pixels, test.pixels
    found = measure_all(reference, test)
    expected = peak_signal_noise_ratio(x, y, data_range=reference.peak)
    assert found["psnr_db"] == pytest.approx(expected, abs=1e-6)
    expected = structural_similarity(
        x.astype(np.float64),
        y.astype(np.float64),
        gaussian_weights=True,
        sigma=1.5,
        use_sample_covariance=False,
        data_range=reference.peak,
    )
    assert found["ssim"] == pytest.approx(expected, abs=1e-6)


@pytest.mark.parametrize("bits", [8, 10, 12, 14, 16])
def test_psnr_and_ssim_agree_with_skimage_at_the_peak_of_the_bits_stored(bits):
    check_against_skimage(*(XRay(v, bits) for v in pair(bits)))


@pytest.mark.parametrize("name", ["hip-cr-fuji", "hand-cr-kodak", "breast-mg-ge", "panoramic-cr"])
def test_psnr_and_ssim_agree_with_skimage_on_deep_radiographs(data_dir, name):
    image = read(data_dir / "deep" / f"{name}.dcm")
    middle = tuple(slice(length // 2 - 200, length // 2 + 200) for length in image.pixels.shape)
    x = image.pixels[middle]
    coarse = np.clip((x.astype(np.int64) + 8) // 16 * 16, 0, image.peak).astype(x.dtype)
    check_against_skimage(
        *(XRay(v, image.bits_stored, image.photometric_interpretation) for v in (x, coarse))
    )


def test_every_metric_is_there():
    x, y = pair()
    reference, test = XRay(x, 12), XRay(y, 12)
    found = measure_all(reference, test)
    anatomy = anatomy_fidelity(reference, test)
    assert list(found) == KEYS
    assert all(type(value) is float for value in found.values())
    assert found == {
        "psnr_db": psnr_db(x, y, 4095),
        "ssim": ssim(x, y, 4095),
        "ms_ssim": ms_ssim(x, y, 4095),
        "max_error": max_error(x, y),
        "anatomy_psnr_db": anatomy.psnr_db,
        "anatomy_ssim": anatomy.ssim,
        "edge_preservation": edge_preservation(x, y),
    }


def test_signed_pixels_give_the_same_values():
    unsigned = [XRay(v, 12) for v in pair()]
    signed = [XRay(v.astype(np.int16) - 2048, 12) for v in pair()]
    assert measure_all(*signed) == measure_all(*unsigned)


@pytest.mark.parametrize("shape", [(1, 1), (5, 40), (2, 30, 30)])
def test_identical_images(shape):
    image = XRay(pair(shape=shape)[0], 12)
    found = measure_all(image, image)
    assert found["psnr_db"] == found["anatomy_psnr_db"] == math.inf
    assert found["max_error"] == 0
    assert found["edge_preservation"] == 1
    for key in ("ssim", "ms_ssim", "anatomy_ssim"):
        assert found[key] == pytest.approx(1, abs=1e-9)


def test_images_of_different_formats_are_refused():
    x = pair()[0]
    with pytest.raises(ValueError, match=r"13 bits stored.*12 bits stored"):
        measure_all(XRay(x, 12), XRay(x, 13))
