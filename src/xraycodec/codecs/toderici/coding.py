"""Bits of a tile to bytes and back, given those before (``spec/toderici.md``, section 4)."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from xraycodec import entropy
from xraycodec.codecs.toderici.model import CONTEXTS, Model
from xraycodec.errors import CorruptError

Bits = npt.NDArray[np.uint8]
"""0 and 1: ``(bits, P, Q)`` of a tile, ``(tile, bits, P, Q)`` of a group."""


class History:
    """Bits of the last two iterations of a group of tiles, which choose the tables of the next."""

    def __init__(self, tiles: int, bits: int, grid: tuple[int, int]) -> None:
        self.iteration = 0
        self._last: Bits = np.zeros((tiles, bits, *grid), np.uint8)
        self._before: Bits = self._last

    def add(self, bits: Bits) -> None:
        """Take note of one iteration's bits, ``(tile, bits, P, Q)``."""
        self._before, self._last = self._last, bits
        self.iteration += 1

    def table_index(self, tile: int) -> npt.NDArray[np.integer[Any]]:
        """Table of each bit of a tile's next iteration, in coding order: ``(symbol,)``."""
        last, before = self._last[tile], self._before[tile]
        channels = np.arange(len(last), dtype=np.uint16)[:, None, None]
        first = (self.iteration * len(last) + channels) * np.uint16(CONTEXTS)
        index: npt.NDArray[np.integer[Any]] = first + 2 * last + before
        return index.ravel()


def encode_bits(model: Model, history: History, tile: int, bits: Bits) -> bytes:
    """Entropy-code one iteration of a tile, ``(bits, P, Q)``, channel by channel."""
    index = history.table_index(tile)
    return entropy.encode(bits.astype(np.int32).ravel(), index, model.tables)


def decode_bits(model: Model, history: History, tile: int, data: memoryview, target: Bits) -> None:
    """Undo `encode_bits`, filling ``target``, ``(bits, P, Q)``.

    Raises:
        FormatError: no encoder writes these bytes.
    """
    values = entropy.decode(data, history.table_index(tile), model.tables)
    if values.min() < 0 or values.max() > 1:
        raise CorruptError(f"bits of {values.min()} to {values.max()}; allowed are 0 and 1")
    target[...] = values.reshape(target.shape)
