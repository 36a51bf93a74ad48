"""PARM of a lattice stream: levels and linear predictions (spec/lattice.md, section 2)."""

from __future__ import annotations

import struct
import zlib
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from xraycodec.codecs.lattice.geometry import PHASES, SETS, predicted_by
from xraycodec.codecs.lattice.levels import pack_values
from xraycodec.codecs.lattice.model import Coefficients
from xraycodec.errors import CorruptError, UnsupportedFormatError

VERSION = 1

_FRONT = struct.Struct("<BBHi")  # version, flags, highest level, value of level 0
_COEFFICIENTS, _MAP = 1, 2
_MAX_SPAN = 1 << 16


@dataclass(frozen=True, eq=False)
class Parameters:
    """What a decoder knows of an image beside its header.

    Attributes:
        lowest: pixel value of level 0.
        peak: the highest level.
        values: of every level less ``lowest``, rising from 0, int32, ``(peak + 1,)``; without it
            each level is its own.
        coefficients: of the linear predictions, or ``None`` for the model's.
    """

    lowest: int
    peak: int
    values: npt.NDArray[np.int32] | None
    coefficients: Coefficients | None

    def to_bytes(self) -> bytes:
        """Serialise."""
        flags = 0
        body = b""
        if self.coefficients is not None:
            flags |= _COEFFICIENTS
            flat = [values for phases in self.coefficients for values in phases]
            body += np.concatenate(flat).astype(np.int8).tobytes()
        if self.values is not None:
            flags |= _MAP
            body += pack_values(self.values)
        return _FRONT.pack(VERSION, flags, self.peak, self.lowest) + body


def read_parameters(data: bytes, *, guided: bool = False) -> Parameters:
    """Read what `Parameters.to_bytes` wrote; ``guided`` tells whether predictions have a guide.

    Raises:
        CorruptError: the bytes are not exactly one set of parameters.
        UnsupportedFormatError: a later version or an unknown flag.
    """
    if len(data) < _FRONT.size:
        raise CorruptError(f"LTTC parameters have {len(data)} bytes; at least {_FRONT.size} belong")
    version, flags, peak, lowest = _FRONT.unpack_from(data)
    if version != VERSION:
        raise UnsupportedFormatError(f"LTTC parameters of version {version}; known is {VERSION}")
    if flags & ~(_COEFFICIENTS | _MAP):
        raise UnsupportedFormatError(f"LTTC parameters have flags 0x{flags:02x}; known is 0x03")
    body = data[_FRONT.size :]
    coefficients = None
    if flags & _COEFFICIENTS:
        coefficients, body = _read_coefficients(body, guided=guided)
    values = None
    if flags & _MAP:
        values = _read_values(body, peak)
    elif body:
        raise CorruptError(f"LTTC parameters have {len(body)} bytes too many")
    return Parameters(lowest, peak, values, coefficients)


def _read_coefficients(body: bytes, *, guided: bool) -> tuple[Coefficients, bytes]:
    sizes = [predicted_by(phase, guided=guided) for phase in PHASES]
    count = SETS * sum(sizes)
    if len(body) < count:
        raise CorruptError(f"LTTC parameters have {len(body)} of {count} coefficients")
    flat = np.frombuffer(body, np.int8, count).astype(np.int64)
    sets, place = [], 0
    for number in range(SETS):
        phases = []
        for index, size in enumerate(sizes):
            values = flat[place : place + size]
            place += size
            if values.sum() != 128 or values.min() == -128:
                raise CorruptError(
                    f"LTTC coefficients of set {number}, phase {index} add up to {values.sum()}"
                    f" with {values.min()} the lowest; they must add up to 128, none under -127"
                )
            phases.append(values)
        sets.append(tuple(phases))
    return tuple(sets), body[count:]


def _read_values(body: bytes, peak: int) -> npt.NDArray[np.int32]:
    inflater = zlib.decompressobj()
    try:
        raw = inflater.decompress(body, _MAX_SPAN // 8 + 1)
    except zlib.error as fault:
        raise CorruptError(f"the LTTC map of levels is no zlib stream: {fault}") from fault
    if len(raw) > _MAX_SPAN // 8 or not inflater.eof or inflater.unused_data:
        raise CorruptError(
            f"the LTTC map of levels is no whole zlib stream of at most {_MAX_SPAN // 8} bytes"
        )
    values = np.flatnonzero(np.unpackbits(np.frombuffer(raw, np.uint8))).astype(np.int32)
    if len(values) != peak + 1 or values[0] != 0 or values[-1] // 8 != len(raw) - 1:
        raise CorruptError(
            f"the LTTC map has {len(values)} levels in {len(raw)} bytes; {peak + 1} from 0 belong"
        )
    return values
