"""The order in which a tile is coded, once for both directions (spec/lattice.md, section 6.1).

::

    1 x 1 ─▶ level n - 2 ─▶ ... ─▶ level 1 ─▶ level 0
             │
             └ for each phase: describe ─▶ network ─▶ mixtures ─▶ coder ─▶ pixels

The coder is an `Encoder`, which knows the pixels, or a `Decoder`, which finds them in its payloads;
either fills in what neighbours will be read from.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

import numpy as np
import numpy.typing as npt

from xraycodec.codecs.lattice.geometry import (
    GUIDE_OFFSETS,
    PAD,
    PHASES,
    Phase,
    Plane,
    described_by,
    grid,
    layer_of,
    levels,
    phase_shape,
    set_of,
)
from xraycodec.codecs.lattice.model import Coefficients, Model


@dataclass(frozen=True, eq=False)
class Setting:
    """What both directions know of an image before its first tile.

    Attributes:
        model: the networks.
        coefficients: of the linear predictions.
        step: quantisation step in levels, odd; 1 is lossless.
        peak: the highest level; the lowest is 0.
    """

    model: Model
    coefficients: Coefficients
    step: int
    peak: int


@dataclass(frozen=True, eq=False)
class Distributions:
    """What is known of a phase's pixels before they are coded.

    Attributes:
        predictions: in 2^-8 levels, int32, ``(row, column)`` of the grid.
        scales: steps of the scale, uint8, ``(row, column)`` of the grid.
        parameters: of the mixtures, int32, ``(parameter, position)``.
    """

    predictions: npt.NDArray[np.int32]
    scales: npt.NDArray[np.uint8]
    parameters: npt.NDArray[np.int32]


class Coder(Protocol):
    """One direction of the walk."""

    def begin(self, layer: int) -> None:
        """Turn to the payload of a layer."""

    def top(self) -> int:
        """Code the one pixel of the top level."""

    def phase(
        self,
        level: int,
        phase: Phase,
        shape: tuple[int, int],
        distributions: Distributions,
        known: Plane,
    ) -> None:
        """Code the pixels of a phase and write them into ``known``."""


def walk(
    shape: tuple[int, int],
    setting: Setting,
    coder: Coder,
    last_level: int = 0,
    guide: npt.NDArray[np.int32] | None = None,
) -> Plane:
    """Code a tile from its top level down to ``last_level``.

    Args:
        shape: rows and columns of the tile.
        setting: of the image.
        coder: one direction.
        last_level: level to end with: 0 is the whole tile, 1 half its size.
        guide: levels of the tile's guide, ``(row, column)``, for a model that takes one.

    Returns:
        The last level, padded; the border holds nothing of use.
    """
    shapes = levels(*shape)
    model = setting.model
    coder.begin(0)
    plane = np.full((1 + 2 * PAD, 1 + 2 * PAD), coder.top(), np.int32)
    state = np.zeros((1, model.channels[set_of(len(shapes) - 1)], 1, 1), np.uint8)
    for level in range(len(shapes) - 2, last_level - 1, -1):
        if layer_of(level) != layer_of(level + 1):
            coder.begin(layer_of(level))
        plane = _lower(plane, shapes[level])
        if setting.peak == 0 or shapes[level] == (1, 1):
            continue
        height, width = grid(*shapes[level])
        state = np.repeat(np.repeat(state, 2, 2), 2, 3)[:, :, :height, :width]
        state = _level(level, shapes[level], plane, state, setting, coder, guide)
    return plane


def _lower(above: Plane, shape: tuple[int, int]) -> Plane:
    """A level of which only the pixels of the level above are known, its border not yet."""
    rows, columns = shape
    plane = np.zeros((rows + 2 * PAD, columns + 2 * PAD), np.int32)
    plane[PAD : PAD + rows : 2, PAD : PAD + columns : 2] = above[PAD:-PAD, PAD:-PAD]
    return plane


def _level(
    level: int,
    shape: tuple[int, int],
    plane: Plane,
    state: npt.NDArray[np.uint8],
    setting: Setting,
    coder: Coder,
    guide: npt.NDArray[np.int32] | None,
) -> npt.NDArray[np.uint8]:
    """Code the phases of a level; return the state after them."""
    from xraycodec.codecs.lattice import features

    model = setting.model
    if guide is not None:
        from xraycodec.codecs.lattice import guided

        sampled = features.pad(guide[:: 1 << level, :: 1 << level])
    number = set_of(level)
    height, width = grid(*shape)
    predictions = np.empty((height, width), np.int32)
    scales = np.empty((height, width), np.uint8)
    for index, phase in enumerate(PHASES):
        extent = phase_shape(*shape, phase)
        if not (extent[0] and extent[1]):
            continue
        described = described_by(phase, guided=guide is not None)
        x = np.empty((1, described + state.shape[1], height, width), np.uint8)
        x[:, described:] = state
        features.reflect(plane)
        found_by = (
            *(setting.coefficients[number][index], setting.step, setting.peak),
            *(x[0, :described], predictions, scales),
        )
        if guide is None:
            features.describe(plane, phase.row, phase.column, phase.offsets, *found_by)
        else:
            guided.describe_guided(
                *(plane, guide, sampled, level, phase.row, phase.column, phase.offsets),
                *(GUIDE_OFFSETS, *found_by),
            )
        found = model.networks[number][index](x)
        state, parameters = found["state"], found["parameters"]
        flat = np.ascontiguousarray(parameters.reshape(parameters.shape[1], height * width))
        coder.phase(level, phase, extent, Distributions(predictions, scales, flat), plane)
    return state


def tile_planes(tile: npt.NDArray[np.int32]) -> list[Plane]:
    """Every level of a tile of known levels, ``(row, column)``, padded, level 0 first."""
    from xraycodec.codecs.lattice.features import pad

    return [pad(tile[:: 1 << level, :: 1 << level]) for level in range(len(levels(*tile.shape)))]
