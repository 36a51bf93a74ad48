"""loSS: lossy compression that the pixels went through before (spec/format.md, section 5.9)."""

from __future__ import annotations

import struct
from collections.abc import Sequence

from xraycodec.errors import CorruptError, UnsupportedImageError
from xraycodec.image import MAX_LOSSES, Loss

_LOSS = struct.Struct("<16sII")  # method, ratio in thousandths, maximum error
_NO_BOUND = 2**32 - 1
_RATIO_UNITS = 1000


def pack_losses(losses: Sequence[Loss]) -> bytes:
    """Serialise loSS's payload."""
    return b"".join(
        _LOSS.pack(
            loss.method.encode("ascii").ljust(16, b"\0"),
            round(loss.ratio * _RATIO_UNITS),
            _NO_BOUND if loss.max_error is None else loss.max_error,
        )
        for loss in losses
    )


def unpack_losses(payload: memoryview, place: str) -> tuple[Loss, ...]:
    """Parse loSS's payload; ``place`` names the chunk in messages.

    Raises:
        CorruptError: a wrong size or a field out of bounds.
    """
    if len(payload) % _LOSS.size or not _LOSS.size <= len(payload) <= MAX_LOSSES * _LOSS.size:
        raise CorruptError(
            f"{place} has {len(payload)} bytes; it must have {_LOSS.size} for each of 1 to"
            f" {MAX_LOSSES} steps"
        )
    try:
        return tuple(
            Loss(
                method.rstrip(b"\0").decode("latin-1"),
                ratio / _RATIO_UNITS,
                None if bound == _NO_BOUND else bound,
            )
            for method, ratio, bound in _LOSS.iter_unpack(payload)
        )
    except UnsupportedImageError as fault:
        raise CorruptError(f"{place}: {fault}") from None
