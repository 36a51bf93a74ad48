"""Levels and phases cover every pixel once, and neighbours are known before they are looked at."""

from __future__ import annotations

import itertools

import lattice_reference as reference
import numpy as np
import pytest

from xraycodec.codecs.lattice.features import describe, pad, reflect, scale_of
from xraycodec.codecs.lattice.geometry import (
    ACTIVITY_NEIGHBOURS,
    LAYERS,
    PAD,
    PHASES,
    grid,
    layer_of,
    levels,
    phase_shape,
    set_of,
)

SHAPES = list(np.ndindex(9, 9))
POISON = 1 << 16
PARITIES = [(phase.row, phase.column) for phase in PHASES]


def test_phases_and_neighbours_are_those_of_the_specification() -> None:
    assert list(reference.OFFSETS) == PARITIES
    for phase, offsets in zip(PHASES, reference.OFFSETS.values(), strict=True):
        assert [tuple(offset) for offset in phase.offsets.tolist()] == offsets
        assert phase.neighbours == len(offsets)
    assert [phase.neighbours for phase in PHASES] == [16, 16, 20]


@pytest.mark.parametrize("shape", [(1, 1), (1, 2), (2, 2), (3, 5), (8, 8), (9, 8), (4096, 1)])
def test_levels_halve_until_one_pixel_is_left(shape: tuple[int, int]) -> None:
    found = levels(*shape)
    assert found[0] == shape
    assert found[-1] == (1, 1)
    assert len(found) >= LAYERS
    for below, above in itertools.pairwise(found):
        assert above == grid(*below) == np.zeros(below)[::2, ::2].shape
    assert [layer_of(level) for level in range(6)] == [3, 2, 1, 0, 0, 0]
    assert [set_of(level) for level in range(4)] == [0, 1, 2, 2]


@pytest.mark.parametrize("shape", [(rows + 1, columns + 1) for rows, columns in SHAPES])
def test_phases_cover_every_pixel_once(shape: tuple[int, int]) -> None:
    seen = np.zeros(shape, int)
    seen[::2, ::2] += 1
    for phase in PHASES:
        part = seen[phase.row :: 2, phase.column :: 2]
        assert part.shape == phase_shape(*shape, phase)
        assert all(a <= b for a, b in zip(part.shape, grid(*shape), strict=True))
        part += 1
    assert (seen == 1).all()


@pytest.mark.parametrize("shape", [(rows + 1, columns + 1) for rows, columns in SHAPES])
def test_neighbours_are_known_before_they_are_looked_at(shape: tuple[int, int]) -> None:
    """What is not known yet is poison; none of it reaches a position of the grid."""
    rows, columns = shape
    plane = np.full((rows + 2 * PAD, columns + 2 * PAD), POISON, np.int32)
    inner = plane[PAD:-PAD, PAD:-PAD]
    inner[::2, ::2] = 100
    reflect(plane)
    height, width = grid(*shape)
    predictions = np.empty((height, width), np.int32)
    scales = np.empty((height, width), np.uint8)
    for phase in PHASES:
        if 0 in phase_shape(*shape, phase):
            continue
        coefficients = np.zeros(phase.neighbours, np.int64)
        coefficients[:4] = 32
        features = np.empty((phase.neighbours + 3, height, width), np.uint8)
        describe(
            plane, phase.row, phase.column, phase.offsets, coefficients, 1, 200, features,
            predictions, scales,
        )  # fmt: skip
        assert (features[:-3] == 128).all()
        assert (predictions == 100 << 8).all()
        assert (scales == scales[0, 0]).all()
        inner[phase.row :: 2, phase.column :: 2] = 100
        reflect(plane)
    assert (plane == 100).all()


@pytest.mark.parametrize("shape", [(rows + 1, columns + 1) for rows, columns in SHAPES])
def test_borders_are_those_of_the_specification(shape: tuple[int, int]) -> None:
    rows, columns = shape
    inner = np.arange(rows * columns, dtype=np.int32).reshape(shape)
    known = {(r, c): int(inner[r, c]) for r, c in np.ndindex(shape)}
    plane = pad(inner)
    for r, c in np.ndindex(plane.shape):
        place = (r - PAD, c - PAD)
        if shape != (1, 1):  # of which nothing is coded
            assert plane[r, c] == reference.look(known, shape, *place)


SCALE_SUMS = [4, 5, 7, 8, 767, 768, 769, 1023, 1024, 2**18 - 1, 2**18, 2**27, 12 * 256 * 65535]


def described(
    rng: np.random.Generator, phase: int, shape: tuple[int, int], step: int, peak: int, width: int
) -> None:
    """Compare every output of the compiled loop with the specification's formulas."""
    base = int(rng.integers(0, peak + 1))
    inner = (base + rng.integers(-width, width + 1, shape)).clip(0, peak)
    plane = pad(inner)
    known = {(r, c): int(inner[r, c]) for r, c in np.ndindex(shape)}
    offsets = PHASES[phase].offsets
    coefficients = rng.integers(-127, 128, len(offsets))
    height, width = grid(*shape)
    features = np.empty((len(offsets) + 3, height, width), np.uint8)
    predictions, scales = np.empty((height, width), np.int32), np.empty((height, width), np.uint8)
    row, column = PARITIES[phase]
    describe(
        plane, row, column, offsets, coefficients, step, peak, features, predictions, scales
    )  # fmt: skip
    from xraycodec.codecs.lattice.features import LOGARITHMS, MEAN_DEVIATIONS

    for i, j in np.ndindex(height, width):
        values = [
            reference.look(known, shape, row + 2 * i + a, column + 2 * j + b)
            for a, b in offsets.tolist()
        ]
        expected = reference.describe(values, coefficients.tolist(), step, peak)
        assert features[:, i, j].tolist() == expected.features
        assert predictions[i, j] == expected.prediction
        assert 38 <= scales[i, j] <= 109
        assert MEAN_DEVIATIONS[scales[i, j]] == expected.deviation
        assert LOGARITHMS[scales[i, j]] == expected.logarithm


@pytest.mark.parametrize("phase", range(3))
@pytest.mark.parametrize("step", [1, 3, 201, 131071])
@pytest.mark.parametrize("peak", [1, 255, 4095, 65535])
@pytest.mark.parametrize("width", [0, 1, 9, 65535])
def test_features(phase: int, step: int, peak: int, width: int) -> None:
    rng = np.random.default_rng([phase, step, peak, width])
    described(rng, phase, (7, 8), step, peak, width)


@pytest.mark.parametrize("total", SCALE_SUMS)
def test_scales(total: int) -> None:
    assert scale_of.py_func(total) == reference.scale_of(total)  # type: ignore[attr-defined]


def test_ranges_that_the_specification_promises_to_mixtures() -> None:
    from xraycodec.codecs.lattice.features import LOGARITHMS, MEAN_DEVIATIONS

    assert (reference.scale_of(768), reference.scale_of(12 * 256 * 65535)) == (38, 109)
    assert (MEAN_DEVIATIONS[38], MEAN_DEVIATIONS[109]) == (17749, 3937053354)
    assert (LOGARITHMS[38], LOGARITHMS[109]) == (3613, 8160)
    assert ACTIVITY_NEIGHBOURS == 12
    exact = 256 * np.log2(MEAN_DEVIATIONS[38:110])
    assert np.abs(LOGARITHMS[38:110] - exact).max() < 1.5
