"""The 9/7 wavelet in integers: against the filters of the literature, the specification, itself."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import pytest
import spec_reader

from xraycodec.codecs.wavelet.geometry import BANDS, ORTHONORMAL_LEVELS, cells, levels
from xraycodec.codecs.wavelet.parameters import finest_step
from xraycodec.codecs.wavelet.transform import PEAK, analyse, band_shape, forward, synthesise

Floats = npt.NDArray[np.float64]
SHAPES = [(1, 1), (1, 2), (2, 1), (1, 9), (7, 1), (2, 2), (3, 5), (16, 16), (33, 17), (40, 71)]

# Analysis filters of ITU-T T.800, annex F: low-pass with a gain of 1, high-pass with one of 2.
LOW = [0.602949018236360, 0.266864118442875, -0.078223266528990, -0.016864118442875,
       0.026748757410810]  # fmt: skip
HIGH = [1.115087052457000, -0.591271763114250, -0.057543526228500, 0.091271763114250]


def analysis_matrix(n: int) -> Floats:
    """One level of ``n`` samples, interleaved; both filters near the norm of an orthonormal one."""
    matrix = np.zeros((n, n))
    if n == 1:
        return np.full((1, 1), np.sqrt(2))
    period = 2 * (n - 1)
    for i in range(n):
        half, scale = (HIGH, 1 / np.sqrt(2)) if i % 2 else (LOW, np.sqrt(2))
        for k in range(1 - len(half), len(half)):
            place = abs(i + k) % period
            matrix[i, min(place, period - place)] += scale * half[abs(k)]
    return matrix


def plane(shape: tuple[int, int], peak: int = 1 << 19, seed: int = 0) -> npt.NDArray[np.int32]:
    return np.random.default_rng(seed).integers(-peak, peak + 1, shape).astype(np.int32)


@pytest.mark.parametrize("shape", SHAPES)
def test_one_level_is_that_of_the_filters(shape: tuple[int, int]) -> None:
    x = plane(shape)
    expected = analysis_matrix(shape[0]) @ x @ analysis_matrix(shape[1]).T
    forward(x)
    # Weights are off by 2^-17, values up to 2^20, and each of ten steps rounds.
    assert np.abs(x - expected).max() < 60


@pytest.mark.parametrize("shape", [*SHAPES, (1, 700), (150, 3)])
def test_what_is_taken_apart_comes_together(shape: tuple[int, int]) -> None:
    original = plane(shape)
    found, low = analyse(original.copy())
    shapes = levels(*shape)
    assert low.shape == shapes[-1]
    assert max(low.shape) <= 2
    assert len(found) == len(shapes) - 1
    for level in range(len(found), 0, -1):
        low = synthesise(low, found[level - 1], shapes[level - 1], level)
    # Of 2^-8 steps, where images have at most 2048 steps either way.
    assert np.abs(low - original).max() <= 24


@pytest.mark.parametrize("shape", SHAPES)
def test_bands_lie_in_cells(shape: tuple[int, int]) -> None:
    if max(shape) <= 2:
        assert not analyse(plane(shape))[0]
        return
    x = plane(shape)
    bands = analyse(x.copy())[0][0]
    forward(x)
    above = levels(*shape)[1]
    assert bands.shape == (BANDS, 4, *cells(above))
    seen = 0
    for band, (row, column) in enumerate(spec_reader.BANDS):
        samples = x[row::2, column::2]
        assert samples.shape == band_shape(shape, band) == spec_reader.band_shape(shape, band)
        for i, j in np.ndindex(samples.shape):
            assert bands[band, 2 * (i % 2) + j % 2, i // 2, j // 2] == samples[i, j]
            seen += 1
    assert seen == x.size - above[0] * above[1]
    filled = sum(np.count_nonzero(part) for part in bands)
    assert filled <= seen  # places without a sample hold 0


@pytest.mark.parametrize("shape", [(1, 300), (300, 2), (130, 140)])
def test_low_pass_bands_keep_their_brightness(shape: tuple[int, int]) -> None:
    """An even plane stays one at every level, twice as bright up to the seventh."""
    value = 100_000
    found, low = analyse(np.full(shape, value, np.int32))
    assert len(found) > ORTHONORMAL_LEVELS
    expected = value << ORTHONORMAL_LEVELS
    assert np.abs(low - expected).max() <= 1e-4 * expected
    assert max(np.abs(bands).max() for bands in found) <= 32


@pytest.mark.parametrize("level", [1, 6, 7, 12])
@pytest.mark.parametrize("shape", [*SHAPES[1:], (64, 5)])
@pytest.mark.parametrize("extreme", [True, False])
def test_synthesis_is_that_of_the_specification(
    level: int, shape: tuple[int, int], extreme: bool
) -> None:
    """Which asserts on the way that no sum exceeds an int32, whatever a stream brings."""
    rng = np.random.default_rng([level, *shape])
    above = spec_reader.cells_of(shape)
    peak = PEAK + 256
    bands = rng.integers(-peak, peak + 1, (BANDS, 4, *cells(above))).astype(np.int32)
    low = rng.integers(-peak, peak + 1, above).astype(np.int32)
    if extreme:
        bands, low = (peak * np.sign(values) for values in (bands, low))
    full = [[0] * shape[1] for _ in range(shape[0])]
    for r, c in np.ndindex(shape):
        i, j = r // 2, c // 2
        if r % 2 or c % 2:
            band = spec_reader.BANDS.index((r % 2, c % 2))
            full[r][c] = int(bands[band, 2 * (i % 2) + j % 2, i // 2, j // 2])
        else:
            full[r][c] = int(low[i, j])
    expected = spec_reader.inverse(full, level)
    found = synthesise(low, bands, shape, level)
    assert found.tolist() == expected
    assert np.abs(found).max() <= PEAK


def test_levels_without_bands() -> None:
    low = plane((9, 8))
    zeros = np.zeros((BANDS, 4, 5, 4), np.int32)
    np.testing.assert_array_equal(
        synthesise(low, None, (17, 16), 2), synthesise(low, zeros, (17, 16), 2)
    )


class TestNoOverflow:
    """The figures of spec/wavelet.md, section 9."""

    def test_gains_of_the_analysis(self) -> None:
        """Largest sums of absolute weights, over levels and sizes, less the factor of the level."""
        low_gain = high_gain = 0.0
        for n in (*range(2, 40), 64, 127, 128, 129, 513):
            product = np.eye(n)
            level = 0
            while len(product) > 1:
                level += 1
                product = analysis_matrix(len(product)) @ product
                sums = np.abs(product).sum(1) / 2 ** (level / 2)
                low_gain, high_gain = (
                    max(low_gain, sums[::2].max()),
                    max(high_gain, sums[1::2].max()),
                )
                product = product[::2]
        assert 1.380 < low_gain < 1.381
        assert 1.312 < high_gain < 1.313
        assert 2**19 * 2**6 * 1.381**2 < 2**25.94

    def test_gains_of_the_synthesis(self) -> None:
        """Along one axis, in between and at the end; then along the other."""
        between = at_the_end = 0.0
        for n in range(2, 60):
            weights = np.eye(n)
            weights *= np.where(np.arange(n) % 2, 75341, 57007)[:, None] / 2**16
            for k in (3, 2, 1, 0):
                for i in range(1 - k % 2, n, 2):
                    a, b = weights[i - 1 if i else 1], weights[i + 1 if i + 1 < n else n - 2]
                    weights[i] -= spec_reader.WEIGHTS[k] / 2**16 * (a + b)
                between = max(between, np.abs(weights).sum(1).max())
            at_the_end = max(at_the_end, np.abs(weights).sum(1).max())
        assert 4.48 < between < 4.49
        assert 2.11 < at_the_end < 2.12
        assert 9.5 < between * at_the_end + 0.02 < 9.52
        assert 9.5 * (2**27 + 2**10) < 2**30.3

    @pytest.mark.parametrize("span", [0, 1, 2, 15, 16, 17, 31, 33, 255, 4095, 65535])
    def test_samples_of_images(self, span: int) -> None:
        from xraycodec.codecs.wavelet.parameters import Parameters

        parameters = Parameters(finest_step(-5, span - 5), -5, span - 5)
        ends = np.array([[-5, span - 5]], np.int32)
        steps = parameters.to_steps(ends)
        assert np.abs(steps).max() <= 1 << 19
        np.testing.assert_array_equal(parameters.to_pixels(steps), ends)
