"""The compiled loops of mixture coding against a reader of spec/mixture.md in plain Python."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Callable
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from xraycodec.entropy import mixture_kernels as kernels
from xraycodec.entropy.mixture_tables import powers, sigmoids

from . import mixture_reference as reference
from .mixture_runs import DEVIATIONS, INT32, LOGARITHMS, PhaseRun, extreme, plausible, push

SPEC = Path(__file__).parents[2] / "spec" / "mixture.md"
KINDS = pytest.mark.parametrize("kind", [plausible, extreme])
Kind = Callable[..., PhaseRun]


class TestTables:
    def test_digests_of_the_specification(self) -> None:
        listed = re.search(r"```digests\n(.*?)```", SPEC.read_text(encoding="utf-8"), re.DOTALL)
        assert listed
        for line, table in zip(listed[1].splitlines(), (sigmoids(), powers()), strict=True):
            assert hashlib.sha256(table.astype("<i8").tobytes()).hexdigest() == line.split()[1]

    def test_entries_are_what_the_specification_says(self) -> None:
        assert sigmoids().tolist() == list(reference.SIGMOIDS.values())
        assert powers().tolist() == reference.POWERS

    def test_properties_that_proofs_rely_on(self) -> None:
        table = sigmoids()
        assert (table[0], table[-1]) == (0, 1 << 30)
        assert (np.diff(table) >= 0).all()
        assert (table + table[::-1] == 1 << 30).all()
        assert powers().max() == 1 << 24
        assert powers().min() > 1 << 23

    def test_they_cannot_be_changed(self) -> None:
        with pytest.raises(ValueError, match="read-only"):
            sigmoids()[0] = 1


class TestIntervals:
    @KINDS
    @pytest.mark.parametrize("seed", range(40))
    def test_every_bit_is_that_of_the_reference(self, kind: Kind, seed: int) -> None:
        run = kind(np.random.default_rng(seed), (7, 9))
        starts, sizes, found = run.encode()
        model = run.reference()
        expected = [model.encode(pixel, y) for pixel, y in run.pixels()]
        got = zip(starts.tolist(), sizes.tolist(), found.ravel().tolist(), strict=True)
        assert list(got) == expected

    @pytest.mark.parametrize("seed", range(3))
    def test_long_runs_adapt_alike(self, seed: int) -> None:
        """Many pixels of one context, so that its pace reaches its end and its offset a limit."""
        rng = np.random.default_rng(seed)
        run = plausible(rng, (30, 30), peak=255, step=1, components=2, unit_shift=4)
        run.scales[:] = 50
        run.parameters[2:4] = (-3, 0, 3)[seed] << 12
        starts, sizes, _ = run.encode()
        model = run.reference()
        expected = [model.encode(pixel, y)[:2] for pixel, y in run.pixels()]
        assert list(zip(starts.tolist(), sizes.tolist(), strict=True)) == expected
        assert max(model.counts) == 900
        assert any(model.offsets)

    @KINDS
    @pytest.mark.parametrize("step", [1, 3, 7, 201, 131071])
    def test_errors_stay_within_half_a_step(self, kind: Kind, step: int) -> None:
        run = kind(np.random.default_rng(step), (12, 13), step=step)
        _, _, found = run.encode()
        assert np.abs(found - run.levels).max() <= (step - 1) // 2
        assert found.min() >= 0
        assert found.max() <= run.peak

    @pytest.mark.parametrize("parameter", [*INT32, 0, -1, 1 << 23])
    @pytest.mark.parametrize("components", [1, 8])
    @pytest.mark.parametrize(
        ("peak", "step", "prediction", "scale"),
        [
            (65535, 1, 0, 0),
            (65535, 17, 65535 * 256, 1),
            (255, 1, 255 * 256, 0),
            (255, 1, 12345, 1),
            (1, 1, 128, 0),
            (1000, 65535, 77, 1),
            (65535, 131071, 77, 0),
        ],
    )
    def test_bins_share_out_all_slots(
        self, parameter: int, components: int, peak: int, step: int, prediction: int, scale: int
    ) -> None:
        """From the darkest level to the brightest, each bin begins where the last one ends."""
        parameters = np.full((3 * components - 1, 1), parameter, np.int32)
        parameters[1::2] = -(parameter + 1)
        levels = np.zeros((1, 1), np.int32)
        run = PhaseRun(
            levels,
            np.array([[prediction]], np.int32),
            np.array([[scale]], np.uint8),
            np.array(DEVIATIONS, np.int64),
            np.array(LOGARITHMS, np.int64),
            parameters,
            16,
            step,
            peak,
        )
        end, reached, y = 0, -1, 0
        sample = max(1, peak // 500)
        while y <= peak:
            levels[:] = y
            (start,), (size,), found = run.encode()
            if y == reached + 1:  # the next bin but for those that are left out
                assert start == end
            assert start >= end
            assert size >= 1
            end, reached = int(start) + int(size), min(int(found[0, 0]) + step // 2, peak)
            y = reached + 1 if y < 200 else min(reached + sample, max(peak, reached + 1))
        assert end == 1 << 24

    def test_all_bins_of_the_deepest_image(self) -> None:
        """Every bin of 16 bits, by the reference: starts rise, so that each has a slot."""
        pixel = reference.Pixel(65535 << 7, 1 << 14, 3584, [2**31 - 1, -(2**31)])
        run = reference.Run(65535, 1, 1, 0, 1)
        bins = run.bins(run.mixture(pixel))
        starts = [bins.start(place) for place in range(bins.count + 1)]
        assert bins.count == 65536
        assert (np.diff(starts) >= 1).all()
        assert (starts[0], starts[-1]) == (0, 1 << 24)


def words_of(run: PhaseRun) -> tuple[npt.NDArray[np.uint32], npt.NDArray[np.int32]]:
    starts, sizes, found = run.encode()
    return push(starts, sizes), found


def reference_decode(
    run: PhaseRun, words: npt.NDArray[np.uint32]
) -> tuple[list[int], reference.Stream]:
    stream = reference.Stream(words.tolist())
    model = run.reference()
    return [model.decode(pixel, stream) for pixel, _ in run.pixels()], stream


class TestStream:
    @KINDS
    @settings(max_examples=60)
    @given(
        seed=st.integers(0, 2**32 - 1),
        shape=st.tuples(st.integers(1, 12), st.integers(1, 12)),
    )
    def test_round_trip(self, kind: Kind, seed: int, shape: tuple[int, int]) -> None:
        run = kind(np.random.default_rng(seed), shape)
        words, found = words_of(run)
        levels, state, position = run.decode(words)
        np.testing.assert_array_equal(levels, found)
        assert (state, position) == (kernels.INITIAL, words.size)

    @KINDS
    @pytest.mark.parametrize("seed", range(5))
    def test_words_and_levels_are_those_of_the_reference(self, kind: Kind, seed: int) -> None:
        run = kind(np.random.default_rng(1000 + seed), (6, 8))
        words, found = words_of(run)
        model = run.reference()
        intervals = [model.encode(pixel, y)[:2] for pixel, y in run.pixels()]
        assert words.tolist() == reference.push_all(intervals)
        levels, stream = reference_decode(run, words)
        assert levels == found.ravel().tolist()
        stream.end()

    @settings(max_examples=100)
    @given(st.lists(st.tuples(st.integers(0, 2**24 - 1), st.integers(1, 2**24)), max_size=50))
    def test_any_intervals(self, drawn: list[tuple[int, int]]) -> None:
        intervals = [(start, min(size, (1 << 24) - start)) for start, size in drawn]
        intervals = [(start, size) for start, size in intervals if size < 1 << 24 or start == 0]
        starts, sizes = (
            np.array([interval[n] for interval in intervals], np.uint32) for n in (0, 1)
        )
        words = push(starts, sizes).tolist()
        assert words == reference.push_all(intervals)
        stream = reference.Stream(words)
        for start, size in intervals:
            assert size == 1 << 24 or start <= stream.state % (1 << 24) < start + size
            stream.pop(start, size)
        stream.end()

    def test_where_one_bin_holds_all_levels_nothing_is_coded(self) -> None:
        run = extreme(np.random.default_rng(0), (9, 9), peak=65535, step=131071)
        words, found = words_of(run)
        assert words.tolist() == [0, 1]
        assert run.decode(words)[1:] == (kernels.INITIAL, 2)
        assert np.abs(found - run.levels).max() <= 65535

    @KINDS
    def test_a_stream_is_as_long_as_its_probabilities_say(self, kind: Kind) -> None:
        run = kind(np.random.default_rng(3), (60, 60), peak=4095, step=1)
        starts, sizes, _ = run.encode()
        ideal = (24 - np.log2(sizes)).sum()
        assert ideal - 32 <= 32 * push(starts, sizes).size <= 1.001 * ideal + 64


class TestDamage:
    @KINDS
    @settings(max_examples=60)
    @given(seed=st.integers(0, 2**32 - 1), data=st.data())
    def test_damaged_words_decode_as_the_reference_does(
        self, kind: Kind, seed: int, data: st.DataObject
    ) -> None:
        run = kind(np.random.default_rng(seed), (3, 5))
        words, _ = words_of(run)
        for _ in range(data.draw(st.integers(1, 3))):
            words[data.draw(st.integers(0, words.size - 1))] ^= data.draw(st.integers(1, 2**32 - 1))
        words = words[: data.draw(st.integers(2, words.size))].copy()
        words[1] = max(words[1], 1)  # the caller has refused a lower state
        levels, state, position = run.decode(words)
        assert state < 2**64
        assert 2 <= position <= words.size + 1
        try:
            expected, stream = reference_decode(run, words)
        except reference.RefusedError:
            assert position == words.size + 1
            return
        assert levels.ravel().tolist() == expected
        assert (state, position) == (stream.state, stream.position)

    def test_noise_gives_levels_or_runs_out(self) -> None:
        rng = np.random.default_rng(5)
        for _ in range(300):
            run = extreme(rng, (4, 4))
            words = rng.integers(0, 2**32, int(rng.integers(2, 9)), np.uint32)
            words[1] |= 1
            levels, _, position = run.decode(words)
            if position <= words.size:
                assert levels.min() >= 0
                assert levels.max() <= run.peak


def test_kernels_are_compiled_once() -> None:
    """Callers pass one set of types: another would cost each process seconds."""
    run = plausible(np.random.default_rng(0), (2, 2))
    run.decode(words_of(run)[0])
    for kernel in (kernels.encode_phase, kernels.decode_phase, kernels.push_all):
        assert len(kernel.signatures) == 1  # type: ignore[attr-defined]
