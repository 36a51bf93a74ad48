"""The vessels of the lungs: what gives a chest radiograph its texture."""

from __future__ import annotations

import math

import numpy as np

from xraycodec.demo.solids import Grid, Points, Solid, Tubes, rounded_radii

LEAST_RADIUS_CM = 0.035
"""Thinner branches are left out: they melt into the lung's own attenuation."""

_IN_PLANE = np.array([1.0, 0.6, 1.0])
"""Damps turns of vessels towards and from the source."""


def pulmonary_vessels(lungs: list[Solid], grid: Grid, rng: np.random.Generator) -> Tubes:
    """Pulmonary arteries and veins: trees that fork from each hilum.

    The cubes of the radii of two children add up to that of their parent (Murray's law). The
    draws from the generator do not depend on the grid, which only sets how densely vessels are
    sampled.
    """
    parts = []
    for lung in lungs:
        side = math.copysign(1, lung.x)
        hilum = np.array([side * 2.9, 0.0, -1.2])
        aims = math.radians(90) * np.array(
            [-0.9, -0.75, -0.55, -0.35, -0.1, 0.1, 0.25, 0.4, 0.5, 0.65, 0.75, 0.9]
        )
        tilt = rng.uniform(-0.4, 0.4, len(aims))
        heading = np.stack([side * np.cos(aims), tilt, np.sin(aims)], axis=1)
        start = hilum + np.stack([0 * aims, tilt, 2.2 * np.sin(aims)], axis=1)
        radius = rng.uniform(0.28, 0.46, len(aims)) * np.where(aims > 0, 1.15, 0.9)
        parts += _branches(start, _unit(heading), radius, hilum, lung, grid, rng)
    return Tubes.joined(parts)


def _branches(
    start: Points,
    heading: Points,
    radius: Points,
    hilum: Points,
    lung: Solid,
    grid: Grid,
    rng: np.random.Generator,
) -> list[Tubes]:
    """Segments of a tree, a generation at a time; positions and headings are ``(branch, 3)``."""
    parts = []
    while len(start):
        length = 4.6 * radius**0.75 * rng.uniform(0.6, 1.4, len(radius))
        turn = _unit(heading + 0.22 * rng.normal(size=heading.shape) * _IN_PLANE)
        # Samples 0.7 pixels apart leave no beads in what is drawn.
        count = min(600, max(2, math.ceil(float(length.max()) / (0.7 * grid.spacing_cm))))
        along = ((np.arange(count) + 0.5) / count)[None, :, None]
        points = start[:, None] + length[:, None, None] * (
            (along - along**2 / 2) * heading[:, None] + along**2 / 2 * turn[:, None]
        )
        drawn = rounded_radii(radius, max(0.03, grid.spacing_cm / 3))
        weight = length / count * (radius / drawn) ** 2  # keeps the cross-section
        parts.append(
            Tubes(
                points[..., 0].ravel(),
                points[..., 2].ravel(),
                np.repeat(drawn, count),
                np.repeat(weight, count),
            )
        )
        end = start + length[:, None] * (heading + turn) / 2
        share = rng.uniform(0.25, 0.75, len(radius))
        outward = _unit(end - hilum)
        children = []
        for part, spread in ((share, 1 - share), (1 - share, share)):
            # The thinner child turns off more; both keep away from the hilum.
            aim = turn + 0.35 * outward
            aim += 1.0 * spread[:, None] * rng.normal(size=turn.shape) * _IN_PLANE
            children.append((end, _unit(aim), radius * part ** (1 / 3)))
        start, heading, radius = (np.concatenate(each) for each in zip(*children, strict=True))
        depth = (start[:, 1] / lung.half_depth) ** 2
        alive = (radius > LEAST_RADIUS_CM) & (lung.level(start[:, 0], start[:, 2]) + depth < 0.97)
        start, heading, radius = start[alive], heading[alive], radius[alive]
    return parts


def _unit(vectors: Points) -> Points:
    normalised: Points = vectors / np.linalg.norm(vectors, axis=1, keepdims=True)
    return normalised
