"""Claims are held against limits before memory is taken."""

from __future__ import annotations

import io
import re
import struct
import tracemalloc
import zlib

import container_bytes as by_hand
import pytest

from xraycodec.container import Limits, PartialReader, inspect, parse, read_header, read_length
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
        {"rows": 2**14, "columns": 2**14 + 1, "frames": 1, "tile": 0},
    ],
)
def test_pixels_of_a_frame(claim: dict[str, int]) -> None:
    data = by_hand.stream_with(b"HEAD", by_hand.head(**claim))
    error = refuse(data)
    assert isinstance(error, LimitError)
    assert str(error) == (
        f"chunk 'HEAD' at byte 8 claims frames of {claim['rows']} x {claim['columns']} ="
        f" {claim['rows'] * claim['columns']} pixels; the limit is {2**28} (max_frame_pixels)"
    )
    with pytest.raises(LimitError):
        read_header(data)


@pytest.mark.parametrize(
    "claim",
    [
        {"rows": 1, "columns": 1, "frames": 2**32 - 1, "tile": 1},
        {"rows": 2**14, "columns": 2**14, "frames": 17, "tile": 0},
    ],
)
def test_pixels_of_all_frames(claim: dict[str, int]) -> None:
    data = by_hand.stream_with(b"HEAD", by_hand.head(**claim))
    limit = 2**32 - 2
    error = refuse(data, Limits(max_pixels=limit))
    count = claim["rows"] * claim["columns"] * claim["frames"]
    assert isinstance(error, LimitError)
    assert str(error) == (
        f"chunk 'HEAD' at byte 8 claims {claim['frames']} x {claim['rows']} x {claim['columns']} ="
        f" {count} pixels; the limit is {limit} (max_pixels)"
    )
    with pytest.raises(LimitError):
        read_header(data, Limits(max_pixels=limit))


def test_pixels_for_each_byte() -> None:
    """A claim above what any radiograph has needs a file of some size."""
    head = by_hand.head(rows=2**14, columns=2**14, tile=0)
    data = by_hand.stream_with(b"HEAD", head)
    error = refuse(data)
    assert isinstance(error, LimitError)
    assert str(error) == (
        f"chunk 'HEAD' at byte 8 claims 1 x 16384 x 16384 = {2**28} pixels in {len(data)} bytes;"
        f" the limit is {2**25}, 1024 for each byte (max_expansion)"
    )
    with pytest.raises(LimitError, match="max_expansion"):
        PartialReader.open(io.BytesIO(data))
    assert any("max_expansion" in problem for problem in inspect(data).problems)
    # The first bytes alone do not tell the size of the file.
    assert read_header(data).pixel_count == 2**28


@pytest.mark.parametrize(
    ("lower", "least"), [({"max_expansion": 1, "free_pixels": 1}, 5), ({"free_pixels": 19}, 1)]
)
def test_what_a_small_file_may_claim(lower: dict[str, int], least: int) -> None:
    data = by_hand.stream()
    limits = Limits(**(lower | {"max_expansion": least}))
    assert parse(data, limits).complete
    with pytest.raises(LimitError, match="max_expansion"):
        parse(data, Limits(**(lower | {"max_expansion": 0})))


def test_tiles() -> None:
    claim = by_hand.head(rows=2**14, columns=2**14, tile=1)
    error = refuse(by_hand.stream_with(b"HEAD", claim), Limits(free_pixels=2**28))
    assert isinstance(error, LimitError)
    assert (
        str(error)
        == f"chunk 'HEAD' at byte 8 claims {2**28} tiles; the limit is {2**24} (max_tiles)"
    )


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
        " (max_metadata_bytes)"
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
    message = "chunk 'PARM' at byte 84 claims 65 bytes; the limit is 64 (max_chunk_bytes)"
    assert str(refuse(data, limits)) == message
    with pytest.raises(LimitError, match=re.escape(message)):
        read_length(data, limits)
    assert message in inspect(data, limits).problems


def test_the_number_of_chunks() -> None:
    count = len(by_hand.chunks())
    assert parse(by_hand.stream(), Limits(max_chunks=count)).complete
    message = f"{count - 1} chunks come before byte"
    assert message in str(refuse(by_hand.stream(), Limits(max_chunks=count - 1)))
    with pytest.raises(LimitError, match=message):
        read_length(by_hand.stream(), Limits(max_chunks=count - 1))


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
