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
        from xraycodec.entropy import mixture_kernels

        if not self._starts[layer]:
            return b""
        starts = np.concatenate(self._starts[layer])
        sizes = np.concatenate(self._sizes[layer])
        words = np.empty(mixture_kernels.STATE_WORDS + starts.size, np.uint32)
        first = mixture_kernels.push_all(starts, sizes, words)
        stream = words[first:].astype("<u4", copy=False).tobytes()
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
        self._words = np.empty(0, np.uint32)
        self._state = np.uint64(0)
        self._position = 0

    def begin(self, layer: int) -> None:
        """Open a layer's payload.

        Raises:
            TruncatedError, CorruptError: it, or the one before it, is damaged.
        """
        self._end_layer()
        self._layer = layer
        self._plain = None
        self._position = -1  # opened by its first pixel: a layer may have none

    def _open(self) -> None:
        from xraycodec.entropy import mixture_kernels

        payload = self._payloads[self._layer]
        place = f"{self._place}, layer {self._layer}"
        if not len(payload):
            raise TruncatedError(f"{place} has pixels, but no payload")
        mode, body = payload[0], payload[1:]
        self._position = 0
        if mode == PLAIN:
            self._plain = body
            return
        if mode != CODED:
            raise CorruptError(f"{place} begins with byte {mode}; allowed are {CODED} and {PLAIN}")
        if len(body) < 8 or len(body) % 4:
            raise CorruptError(
                f"{place} has {len(body)} bytes of stream; allowed are 8, 12, 16 ..."
            )
        words = np.frombuffer(body, "<u4").astype(np.uint32)
        state = int(words[0]) | int(words[1]) << 32
        if state < mixture_kernels.INITIAL:
            raise CorruptError(f"{place} begins with state {state}, under 2^32")
        self._words, self._state, self._position = words, np.uint64(state), 2

    def _end_layer(self) -> None:
        """Check that a layer used up its payload."""
        from xraycodec.entropy import mixture_kernels

        if self._layer < 0:
            return
        place = f"{self._place}, layer {self._layer}"
        payload = self._payloads[self._layer]
        if self._position < 0:
            if len(payload):
                raise CorruptError(f"{place} has no pixels, but a payload of {len(payload)} bytes")
            return
        if self._plain is not None:
            bits = self._setting.peak.bit_length()
            if len(self._plain) != -(-self._position * bits // 8):
                raise CorruptError(
                    f"{place} has {len(self._plain)} bytes for {self._position} pixels of {bits}"
                    " bits"
                )
            rest = -self._position * bits % 8
            if self._plain[-1] & ((1 << rest) - 1):
                raise CorruptError(f"{place} has a bit set after its last pixel")
            return
        if self._position != len(self._words) or self._state != mixture_kernels.INITIAL:
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
        slot = int(self._state) & (_WHOLE - 1)
        value = min(slot // (_WHOLE // (peak + 1)), peak)
        start, size = _uniform(value, peak)
        state = size * (int(self._state) >> 24) + slot - start
        if state < 1 << 32:
            if self._position >= len(self._words):
                raise TruncatedError(f"{self._place}, layer {self._layer} ends too early")
            state = state << 32 | int(self._words[self._position])
            self._position += 1
        self._state = np.uint64(state)
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

        if self._position < 0:
            self._open()
        if self._plain is not None:
            values = self._take_plain(shape[0] * shape[1])
            _set_pixels(known, phase, shape, values.reshape(shape))
            return
        state, position = mixture_kernels.decode_phase(
            self._words,
            self._state,
            self._position,
            known,
            *_known_to_both(phase, shape, distributions, self._setting),
        )
        if position > len(self._words):
            raise TruncatedError(f"{self._place}, layer {self._layer} ends too early")
        self._state, self._position = np.uint64(state), position

    def _take_plain(self, count: int) -> npt.NDArray[np.int32]:
        assert self._plain is not None
        bits = self._setting.peak.bit_length()
        start = self._position * bits
        if 8 * len(self._plain) < start + count * bits:
            raise TruncatedError(f"{self._place}, layer {self._layer} ends too early")
        values = _unpack(self._plain, start, count, bits)
        if int(values.max()) > self._setting.peak:
            raise CorruptError(
                f"{self._place}, layer {self._layer} has level {values.max()}; the highest is"
                f" {self._setting.peak}"
            )
        self._position += count
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
