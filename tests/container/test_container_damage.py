"""Streams that were cut off or changed on the way: never another picture, never another error."""

from __future__ import annotations

import container_bytes as by_hand
import pytest
from hypothesis import given
from hypothesis import strategies as st

from xraycodec.container import inspect, parse, read_header, read_length
from xraycodec.errors import (
    CorruptError,
    LimitError,
    NotXrcError,
    TruncatedError,
    XrayCodecError,
)

STREAM = by_hand.stream()
PIECES = [by_hand.chunk(*part) for part in by_hand.chunks()]
ENDS = [8 + sum(map(len, PIECES[: number + 1])) for number in range(len(PIECES))]
HEAD_END, _, _, INDX_END, DATA_1_END, DATA_2_END, HASH_END, DONE_END = ENDS


def test_every_flipped_bit_is_detected() -> None:
    for bit in range(8 * len(STREAM)):
        damaged = bytearray(STREAM)
        damaged[bit // 8] ^= 1 << bit % 8
        with pytest.raises((NotXrcError, CorruptError, TruncatedError)) as caught:
            parse(damaged)
        if bit < 64:
            assert caught.type is NotXrcError
        else:
            assert inspect(damaged).problems


def test_every_flipped_bit_leaves_at_most_a_prefix_when_truncation_is_allowed() -> None:
    """A damaged length looks like a cut; what comes before it is all that may be returned."""
    for bit in range(64, 8 * len(STREAM)):
        damaged = bytearray(STREAM)
        damaged[bit // 8] ^= 1 << bit % 8
        try:
            container = parse(damaged, allow_truncated=True)
        except XrayCodecError:
            continue
        assert not container.complete
        tiles = tuple(container.payloads)
        assert tiles == by_hand.TILES[: len(tiles)]


@pytest.mark.parametrize("length", range(len(STREAM)))
def test_every_truncation(length: int) -> None:
    cut = STREAM[:length]
    if length < 8:
        with pytest.raises(NotXrcError):
            parse(cut, allow_truncated=True)
        return
    intact = 6 if length >= DATA_2_END else 4 if length >= DATA_1_END else 0
    count = f"{intact} of 6 tiles are intact" if length >= HEAD_END else "no tile is intact"
    with pytest.raises(TruncatedError, match=count):
        parse(cut)
    with pytest.raises(TruncatedError):
        read_length(cut)
    inspection = inspect(cut)
    assert len(inspection.problems) == 1
    assert inspection.tiles_intact == intact
    if length < INDX_END:
        with pytest.raises(TruncatedError, match="before the end of 'INDX'; no tile can be found"):
            parse(cut, allow_truncated=True)
        return
    container = parse(cut, allow_truncated=True)
    assert not container.complete
    assert tuple(container.payloads) == by_hand.TILES[:intact]
    assert container.dicom == by_hand.DICOM
    assert container.pixel_hash == (by_hand.DIGEST if length >= HASH_END else b"")


def test_a_whole_stream_is_complete_where_truncation_is_allowed() -> None:
    container = parse(STREAM, allow_truncated=True)
    assert container.complete
    assert tuple(container.payloads) == by_hand.TILES


def test_damage_is_not_excused_where_truncation_is_allowed() -> None:
    damaged = bytearray(STREAM[:HASH_END])
    damaged[INDX_END + 10] ^= 1
    with pytest.raises(CorruptError):
        parse(damaged, allow_truncated=True)


def test_the_header_is_read_from_a_prefix() -> None:
    for length in range(8, HEAD_END):
        with pytest.raises(TruncatedError):
            read_header(STREAM[:length])
    assert read_header(STREAM[:HEAD_END]) == parse(STREAM).header


def test_inspection_of_a_sound_stream() -> None:
    inspection = inspect(STREAM)
    assert inspection.problems == ()
    assert inspection.size_bytes == len(STREAM)
    assert inspection.chunks == parse(STREAM).chunks
    assert [chunk.offset for chunk in inspection.chunks] == [8, *ENDS[:-1]]
    assert [chunk.end for chunk in inspection.chunks] == ENDS
    assert all(chunk.crc_ok for chunk in inspection.chunks)
    assert inspection.header == parse(STREAM).header
    assert inspection.parameters == b"parameters"
    assert inspection.metadata_bytes == len(by_hand.DICOM)
    assert inspection.payload_bytes == sum(map(len, by_hand.TILES))
    assert inspection.tiles_intact == 6
    assert inspection.pixel_hash == by_hand.DIGEST


def test_inspection_goes_on_after_each_damaged_chunk() -> None:
    for place in range(len(PIECES)):
        pieces = list(PIECES)
        pieces[place] = pieces[place][:-1] + bytes([pieces[place][-1] ^ 1])
        inspection = inspect(by_hand.SIGNATURE + b"".join(pieces))
        assert [chunk.crc_ok for chunk in inspection.chunks] == [n != place for n in range(8)]
        assert len(inspection.problems) == 1
        assert "stores CRC-32" in inspection.problems[0]
        assert (inspection.header is None) == (place == 0)
        assert (inspection.pixel_hash is None) == (place == 6)
        # Without HEAD or INDX no tile can be told from another.
        assert inspection.tiles_intact == {0: 0, 3: 0, 4: 2, 5: 4}.get(place, 6)


def test_inspection_reports_a_damaged_type_once() -> None:
    damaged = STREAM.replace(b"PARM", b"PARN")
    inspection = inspect(damaged)
    assert len(inspection.problems) == 1
    assert inspection.problems[0].startswith("chunk 'PARN' at byte 84 stores CRC-32")
    assert inspection.tiles_intact == 6


def test_inspection_lists_every_problem() -> None:
    parts = by_hand.chunks()
    parts[0] = (b"HEAD", by_hand.head(rows=2**30))
    parts[2] = (b"META", by_hand.meta(kind=7))
    parts[6] = (b"HASH", b"")
    inspection = inspect(by_hand.stream(parts) + b"\0")
    assert [problem.split(" at byte")[0] for problem in inspection.problems] == [
        "chunk 'HEAD'",
        "chunk 'META'",
        "chunk 'HASH'",
        "1 bytes follow chunk 'DONE'",
    ]
    assert inspection.header is not None  # sound, only larger than the limits
    assert inspection.header.rows == 2**30
    assert inspection.metadata_bytes is None


@given(st.lists(st.binary(max_size=80), max_size=6), st.booleans())
def test_any_chunks_end_in_a_typed_error(payloads: list[bytes], allow_truncated: bool) -> None:
    """Right frames around arbitrary content reach every parser behind the checksum."""
    types = [b"HEAD", b"PARM", b"META", b"INDX", b"DATA", b"HASH"]
    sound = by_hand.chunks()
    for place, payload in enumerate(payloads):
        parts = [(t, payload if t == types[place] else p) for t, p in sound]
        data = by_hand.stream(parts)
        inspect(data)
        try:
            parse(data, allow_truncated=allow_truncated)
        except (XrayCodecError, LimitError):
            continue


@given(st.binary(max_size=300))
def test_any_bytes_after_the_signature_end_in_a_typed_error(tail: bytes) -> None:
    with pytest.raises(XrayCodecError):
        parse(by_hand.SIGNATURE + tail)
    assert inspect(by_hand.SIGNATURE + tail).problems
