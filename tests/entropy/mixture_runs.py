"""Random runs of mixture coding, and the compiled loops as functions of them."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from xraycodec.entropy import mixture_kernels as kernels
from xraycodec.entropy.mixture_tables import powers, sigmoids

from . import mixture_reference as reference

PAD = 4
INT32 = (-(2**31), 2**31 - 1)
DEVIATIONS = (1 << 14, (1 << 32) - 1)
LOGARITHMS = (3584, 8191)


@dataclass(frozen=True, eq=False)
class PhaseRun:
    """What both sides know of a phase's pixels, and the levels that one of them knows.

    Attributes:
        levels: ``(row, column)``.
        predictions, scales: of a grid that may be larger, ``(row, column)``.
        deviations, logarithms: by scale.
        parameters: ``(parameter, position of the grid)``.
    """

    levels: npt.NDArray[np.int32]
    predictions: npt.NDArray[np.int32]
    scales: npt.NDArray[np.uint8]
    deviations: npt.NDArray[np.int64]
    logarithms: npt.NDArray[np.int64]
    parameters: npt.NDArray[np.int32]
    unit_shift: int
    step: int
    peak: int

    @property
    def components(self) -> int:
        return (len(self.parameters) + 1) // 3

    def known_to_both(self) -> tuple[object, ...]:
        return (
            *(PAD, 1, 0, *self.levels.shape),
            *(self.predictions, self.scales, self.deviations, self.logarithms, self.parameters),
            *(self.unit_shift, self.step, self.peak, sigmoids(), powers()),
        )

    def plane(self) -> npt.NDArray[np.int32]:
        """A level whose phase of odd rows and even columns is the run's; poison elsewhere."""
        rows, columns = self.predictions.shape
        return np.full((2 * rows + 2 * PAD, 2 * columns + 2 * PAD), -(2**30), np.int32)

    def region(self) -> tuple[slice, slice]:
        rows, columns = self.levels.shape
        return (
            slice(PAD + 1, PAD + 1 + 2 * rows, 2),
            slice(PAD, PAD + 2 * columns, 2),
        )

    def encode(
        self,
    ) -> tuple[npt.NDArray[np.uint32], npt.NDArray[np.uint32], npt.NDArray[np.int32]]:
        """Starts and sizes of the intervals, and the levels that will be decoded."""
        truth, known = self.plane(), self.plane()
        truth[self.region()] = self.levels
        starts = np.empty(self.levels.size, np.uint32)
        sizes = np.empty_like(starts)
        kernels.encode_phase(truth, known, *self.known_to_both(), starts, sizes)
        found = known[self.region()].copy()
        known[self.region()] = -(2**30)
        assert (known == -(2**30)).all(), "written beside the phase"
        return starts, sizes, found

    def decode(self, words: npt.NDArray[np.uint32]) -> tuple[npt.NDArray[np.int32], int, int]:
        """Levels, the state after them, and the position of the next word."""
        known = self.plane()
        state = int(words[0]) | int(words[1]) << 32
        state, position = kernels.decode_phase(
            words, np.uint64(state), 2, known, *self.known_to_both()
        )
        return known[self.region()], int(state), int(position)

    def pixels(self) -> list[tuple[reference.Pixel, int]]:
        """Pixels in coding order as the reference takes them, each with its level."""
        width = self.predictions.shape[1]
        return [
            (
                reference.Pixel(
                    int(self.predictions[i, j]),
                    int(self.deviations[self.scales[i, j]]),
                    int(self.logarithms[self.scales[i, j]]),
                    self.parameters[:, i * width + j].tolist(),
                ),
                int(self.levels[i, j]),
            )
            for i, j in np.ndindex(self.levels.shape)
        ]

    def reference(self) -> reference.Run:
        return reference.Run(
            self.peak, self.step, self.components, self.unit_shift, self.levels.shape[1]
        )


def push(starts: npt.NDArray[np.uint32], sizes: npt.NDArray[np.uint32]) -> npt.NDArray[np.uint32]:
    words = np.empty(kernels.STATE_WORDS + starts.size, np.uint32)
    return words[kernels.push_all(starts, sizes, words) :].copy()


def plausible(rng: np.random.Generator, shape: tuple[int, int], **chosen: int) -> PhaseRun:
    """Levels near their predictions, mixtures that are often right."""
    peak = chosen.get("peak", int(rng.integers(1, 2 ** int(rng.integers(1, 17)))))
    step = chosen.get("step", 1 + 2 * int(rng.integers(0, 4)))
    components = chosen.get("components", int(rng.integers(1, 9)))
    unit_shift = chosen.get("unit_shift", int(rng.integers(0, 17)))
    grid = (shape[0] + int(rng.integers(0, 2)), shape[1] + int(rng.integers(0, 2)))
    octaves = np.sort(rng.uniform(14, 14 + np.log2(peak + 1), 100))
    predictions = rng.integers(0, 256 * peak + 1, grid)
    scales = rng.integers(0, len(octaves), grid)
    spread = np.exp2(octaves - 16)[scales][: shape[0], : shape[1]]
    noise = rng.laplace(0, spread) + predictions[: shape[0], : shape[1]] / 256
    means = np.repeat([0, 0, -1], [components, components, components - 1])[:, None]
    deviations = np.repeat([0.3, 1, 3], [components, components, components - 1])[:, None]
    parameters = rng.normal(means, deviations, (3 * components - 1, grid[0] * grid[1]))
    return PhaseRun(
        np.rint(noise).clip(0, peak).astype(np.int32),
        predictions.astype(np.int32),
        scales.astype(np.uint8),
        np.exp2(octaves).astype(np.int64).clip(*DEVIATIONS),
        np.rint(256 * octaves).astype(np.int64).clip(*LOGARITHMS),
        np.rint(parameters * 2.0 ** (8 + unit_shift)).clip(*INT32).astype(np.int32),
        unit_shift,
        step,
        peak,
    )


def extreme(rng: np.random.Generator, shape: tuple[int, int], **chosen: int) -> PhaseRun:
    """Half of all numbers at an end of their range, the others anywhere in it."""

    def any_of(low: int, high: int, size: tuple[int, ...]) -> npt.NDArray[np.int64]:
        ends = rng.choice([low, high], size)
        return np.where(rng.random(size) < 0.5, ends, rng.integers(low, high + 1, size))

    peak = chosen.get("peak", int(rng.choice([1, 2, 255, 65534, 65535])))
    step = chosen.get("step", int(rng.choice([1, 3, 255, 65535, 65537, 131071])))
    components = chosen.get("components", int(rng.choice([1, 2, 7, 8])))
    unit_shift = chosen.get("unit_shift", int(rng.choice([0, 1, 16])))
    parameters = any_of(*INT32, (3 * components - 1, shape[0] * shape[1]))
    # Half of them within what parameters are clipped to, where the ends are at its ends.
    near = any_of(-(5000 << unit_shift), 5000 << unit_shift, parameters.shape)
    parameters = np.where(rng.random(parameters.shape) < 0.5, parameters, near).clip(*INT32)
    return PhaseRun(
        any_of(0, peak, shape).astype(np.int32),
        any_of(0, 256 * peak, shape).astype(np.int32),
        rng.integers(0, 50, shape).astype(np.uint8),
        any_of(*DEVIATIONS, (50,)),
        any_of(*LOGARITHMS, (50,)),
        parameters.astype(np.int32),
        unit_shift,
        step,
        peak,
    )
