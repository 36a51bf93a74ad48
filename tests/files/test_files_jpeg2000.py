"""Tile-parts of JPEG 2000 and HTJ2K codestreams: missing, repeated, cut short."""

from __future__ import annotations

import struct

import imagecodecs
import numpy as np
import pytest
from files_building import encode_frame, random_pixels

from xraycodec.errors import CorruptImageError
from xraycodec.files import decode

_CELLS = random_pixels((20, 24), 12)
_TILED = imagecodecs.htj2k_encode(_CELLS, tile=(8, 8), reversible=True)
_STARTS = [at for at in range(len(_TILED)) if _TILED[at : at + 4] == b"\xff\x90\x00\x0a"]


def test_tiles():
    assert len(_STARTS) == 9
    assert np.array_equal(decode(_TILED).pixels, _CELLS)


@pytest.mark.parametrize("tile", [0, 4, 8])
def test_missing_tiles(tile):
    ends = [*_STARTS[1:], len(_TILED) - 2]
    cut = _TILED[: _STARTS[tile]] + _TILED[ends[tile] :]
    with pytest.raises(CorruptImageError, match="1 of 9 tile"):
        decode(cut)


def test_repeated_tiles():
    first, second = _STARTS[:2]
    with pytest.raises(CorruptImageError, match="tile-part 0 of tile 0 where 1 is due"):
        decode(_TILED[:second] + _TILED[first:])


def test_missing_tile_parts():
    promised = bytearray(_TILED)
    assert promised[_STARTS[3] + 11] == 1  # TNsot
    promised[_STARTS[3] + 11] = 2
    with pytest.raises(CorruptImageError, match="1 cut short"):
        decode(bytes(promised))


@pytest.mark.parametrize("change", [-1, 1, 1 << 20])
def test_lengths_of_tile_parts(change):
    damaged = bytearray(_TILED)
    at = _STARTS[3] + 6
    (length,) = struct.unpack_from(">I", damaged, at)
    struct.pack_into(">I", damaged, at, length + change)
    with pytest.raises(CorruptImageError, match=r"JPEG 2000: (byte|tile-part)"):
        decode(bytes(damaged))


@pytest.mark.parametrize("family", ["jpeg2000", "htj2k"])
def test_codestreams_with_bytes_missing_or_too_many(family):
    frame = encode_frame(family, _CELLS, 12)
    for at in range(len(frame) // 2, len(frame) - 2, 50):
        for damaged in (
            frame[:at] + frame[-2:],
            frame[:at] + frame[at + 1 :],
            frame[:at] + b"\x12" + frame[at:],
        ):
            with pytest.raises(CorruptImageError):
                decode(damaged)
