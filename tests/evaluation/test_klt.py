from __future__ import annotations

import numpy as np
import pytest

from xraycodec.evaluation.klt import cut_blocks, join_blocks, learn_klt, reconstruct


@pytest.fixture(scope="module")
def crops():
    """Smooth 8-bit images with a little noise, ``(crop, 64, 64)``."""
    rng = np.random.default_rng(7)
    y, x = np.mgrid[:64, :64] / 64
    waves = [np.sin(a * x + b * y + c) for a, b, c in rng.uniform(-9, 9, (24, 3))]
    pixels = 128 + 90 * np.array(waves) + rng.normal(0, 2, (24, 64, 64))
    return pixels.round().clip(0, 255).astype(np.uint8)


def psnr_db(a, b):
    return 10 * np.log10(255**2 / ((a.astype(float) - b) ** 2).mean())


def test_blocks_are_rows_of_one_block_each():
    crop = np.arange(64, dtype=np.uint8).reshape(1, 8, 8)
    rows = cut_blocks(crop, 4)
    assert rows.shape == (4, 16)
    assert np.rint((rows[1] + 0.5) * 255).tolist() == crop[0, :4, 4:].ravel().tolist()
    assert np.rint((rows[2] + 0.5) * 255).tolist() == crop[0, 4:, :4].ravel().tolist()


@pytest.mark.parametrize("size", [1, 2, 8, 16])
def test_joining_undoes_cutting(crops, size):
    joined = join_blocks(cut_blocks(crops, size), len(crops), 64)
    assert np.allclose((joined + 0.5) * 255, crops)


@pytest.mark.parametrize("size", [2, 4, 8])
def test_the_basis_is_orthonormal_and_ordered_by_power(crops, size):
    transform = learn_klt(crops, size)
    assert np.allclose(transform.basis @ transform.basis.T, np.eye(size * size))
    coefficients = cut_blocks(crops, size) @ transform.basis.T
    power = (coefficients**2).mean(axis=0)
    assert (np.diff(power) <= 1e-12).all()
    assert np.allclose(transform.peaks, np.abs(coefficients).max(axis=0))


def test_coefficients_are_uncorrelated(crops):
    rows = cut_blocks(crops, 4)
    coefficients = rows @ learn_klt(crops, 4).basis.T
    products = coefficients.T @ coefficients / len(rows)
    assert np.allclose(products, np.diag(np.diag(products)), atol=1e-12)


def test_no_basis_of_as_many_components_keeps_more(crops):
    """The KLT is the optimum among orthonormal bases: here against the DCT."""
    line = np.cos(np.pi * np.outer(np.arange(8), np.arange(8) + 0.5) / 8) / 2
    line[0] /= np.sqrt(2)
    basis = np.kron(line, line)
    rows = cut_blocks(crops, 8)
    power = np.sort(((rows @ basis.T) ** 2).mean(axis=0))[::-1]
    own = ((rows @ learn_klt(crops, 8).basis.T) ** 2).mean(axis=0)
    assert (np.cumsum(own) >= np.cumsum(power) - 1e-12).all()


@pytest.mark.parametrize("bend", [0.0, 1.0, 3.0])
def test_more_components_are_never_worse(crops, bend):
    transform = learn_klt(crops, 8)
    found = [psnr_db(crops, reconstruct(transform, crops, n, bend)) for n in (1, 2, 4, 8, 16, 32)]
    assert np.all(np.diff(found) > 0)


def test_all_components_give_the_image_back_to_half_a_step_each(crops):
    transform = learn_klt(crops, 8)
    error = cut_blocks(reconstruct(transform, crops, 64), 8) - cut_blocks(crops, 8)
    half_steps = 255 * transform.peaks / 127 / 2
    rounding = 0.5 * 8  # of 64 pixels
    assert (255 * np.linalg.norm(error, axis=1)).max() <= np.linalg.norm(half_steps) + rounding


def test_companding_is_finer_where_most_coefficients_are(crops):
    faint = (crops.astype(int) // 32 + 124).astype(np.uint8)
    transform = learn_klt(np.concatenate([faint, crops]), 8)
    uniform, bent = (psnr_db(faint, reconstruct(transform, faint, 16, t)) for t in (0.0, 3.0))
    assert bent > uniform + 1


def test_a_slight_bend_is_almost_uniform(crops):
    transform = learn_klt(crops, 8)
    uniform, bent = (reconstruct(transform, crops, 16, bend).astype(int) for bend in (0, 1e-3))
    assert np.abs(uniform - bent).max() <= 1


def test_coefficients_beyond_the_trained_range_are_clipped(crops):
    transform = learn_klt((crops // 4 + 96).astype(np.uint8), 8)
    for bend in (0.0, 3.0):
        result = reconstruct(transform, crops, 64, bend)
        assert result.dtype == np.uint8
        assert psnr_db(crops, result) < 25


def test_flat_crops_come_back_flat():
    crops = np.full((4, 32, 32), 77, np.uint8)
    result = reconstruct(learn_klt(crops, 16), crops, 256)
    assert (result == 77).all()
