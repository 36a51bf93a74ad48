"""Linear predictions are found where there are any, and always add up to one."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from lattice_building import COEFFICIENTS, noise, smooth

from xraycodec.codecs.lattice import fitting
from xraycodec.codecs.lattice.geometry import PHASES

PRIOR = tuple(tuple(np.array(values, np.int64) for values in phases) for phases in COEFFICIENTS)


def levels(image: object) -> np.ndarray:
    return image.pixels.astype(np.int32)  # type: ignore[attr-defined]


@pytest.mark.parametrize("step", [1, 9, 131071])
@pytest.mark.parametrize("prior", [None, PRIOR], ids=["no prior", "prior"])
@pytest.mark.parametrize(
    "tiles",
    [
        [levels(smooth(64, 80)), levels(smooth(3, 50))],
        [levels(noise(50, 50, 16))],
        [np.zeros((40, 40), np.int32)],
        [np.ones((1, 1), np.int32)],
        [(np.indices((40, 40)).sum(0) % 2 * 65535).astype(np.int32)],
    ],
    ids=["smooth", "noise", "constant", "one pixel", "checkerboard"],
)
def test_coefficients_can_be_sent(tiles: list[np.ndarray], prior: object, step: int) -> None:
    fitted = fitting.fit_image(tiles, step, prior)  # type: ignore[arg-type]
    assert len(fitted) == 3
    for phases in fitted:
        for phase, values in zip(PHASES, phases, strict=True):
            assert values.shape == (phase.neighbours,)
            assert values.dtype == np.int64
            assert values.sum() == 128
            assert np.abs(values).max() <= 127


def test_without_samples_the_prior_stays() -> None:
    fitted = fitting.fit_image([np.zeros((1, 1), np.int32)], 1, PRIOR)
    for found, expected in zip(fitted, PRIOR, strict=True):
        for a, b in zip(found, expected, strict=True):
            np.testing.assert_array_equal(a, b)


@pytest.mark.parametrize("axis", [0, 1], ids=["rows", "columns"])
def test_a_relation_that_holds_is_found(axis: int) -> None:
    """Rows or columns of one level each: only the pixel's own counts."""
    rng = np.random.default_rng(0)
    lines = np.expand_dims(rng.integers(0, 4000, 128), 1 - axis) + np.zeros((128, 128), int)
    (fitted, *_) = fitting.fit_image([lines.astype(np.int32)], 1, None)
    index = 1 if axis == 1 else 2  # the phase with known pixels in the same column, in the same row
    for distance in range(-3, 4):
        total = fitted[index][PHASES[index].offsets[:, axis] == distance].sum()
        assert abs(total - 128 * (distance == 0)) <= 2


@settings(max_examples=200)
@given(hnp.arrays(float, st.sampled_from([16, 20]), elements=st.floats(-50, 50)))
def test_rounding_keeps_the_sum(coefficients: np.ndarray) -> None:
    rounded = fitting.rounded(coefficients)
    assert rounded.sum() == 128
    assert np.abs(rounded).max() <= 127
