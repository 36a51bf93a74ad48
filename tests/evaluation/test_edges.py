from __future__ import annotations

import numpy as np
import pytest
from scipy import ndimage

from xraycodec.evaluation import edge_preservation
from xraycodec.evaluation import metrics as metrics_module


def noise(shape, dtype=np.uint16, low=0, high=4096, seed=0):
    return np.random.default_rng(seed).integers(low, high, shape).astype(dtype)


def blocks(side=96):
    """Steps of several heights: an image of edges."""
    steps = noise((side // 8, side // 8), high=3000)
    return np.kron(steps, np.ones((8, 8), np.uint16)).astype(np.uint16)


def plain_index(x, y):
    high = [ndimage.laplace(v.astype(np.float64), mode="nearest").ravel() for v in (x, y)]
    return np.corrcoef(*high)[0, 1]


@pytest.mark.parametrize("shape", [(40, 60), (3, 3), (1, 50), (50, 1), (2, 2)])
def test_agreement_with_a_correlation_of_laplacians(shape):
    x, y = noise(shape), noise(shape, seed=1) // 4 + noise(shape) // 2
    assert edge_preservation(x, y) == pytest.approx(plain_index(x, y), abs=1e-12)


@pytest.mark.parametrize(
    ("dtype", "low", "high"),
    [(np.uint8, 0, 256), (np.int8, -128, 128), (np.uint16, 0, 65536), (np.int16, -32768, 32768)],
)
def test_kept_edges_are_exactly_one(dtype, low, high):
    x = noise((70, 80), dtype, low, high)
    assert edge_preservation(x, x.copy()) == 1.0
    assert edge_preservation(x, ~x) == pytest.approx(-1, abs=1e-12)


def test_neither_offset_nor_scale_matters():
    x = blocks()
    assert edge_preservation(x, x + 700) == 1.0
    assert edge_preservation(x, x * 3) == pytest.approx(1, abs=1e-12)


def test_more_blur_keeps_fewer_edges():
    x = blocks()
    blurred = [
        edge_preservation(x, np.rint(ndimage.gaussian_filter(x.astype(float), s)).astype(np.uint16))
        for s in (0.4, 0.8, 2)
    ]
    assert 1 > blurred[0] > blurred[1] > blurred[2] > 0


def test_the_widest_steps_do_not_overflow():
    x = np.zeros((400, 400), np.uint16)
    x[::2, ::2] = x[1::2, 1::2] = 65535
    assert edge_preservation(x, x.copy()) == 1.0
    assert edge_preservation(x, 65535 - x) == pytest.approx(-1, abs=1e-12)


def test_images_without_edges():
    flat, edges = np.full((9, 9), 7, np.uint8), noise((9, 9), np.uint8, 0, 256)
    assert edge_preservation(flat, flat + np.uint8(3)) == 1.0
    assert edge_preservation(flat, edges) == 0.0
    assert edge_preservation(edges, flat) == 0.0
    assert edge_preservation(flat[:1, :1], flat[:1, :1]) == 1.0


def test_frames_count_as_one_signal():
    x, y = noise((3, 20, 30)), noise((3, 20, 30), seed=1) // 2 + noise((3, 20, 30)) // 2
    high = [
        np.concatenate([ndimage.laplace(f.astype(float), mode="nearest").ravel() for f in v])
        for v in (x, y)
    ]
    assert edge_preservation(x, y) == pytest.approx(np.corrcoef(*high)[0, 1], abs=1e-12)


def test_bands_do_not_change_the_result(monkeypatch):
    x, y = noise((50, 40)), noise((50, 40), seed=1)
    whole = edge_preservation(x, y)
    monkeypatch.setattr(metrics_module, "_BAND_PIXELS", 90)
    assert edge_preservation(x, y) == whole


def test_bad_input_is_refused():
    x = np.zeros((4, 5), np.uint8)
    with pytest.raises(ValueError, match="shape"):
        edge_preservation(x, x.T)
    with pytest.raises(TypeError, match="float32"):
        edge_preservation(x.astype(np.float32), x)
