"""Payloads to coefficients (spec/wavelet.md, section 6)."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from xraycodec.codecs.wavelet.areas import Area, whole
from xraycodec.codecs.wavelet.geometry import BANDS, LAYERS, cells, layer_of
from xraycodec.codecs.wavelet.level import (
    BOTTOM,
    IN_BLOCKS,
    MAX_REACH_BITS,
    STREAM_SIZE,
    Level,
    Strip,
    on_threads,
)
from xraycodec.codecs.wavelet.model import Model
from xraycodec.codecs.wavelet.walk import Distributions, Plane
from xraycodec.container import Buffer
from xraycodec.entropy.mixture_stream import Stream, open_stream
from xraycodec.entropy.mixture_tables import powers, sigmoids
from xraycodec.errors import CorruptError, TruncatedError


class Decoder:
    """Finds the coefficients of one frame in its payloads."""

    def __init__(
        self,
        payloads: Sequence[Buffer],
        shapes: Sequence[tuple[int, int]],
        model: Model,
        frame: int,
        threads: int,
        *,
        joined: bool = False,
        blocks: bool = False,
    ) -> None:
        """Take one payload for each layer that will be decoded, or the one all are ``joined`` in.

        ``frame`` names it in messages. ``blocks`` allows levels that are coded in some blocks only.
        """
        self._joined, self._blocks = joined, blocks
        self._payloads = [memoryview(payload) for payload in payloads]
        self._shapes, self._model, self._threads = shapes, model, threads
        self._place = f"WAVE frame {frame}"
        self._layer = -1
        self._reaches: dict[int, int] = {}
        self._readers: list[Stream] = []
        self._body = memoryview(b"")
        self._at: Level
        for layer in range(1, min(layer_of(len(shapes) - 1), len(payloads))):
            if len(payloads[layer]):
                raise CorruptError(
                    f"{self._place}, layer {layer} has no levels, but {len(payloads[layer])} bytes"
                )

    def bottom(self, shape: tuple[int, int]) -> Plane:
        size = shape[0] * shape[1] * BOTTOM.itemsize
        if len(self._payloads[0]) < size:
            raise TruncatedError(f"{self._place} has {len(self._payloads[0])} of {size} bytes")
        values = np.frombuffer(self._payloads[0][:size], BOTTOM).astype(np.int32)
        if int(np.abs(values.astype(np.int64)).max()) >> MAX_REACH_BITS:
            raise CorruptError(f"{self._place} has a value of its last low-pass band out of range")
        self._payloads[0] = self._payloads[0][size:]
        return values.reshape(shape)

    def begin(self, level: int, shape: tuple[int, int]) -> Sequence[Area]:
        layer = 0 if self._joined else layer_of(level)
        if layer >= len(self._payloads):
            return ()  # a layer that is not there: all its coefficients are taken for 0
        if layer != self._layer:
            if layer:
                self.end()
            self._open(level, layer)
        bits = self._reaches[level]
        if not bits:
            return ()
        self._at = at = Level(level, self._shapes[level - 1], bits & ~IN_BLOCKS, self._model)
        if not self._readers:
            self._split(len(at.strips))
        if not bits & IN_BLOCKS:
            return [whole(cells(shape))]
        return [
            area
            for strip, reader in zip(at.strips, self._readers, strict=True)
            for area in strip.restrict(self._flags(strip, reader))
        ]

    def _flags(self, strip: Strip, reader: Stream) -> npt.NDArray[np.bool_]:
        """Which blocks of a strip are coded."""
        from xraycodec.codecs.wavelet import coded_blocks

        flags = np.zeros(coded_blocks.blocks_of(*strip.coded.shape), bool)
        state, position = coded_blocks.decode(reader.words, reader.state, reader.position, flags)
        if position > len(reader.words):
            raise TruncatedError(f"{self._where} ends too early")
        reader.state, reader.position = np.uint64(state), position
        return flags

    def _open(self, level: int, layer: int) -> None:
        """Read the front of a layer, from ``level`` down: the reaches of its levels."""
        self._layer = layer
        payload = self._payloads[layer]
        last = 1 if self._joined else LAYERS
        own = [level] if layer else list(range(level, last - 1, -1))
        if len(payload) < len(own):
            raise TruncatedError(f"{self._where} has {len(payload)} bytes for {len(own)} levels")
        self._reaches = dict(zip(own, payload[: len(own)], strict=True))
        for bits in self._reaches.values():
            if self._blocks and bits == IN_BLOCKS:
                raise CorruptError(f"{self._where} has flags of blocks without coefficients")
            if (bits & ~IN_BLOCKS if self._blocks else bits) > MAX_REACH_BITS:
                raise CorruptError(
                    f"{self._where} has coefficients of {bits} bits; allowed are {MAX_REACH_BITS}"
                )
        self._body = payload[len(own) :]
        self._readers = []

    @property
    def _where(self) -> str:
        return f"{self._place}, layer {self._layer}"

    def _split(self, count: int) -> None:
        """Cut what follows the front of a layer into streams."""
        table = STREAM_SIZE.size * (count - 1)
        if len(self._body) < table:
            raise TruncatedError(f"{self._where} ends in its table of {count} streams")
        sizes = [size for (size,) in STREAM_SIZE.iter_unpack(self._body[:table])]
        rest = self._body[table:]
        last = len(rest) - sum(sizes)
        if last < 0:
            raise TruncatedError(f"{self._where} has {len(rest)} bytes for {sum(sizes)} of streams")
        for size in (*sizes, last):
            self._readers.append(open_stream(rest[:size], self._where))
            rest = rest[size:]
        self._body = rest

    def phase(self, place: int, found: Distributions, coefficients: Plane) -> None:
        from xraycodec.codecs.wavelet import kernels

        at = self._at

        def work(strip: Strip) -> None:
            rows = slice(strip.top, strip.end)
            reader = self._readers[at.strips.index(strip)]
            chosen = np.zeros((BANDS, strip.end - strip.top, coefficients.shape[2]), np.int32)
            state, position = kernels.decode_cells(
                reader.words,
                reader.state,
                reader.position,
                *at.sizes(place, strip),
                strip.coded,
                np.ascontiguousarray(found.scales[rows]),
                np.ascontiguousarray(found.parameters[:, :, rows]),
                at.unit_shift,
                at.reach,
                sigmoids(),
                powers(),
                strip.offsets,
                strip.counts,
                strip.taps,
                chosen,
            )
            coefficients[:, rows] = chosen
            if position > len(reader.words):
                raise TruncatedError(f"{self._where} ends too early")
            reader.state, reader.position = np.uint64(state), position

        on_threads(work, at.strips, self._threads)

    def end(self) -> None:
        """Check the layer at hand, before the next and after the walk.

        Raises:
            CorruptError: it has another end than its coefficients give.
        """
        if self._layer < 0:  # nothing but the last low-pass band so far
            self._layer, self._body = 0, self._payloads[0]
        if len(self._body) or not all(reader.spent for reader in self._readers):
            raise CorruptError(f"{self._where} does not end where its last coefficient does")
