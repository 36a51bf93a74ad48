"""Reading parts of a stream (spec/format.md, 6.1): what is read, what is checked, what is not."""

from __future__ import annotations

import io
import itertools
import re
import struct
import tracemalloc
from pathlib import Path

import container_bytes as by_hand
import layered_bytes as layered
import pytest
from hypothesis import given
from hypothesis import strategies as st

from xraycodec.container import Limits, PartialReader, framing, parse
from xraycodec.errors import (
    CorruptError,
    FormatError,
    LimitError,
    NotXrcError,
    OptionError,
    TruncatedError,
    UnsupportedFormatError,
    XrayCodecError,
)

STREAM = layered.stream()
ENDS = layered.ends()
FRONT_END = ENDS[3]
DATA_ENDS = ENDS[4:8]
DATA_STARTS = [FRONT_END, *DATA_ENDS[:-1]]
CHUNK_OF = [chunk for chunk, count in enumerate(layered.SPREAD) for _ in range(count)]
FRAME = 8


class Recording(io.BytesIO):
    """A file that remembers which bytes of it were read, and how often."""

    def __init__(self, content: bytes) -> None:
        super().__init__(content)
        self.touched: list[int] = []

    def read(self, size: int | None = -1) -> bytes:
        start = self.tell()
        found = super().read(size)
        self.touched += range(start, start + len(found))
        return found


def opened(data: bytes, limits: Limits = Limits()) -> PartialReader:  # noqa: B008
    return PartialReader.open(io.BytesIO(data), limits)


def test_the_front_matter_is_that_of_the_whole_stream() -> None:
    reader, container = opened(STREAM), parse(STREAM)
    assert reader.header == container.header
    assert reader.parameters == container.parameters
    assert reader.dicom == container.dicom == by_hand.DICOM
    assert reader.index.payload_bytes.tolist() == [len(payload) for payload in layered.PAYLOADS]
    assert reader.size_bytes == len(STREAM)
    without = [part for part in layered.chunks() if part[0] != b"META"]
    assert opened(layered.stream(without)).dicom is None


@given(
    st.lists(st.lists(st.integers(0, 23)), min_size=1, max_size=3),
    st.lists(st.integers(1, 9), max_size=4),
)
def test_any_subset_in_any_order_gives_what_the_whole_stream_gives(
    requests: list[list[int]], notes: list[int]
) -> None:
    parts = layered.chunks()
    for place in notes:
        parts.insert(place, (b"noTE", b"something in between"))
    reader = opened(layered.stream(parts))
    for request in requests:
        found = reader.read(request)
        assert list(found) == sorted(set(request))
        assert all(found[place] == layered.PAYLOADS[place] for place in found)


@pytest.mark.parametrize(
    "request_", [[], [0], [23], [9], [8, 12], list(range(8)), list(range(16)), list(range(24))]
)
def test_nothing_is_read_but_frames_and_the_chunks_asked_for(request_: list[int]) -> None:
    file = Recording(STREAM)
    reader = PartialReader.open(file)
    assert sorted(file.touched) == list(range(FRONT_END))
    reader.read(request_)
    needed = {CHUNK_OF[place] for place in request_}
    due = list(range(FRONT_END))
    for chunk in range(max(needed, default=-1) + 1):
        start = DATA_STARTS[chunk]
        due += range(start, DATA_ENDS[chunk] if chunk in needed else start + FRAME)
    assert sorted(file.touched) == due  # each byte once
    assert reader.bytes_read == len(due)


def test_frames_are_stepped_over_once() -> None:
    file = Recording(STREAM)
    reader = PartialReader.open(file)
    reader.read([23])
    before = len(file.touched)
    reader.read([0])
    assert sorted(file.touched[before:]) == list(range(FRONT_END + FRAME, DATA_ENDS[0]))


def test_a_chunk_is_read_once_for_all_its_payloads_and_again_if_asked_again() -> None:
    reader = opened(STREAM)
    reader.read([0, 7, 3])
    once = reader.bytes_read
    assert once == DATA_ENDS[0]
    reader.read([3])
    assert reader.bytes_read == once + DATA_ENDS[0] - FRONT_END - FRAME


def test_a_stream_without_layers(tmp_path: Path) -> None:
    path = tmp_path / "chest.xrc"
    path.write_bytes(by_hand.stream())
    with path.open("rb") as file:
        reader = PartialReader.open(file)
        assert reader.read([1, 4]) == {1: b"", 4: b"five five"}


def test_a_raw_file_that_gives_less_than_asked_for() -> None:
    class Slow(io.BytesIO):
        def read(self, size: int | None = -1) -> bytes:
            return super().read(min(3, size or 0))

    reader = PartialReader.open(Slow(STREAM))
    assert reader.read([9, 20]) == {9: layered.PAYLOADS[9], 20: layered.PAYLOADS[20]}


@pytest.mark.parametrize("place", [-1, 24, 10**9])
def test_a_payload_that_does_not_exist(place: int) -> None:
    with pytest.raises(OptionError, match=f"no payload {place}; allowed are 0 to 23"):
        opened(STREAM).read([3, place])


# Damage


def test_damage_is_noticed_in_what_is_read_and_nowhere_else() -> None:
    for at in range(len(STREAM)):
        damaged = bytearray(STREAM)
        damaged[at] ^= 0x10
        for wanted in range(4):
            read = at < FRONT_END or DATA_STARTS[wanted] <= at < DATA_ENDS[wanted]
            frame = any(start <= at < start + FRAME for start in DATA_STARTS[:wanted])
            place = CHUNK_OF.index(wanted)
            if read or frame:
                with pytest.raises(FormatError):
                    opened(bytes(damaged)).read([place])
            else:
                assert opened(bytes(damaged)).read([place]) == {place: layered.PAYLOADS[place]}


def test_damage_in_front_is_the_error_that_the_whole_stream_gives() -> None:
    for bit in range(8 * FRONT_END):
        damaged = bytearray(STREAM)
        damaged[bit // 8] ^= 1 << bit % 8
        with pytest.raises(FormatError) as due:
            parse(damaged)
        with pytest.raises(FormatError) as caught:
            opened(bytes(damaged))
        assert caught.type is due.type
        assert str(due.value).startswith(str(caught.value))


def test_any_flipped_bit_gives_the_payload_or_a_typed_error() -> None:
    for bit in range(8 * FRONT_END, 8 * len(STREAM)):
        damaged = bytearray(STREAM)
        damaged[bit // 8] ^= 1 << bit % 8
        reader = opened(bytes(damaged))
        for place in (23, 9):
            try:
                assert reader.read([place]) == {place: layered.PAYLOADS[place]}
            except FormatError:
                continue


def test_a_wrong_checksum_has_the_words_of_parse() -> None:
    damaged = bytearray(STREAM)
    damaged[DATA_ENDS[1] - 1] ^= 1
    with pytest.raises(CorruptError) as due:
        parse(damaged)
    with pytest.raises(CorruptError, match=re.escape(str(due.value))):
        opened(bytes(damaged)).read([0, 9, 23])


def test_other_payloads_can_be_read_after_an_error() -> None:
    damaged = bytearray(STREAM)
    damaged[DATA_ENDS[1] - 1] ^= 1
    reader = opened(bytes(damaged))
    for _ in range(2):
        with pytest.raises(CorruptError, match="stores CRC-32"):
            reader.read([9])
        assert reader.read([0, 23]) == {0: layered.PAYLOADS[0], 23: layered.PAYLOADS[23]}


def test_a_data_chunk_whose_type_was_damaged_is_not_passed_over_as_ancillary() -> None:
    """Its successor has the length that INDX lists for it, and a sound checksum."""
    tiles = (b"one", b"two", b"six", b"ten", b"red", b"sky")
    parts = by_hand.chunks()
    parts[3:6] = [(b"INDX", bytes([6, *[1] * 6, *[3] * 6])), *((b"DATA", tile) for tile in tiles)]
    sound = by_hand.stream(parts)
    assert opened(sound).read([2]) == {2: b"six"}
    damaged = bytearray(sound)
    damaged[sound.index(b"two") - FRAME] ^= 0x20
    reader = opened(bytes(damaged))
    for place in (1, 2, 5, 1):
        with pytest.raises(CorruptError, match=r"'dATA' at byte .* stores CRC-32"):
            reader.read([place])
    assert reader.read([0]) == {0: b"one"}


def test_ancillary_chunks_on_the_way_are_checked_and_later_ones_are_not() -> None:
    parts = layered.chunks()
    parts.insert(6, (b"noTE", b"hello"))
    data = bytearray(layered.stream(parts))
    data[data.index(b"hello")] ^= 1
    reader = opened(bytes(data))
    assert reader.read([0, 9]) == {0: layered.PAYLOADS[0], 9: layered.PAYLOADS[9]}
    for _ in range(2):
        with pytest.raises(CorruptError, match=r"chunk 'noTE' at byte .* stores CRC-32"):
            reader.read([23])


# Chunks other than INDX lists


def assert_refused(
    parts: by_hand.Chunks, place: int, error: type[XrayCodecError], message: str
) -> None:
    """Reading a payload is refused, and still so when it is asked for again."""
    reader = opened(layered.stream(parts))
    for _ in range(2):
        with pytest.raises(error, match=message) as caught:
            reader.read([place])
        assert type(caught.value) is error


def test_a_data_chunk_of_another_length() -> None:
    parts = layered.chunks()
    # The next chunk's length, so that a reader that loses count would be content.
    parts[5] = (b"DATA", bytes(len(parts[6][1])))
    listed = len(layered.DATA[1])
    message = f"'DATA' at byte {DATA_STARTS[1]} has {len(parts[6][1])} bytes; 'INDX' lists {listed}"
    for place in (8, 11, 23):
        assert_refused(parts, place, CorruptError, message)


def test_fewer_data_chunks_than_the_index_lists() -> None:
    parts = layered.chunks()
    del parts[7]
    assert opened(layered.stream(parts)).read([15]) == {15: layered.PAYLOADS[15]}
    reader = opened(layered.stream(parts))
    with pytest.raises(CorruptError, match="follows 3 DATA chunks; 'INDX' lists 4"):
        reader.read([16])


@pytest.mark.parametrize("place", [4, 5])
def test_a_known_chunk_out_of_order(place: int) -> None:
    parts = layered.chunks()
    parts.insert(place, (b"PARM", b""))
    assert_refused(parts, 23, CorruptError, "; allowed there: ")


def test_no_data_at_all() -> None:
    parts = [part for part in layered.chunks() if part[0] != b"DATA"]
    assert_refused(parts, 0, CorruptError, "; allowed there: ")


@pytest.mark.parametrize(
    ("raw", "message"),
    [(b"CROP", "is critical and unknown"), (b"noxE", "lower-case third letter")],
)
def test_a_chunk_of_a_later_version_on_the_way(raw: bytes, message: str) -> None:
    parts = layered.chunks()
    parts.insert(6, (raw, b""))
    assert opened(layered.stream(parts)).read([8]) == {8: layered.PAYLOADS[8]}
    assert_refused(parts, 23, UnsupportedFormatError, message)


@pytest.mark.parametrize("reserved", [2, 200])
def test_a_front_that_is_of_a_later_version(reserved: int) -> None:
    data = layered.stream_with(b"HEAD", by_hand.head(major=reserved))
    with pytest.raises(UnsupportedFormatError, match=f"version {reserved}.0"):
        opened(data)


def test_too_many_chunks(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(framing, "MAX_CHUNKS", 6)
    reader = opened(STREAM)
    assert reader.read([8]) == {8: layered.PAYLOADS[8]}
    with pytest.raises(CorruptError, match="no 'DONE' among the 6 chunks before byte"):
        reader.read([23])


def test_more_chunks_than_the_format_allows_are_not_searched(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(framing, "MAX_CHUNKS", 50)
    parts = layered.chunks()
    parts[1:1] = [(b"noTE", b"")] * 60
    with pytest.raises(CorruptError, match="among the 50 chunks"):
        opened(layered.stream(parts))


# Files that end early or late


@pytest.mark.parametrize("length", range(len(STREAM)))
def test_a_file_that_was_cut_off(length: int) -> None:
    cut = STREAM[:length]
    if length < FRONT_END:
        with pytest.raises(NotXrcError if length < 8 else TruncatedError):
            opened(cut)
        return
    reader = opened(cut)
    for chunk, end in enumerate(DATA_ENDS):
        place = CHUNK_OF.index(chunk)
        if length >= end:
            assert reader.read([place]) == {place: layered.PAYLOADS[place]}
        else:
            with pytest.raises(TruncatedError):
                reader.read([place])


def test_the_first_layer_of_a_prefix() -> None:
    reader = opened(STREAM[: DATA_ENDS[0]])
    found = reader.read(range(reader.header.tile_count))
    assert list(found.values()) == layered.PAYLOADS[:8]
    assert reader.bytes_read == DATA_ENDS[0]


def test_what_lies_behind_is_not_looked_at() -> None:
    reader = opened(STREAM[: DATA_ENDS[1]] + b"\0 no chunk at all")
    assert reader.read([9]) == {9: layered.PAYLOADS[9]}


def test_a_file_that_shrinks_while_it_is_open() -> None:
    file = io.BytesIO(STREAM)
    reader = PartialReader.open(file)
    file.truncate(DATA_ENDS[0] - 1)
    with pytest.raises(TruncatedError, match=f"inside chunk 'DATA' at byte {FRONT_END} while it"):
        reader.read([0])


# Limits


def test_limits_are_held_before_memory_is_taken() -> None:
    longest = max(map(len, layered.DATA))
    assert opened(STREAM, Limits(max_chunk_bytes=longest)).read([23])
    reader = opened(STREAM, Limits(max_chunk_bytes=longest - 1))
    assert reader.read([0])
    with pytest.raises(LimitError, match=f"claims {longest} bytes; the limit is {longest - 1}"):
        reader.read([23])
    for limits in (
        Limits(max_pixels=23),
        Limits(max_tiles=23),
        Limits(max_metadata_bytes=len(by_hand.DICOM) - 1),
        Limits(max_chunk_bytes=63),
    ):
        with pytest.raises(LimitError):
            opened(STREAM, limits)


@pytest.mark.parametrize(
    ("data", "error"),
    [
        (by_hand.SIGNATURE + struct.pack("<4sI", b"HEAD", 2**31 - 1), TruncatedError),
        (by_hand.SIGNATURE + struct.pack("<4sI", b"HEAD", 2**31), CorruptError),
        (STREAM[: ENDS[1]] + struct.pack("<4sI", b"META", 2**31 - 1), TruncatedError),
        (STREAM[: ENDS[2]] + struct.pack("<4sI", b"INDX", 2**31 - 1), TruncatedError),
        (
            layered.stream_with(b"META", by_hand.meta(compression=1, size=2**32 - 1)),
            LimitError,
        ),
        (
            layered.stream_with(b"HEAD", by_hand.head(layers=7, rows=2**12, columns=2**12, tile=1)),
            LimitError,
        ),
        (
            layered.stream_with(b"HEAD", by_hand.head(layers=7, rows=2**10, columns=2**11, tile=1)),
            CorruptError,
        ),
    ],
)
def test_claims_take_no_memory(data: bytes, error: type[XrayCodecError]) -> None:
    with pytest.raises(error):  # imports and caches are not to be counted
        opened(data)
    tracemalloc.start()
    try:
        with pytest.raises(error):
            opened(data)
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert peak < 300_000


def test_a_chunk_that_claims_what_the_index_lists_but_is_not_there() -> None:
    size = b"\xff\xff\xff\xff\x07"  # 2^31 - 1
    index = bytes([4, 8, 8, 7, 1, *[1] * 23]) + size
    parts = [*layered.chunks()[:3], (b"INDX", index)]
    parts += [(b"DATA", bytes(count)) for count in (8, 8, 7)]
    data = layered.stream(parts) + struct.pack("<4sI", b"DATA", 2**31 - 1)
    reader = opened(data)
    with pytest.raises(TruncatedError, match="claims 2147483647 bytes and ends at byte"):
        reader.read([23])
    assert reader.read([22]) == {22: b"\0"}


@given(st.lists(st.binary(max_size=60), max_size=5), st.integers(0, 23))
def test_any_content_ends_in_a_typed_error(payloads: list[bytes], place: int) -> None:
    types = itertools.chain([b"HEAD", b"PARM", b"META", b"INDX"], itertools.repeat(b"DATA"))
    sound = layered.chunks()
    parts = [*zip(types, payloads, strict=False), *sound[len(payloads) :]]
    try:
        opened(layered.stream(parts)).read([place])
    except XrayCodecError:
        return
