"""A chest in simple solids and what it does to X-rays.

Posteroanterior view, the patient's left at the right of the image. Sizes are those of an adult,
chosen by eye against radiographs; proportions vary with the seed. Coordinates: see ``solids``.

Linear attenuation coefficients are at 60 keV, about the effective energy of a 120 kV chest beam
behind its filter. Soft tissue, lung and cortical bone have the mass attenuation coefficient (cm2/g)
of Hubbell and Seltzer's tables (NIST Standard Reference Database 126, ICRU-44 tissues) times a
density (g/cm3); spongy bone and the catheter are chosen by eye.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from xraycodec.demo.solids import Grid, Map, Points, Solid, Tubes
from xraycodec.demo.vessels import pulmonary_vessels

SOFT_TISSUE_PER_CM = 0.2048 * 1.06
LUNG_PER_CM = 0.2053 * 0.26
CORTICAL_BONE_PER_CM = 0.3148 * 1.92
SPONGY_BONE_PER_CM = 0.22 * 1.16
"""Marrow and trabeculae: chosen between soft tissue and cortical bone."""
CATHETER_PER_CM = 3.0
"""Polyurethane loaded with barium sulphate: chosen so that it shows as in practice."""

_SIDES = (-1, 1)
"""Sign of x: the patient's right and left."""


def chest_attenuation(grid: Grid, rng: np.random.Generator) -> Map:
    """Line integral of the attenuation coefficient behind each pixel, ``(row, column)``.

    The same generator state gives the same chest at any resolution.
    """
    lung_solids = _lung_solids(rng)
    lung = grid.zeros()
    for solid in lung_solids:
        solid.add_to(lung, grid)
    body = _body(grid, rng)
    np.maximum(lung - _displacers(grid, rng), 0, out=lung)
    np.minimum(lung, 0.85 * body, out=lung)

    total = SOFT_TISSUE_PER_CM * (body - lung) + LUNG_PER_CM * lung
    vessels = pulmonary_vessels(lung_solids, grid, rng).path(grid)
    # Vessels show where air surrounds them: they fade as the lung thins towards its borders.
    vessels *= np.minimum(lung / 7, 1)
    total += (SOFT_TISSUE_PER_CM - LUNG_PER_CM) * vessels
    total -= SOFT_TISSUE_PER_CM * np.minimum(_airways(grid, rng), 0.5 * body)
    total += _bones(lung_solids, grid, rng)
    return np.maximum(total, 0, out=total)


def _body(grid: Grid, rng: np.random.Generator) -> Map:
    """Thickness of the patient, all tissues together, in cm."""
    depth = rng.uniform(0.93, 1.07)
    z = grid.z[:, 0]
    half_width = _profile(
        z, (-17.5, 3), (-16, 7), (-14, 12), (-11, 15), (-6, 16), (0, 16.3), (10, 16.8), (20, 16.6)
    )
    half_depth = _profile(z, (-18, 3), (-15, 6), (-11, 8.5), (-4, 10.5), (4, 11), (20, 11.5))
    across = np.abs(grid.x / half_width[:, None])
    trunk = 2 * depth * half_depth[:, None] * np.sqrt(np.maximum(1 - across**2.8, 0))
    parts = [Solid(0, -22, 5.2, 13, 5.8)]
    for side in _SIDES:
        parts += [
            Solid(side * 9.5, -14, 11, 3.6, 4.0, side * 14),
            Solid(side * 17.2, -9.5, 5.0, 6.5, 5.2, side * 10),
            Solid(side * 19.3, 1, 4.4, 15, 4.6, -side * 6, 2, 2.5),
        ]
    return _union(trunk.astype(np.float32), *(part.path(grid) for part in parts))


def _lung_solids(rng: np.random.Generator) -> list[Solid]:
    width = rng.uniform(6.9, 7.4)
    return [
        Solid(side * 7.3, 10.5, width, 26, rng.uniform(7.5, 8.5), -side * 4.5, 2.6, 2.2, 6.0)
        for side in _SIDES
    ]


def _displacers(grid: Grid, rng: np.random.Generator) -> Map:
    """Path length that the lungs lose to mediastinum, heart and diaphragm, in cm."""
    size = rng.uniform(0.92, 1.12)
    breath = rng.uniform(-0.8, 0.8)
    half_width = _profile(
        grid.z[:, 0], (-18, 4.2), (-13, 3.5), (-9, 3.1), (-3, 3.0), (2, 2.9), (14, 2.6)
    )
    across = (grid.x - 0.25) / half_width[:, None]
    mediastinum = (18 * np.maximum(1 - across**2, 0)).astype(np.float32)
    solids = [
        Solid(3.0, 6.6, 5.0 * size, 6.6 * size, 6.0, -52),  # left ventricle
        Solid(-0.9, 5.6, 3.4 * size, 5.2, 5.5),  # right atrium
        Solid(1.2, 0.6, 3.3, 4.6, 4.5, -18),  # pulmonary trunk, left atrium
        Solid(1.9, -6.4, 2.2, 2.2, 4.5),  # aortic arch
        Solid(-7.2, 14.5 + breath, 8.2, 7.2, 7.4, 4, 2, 2.3, 16),  # right dome and liver
        Solid(7.0, 15.4 + breath, 8.2, 6.8, 7.2, -5, 2, 2.3, 16),  # left dome and spleen
    ]
    return _union(mediastinum, *(solid.path(grid) for solid in solids))


def _airways(grid: Grid, rng: np.random.Generator) -> Map:
    """Path length in air, outside the lungs, in cm."""
    carina = np.array([0.35, 1.0, -6.0])
    tubes = [Tubes.along(_line(np.array([0, 0, -24]), carina, 400), 0.85)]
    tubes += [
        Tubes.along(_line(carina, np.array(end), 200), 0.55)
        for end in ((-3.6, 1, -2.8), (4.2, 1, -2.2))
    ]
    air = Tubes.joined(tubes).path(grid)
    bubble = Solid(rng.uniform(5, 7), 11.8, rng.uniform(1.8, 3), 1.2, 2.0, rng.uniform(-15, 5))
    bubble.add_to(air, grid)
    return air


@dataclass(frozen=True)
class _Bone:
    """A bone with a compact shell: adds its contrast to soft tissue."""

    shell: Tubes
    marrow: Tubes

    @staticmethod
    def along(points: Points, radius: float, wall: float, flatness: float = 1.0) -> _Bone:
        outer = (CORTICAL_BONE_PER_CM - SOFT_TISSUE_PER_CM) * flatness
        inner = (SPONGY_BONE_PER_CM - CORTICAL_BONE_PER_CM) * flatness
        return _Bone(Tubes.along(points, radius, outer), Tubes.along(points, radius - wall, inner))


def _bones(lungs: list[Solid], grid: Grid, rng: np.random.Generator) -> Map:
    bones = _ribs(lungs, rng)
    for side in _SIDES:
        bones += _shoulder(side, rng)
    parts = [part for bone in bones for part in (bone.shell, bone.marrow)]
    total = Tubes.joined([*parts, _catheter(rng)]).path(grid)
    for side in _SIDES:
        blade = Solid(side * 13.6, -5.5, 2.8, 7.0, 0.18, side * 14, 2, 2)
        blade.add_to(total, grid, CORTICAL_BONE_PER_CM - SOFT_TISSUE_PER_CM)
        _add_with_shell(Solid(side * 17.6, -10.6, 2.2, 2.5, 1.9, side * 25), 0.04, total, grid)
    _add_spine(total, grid)
    return total


def _ribs(lungs: list[Solid], rng: np.random.Generator) -> list[_Bone]:
    """Eleven pairs: each runs on an ellipse around the chest, sinking from back to front."""
    pitch = rng.uniform(2.2, 2.4)
    sink = rng.uniform(0.92, 1.08)
    ribs = []
    for number in range(1, 12):
        start_z = -14.8 + pitch * (number - 1)
        drop = sink * float(np.interp(number, (1, 2, 3, 5, 11), (3.4, 6.2, 8.0, 9.4, 10.5)))
        end = math.radians(np.interp(number, (1, 2, 7, 11), (150, 140, 128, 100)))
        for side, lung in zip(_SIDES, lungs, strict=True):
            angle = np.linspace(0.02, end, 1500)
            z = start_z + rng.uniform(-0.1, 0.1) + drop * (angle / math.pi) ** 1.35
            z -= 0.5 * np.sin(1.6 * angle)
            # Boxier than an ellipse: along the flank a rib runs down the chest wall.
            across = (0.2 + _lateral_border(lung, z)) * np.sin(angle) ** 0.7
            points = np.stack([side * across, -9 * np.cos(angle), z], axis=1)[across > 2]
            ribs.append(_Bone.along(points, 0.6, 0.09, flatness=0.6))
    return ribs


def _lateral_border(lung: Solid, z: Points) -> Points:
    """Greatest distance from the midline that the lung reaches at each z, in cm."""
    known_z = np.linspace(-15, 12, 55)
    x = np.linspace(3, 18, 301)
    inside = lung.level(math.copysign(1, lung.x) * x, known_z[:, None]) < 1
    known_x = np.max(np.where(inside, x, 5.2), axis=1)
    # The chest wall goes on down where the lung ends.
    known_x = np.maximum.accumulate(known_x)
    return np.interp(z, known_z, known_x)


def _shoulder(side: int, rng: np.random.Generator) -> list[_Bone]:
    lift = rng.uniform(-0.6, 0.6)
    clavicle = _curve(
        (side * 1.7, 6, -10.6),
        (side * 5.5, 8, -12.4 - lift),
        (side * 10, 3, -12.2 - lift),
        (side * 15.2, 0, -14.0 - lift),
    )
    scapular_spine = _curve((side * 10.8, -8, -9.5), (side * 13, -8, -11), (side * 16, -5, -13.2))
    scapular_border = _curve((side * 15.4, -6, -9.6), (side * 14.6, -7, -5), (side * 12.4, -8, 1.2))
    humerus = _curve((side * 18.0, 0, -9.3), (side * 18.8, 0, -2), (side * 20.6, 0, 14))
    return [
        _Bone.along(clavicle, 0.6, 0.09),
        _Bone.along(scapular_spine, 0.35, 0.1),
        _Bone.along(scapular_border, 0.35, 0.1),
        _Bone.along(humerus, 1.15, 0.3),
    ]


def _add_spine(total: Map, grid: Grid) -> None:
    """Vertebrae from the neck down to the loins, a disc's gap between them."""
    z = -21.0
    while z < 22:
        grown = (z + 21) / 43
        half_width, half_height = 1.3 + 0.65 * grown, 0.85 + 0.4 * grown
        body = Solid(0, z, half_width, half_height, 1.0 + 0.3 * grown, 0, 4, 4)
        _add_with_shell(body, 0.03, total, grid)
        for side in _SIDES:
            pedicle = Solid(side * 0.62 * half_width, z - 0.15, 0.3, 0.45, 0.35)
            _add_with_shell(pedicle, 0.06, total, grid)
            process = Solid(side * (half_width + 0.55), z - 0.2, 0.9, 0.42, 0.35, side * 8)
            _add_with_shell(process, 0.05, total, grid)
        spinous = Solid(0, z + 0.7 * half_height, 0.22, 0.7, 0.6)
        _add_with_shell(spinous, 0.05, total, grid)
        z += 2 * half_height + 0.22 + 0.2 * grown


def _add_with_shell(solid: Solid, wall: float, total: Map, grid: Grid) -> None:
    solid.add_to(total, grid, CORTICAL_BONE_PER_CM - SOFT_TISSUE_PER_CM)
    marrow = Solid(
        solid.x,
        solid.z,
        solid.half_width - wall,
        solid.half_height - wall,
        solid.half_depth - wall,
        solid.tilt_degrees,
        solid.roundness_x,
        solid.roundness_z,
    )
    marrow.add_to(total, grid, SPONGY_BONE_PER_CM - CORTICAL_BONE_PER_CM)


def _catheter(rng: np.random.Generator) -> Tubes:
    """A central venous line from the right side of the neck to the superior vena cava."""
    tip = rng.uniform(-2.5, 0.5)
    course = _curve((-5.5, 0, -20), (-3.4, 0, -14), (-2.4, 0, -8), (-2.5, 0, tip))
    return Tubes.along(course, 0.09, CATHETER_PER_CM - SOFT_TISSUE_PER_CM)


def _union(*paths: Map) -> Map:
    """Path length through solids that overlap, without the crease that a maximum would leave."""
    total = paths[0] ** 4
    for path in paths[1:]:
        total += path * path * path * path
    root: Map = np.sqrt(np.sqrt(total))
    return root


def _profile(z: Map, *knots: tuple[float, float]) -> Map:
    """A smooth curve through ``(z, value)`` knots: straight lines, rounded off over 2 cm."""
    positions, values = np.transpose(knots)
    offsets = np.linspace(-1.2, 1.2, 9)
    smooth = sum(np.interp(z + offset, positions, values) for offset in offsets)
    return np.asarray(smooth / len(offsets), np.float32)


def _line(start: Points, end: Points, count: int) -> Points:
    return start + np.linspace(0, 1, count)[:, None] * (end - start)


def _curve(*control: tuple[float, float, float], count: int = 1500) -> Points:
    """Bezier curve of ``(point, 3)`` positions."""
    t = np.linspace(0, 1, count)[:, None]
    points = np.array(control, np.float64)
    degree = len(points) - 1
    k = np.arange(degree + 1)
    basis = [math.comb(degree, each) for each in k] * t**k * (1 - t) ** (degree - k)
    curve: Points = basis @ points
    return curve
