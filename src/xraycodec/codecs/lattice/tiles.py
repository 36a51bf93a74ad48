"""One tile: in the native core, or by the walk in Python where another backend is chosen."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from xraycodec.codecs.lattice.coder import Decoder, Encoder
from xraycodec.codecs.lattice.geometry import PAD
from xraycodec.codecs.lattice.walk import Setting, tile_planes, walk
from xraycodec.core.lattice import TileCoder

Levels = npt.NDArray[np.integer[Any]]


def _tile_coder(setting: Setting) -> TileCoder | None:
    native = setting.model.native
    if native is None:
        return None
    return TileCoder(native, setting.coefficients, setting.step, setting.peak)


def encode_tile(levels: npt.NDArray[np.int32], setting: Setting) -> tuple[list[bytes], Levels]:
    """Code a tile of levels, ``(row, column)``.

    Returns:
        A payload for each layer, and the levels that a decoder will find.
    """
    coder = _tile_coder(setting)
    if coder is not None:
        return coder.encode(levels)
    encoder = Encoder(tile_planes(levels), setting)
    known = walk((levels.shape[0], levels.shape[1]), setting, encoder)
    return encoder.payloads(), known[PAD:-PAD, PAD:-PAD]


def decode_tile(
    payloads: Sequence[memoryview],
    shape: tuple[int, int],
    level: int,
    setting: Setting,
    number: int,
) -> Levels:
    """Decode a tile down to a level of resolution.

    Args:
        payloads: of the layers down to that level.
        shape: rows and columns of the whole tile.
        level: of resolution, 0 for all pixels.
        setting: of the image.
        number: names the tile in messages.

    Returns:
        Levels, ``(row, column)``.

    Raises:
        FormatError: a payload is damaged.
    """
    coder = _tile_coder(setting)
    if coder is not None:
        return coder.decode(payloads, shape, level, f"LTTC tile {number}")
    decoder = Decoder(payloads, setting, number)
    plane = walk(shape, setting, decoder, level)
    decoder.end()
    return plane[PAD:-PAD, PAD:-PAD]
