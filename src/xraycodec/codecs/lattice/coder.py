"""Pixels to payloads and back, phase by phase (spec/lattice.md, section 6).

A payload begins with one byte: 0, a mixture-coded stream follows; 1, the layer's pixels follow as
plain bits. The second form bounds what noise can cost.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from xraycodec.codecs.lattice.geometry import LAYERS, PAD, Phase, Plane, layer_of
from xraycodec.codecs.lattice.walk import Distributions, Setting
from xraycodec.entropy.mixture_stream import Stream, open_stream, stream_of
from xraycodec.entropy.mixture_tables import powers, sigmoids
from xraycodec.errors import CorruptError, TruncatedError

CODED, PLAIN = 0, 1

_WHOLE = 1 << 24  # slots of the coder


class Encoder:
    """Collects the intervals of one tile, layer by layer."""

    def __init__(self, truth: Sequence[Plane], setting: Setting) -> None:
        """Take the tile's levels, padded, level 0 first."""
        self._truth = truth
        self._setting = setting
        self._starts: list[list[npt.NDArray[np.uint32]]] = [[] for _ in range(LAYERS)]
        self._sizes: list[list[npt.NDArray[np.uint32]]] = [[] for _ in range(LAYERS)]
        self._levels: list[list[npt.NDArray[np.int32]]] = [[] for _ in range(LAYERS)]

    def begin(self, layer: int) -> None:
        pass  # a phase's level tells its layer

    def top(self) -> int:
        value = int(self._truth[-1][PAD, PAD])
        if self._setting.peak:
            start, size = _uniform(value, self._setting.peak)
            self._starts[0].append(np.array([start], np.uint32))
            self._sizes[0].append(np.array([size], np.uint32))
            self._levels[0].append(np.array([value], np.int32))
        return value

    def phase(
        self,
        level: int,
        phase: Phase,
        shape: tuple[int, int],
        distributions: Distributions,
        known: Plane,
    ) -> None:
        from xraycodec.entropy import mixture_kernels

        starts = np.empty(shape[0] * shape[1], np.uint32)
        sizes = np.empty_like(starts)
        both = _known_to_both(phase, shape, distributions, self._setting)
        mixture_kernels.encode_phase(self._truth[level], known, *(*both, starts, sizes))
        layer = layer_of(level)
        self._starts[layer].append(starts)
        self._sizes[layer].append(sizes)
        self._levels[layer].append(_pixels(known, phase, shape))

    def payloads(self) -> list[bytes]:
        """One payload for each layer, that of a layer without pixels empty."""
        return [self._payload(layer) for layer in range(LAYERS)]

    def _payload(self, layer: int) -> bytes:
        if not self._starts[layer]:
            return b""
        starts = np.concatenate(self._starts[layer])
        sizes = np.concatenate(self._sizes[layer])
        stream = stream_of(starts, sizes)
        bits = self._setting.peak.bit_length()
        if len(stream) > -(-starts.size * bits // 8):
            plain = _pack(np.concatenate(self._levels[layer]), bits)
            return bytes([PLAIN]) + plain
        return bytes([CODED]) + stream


class Decoder:
    """Finds the pixels of one tile in its payloads."""

    def __init__(self, payloads: Sequence[bytes | memoryview], setting: Setting, tile: int) -> None:
        """Take one payload for each layer that will be decoded; ``tile`` names it in messages."""
        self._payloads = payloads
        self._setting = setting
        self._place = f"LTTC tile {tile}"
        self._layer = -1
        self._plain: bytes | memoryview | None = None
        self._stream: Stream | None = None
        self._taken = 0  # pixels, of plain bits
        self._opened = False

    def begin(self, layer: int) -> None:
        """Open a layer's payload.

        Raises:
            TruncatedError, CorruptError: it, or the one before it, is damaged.
        """
        self._end_layer()
        self._layer = layer
        self._plain = self._stream = None
        self._opened = False  # by its first pixel: a layer may have none

    def _open(self) -> None:
        payload = self._payloads[self._layer]
        place = f"{self._place}, layer {self._layer}"
        if not len(payload):
            raise TruncatedError(f"{place} has pixels, but no payload")
        mode, body = payload[0], payload[1:]
        if mode == PLAIN:
            self._plain, self._taken = body, 0
        elif mode == CODED:
            self._stream = open_stream(body, place)
        else:
            raise CorruptError(f"{place} begins with byte {mode}; allowed are {CODED} and {PLAIN}")
        self._opened = True

    def _end_layer(self) -> None:
        """Check that a layer used up its payload."""
        if self._layer < 0:
            return
        place = f"{self._place}, layer {self._layer}"
        payload = self._payloads[self._layer]
        if not self._opened:
            if len(payload):
                raise CorruptError(f"{place} has no pixels, but a payload of {len(payload)} bytes")
            return
        if self._plain is not None:
            bits = self._setting.peak.bit_length()
            if len(self._plain) != -(-self._taken * bits // 8):
                raise CorruptError(
                    f"{place} has {len(self._plain)} bytes for {self._taken} pixels of {bits} bits"
                )
            rest = -self._taken * bits % 8
            if self._plain[-1] & ((1 << rest) - 1):
                raise CorruptError(f"{place} has a bit set after its last pixel")
            return
        assert self._stream is not None
        if not self._stream.spent:
            raise CorruptError(f"{place} does not end where its last pixel does")

    def end(self) -> None:
        """Check the last layer, after the walk.

        Raises:
            CorruptError: its payload has another size or another end than its pixels give.
        """
        self._end_layer()
        self._layer = -1

    def top(self) -> int:
        peak = self._setting.peak
        if not peak:
            return 0
        self._open()
        if self._plain is not None:
            return int(self._take_plain(1)[0])
        stream = self._stream
        assert stream is not None
        slot = int(stream.state) & (_WHOLE - 1)
        value = min(slot // (_WHOLE // (peak + 1)), peak)
        start, size = _uniform(value, peak)
        state = size * (int(stream.state) >> 24) + slot - start
        if state < 1 << 32:
            if stream.position >= len(stream.words):
                raise TruncatedError(f"{self._place}, layer {self._layer} ends too early")
            state = state << 32 | int(stream.words[stream.position])
            stream.position += 1
        stream.state = np.uint64(state)
        return value

    def phase(
        self,
        level: int,
        phase: Phase,
        shape: tuple[int, int],
        distributions: Distributions,
        known: Plane,
    ) -> None:
        from xraycodec.entropy import mixture_kernels

        if not self._opened:
            self._open()
        if self._plain is not None:
            values = self._take_plain(shape[0] * shape[1])
            _set_pixels(known, phase, shape, values.reshape(shape))
            return
        stream = self._stream
        assert stream is not None
        state, position = mixture_kernels.decode_phase(
            stream.words,
            stream.state,
            stream.position,
            known,
            *_known_to_both(phase, shape, distributions, self._setting),
        )
        if position > len(stream.words):
            raise TruncatedError(f"{self._place}, layer {self._layer} ends too early")
        stream.state, stream.position = np.uint64(state), position

    def _take_plain(self, count: int) -> npt.NDArray[np.int32]:
        assert self._plain is not None
        bits = self._setting.peak.bit_length()
        start = self._taken * bits
        if 8 * len(self._plain) < start + count * bits:
            raise TruncatedError(f"{self._place}, layer {self._layer} ends too early")
        values = _unpack(self._plain, start, count, bits)
        if int(values.max()) > self._setting.peak:
            raise CorruptError(
                f"{self._place}, layer {self._layer} has level {values.max()}; the highest is"
                f" {self._setting.peak}"
            )
        self._taken += count
        return values


def _known_to_both(
    phase: Phase, shape: tuple[int, int], distributions: Distributions, setting: Setting
) -> tuple[Any, ...]:
    """What the kernels of both directions take of a phase, in their order."""
    from xraycodec.codecs.lattice.features import LOGARITHMS, MEAN_DEVIATIONS  # imports numba

    return (
        PAD,
        phase.row,
        phase.column,
        *shape,
        distributions.predictions,
        distributions.scales,
        MEAN_DEVIATIONS,
        LOGARITHMS,
        distributions.parameters,
        setting.model.parameter_bits - 8,
        setting.step,
        setting.peak,
        sigmoids(),
        powers(),
    )


def _uniform(value: int, peak: int) -> tuple[int, int]:
    """The interval of a level when all are alike; the last takes what division leaves."""
    size = _WHOLE // (peak + 1)
    start = value * size
    return start, size if value < peak else _WHOLE - start


def _region(phase: Phase, shape: tuple[int, int]) -> tuple[slice, slice]:
    row, column = PAD + phase.row, PAD + phase.column
    return slice(row, row + 2 * shape[0], 2), slice(column, column + 2 * shape[1], 2)


def _pixels(plane: Plane, phase: Phase, shape: tuple[int, int]) -> npt.NDArray[np.int32]:
    return plane[_region(phase, shape)].ravel()


def _set_pixels(plane: Plane, phase: Phase, shape: tuple[int, int], values: Any) -> None:
    plane[_region(phase, shape)] = values


def _pack(values: npt.NDArray[np.int32], bits: int) -> bytes:
    """Plain bits, each level's highest first."""
    shifts = np.arange(bits - 1, -1, -1)
    return np.packbits((values[:, None] >> shifts & 1).astype(np.uint8)).tobytes()


def _unpack(body: bytes | memoryview, start: int, count: int, bits: int) -> npt.NDArray[np.int32]:
    """Undo `_pack` for ``count`` levels from bit ``start`` on."""
    end = start + count * bits
    flags = np.unpackbits(np.frombuffer(body[start // 8 : -(-end // 8)], np.uint8))
    each = flags[start % 8 :][: count * bits].reshape(count, bits)
    places = np.arange(bits - 1, -1, -1, dtype=np.int32)
    levels: npt.NDArray[np.int32] = (each.astype(np.int32) << places).sum(1, dtype=np.int32)
    return levels
