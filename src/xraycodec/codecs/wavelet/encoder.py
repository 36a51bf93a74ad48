"""Coefficients to payloads (spec/wavelet.md, sections 6 and 8)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from xraycodec.codecs.wavelet.areas import Area, whole
from xraycodec.codecs.wavelet.geometry import BANDS, FRACTION, LAYERS, cells, layer_of, strips
from xraycodec.codecs.wavelet.level import (
    BOTTOM,
    IN_BLOCKS,
    STREAM_SIZE,
    Level,
    Strip,
    on_threads,
)
from xraycodec.codecs.wavelet.model import Model
from xraycodec.codecs.wavelet.walk import Distributions, Plane
from xraycodec.entropy.mixture_stream import stream_of
from xraycodec.entropy.mixture_tables import powers, sigmoids

LEAST = 200
"""Of effort 1, in 2^-8 steps: what is smaller all over a block would be chosen 0 in it anyway."""
MOST_CODED = 0.75
"""Of a level's blocks: with more of them, flags do not pay."""


@dataclass(frozen=True)
class Thrift:
    """How an encoder chooses coefficients.

    Attributes:
        rounding: added to a magnitude in 2^-8 steps before it is cut to an integer.
        price: squared 2^-8 steps that a bit is worth; 0 takes the nearest as it is.
        least: in 2^-8 steps; a block with no larger magnitude is not coded.
    """

    rounding: int
    price: int
    least: int


class Encoder:
    """Chooses the coefficients of one frame and collects their intervals.

    Attributes:
        blocks: whether any level is coded in some of its blocks only, so far.
    """

    def __init__(
        self,
        bands: Sequence[npt.NDArray[np.int32]],
        low: Plane,
        shapes: Sequence[tuple[int, int]],
        model: Model,
        thrift: Thrift,
        threads: int,
    ) -> None:
        """Take the frame's bands and last low-pass band, in 2^-8 steps, as `analyse` gives them."""
        self._bands, self._shapes, self._model = bands, shapes, model
        self._thrift, self._threads = thrift, threads
        self._low = low
        self._bottom = b""
        self._at: Level
        self.blocks = False
        self._reaches: list[list[int]] = [[] for _ in range(LAYERS)]
        # Of each layer and strip: intervals in coding order.
        self._intervals: list[list[list[npt.NDArray[np.uint32]]]] = [[] for _ in range(LAYERS)]

    def bottom(self, shape: tuple[int, int]) -> Plane:
        values = ((self._low + (1 << (FRACTION - 1))) >> FRACTION).astype(np.int32)
        self._bottom = values.astype(BOTTOM).tobytes()
        return values

    def begin(self, level: int, shape: tuple[int, int]) -> Sequence[Area]:
        from xraycodec.codecs.wavelet import coded_blocks

        largest = np.abs(self._bands[level - 1]).max((0, 1))
        worthy = largest > self._thrift.least
        layer = layer_of(level)
        bits = 0
        if worthy.any():
            bits = ((int(largest.max()) + self._thrift.rounding) >> FRACTION).bit_length()
        if not bits:
            self._reaches[layer].append(0)
            return ()
        self._at = at = Level(level, self._shapes[level - 1], bits, self._model)
        own = self._intervals[layer]
        own += [[] for _ in range(len(at.strips) - len(own))]
        flags = [coded_blocks.flags_of(worthy[strip.top : strip.end]) for strip in at.strips]
        share = sum(part.sum() for part in flags) / sum(part.size for part in flags)
        if share > MOST_CODED:
            self._reaches[layer].append(bits)
            return [whole(cells(shape))]
        self.blocks = True
        self._reaches[layer].append(bits | IN_BLOCKS)
        areas: list[Area] = []
        for strip, part, intervals in zip(at.strips, flags, own, strict=True):
            areas += strip.restrict(part)
            intervals += coded_blocks.encode(part)
        return areas

    def phase(self, place: int, found: Distributions, coefficients: Plane) -> None:
        from xraycodec.codecs.wavelet import kernels

        at = self._at
        targets = self._bands[at.level - 1][:, place]
        kept: list[Any] = [None] * len(at.strips)

        def work(strip: Strip) -> None:
            rows = slice(strip.top, strip.end)
            cells_in = (strip.end - strip.top) * targets.shape[2]
            starts = np.empty(BANDS * cells_in, np.uint32)
            sizes = np.empty_like(starts)
            chosen = np.zeros((BANDS, strip.end - strip.top, targets.shape[2]), np.int32)
            count = kernels.encode_cells(
                np.ascontiguousarray(targets[:, rows]),
                *at.sizes(place, strip),
                strip.coded,
                np.ascontiguousarray(found.scales[rows]),
                np.ascontiguousarray(found.parameters[:, :, rows]),
                at.unit_shift,
                at.reach,
                self._thrift.rounding,
                self._thrift.price,
                sigmoids(),
                powers(),
                strip.offsets,
                strip.counts,
                strip.taps,
                chosen,
                starts,
                sizes,
            )
            coefficients[:, rows] = chosen
            kept[at.strips.index(strip)] = (starts[:count], sizes[:count])

        on_threads(work, at.strips, self._threads)
        for place_of, pair in enumerate(kept):
            self._intervals[layer_of(at.level)][place_of] += pair

    @property
    def joinable(self) -> bool:
        """Whether all layers may be one: no level is cut into strips, coded or not."""
        return len(self._shapes) < 2 or len(strips(1, cells(self._shapes[1]))) == 1

    def payloads(self) -> list[bytes]:
        """One payload for each layer; that of a layer without levels is empty."""
        return [
            self._payload(self._bottom if layer == 0 else b"", reaches, intervals)
            for layer, (reaches, intervals) in enumerate(
                zip(self._reaches, self._intervals, strict=True)
            )
        ]

    def joined(self) -> bytes:
        """The payload of all levels in one layer, which needs `joinable`."""
        reaches = [bits for layer in self._reaches for bits in layer]
        intervals = [part for layer in self._intervals for strip in layer for part in strip]
        return self._payload(self._bottom, reaches, [intervals] if intervals else [])

    @staticmethod
    def _payload(
        front: bytes, reaches: list[int], strips_of: list[list[npt.NDArray[np.uint32]]]
    ) -> bytes:
        front += bytes(reaches)
        streams = [_stream(intervals) for intervals in strips_of]
        sizes = b"".join(STREAM_SIZE.pack(len(stream)) for stream in streams[:-1])
        return front + sizes + b"".join(streams)


def _stream(intervals: list[npt.NDArray[np.uint32]]) -> bytes:
    """Push intervals, of which starts and sizes alternate."""
    return stream_of(np.concatenate(intervals[::2]), np.concatenate(intervals[1::2]))
