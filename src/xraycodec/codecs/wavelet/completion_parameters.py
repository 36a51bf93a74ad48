"""What PARM says of a completion (spec/wavelet-completion.md, section 2)."""

from __future__ import annotations

import struct
from dataclasses import dataclass
from enum import IntEnum

from xraycodec.codecs.lattice.parameters import Parameters as Levels
from xraycodec.codecs.lattice.parameters import read_parameters
from xraycodec.errors import CorruptError, UnsupportedFormatError

_FRONT = struct.Struct("<B32s")  # kind, model


class Kind(IntEnum):
    """What the levels of a completion stand for."""

    IMAGE = 0
    """Pixel values: the base is of no use."""
    DIFFERENCE = 1
    """What is to be added to the base."""
    GUIDED = 2
    """Pixel values, with the base as the guide of a model that takes one."""


@dataclass(frozen=True, eq=False)
class Completion:
    """What a decoder knows of a completion beside the header.

    Attributes:
        kind: what its levels stand for.
        model: SHA-256 of the lattice model pack.
        levels: parameters as a lattice stream has them.
    """

    kind: Kind
    model: bytes
    levels: Levels

    def to_bytes(self) -> bytes:
        """Serialise."""
        return _FRONT.pack(self.kind, self.model) + self.levels.to_bytes()

    @staticmethod
    def from_bytes(data: bytes) -> Completion:
        """Read what `to_bytes` wrote.

        Raises:
            CorruptError: the bytes are not exactly one set of parameters.
            UnsupportedFormatError: a later version, or an unknown flag or kind.
        """
        if len(data) < _FRONT.size:
            raise CorruptError(
                f"WAVE parameters have {len(data)} bytes of a completion; at least {_FRONT.size}"
                " belong"
            )
        kind, model = _FRONT.unpack_from(data)
        if kind not in list(Kind):
            raise UnsupportedFormatError(
                f"WAVE completion is of kind {kind}; known are"
                f" {', '.join(str(known.value) for known in Kind)}"
            )
        return Completion(
            Kind(kind), model, read_parameters(data[_FRONT.size :], guided=kind == Kind.GUIDED)
        )
