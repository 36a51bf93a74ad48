"""A stream with layers made by hand from spec/format.md, sharing no code with the package."""

from __future__ import annotations

import itertools

import container_bytes as by_hand

LAYERS, FRAMES, DOWN, ACROSS = 3, 2, 2, 2
TILE_COUNT = FRAMES * DOWN * ACROSS

PLACES = list(itertools.product(range(LAYERS), range(FRAMES), range(DOWN), range(ACROSS)))
"""Layer, frame, row and column of every payload, in coding order."""

PAYLOADS = [b"%d.%d.%d.%d " % place * (1 + place[0] + place[3]) for place in PLACES]

HEAD = by_hand.head(minor=1, layers=LAYERS - 1, frames=FRAMES, rows=3, columns=4)

SPREAD = (8, 3, 5, 8)
"""Payloads in each DATA chunk; the middle layer has two."""

DATA = [b"".join(PAYLOADS[sum(SPREAD[:chunk]) : sum(SPREAD[: chunk + 1])]) for chunk in range(4)]
INDEX = bytes([len(SPREAD), *SPREAD, *map(len, PAYLOADS)])


def chunks() -> by_hand.Chunks:
    """A sound stream's chunks, to be changed by tests."""
    return [
        (b"HEAD", HEAD),
        (b"PARM", b"parameters"),
        (b"META", by_hand.meta()),
        (b"INDX", INDEX),
        *((b"DATA", data) for data in DATA),
        (b"HASH", by_hand.hash_payload()),
        (b"DONE", b""),
    ]


def stream(parts: by_hand.Chunks | None = None) -> bytes:
    return by_hand.stream(chunks() if parts is None else parts)


def stream_with(chunk_type: bytes, payload: bytes) -> bytes:
    """The sound stream with the payload of one chunk replaced, checksum right."""
    return stream([(t, payload if t == chunk_type else p) for t, p in chunks()])


def ends(parts: by_hand.Chunks | None = None) -> list[int]:
    """Byte after each chunk of :func:`stream`."""
    sizes = (len(by_hand.chunk(*part)) for part in (chunks() if parts is None else parts))
    return [len(by_hand.SIGNATURE) + end for end in itertools.accumulate(sizes)]
