"""Path lengths of parallel rays through simple solids, in closed form.

Coordinates are centimetres: x to the right of the image, z down it, both from the centre of the
field; the rays run along y. What a map holds at a pixel is the length of the ray inside a solid.
Chords are continuous functions of x and z, so borders come out smooth without supersampling.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

Map = npt.NDArray[np.float32]
Points = npt.NDArray[np.float64]


RADIUS_STEP = 4 / 3
"""Ratio of the neighbouring radii that :func:`rounded_radii` leaves."""


@dataclass(frozen=True)
class Grid:
    """Pixels of a flat detector, centred on the field."""

    rows: int
    columns: int
    spacing_cm: float

    @property
    def x(self) -> Map:
        """Position of each column, ``(column,)``, in cm."""
        return _centred(self.columns, self.spacing_cm)

    @property
    def z(self) -> Map:
        """Position of each row, ``(row, 1)``, in cm."""
        return _centred(self.rows, self.spacing_cm)[:, None]

    def zeros(self) -> Map:
        """An empty map, ``(row, column)``."""
        return np.zeros((self.rows, self.columns), np.float32)


@dataclass(frozen=True)
class Solid:
    """A superellipsoid, turned about the axis of the rays.

    ``|u|^roundness_x + |v|^roundness_z + |y / half_depth|^2 <= 1`` where u and v are x and z over
    their half axes; a roundness of 2 is an ellipse, more is closer to a box. ``half_height_down``
    gives the lower half another height.
    """

    x: float
    z: float
    half_width: float
    half_height: float
    half_depth: float
    tilt_degrees: float = 0.0
    roundness_x: float = 2.0
    roundness_z: float = 2.0
    half_height_down: float | None = None

    def level(self, x: npt.ArrayLike, z: npt.ArrayLike) -> npt.NDArray[np.floating]:
        """Left-hand side of the definition at y = 0: below 1 inside the outline."""
        cos, sin = (
            math.cos(math.radians(self.tilt_degrees)),
            math.sin(math.radians(self.tilt_degrees)),
        )
        dx, dz = np.subtract(x, self.x), np.subtract(z, self.z)
        u = np.abs(cos * dx + sin * dz) / self.half_width
        v = cos * dz - sin * dx
        down = self.half_height if self.half_height_down is None else self.half_height_down
        v = np.maximum(v / down, -v / self.half_height)
        return _power(u, self.roundness_x) + _power(v, self.roundness_z)

    def add_to(self, total: Map, grid: Grid, weight: float = 1.0) -> None:
        """Add ``weight`` times the path length in cm to a map of ``grid``."""
        reach_x = self.half_width
        reach_z = max(self.half_height, self.half_height_down or 0.0)
        if self.tilt_degrees:
            reach_x = reach_z = math.hypot(reach_x, reach_z)
        columns = _within(grid.x, self.x, reach_x)
        rows = _within(grid.z[:, 0], self.z, reach_z)
        inside = 1 - self.level(grid.x[columns], grid.z[rows])
        np.sqrt(np.maximum(inside, 0, out=inside), out=inside)
        total[rows, columns] += np.float32(2 * self.half_depth * weight) * inside

    def path(self, grid: Grid) -> Map:
        """Path length in cm as a new map."""
        total = grid.zeros()
        self.add_to(total, grid)
        return total


@dataclass(frozen=True)
class Tubes:
    """Round tubes as points along their centrelines.

    A tube's projection is its centreline convolved with a disc of its radius: a disc of height 1
    has the chord of a cylinder as its line integral. Overlaps, joints and turns towards the
    rays then add up as they should.

    Attributes:
        x, z: position of each point in cm, ``(point,)``.
        radius: radius of the tube there in cm, ``(point,)``.
        weight: length of centreline in cm that the point stands for, in three dimensions, times
            any factor that the path length is to be multiplied with, ``(point,)``.
    """

    x: Points
    z: Points
    radius: Points
    weight: Points

    @staticmethod
    def along(points: Points, radius: float, weight: float | Points = 1.0) -> Tubes:
        """A tube of one radius through ``(point, 3)`` positions x, y, z, densely sampled."""
        middle = (points[1:] + points[:-1]) / 2
        length = np.linalg.norm(np.diff(points, axis=0), axis=1)
        return Tubes(
            middle[:, 0], middle[:, 2], np.full(len(middle), radius), length * np.asarray(weight)
        )

    @staticmethod
    def joined(parts: list[Tubes]) -> Tubes:
        """All tubes of several bundles in one."""
        return Tubes(
            *(
                np.concatenate([getattr(p, name) for p in parts])
                for name in ("x", "z", "radius", "weight")
            )
        )

    def path(self, grid: Grid) -> Map:
        """Path length in cm, weighted, as a new map: two Fourier transforms for each radius."""
        reach = math.ceil(self.radius.max() / grid.spacing_cm) + 2
        shape = fast_shape(grid.rows + 2 * reach, grid.columns + 2 * reach)
        spectrum = np.zeros((shape[0], shape[1] // 2 + 1), np.complex64)
        for radius in np.unique(self.radius):
            line = self._deposit(grid, self.radius == radius, reach, shape)
            spectrum += np.fft.rfft2(line) * np.fft.rfft2(_disc(radius / grid.spacing_cm, shape))
        whole = np.fft.irfft2(spectrum, shape)
        inner = whole[reach : reach + grid.rows, reach : reach + grid.columns]
        return np.ascontiguousarray(inner, np.float32)

    def _deposit(
        self, grid: Grid, chosen: npt.NDArray[np.bool_], reach: int, shape: tuple[int, int]
    ) -> Map:
        """Weights of points shared out among the four pixels around each."""
        rows, columns = shape
        column = self.x[chosen] / grid.spacing_cm + (grid.columns - 1) / 2 + reach
        row = self.z[chosen] / grid.spacing_cm + (grid.rows - 1) / 2 + reach
        inside = (column >= 0) & (column < grid.columns + 2 * reach - 1)
        inside &= (row >= 0) & (row < grid.rows + 2 * reach - 1)
        column, row, weight = column[inside], row[inside], self.weight[chosen][inside]
        left, top = column.astype(np.int64), row.astype(np.int64)
        right_share, bottom_share = column - left, row - top
        corner = top * columns + left
        total = np.zeros(rows * columns, np.float64)
        for offset, share in (
            (0, (1 - right_share) * (1 - bottom_share)),
            (1, right_share * (1 - bottom_share)),
            (columns, (1 - right_share) * bottom_share),
            (columns + 1, right_share * bottom_share),
        ):
            total += np.bincount(corner + offset, weight * share, rows * columns)
        return total.reshape(shape).astype(np.float32)


def rounded_radii(radius: Points, least: float) -> Points:
    """Radii rounded to a geometric series from ``least`` cm, so that few convolutions do."""
    step = np.round(np.log(np.maximum(radius, least) / least) / math.log(RADIUS_STEP))
    rounded: Points = least * RADIUS_STEP**step
    return rounded


def blurred(image: Map, sigma_pixels: float) -> Map:
    """Gaussian blur; beyond the borders the image goes on with its outermost pixels."""
    reach = math.ceil(3 * sigma_pixels)
    rows, columns = image.shape
    shape = fast_shape(rows + 2 * reach, columns + 2 * reach)
    margins = [
        (reach, total - size - reach) for size, total in zip(image.shape, shape, strict=True)
    ]
    padded = np.pad(image, margins, mode="edge")
    frequency_squared = np.fft.fftfreq(shape[0])[:, None] ** 2 + np.fft.rfftfreq(shape[1]) ** 2
    transfer = np.exp(-2 * (math.pi * sigma_pixels) ** 2 * frequency_squared).astype(np.float32)
    whole = np.fft.irfft2(np.fft.rfft2(padded) * transfer, shape)
    return np.ascontiguousarray(whole[reach : reach + rows, reach : reach + columns], np.float32)


def fast_shape(rows: int, columns: int) -> tuple[int, int]:
    """The next sizes that have no prime factor above 5, the columns even."""
    return _fast(rows, 1), _fast(columns, 2)


def _fast(size: int, multiple: int) -> int:
    size += -size % multiple
    while True:
        rest = size
        for prime in (2, 3, 5):
            while rest % prime == 0:
                rest //= prime
        if rest == 1:
            return size
        size += multiple


def _disc(radius_pixels: float, shape: tuple[int, int]) -> Map:
    """Disc of height 1, its centre at index (0, 0) of a periodic map; its area is exact."""
    reach = math.ceil(radius_pixels) + 1
    axis = np.arange(-reach, reach + 1)
    distance = np.hypot(axis[:, None], axis)
    cover = np.clip(radius_pixels + 0.5 - distance, 0, 1)
    cover *= math.pi * radius_pixels**2 / cover.sum()
    disc = np.zeros(shape, np.float32)
    disc[np.ix_(axis % shape[0], axis % shape[1])] = cover
    return disc


def _power(base: npt.NDArray[np.floating], exponent: float) -> npt.NDArray[np.floating]:
    return base * base if exponent == 2 else base**exponent


def _centred(count: int, spacing: float) -> Map:
    return ((np.arange(count) - (count - 1) / 2) * spacing).astype(np.float32)


def _within(axis: Map, centre: float, reach: float) -> slice:
    first, last = np.searchsorted(axis, (centre - reach, centre + reach))
    return slice(int(first), int(last))
