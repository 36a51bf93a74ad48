from __future__ import annotations

import struct

import numpy as np
import pytest

from xraycodec.errors import CorruptError, LimitError
from xraycodec.gateway.difference import add, subtract

BASE = b"front one middle two end"


@pytest.mark.parametrize(
    ("whole", "pieces", "own_bytes"),
    [
        (b"FRONT one MIDDLE two END", [b"one", b"two"], 18),
        (b"onetwo", [b"one", b"two"], 0),
        (b"two before one", [b"one", b"two"], 11),  # not in this order
        (b"nothing of it", [b"one"], 13),
        (b"one", [b"absent from the base", b"", b"one"], 0),
        (b"", [b"one"], 0),
        (b"one", [], 3),
    ],
)
def test_what_is_left_out_comes_back(whole: bytes, pieces: list[bytes], own_bytes: int) -> None:
    difference = subtract(whole, BASE, pieces)
    (runs,) = struct.unpack_from("<I", difference, 8)
    assert len(difference) == 12 + 12 * runs + own_bytes
    assert add(difference, BASE, len(whole)) == whole
    # Values of DICOM elements are of even length.
    assert add(difference + b"\0", memoryview(BASE), len(whole)) == whole


def test_large_pieces_cost_nothing() -> None:
    noise = np.random.default_rng(1)
    base, own = noise.bytes(100_000), noise.bytes(5_000)
    pieces = [base[1_000:30_000], base[30_000:90_000]]
    whole = own[:3_000] + pieces[0] + own[3_000:] + pieces[1]
    difference = subtract(whole, base, pieces)
    assert len(difference) == 12 + 3 * 12 + len(own)
    assert add(difference, base, 1 << 20) == whole


def _made(*runs: tuple[int, int, int], size_bytes: int, own: bytes = b"", count: int = -1) -> bytes:
    packed = b"".join(struct.pack("<III", *run) for run in runs)
    return struct.pack("<QI", size_bytes, len(runs) if count < 0 else count) + packed + own


@pytest.mark.parametrize(
    ("difference", "what"),
    [
        (b"", "its front has 12"),
        (b"\0" * 11, "its front has 12"),
        (_made((3, 0, 0), size_bytes=3), "claim 3 bytes of 0"),
        (_made((3, 0, 0), size_bytes=3, own=b"abcd"), "claim 3 bytes of 4"),
        (_made((3, 0, 0), size_bytes=3, own=b"abc\0\0"), "claim 3 bytes of 5"),
        (_made(size_bytes=0, count=1 << 30), "claims 1073741824 runs"),
        (_made((1, 0, 4), size_bytes=4, own=b"a"), "do not make the 4 bytes"),
        (_made((0, 0, 25), size_bytes=25), "ends at byte 25 of the base; it has 24"),
        (_made((0, 0xFFFFFFFF, 1), size_bytes=1), "ends at byte 4294967296 of the base"),
    ],
)
def test_what_contradicts_itself_is_damage(difference: bytes, what: str) -> None:
    with pytest.raises(CorruptError, match=what):
        add(difference, BASE, 1 << 20)


def test_more_than_the_limit_takes_no_memory() -> None:
    """Few bytes can claim to repeat the base without end."""
    bomb = _made(*[(0, 0, 24)] * 1000, size_bytes=24_000)
    assert len(add(bomb, BASE, 24_000)) == 24_000
    with pytest.raises(LimitError, match="makes 24000 bytes; the limit is 23999"):
        add(bomb, BASE, 23_999)


def test_no_damage_passes_or_crashes() -> None:
    whole = b"FRONT one MIDDLE two END"
    difference = subtract(whole, BASE, [b"one", b"two"])
    for place in range(len(difference)):
        damaged = bytearray(difference)
        damaged[place] ^= 0x41
        try:
            assert add(bytes(damaged), BASE, 1 << 20) != whole
        except (CorruptError, LimitError):
            continue
