"""What a longer string of bytes has that a shorter one has not, and back.

::

    whole  ─┬─ own bytes ──────────────────────────────▶ difference
            └─ pieces that are in the base, too ─ places ─┘
    base + difference ─▶ whole

The value, little-endian: u64 bytes of the whole, u32 number of runs; of each run u32 own bytes,
u32 place in the base, u32 bytes from there; then the own bytes of all runs, one after the other.
The whole is run by run its own bytes, then those of the base.
"""

from __future__ import annotations

import struct
from collections.abc import Iterable

from xraycodec.errors import CorruptError, LimitError

_FRONT = struct.Struct("<QI")
_RUN = struct.Struct("<III")


def subtract(whole: bytes, base: bytes, pieces: Iterable[bytes]) -> bytes:
    """Leave out of a whole what the base has.

    Args:
        whole: below 2^32 bytes.
        base: likewise.
        pieces: of the base, in the order in which the whole has them; those that it has not, or
            elsewhere, cost nothing but their bytes.
    """
    runs: list[bytes] = []
    own: list[bytes] = []
    done = 0
    for piece in pieces:
        found, place = whole.find(piece, done), base.find(piece)
        if not piece or found < 0 or place < 0:
            continue
        own.append(whole[done:found])
        runs.append(_RUN.pack(found - done, place, len(piece)))
        done = found + len(piece)
    own.append(whole[done:])
    runs.append(_RUN.pack(len(whole) - done, 0, 0))
    return b"".join([_FRONT.pack(len(whole), len(runs)), *runs, *own])


def add(difference: bytes, base: bytes | memoryview, max_bytes: int) -> bytes:
    """Undo `subtract`; one zero byte may follow the difference.

    Raises:
        CorruptError: it contradicts itself, or is of another base.
        LimitError: the whole has more than ``max_bytes``; no memory was taken for it.
    """
    if len(difference) < _FRONT.size:
        raise CorruptError(f"difference of {len(difference)} bytes; its front has {_FRONT.size}")
    size_bytes, count = _FRONT.unpack_from(difference)
    own = _FRONT.size + count * _RUN.size
    if own > len(difference):
        raise CorruptError(f"difference of {len(difference)} bytes claims {count} runs")
    if size_bytes > max_bytes:
        raise LimitError(f"difference makes {size_bytes} bytes; the limit is {max_bytes}")
    runs = list(_RUN.iter_unpack(memoryview(difference)[_FRONT.size : own]))
    end = own + sum(run[0] for run in runs)
    if difference[end:] not in (b"", b"\0") or end > len(difference):
        raise CorruptError(f"runs claim {end - own} bytes of {len(difference) - own}")
    if sum(run[0] + run[2] for run in runs) != size_bytes:
        raise CorruptError(f"runs do not make the {size_bytes} bytes that the difference claims")
    view, source = memoryview(difference), memoryview(base)
    pieces: list[memoryview] = []
    for number, (own_bytes, place, base_bytes) in enumerate(runs):
        if place + base_bytes > len(source):
            raise CorruptError(
                f"run {number} ends at byte {place + base_bytes} of the base; it has {len(source)}"
            )
        pieces += [view[own : own + own_bytes], source[place : place + base_bytes]]
        own += own_bytes
    return b"".join(pieces)
