"""Coefficients to payloads and back (spec/wavelet.md, section 6)."""

from __future__ import annotations

import struct
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from xraycodec.codecs.wavelet.areas import Area, whole
from xraycodec.codecs.wavelet.geometry import (
    BAND_PLACES,
    BANDS,
    FRACTION,
    LAYERS,
    cells,
    layer_of,
    strips,
)
from xraycodec.codecs.wavelet.model import Model
from xraycodec.codecs.wavelet.walk import Distributions, Plane
from xraycodec.container import Buffer
from xraycodec.entropy.mixture_tables import powers, sigmoids
from xraycodec.errors import CorruptError, TruncatedError

MAX_REACH_BITS = 18
"""Of coefficients and last low-pass bands, in steps: enough for every image (section 9)."""
LEAST = 200
"""Of effort 1, in 2^-8 steps: what is smaller all over a block would be chosen 0 in it anyway."""
MOST_CODED = 0.75
"""Of a level's blocks: with more of them, flags do not pay."""
_BLOCKS = 1 << 7
"""Added to the bits of a reach: flags of blocks follow."""
_BOTTOM = np.dtype("<i4")
_SIZE = struct.Struct("<I")


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


@dataclass(eq=False)
class _Strip:
    """Rows of cells with a stream and an adaptation of their own; ``coded`` says which cells."""

    top: int
    end: int
    coded: npt.NDArray[np.bool_]
    offsets: npt.NDArray[np.int64]
    counts: npt.NDArray[np.int64]
    taps: npt.NDArray[np.int64]

    def restrict(self, flags: npt.NDArray[np.bool_]) -> list[Area]:
        """Code the flagged blocks only; return where they are in the level."""
        from xraycodec.codecs.wavelet import coded_blocks

        rows, columns = self.coded.shape
        self.coded = coded_blocks.cells_of(flags, rows, columns)
        return list(coded_blocks.areas_of(flags, self.top, rows, columns))


def _strips(level: int, shape: tuple[int, int]) -> list[_Strip]:
    from xraycodec.codecs.wavelet.kernels import fresh_adaptation

    grid = cells(shape)
    return [
        _Strip(top, end, np.ones((end - top, grid[1]), bool), *fresh_adaptation())
        for top, end in strips(level, grid)
    ]


class _Level:
    """What both directions know of the level at hand."""

    def __init__(self, level: int, below: tuple[int, int], reach_bits: int, model: Model) -> None:
        """Take the level, the shape of the level below it, and the bits of its reach."""
        self.shape = (-(-below[0] // 2), -(-below[1] // 2))
        self.level, self.below = level, below
        self.reach = (1 << reach_bits) - 1
        self.strips = _strips(level, self.shape)
        self.unit_shift = model.parameter_bits - 8

    def sizes(self, place: int, strip: _Strip) -> tuple[Any, Any]:
        """Rows and columns of cells of a strip that have a coefficient, for each band."""
        rows, columns = [], []
        for row, column in BAND_PLACES:
            height = (self.below[0] + 1 - row) // 2
            width = (self.below[1] + 1 - column) // 2
            rows.append((height + 1 - (place >> 1)) // 2 - strip.top)
            columns.append((width + 1 - (place & 1)) // 2)
        return np.array(rows, np.int64), np.array(columns, np.int64)


def _on_threads(work: Callable[[_Strip], None], parts: Sequence[_Strip], threads: int) -> None:
    if threads == 1 or len(parts) == 1:
        for part in parts:
            work(part)
        return
    with ThreadPoolExecutor(threads) as pool:
        list(pool.map(work, parts))


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
        self._at: _Level
        self.blocks = False
        self._reaches: list[list[int]] = [[] for _ in range(LAYERS)]
        # Of each layer and strip: intervals in coding order.
        self._intervals: list[list[list[npt.NDArray[np.uint32]]]] = [[] for _ in range(LAYERS)]

    def bottom(self, shape: tuple[int, int]) -> Plane:
        values = ((self._low + (1 << (FRACTION - 1))) >> FRACTION).astype(np.int32)
        self._bottom = values.astype(_BOTTOM).tobytes()
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
        self._at = at = _Level(level, self._shapes[level - 1], bits, self._model)
        own = self._intervals[layer]
        own += [[] for _ in range(len(at.strips) - len(own))]
        flags = [coded_blocks.flags_of(worthy[strip.top : strip.end]) for strip in at.strips]
        share = sum(part.sum() for part in flags) / sum(part.size for part in flags)
        if share > MOST_CODED:
            self._reaches[layer].append(bits)
            return [whole(cells(shape))]
        self.blocks = True
        self._reaches[layer].append(bits | _BLOCKS)
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

        def work(strip: _Strip) -> None:
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

        _on_threads(work, at.strips, self._threads)
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
        sizes = b"".join(_SIZE.pack(len(stream)) for stream in streams[:-1])
        return front + sizes + b"".join(streams)


def _stream(intervals: list[npt.NDArray[np.uint32]]) -> bytes:
    """Push intervals, of which starts and sizes alternate."""
    from xraycodec.entropy import mixture_kernels

    starts = np.concatenate(intervals[::2])
    sizes = np.concatenate(intervals[1::2])
    words = np.empty(mixture_kernels.STATE_WORDS + starts.size, np.uint32)
    first = mixture_kernels.push_all(starts, sizes, words)
    return words[first:].astype("<u4", copy=False).tobytes()


@dataclass(eq=False)
class _Reader:
    """A stream and how far it is read."""

    words: npt.NDArray[np.uint32]
    state: np.uint64
    position: int


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
        self._readers: list[_Reader] = []
        self._body = memoryview(b"")
        self._at: _Level
        for layer in range(1, min(layer_of(len(shapes) - 1), len(payloads))):
            if len(payloads[layer]):
                raise CorruptError(
                    f"{self._place}, layer {layer} has no levels, but {len(payloads[layer])} bytes"
                )

    def bottom(self, shape: tuple[int, int]) -> Plane:
        size = shape[0] * shape[1] * _BOTTOM.itemsize
        if len(self._payloads[0]) < size:
            raise TruncatedError(f"{self._place} has {len(self._payloads[0])} of {size} bytes")
        values = np.frombuffer(self._payloads[0][:size], _BOTTOM).astype(np.int32)
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
        self._at = at = _Level(level, self._shapes[level - 1], bits & ~_BLOCKS, self._model)
        if not self._readers:
            self._split(len(at.strips))
        if not bits & _BLOCKS:
            return [whole(cells(shape))]
        return [
            area
            for strip, reader in zip(at.strips, self._readers, strict=True)
            for area in strip.restrict(self._flags(strip, reader))
        ]

    def _flags(self, strip: _Strip, reader: _Reader) -> npt.NDArray[np.bool_]:
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
            if self._blocks and bits == _BLOCKS:
                raise CorruptError(f"{self._where} has flags of blocks without coefficients")
            if (bits & ~_BLOCKS if self._blocks else bits) > MAX_REACH_BITS:
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
        table = _SIZE.size * (count - 1)
        if len(self._body) < table:
            raise TruncatedError(f"{self._where} ends in its table of {count} streams")
        sizes = [size for (size,) in _SIZE.iter_unpack(self._body[:table])]
        rest = self._body[table:]
        last = len(rest) - sum(sizes)
        if last < 0:
            raise TruncatedError(f"{self._where} has {len(rest)} bytes for {sum(sizes)} of streams")
        for size in (*sizes, last):
            self._readers.append(self._reader(rest[:size]))
            rest = rest[size:]
        self._body = rest

    def _reader(self, body: memoryview) -> _Reader:
        from xraycodec.entropy import mixture_kernels

        if len(body) < 8 or len(body) % 4:
            raise CorruptError(
                f"{self._where} has a stream of {len(body)} bytes; allowed are 8, 12, 16 ..."
            )
        words = np.frombuffer(body, "<u4").astype(np.uint32)
        state = int(words[0]) | int(words[1]) << 32
        if state < mixture_kernels.INITIAL:
            raise CorruptError(f"{self._where} begins with state {state}, under 2^32")
        return _Reader(words, np.uint64(state), 2)

    def phase(self, place: int, found: Distributions, coefficients: Plane) -> None:
        from xraycodec.codecs.wavelet import kernels

        at = self._at

        def work(strip: _Strip) -> None:
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

        _on_threads(work, at.strips, self._threads)

    def end(self) -> None:
        """Check the layer at hand, before the next and after the walk.

        Raises:
            CorruptError: it has another end than its coefficients give.
        """
        from xraycodec.entropy import mixture_kernels

        if self._layer < 0:  # nothing but the last low-pass band so far
            self._layer, self._body = 0, self._payloads[0]
        clean = not len(self._body) and all(
            reader.position == len(reader.words) and reader.state == mixture_kernels.INITIAL
            for reader in self._readers
        )
        if not clean:
            raise CorruptError(f"{self._where} does not end where its last coefficient does")
