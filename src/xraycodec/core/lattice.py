"""Lattice's tiles in the native core (core/lattice.h): one call codes one tile."""

from __future__ import annotations

import ctypes
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
import numpy.typing as npt

from xraycodec.core.library import Fault, aligned, load, pointer
from xraycodec.core.network import CoreNetwork
from xraycodec.errors import CorruptError, FormatError, LimitError, TruncatedError

SETS, PHASES, LAYERS = 3, 3, 4
_NEIGHBOURS = 20

Levels = npt.NDArray[np.uint16]
Buffer = bytes | memoryview


class _Model(ctypes.Structure):
    _fields_ = (
        ("networks", (ctypes.c_void_p * PHASES) * SETS),
        ("state", (ctypes.c_int32 * PHASES) * SETS),
        ("parameters", (ctypes.c_int32 * PHASES) * SETS),
        ("channels", ctypes.c_int32 * SETS),
        ("components", ctypes.c_int32),
        ("unit_shift", ctypes.c_int32),
    )


class _Setting(ctypes.Structure):
    _fields_ = (
        ("step", ctypes.c_int32),
        ("peak", ctypes.c_int32),
        ("coefficients", ((ctypes.c_int8 * _NEIGHBOURS) * PHASES) * SETS),
    )


class LatticeModel:
    """Networks and sizes as the core takes them.

    Args:
        networks: of each set, one for each phase, with the numbers of the operators that give its
            state and its parameters.
        channels: of the state, for each set.
        components: of a mixture.
        parameter_bits: fractional bits of the parameters that the networks give.
    """

    def __init__(
        self,
        networks: Sequence[Sequence[tuple[CoreNetwork, int, int]]],
        channels: Sequence[int],
        components: int,
        parameter_bits: int,
    ) -> None:
        self._networks = networks  # keeps their memory alive
        self._model = _Model(components=components, unit_shift=parameter_bits - 8)
        self._model.channels[:] = channels
        for number, phases in enumerate(networks):
            for index, (network, state, parameters) in enumerate(phases):
                self._model.networks[number][index] = network.address
                self._model.state[number][index] = state
                self._model.parameters[number][index] = parameters

    def scratch(self, rows: int, columns: int) -> npt.NDArray[np.uint8]:
        """Working memory for a tile.

        Raises:
            LimitError: a tile beyond the core's limits.
        """
        size = load().xrc_lattice_scratch(ctypes.byref(self._model), rows, columns)
        if not size:
            raise LimitError(
                f"a tile of {rows} rows x {columns} columns is beyond the core's limits"
            )
        return aligned(size)

    @property
    def argument(self) -> object:
        return ctypes.byref(self._model)


@dataclass(frozen=True, eq=False)
class TileCoder:
    """Codes tiles of one image; any number of threads may call it.

    Attributes:
        model: the networks.
        coefficients: of the linear predictions, for each set and phase, in 2^-7.
        step: quantisation step in levels, odd; 1 is lossless.
        peak: the highest level; the lowest is 0.
    """

    model: LatticeModel
    coefficients: Sequence[Sequence[npt.NDArray[np.int64]]]
    step: int
    peak: int

    def encode(self, levels: npt.NDArray[np.int32]) -> tuple[list[bytes], Levels]:
        """Code a tile of levels, ``(row, column)``.

        Returns:
            A payload for each layer, and the levels that a decoder will find.
        """
        library = load()
        rows, columns = levels.shape
        found = levels.astype(np.uint16, order="C")
        setting = self._setting()
        capacity = library.xrc_lattice_capacity(ctypes.byref(setting), rows, columns)
        payloads = np.empty(capacity, np.uint8)
        sizes = (ctypes.c_size_t * LAYERS)()
        scratch = self.model.scratch(rows, columns)
        status = library.xrc_lattice_encode(
            *(self.model.argument, ctypes.byref(setting), rows, columns, pointer(found)),
            *(pointer(payloads), sizes, pointer(scratch), len(scratch)),
        )
        assert not status, f"the core's encoder gives status {status}"
        ends = np.cumsum([0, *sizes])
        return [payloads[a:b].tobytes() for a, b in pairwise(ends)], found

    def decode(
        self, payloads: Sequence[Buffer], shape: tuple[int, int], last: int, place: str
    ) -> Levels:
        """Decode a tile down to a level of resolution.

        Args:
            payloads: of the layers down to that level.
            shape: rows and columns of the whole tile.
            last: the level, 0 for all pixels.
            place: names the tile in messages.

        Raises:
            FormatError: a payload is damaged.
        """
        rows, columns = shape
        found = np.empty((-(-rows // (1 << last)), -(-columns // (1 << last))), np.uint16)
        setting, fault = self._setting(), Fault()
        held = [np.frombuffer(payload, np.uint8) for payload in payloads]
        addresses = (ctypes.c_void_p * LAYERS)(*(bytes_.ctypes.data for bytes_ in held))
        sizes = (ctypes.c_size_t * LAYERS)(*map(len, held))
        scratch = self.model.scratch(rows, columns)
        status = load().xrc_lattice_decode(
            *(self.model.argument, ctypes.byref(setting), rows, columns, last, addresses, sizes),
            *(pointer(found), ctypes.byref(fault), pointer(scratch), len(scratch)),
        )
        if status:
            raise self._error(status, payloads, fault, place)
        return found

    def _setting(self) -> _Setting:
        setting = _Setting(step=self.step, peak=self.peak)
        for number, phases in enumerate(self.coefficients):
            for index, values in enumerate(phases):
                setting.coefficients[number][index][: len(values)] = [int(v) for v in values]
        return setting

    def _error(
        self, status: int, payloads: Sequence[Buffer], fault: Fault, place: str
    ) -> FormatError:
        """What broke a rule of spec/lattice.md, 6.2, or spec/mixture.md, 6.1."""
        payload = payloads[fault.layer]
        place = f"{place}, layer {fault.layer}"
        bits = self.peak.bit_length()
        match status:
            case 10:
                return TruncatedError(f"{place} has pixels, but no payload")
            case 11:
                return CorruptError(f"{place} has no pixels, but a payload of {len(payload)} bytes")
            case 12:
                return CorruptError(f"{place} begins with byte {payload[0]}; allowed are 0 and 1")
            case 13:
                return CorruptError(
                    f"{place} has a stream of {len(payload) - 1} bytes; allowed are 8, 12, 16 ..."
                )
            case 14:
                state = int.from_bytes(payload[1:9], "little")
                return CorruptError(f"{place} begins with state {state}, under 2^32")
            case 15:
                return TruncatedError(f"{place} ends too early")
            case 16:
                return CorruptError(f"{place} does not end where its last pixel does")
            case 17:
                return CorruptError(
                    f"{place} has {len(payload) - 1} bytes for {fault.pixels} pixels of {bits} bits"
                )
            case 18:
                return CorruptError(f"{place} has a bit set after its last pixel")
            case 19:
                return CorruptError(f"{place} has level {fault.level}; the highest is {self.peak}")
        raise AssertionError(f"the core's decoder gives status {status}")
