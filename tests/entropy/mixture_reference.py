"""A coder written from the words of spec/mixture.md alone, in plain Python: slow and simple.

Every intermediate result passes `fits`, which holds it against section 7 of the specification.
"""

from __future__ import annotations

import math
from bisect import bisect_right
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

WHOLE = 1 << 24
START = 1 << 32

# Section 2. Doubles are enough: no entry is within 10^-5 of a tie.
SIGMOIDS = {k: round(2**30 / (1 + math.exp(-k / 32))) for k in range(-768, 769)}
POWERS = [round(2 ** (24 - k / 256)) for k in range(256)]


class RefusedError(Exception):
    """The stream breaks a rule that the spec gives with the words "MUST reject"."""


def fits(value: int) -> int:
    assert -(2**63) <= value < 2**63, value
    return value


def clip(value: int, low: int, high: int) -> int:
    return min(max(value, low), high)


@dataclass(frozen=True)
class Pixel:
    """What both sides know of a pixel (section 1)."""

    prediction: int
    deviation: int
    logarithm: int
    parameters: Sequence[int]


@dataclass(frozen=True)
class Mixture:
    """Section 3."""

    centres: list[int]
    slopes: list[int]
    shifts: list[int]
    weights: list[int]
    context: int
    logarithm: int
    taps: list[int]
    correction: int
    moved: int

    def in_deviations(self, error: int) -> int:
        return in_deviations(error, self.logarithm)

    @property
    def mean(self) -> int:
        products = [fits(p * c) for p, c in zip(self.weights, self.centres, strict=True)]
        return fits(sum(products)) >> 15

    def arguments(self, boundary: int) -> Iterator[tuple[int, int, int]]:
        """Of each component, its weight, z and i."""
        for weight, centre, slope, shift in zip(
            self.weights, self.centres, self.slopes, self.shifts, strict=True
        ):
            assert 16 <= 12 + shift <= 48
            z = fits((boundary - centre) * slope) >> (12 + shift)
            yield weight, z, z >> 7

    def cdf(self, boundary: int) -> int:
        total = 0
        for weight, z, i in self.arguments(boundary):
            if i < -768:
                s = 0
            elif i >= 768:
                s = 2**30
            else:
                s = SIGMOIDS[i] + (((SIGMOIDS[i + 1] - SIGMOIDS[i]) * (z % 128)) >> 7)
            total += fits(weight * s)
        return fits(total) >> 21

    def moment(self, boundary: int) -> int:
        total = 0
        for weight, z, i in self.arguments(boundary):
            if -768 <= i < 768:
                density = (SIGMOIDS[i] >> 15) * ((2**30 - SIGMOIDS[i]) >> 15)
                total += fits(weight * (fits((density >> 10) * z) >> 11))
        return fits(total)


def in_deviations(error: int, logarithm: int) -> int:
    """Section 3.1, D."""
    return clip(fits(error * POWERS[logarithm % 256]) >> (8 + (logarithm >> 8)), -2048, 2048)


NEAR = ((0, -1), (-1, 0), (-1, -1), (-1, 1), (0, -2), (-2, 0))


@dataclass
class Run:
    """Sections 3 to 5: one run of rows of ``width`` pixels, pixel by pixel."""

    peak: int
    step: int
    components: int
    unit_shift: int
    width: int
    errors: dict[tuple[int, int], int] = field(default_factory=dict)
    tap_weights: list[int] = field(default_factory=lambda: [0] * 6)
    offsets: list[int] = field(default_factory=lambda: [0] * 256)
    counts: list[int] = field(default_factory=lambda: [0] * 256)

    def mixture(self, pixel: Pixel) -> Mixture:
        number = self.components
        row, column = divmod(len(self.errors), self.width)
        near = [self.errors.get((row + i, column + j), 0) for i, j in NEAR]
        taps = [in_deviations(error, pixel.logarithm) for error in near]
        products = [fits(h * z) for h, z in zip(self.tap_weights, taps, strict=True)]
        correction = clip(fits(sum(products)) >> 16, -(2**18), 2**18)
        moved = fits(correction * pixel.deviation) >> 16
        half = (1 << self.unit_shift) >> 1
        rounded = [(a + half) >> self.unit_shift for a in pixel.parameters]
        m = [clip(a, -2048, 2048) for a in rounded[:number]]
        d = [clip(a, -1536, 1024) for a in rounded[number : 2 * number]]
        w = [0, *(clip(a, -4096, 4096) for a in rounded[2 * number :])]
        context = clip((pixel.logarithm + sum(d) // number - 2048) >> 5, 0, 255)
        base = pixel.logarithm - 384 + (self.offsets[context] >> 16)
        scales = [base + spread for spread in d]
        v = [POWERS[(max(w) - weight) % 256] >> ((max(w) - weight) >> 8) for weight in w]
        p = [fits(value << 15) // sum(v) for value in v]
        p[0] = 2**15 - sum(p[1:])
        assert p[0] >= 0
        return Mixture(
            [(pixel.prediction << 8) + moved + (fits(shift * pixel.deviation) >> 8) for shift in m],
            [POWERS[scale % 256] for scale in scales],
            [scale >> 8 for scale in scales],
            p,
            context,
            pixel.logarithm,
            taps,
            correction,
            moved,
        )

    def bins(self, mixture: Mixture) -> Bins:
        reach = (self.step - 1) // 2
        anchor = clip((mixture.mean + 32768) >> 16, 0, self.peak)
        low = -((anchor + reach) // self.step)
        count = (self.peak - anchor + reach) // self.step - low + 1
        return Bins(mixture, self.step, anchor, low, count)

    def adapt(self, bins: Bins, place: int) -> None:
        context = bins.mixture.context
        start, end = bins.start(place), bins.start(place + 1)
        g = bins.mixture.moment(bins.boundary(place + 1)) if place + 1 < bins.count else 0
        g -= bins.mixture.moment(bins.boundary(place)) if place > 0 else 0
        gradient = clip(fits(g) // (end - start), -32768, 32768)
        move = (gradient << 12) // min(self.counts[context] + 20, 256)
        self.offsets[context] = clip(self.offsets[context] - move, -(2**25), 2**25)
        self.counts[context] += 1
        self.learn(bins.mixture, self.level(bins, place))

    def learn(self, mixture: Mixture, level: int) -> None:
        """Section 5.2."""
        error = fits((level << 16) - mixture.mean + mixture.moved) >> 8
        missed = clip(mixture.in_deviations(error) - (mixture.correction >> 8), -2048, 2048)
        pace = fits(missed << 28) // (2**16 + sum(z * z for z in mixture.taps))
        for k, z in enumerate(mixture.taps):
            moved = self.tap_weights[k] + (fits(z * pace) >> 12)
            self.tap_weights[k] = clip(moved, -(2**25), 2**25)
        self.errors[divmod(len(self.errors), self.width)] = error

    def level(self, bins: Bins, place: int) -> int:
        return clip(bins.anchor + (bins.low + place) * self.step, 0, self.peak)

    def encode(self, pixel: Pixel, y: int) -> tuple[int, int, int]:
        """Start and size of the interval, and the level that will be decoded."""
        bins = self.bins(self.mixture(pixel))
        place = (y - bins.anchor + (self.step - 1) // 2) // self.step - bins.low
        assert 0 <= place < bins.count
        start, end = bins.start(place), bins.start(place + 1)
        self.adapt(bins, place)
        return start, end - start, self.level(bins, place)

    def decode(self, pixel: Pixel, stream: Stream) -> int:
        bins = self.bins(self.mixture(pixel))
        place = bisect_right(range(bins.count), stream.state % WHOLE, key=bins.start) - 1
        start, end = bins.start(place), bins.start(place + 1)
        stream.pop(start, end - start)
        self.adapt(bins, place)
        return self.level(bins, place)


@dataclass(frozen=True)
class Bins:
    """Section 4: the bins of one pixel, by their place among them."""

    mixture: Mixture
    step: int
    anchor: int
    low: int
    count: int

    def boundary(self, place: int) -> int:
        return ((self.anchor + (self.low + place) * self.step) << 16) - (self.step << 15)

    def start(self, place: int) -> int:
        if place == 0:
            return 0
        if place == self.count:
            return WHOLE
        cdf = self.mixture.cdf(self.boundary(place))
        assert 0 <= cdf <= WHOLE
        return (fits(cdf * (WHOLE - self.count)) >> 24) + place


def uniform(y: int, peak: int) -> tuple[int, int]:
    """Start and size of a uniform level's interval (section 6)."""
    size = WHOLE // (peak + 1)
    return y * size, size if y < peak else WHOLE - peak * size


def push_all(intervals: Sequence[tuple[int, int]]) -> list[int]:
    """The words of a stream (section 6.1)."""
    words: list[int] = []
    state = START
    for start, size in reversed(intervals):
        if size == WHOLE:
            continue
        if state >= size << 40:
            words.insert(0, state % 2**32)
            state >>= 32
        state = ((state // size) << 24) + start + state % size
        assert START <= state < 2**64
    return [state % 2**32, state >> 32, *words]


@dataclass
class Stream:
    """A decoder's state and words (section 6.1)."""

    words: Sequence[int]
    state: int = 0
    position: int = 2

    def __post_init__(self) -> None:
        if len(self.words) < 2:
            raise RefusedError("less than a state")
        self.state = self.words[0] | self.words[1] << 32
        if self.state < START:
            raise RefusedError("start state")

    def pop(self, start: int, size: int) -> None:
        if size == WHOLE:
            return
        self.state = size * (self.state >> 24) + self.state % WHOLE - start
        if self.state < START:
            if self.position == len(self.words):
                raise RefusedError("words are exhausted")
            self.state = self.state << 32 | self.words[self.position]
            self.position += 1
        assert START <= self.state < 2**64

    def end(self) -> None:
        if self.position != len(self.words):
            raise RefusedError("words left")
        if self.state != START:
            raise RefusedError("final state")
