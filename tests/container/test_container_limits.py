"""Claims are held against limits before memory is taken."""

from __future__ import annotations

import struct
import tracemalloc
import zlib

import container_bytes as by_hand
import pytest

from xraycodec.container import Limits, inspect, parse, read_header, read_length
from xraycodec.errors import CorruptError, LimitError, TruncatedError, XrayCodecError

MAX_U32 = 2**32 - 1
FEW_BYTES = 300_000


def refuse(data: bytes, limits: Limits = Limits()) -> XrayCodecError:  # noqa: B008
    """The error that ``parse`` raises, having taken next to no memory."""
    with pytest.raises(XrayCodecError):  # imports and caches are not to be counted
        parse(data, limits)
    tracemalloc.start()
    try:
        with pytest.raises(XrayCodecError) as caught:
            parse(data, limits)
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert peak < FEW_BYTES
    return caught.value


@pytest.mark.parametrize(
    "claim",
    [
        {"rows": MAX_U32, "columns": MAX_U32, "frames": MAX_U32, "tile": 0},
        {"rows": 2**15, "columns": 2**15, "frames": 2, "tile": 0},
        {"rows": 1, "columns": 1, "frames": 2**30 + 1, "tile": 1},
    ],
)
def test_pixels(claim: dict[str, int]) -> None:
    data = by_hand.stream_with(b"HEAD", by_hand.head(**claim))
    error = refuse(data)
    count = claim["rows"] * claim["columns"] * claim["frames"]
    assert isinstance(error, LimitError)
    assert str(error) == (
        f"chunk 'HEAD' at byte 8 claims {claim['frames']} x {claim['rows']} x {claim['columns']} ="
        f" {count} pixels; the limit is {2**30}"
    )
    with pytest.raises(LimitError):
        read_header(data)


def test_tiles() -> None:
    claim = by_hand.head(rows=2**15, columns=2**15, tile=1)
    error = refuse(by_hand.stream_with(b"HEAD", claim))
    assert isinstance(error, LimitError)
    assert str(error) == f"chunk 'HEAD' at byte 8 claims {2**30} tiles; the limit is {2**24}"


def test_an_index_that_is_shorter_than_its_tiles_takes_no_memory() -> None:
    claim = by_hand.head(rows=2**12, columns=2**12, tile=1)
    error = refuse(by_hand.stream_with(b"HEAD", claim))
    assert isinstance(error, CorruptError)
    assert "9 bytes; 16777216 tiles need 16777218 to" in str(error)


def test_metadata() -> None:
    bomb = by_hand.meta(compression=1, size=MAX_U32, body=zlib.compress(by_hand.DICOM))
    error = refuse(by_hand.stream_with(b"META", bomb))
    assert isinstance(error, LimitError)
    assert str(error) == (
        f"chunk 'META' at byte 106 claims {MAX_U32} bytes of metadata; the limit is {2**28}"
    )


def test_metadata_is_inflated_no_further_than_its_claim() -> None:
    bomb = by_hand.meta(compression=1, size=1000, body=zlib.compress(bytes(10**7)))
    error = refuse(by_hand.stream_with(b"META", bomb))
    assert isinstance(error, CorruptError)
    assert "claims 1000 bytes of metadata; it inflates to more than 1000" in str(error)


def test_metadata_that_claims_more_than_it_holds_takes_what_it_holds() -> None:
    claim = by_hand.meta(compression=1, size=2**28, body=zlib.compress(by_hand.DICOM))
    assert isinstance(refuse(by_hand.stream_with(b"META", claim)), CorruptError)


def test_chunks() -> None:
    limits = Limits(max_chunk_bytes=64)
    assert parse(by_hand.stream(), limits).complete
    data = by_hand.stream_with(b"PARM", bytes(65))
    message = "chunk 'PARM' at byte 84 claims 65 bytes; the limit is 64"
    assert str(refuse(data, limits)) == message
    with pytest.raises(LimitError, match=message):
        read_length(data, limits)
    assert message in inspect(data, limits).problems


def test_a_huge_chunk_that_is_not_there() -> None:
    data = by_hand.stream([]) + struct.pack("<4sI", b"HEAD", 2**31 - 1)
    assert isinstance(refuse(data), TruncatedError)


def test_limits_are_inclusive_and_can_be_set() -> None:
    exact = Limits(
        max_pixels=20, max_metadata_bytes=len(by_hand.DICOM), max_chunk_bytes=64, max_tiles=6
    )
    assert parse(by_hand.stream(), exact).complete
    for lower in (
        Limits(max_pixels=19),
        Limits(max_metadata_bytes=len(by_hand.DICOM) - 1),
        Limits(max_chunk_bytes=63),
        Limits(max_tiles=5),
    ):
        assert isinstance(refuse(by_hand.stream(), lower), LimitError)
        assert len(inspect(by_hand.stream(), lower).problems) == 1


def test_tiles_cost_a_few_machine_words_each() -> None:
    """Views are made when asked for, so that a hundred thousand tiles are no burden."""
    count = 300 * 300
    parts = [
        (b"HEAD", by_hand.head(rows=300, columns=300, tile=1)),
        (b"PARM", b""),
        (b"INDX", b"\x01" + b"\x90\xbf\x05" + b"\x01" * count),
        (b"DATA", bytes(count)),
        *by_hand.chunks()[-2:],
    ]
    data = by_hand.stream(parts)
    tracemalloc.start()
    container = parse(data)
    held, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert len(container.payloads) == count
    assert held < 20 * count
    assert peak < 60 * count
