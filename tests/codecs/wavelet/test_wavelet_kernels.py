"""The loops that code coefficients, with parameters that no network would give."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import pytest
import spec_reader

from entropy import mixture_reference as mixture
from xraycodec.codecs.wavelet import kernels
from xraycodec.codecs.wavelet.features import LOGARITHMS, SCALES, UNITS
from xraycodec.codecs.wavelet.geometry import BANDS
from xraycodec.entropy.mixture_kernels import INITIAL, STATE_WORDS, push_all
from xraycodec.entropy.mixture_tables import powers, sigmoids

INT32 = (-(2**31), 2**31 - 1)
WHOLE = 1 << 24


class Phase:
    """One phase of a strip: what both sides know, and the targets that one of them knows."""

    def __init__(
        self,
        rng: np.random.Generator,
        shape: tuple[int, int],
        reach: int,
        components: int,
        unit_shift: int,
        *,
        extreme: bool,
    ) -> None:
        self.reach, self.components, self.unit_shift = reach, components, unit_shift
        self.scales = rng.integers(0, SCALES, shape).astype(np.uint8)
        count = 3 * components - 1
        wide = (BANDS, count, *shape)
        if extreme:
            ends = rng.choice(INT32, wide)
            near = rng.integers(-(5000 << unit_shift), (5000 << unit_shift) + 1, wide)
            parameters = np.where(rng.random(wide) < 0.5, ends, near).clip(*INT32)
            peak = reach << 8
            targets = np.where(
                rng.random((BANDS, *shape)) < 0.5,
                rng.choice([-peak, peak], (BANDS, *shape)),
                rng.integers(-peak, peak + 1, (BANDS, *shape)),
            )
        else:
            parameters = rng.normal(0, 0.7, wide) * 2.0 ** (8 + unit_shift)
            units = UNITS[self.scales] / 2.0**16
            targets = (256 * rng.laplace(0, units, (BANDS, *shape))).clip(-256 * reach, 256 * reach)
        self.parameters = np.rint(parameters).astype(np.int32)
        self.targets = np.rint(targets).astype(np.int32)
        # One row of band 1 and one column of band 0 are missing, as at the edges of images.
        self.rows = np.array([shape[0], shape[0] - 1, shape[0]], np.int64)
        self.columns = np.array([shape[1] - 1, shape[1], shape[1]], np.int64)
        self.coded = np.ones(shape, bool)

    def encode(
        self, adaptation: tuple[kernels.Integers, ...], rounding: int, price: int
    ) -> tuple[npt.NDArray[np.int32], npt.NDArray[np.uint32], npt.NDArray[np.uint32]]:
        """Chosen coefficients, starts and sizes."""
        chosen = np.zeros_like(self.targets)
        starts = np.empty(self.targets.size, np.uint32)
        sizes = np.empty_like(starts)
        count = kernels.encode_cells(
            self.targets, self.rows, self.columns, self.coded, self.scales, self.parameters,
            self.unit_shift, self.reach, rounding, price, sigmoids(), powers(), *adaptation,
            chosen, starts, sizes,
        )  # fmt: skip
        return chosen, starts[:count], sizes[:count]

    def decode(
        self, adaptation: tuple[kernels.Integers, ...], words: npt.NDArray[np.uint32]
    ) -> tuple[npt.NDArray[np.int32], int, int]:
        chosen = np.zeros_like(self.targets)
        state, position = kernels.decode_cells(
            words, np.uint64(int(words[0]) | int(words[1]) << 32), 2, self.rows, self.columns,
            self.coded, self.scales, self.parameters, self.unit_shift, self.reach, sigmoids(),
            powers(), *adaptation, chosen,
        )  # fmt: skip
        return chosen, int(state), int(position)

    def reference(self, words: npt.NDArray[np.uint32]) -> spec_reader.Strip:
        stream = mixture.Stream(words.tolist())
        rows = range(self.scales.shape[0])
        return spec_reader.Strip(rows, stream, self.components, self.unit_shift, self.reach)

    def decode_by_reference(self, strip: spec_reader.Strip) -> npt.NDArray[np.int32]:
        strip.begin_phase()
        chosen = np.zeros_like(self.targets)
        for i, j in np.ndindex(self.scales.shape):
            scale = self.scales[i, j]
            cell = spec_reader.Cell(int(UNITS[scale]), int(LOGARITHMS[scale]), 0, [])
            for band in range(BANDS):
                if i < self.rows[band] and j < self.columns[band]:
                    numbers = self.parameters[band, :, i, j].tolist()
                    chosen[band, i, j] = strip.decode(cell, numbers, band, i, j)
        return chosen


def push(starts: npt.NDArray[np.uint32], sizes: npt.NDArray[np.uint32]) -> npt.NDArray[np.uint32]:
    words = np.empty(STATE_WORDS + starts.size, np.uint32)
    return words[push_all(starts, sizes, words) :].copy()


CASES = [(1, 1, 0), (1, 8, 16), (7, 2, 8), (255, 3, 0), (2**18 - 1, 1, 16), (2**18 - 1, 8, 1)]


@pytest.mark.parametrize(("reach", "components", "unit_shift"), CASES)
@pytest.mark.parametrize("extreme", [False, True])
@pytest.mark.parametrize("price", [0, 7864])
def test_what_is_coded_is_decoded(
    reach: int, components: int, unit_shift: int, extreme: bool, price: int
) -> None:
    rng = np.random.default_rng([reach, components, unit_shift])
    phase = Phase(rng, (9, 7), reach, components, unit_shift, extreme=extreme)
    ours, theirs = kernels.fresh_adaptation(), kernels.fresh_adaptation()
    for _ in range(2):  # the second time with what the first has learned
        chosen, starts, sizes = phase.encode(ours, 128, price)
        assert len(starts) == phase.rows @ phase.columns
        assert (sizes >= 1).all()
        assert (starts.astype(np.int64) + sizes <= WHOLE).all()
        assert np.abs(chosen).max() <= reach
        words = push(starts, sizes)
        found, state, position = phase.decode(theirs, words)
        np.testing.assert_array_equal(found, chosen)
        assert (state, position) == (INITIAL, len(words))
        for a, b in zip(ours, theirs, strict=True):
            np.testing.assert_array_equal(a, b)


@pytest.mark.parametrize(("reach", "components", "unit_shift"), CASES)
@pytest.mark.parametrize("extreme", [False, True])
def test_every_coefficient_is_that_of_the_reference(
    reach: int, components: int, unit_shift: int, extreme: bool
) -> None:
    rng = np.random.default_rng([reach, components, unit_shift, 1])
    phase = Phase(rng, (4, 5), reach, components, unit_shift, extreme=extreme)
    adaptation = kernels.fresh_adaptation()
    first = phase.encode(adaptation, 128, 0)
    second = phase.encode(adaptation, 128, 0)
    words = push(*(np.concatenate([a, b]) for a, b in zip(first[1:], second[1:], strict=True)))
    strip = phase.reference(words)
    for chosen, _, _ in (first, second):
        np.testing.assert_array_equal(phase.decode_by_reference(strip), chosen)
    strip.stream.end()
    offsets, counts, taps = adaptation
    for group, context in np.ndindex(offsets.shape):
        assert offsets[group, context] == strip.offsets[group, context]
        assert counts[group, context] == strip.counts[group, context]
    assert taps.tolist() == strip.tap_weights
    assert any(any(row) for row in strip.tap_weights) or reach == 1


@pytest.mark.parametrize("reach", [1, 40, 2**18 - 1])
def test_values_share_out_all_slots(reach: int) -> None:
    rng = np.random.default_rng(reach)
    end = 0
    values = range(-reach, reach + 1) if reach < 100 else [-reach, 1 - reach, 0, reach - 1, reach]
    known = Phase(rng, (1, 2), reach, 2, 0, extreme=True)
    for value in values:
        known.targets[:] = value << 8
        chosen, starts, sizes = known.encode(kernels.fresh_adaptation(), 128, 0)
        assert chosen[0, 0, 0] == value
        assert starts[0] >= end
        assert starts[0] == end or reach > 100
        end = int(starts[0]) + int(sizes[0])
    assert end == WHOLE


def test_targets_beyond_the_reach_are_coded_as_its_end() -> None:
    """Whatever an encoder asks for, what it writes can be read."""
    phase = Phase(np.random.default_rng(0), (3, 3), 3, 2, 8, extreme=False)
    phase.targets[:] = np.where(phase.targets < 0, -4 << 8, 4 << 8)
    chosen, starts, sizes = phase.encode(kernels.fresh_adaptation(), 128, 0)
    assert set(np.unique(chosen[2])) <= {-3, 3}
    found, _, _ = phase.decode(kernels.fresh_adaptation(), push(starts, sizes))
    np.testing.assert_array_equal(found, chosen)


class TestChoice:
    def test_without_a_price_targets_are_rounded(self) -> None:
        phase = Phase(np.random.default_rng(1), (6, 6), 5000, 2, 8, extreme=False)
        for rounding in (0, 102, 128):
            chosen, _, _ = phase.encode(kernels.fresh_adaptation(), rounding, 0)
            expected = np.sign(phase.targets) * ((np.abs(phase.targets) + rounding) >> 8)
            np.testing.assert_array_equal(chosen[2], expected[2].clip(-5000, 5000))

    def test_a_price_takes_the_cheapest_of_three(self) -> None:
        """Of the nearest, the one before and zero, by squared error and 24 - log2 of the slots."""
        price = 20000
        phase = Phase(np.random.default_rng(2), (5, 5), 4000, 2, 8, extreme=False)
        phase.targets //= 50
        best, _, _ = phase.encode(kernels.fresh_adaptation(), 128, price)
        first = int(phase.targets[0, 0, 0])
        nearest = (abs(first) + 128) >> 8
        costs = {}
        for magnitude in {nearest, max(nearest - 1, 0), 0}:
            value = magnitude if first >= 0 else -magnitude
            phase.targets[0, 0, 0] = value << 8
            _, _, alone = phase.encode(kernels.fresh_adaptation(), 128, 0)
            costs[value] = (first - 256 * value) ** 2 + price * (24 - np.log2(alone[0]))
        assert best[0, 0, 0] == min(costs, key=costs.__getitem__)
        dear, _, _ = phase.encode(kernels.fresh_adaptation(), 128, 1 << 22)
        assert np.abs(dear).sum() < np.abs(best).sum()


def test_damaged_words_decode_as_the_reference_does() -> None:
    rng = np.random.default_rng(7)
    for seed in range(60):
        phase = Phase(rng, (2, 3), [1, 90, 2**18 - 1][seed % 3], 2, 8, extreme=bool(seed % 2))
        words = rng.integers(0, 2**32, int(rng.integers(2, 12)), np.uint32)
        words[1] |= 1
        found, state, position = phase.decode(kernels.fresh_adaptation(), words)
        strip = phase.reference(words)
        try:
            expected = phase.decode_by_reference(strip)
        except mixture.RefusedError:
            assert position == len(words) + 1
            continue
        np.testing.assert_array_equal(found, expected)
        assert (state, position) == (strip.stream.state, strip.stream.position)


def test_kernels_are_compiled_once() -> None:
    phase = Phase(np.random.default_rng(0), (2, 2), 3, 1, 0, extreme=False)
    _, starts, sizes = phase.encode(kernels.fresh_adaptation(), 128, 0)
    phase.decode(kernels.fresh_adaptation(), push(starts, sizes))
    for kernel in (kernels.encode_cells, kernels.decode_cells):
        assert len(kernel.signatures) == 1  # type: ignore[attr-defined]
