"""Streams whose tiles are stored in several layers (spec/format.md, 5.1, 5.4 and 5.5)."""

from __future__ import annotations

import itertools
import re
import tracemalloc
from dataclasses import replace

import container_bytes as by_hand
import layered_bytes as layered
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from xraycodec.container import Header, Limits, build, inspect, pack_header, parse, read_header
from xraycodec.errors import (
    CorruptError,
    LimitError,
    OptionError,
    TruncatedError,
    UnsupportedFormatError,
    XrayCodecError,
)

HEADER = Header(
    signed=False,
    exact=True,
    bits_stored=12,
    photometric_interpretation="MONOCHROME2",
    frames=2,
    rows=3,
    columns=4,
    tile=2,
    max_error=0,
    codec="TEST",
    model=bytes(range(32)),
    layers=3,
)
STREAM = layered.stream()
INDX_END, *DATA_ENDS = layered.ends()[3:8]


def test_a_stream_made_by_hand_from_the_spec_is_read() -> None:
    container = parse(STREAM)
    assert container.header == HEADER
    assert list(container.payloads) == layered.PAYLOADS
    assert inspect(STREAM).problems == ()


def test_the_writer_gives_the_bytes_that_the_spec_says() -> None:
    parts = layered.chunks()
    parts[3:8] = [
        (b"INDX", bytes([3, 8, 8, 8, *map(len, layered.PAYLOADS)])),
        (b"DATA", layered.DATA[0]),
        (b"DATA", layered.DATA[1] + layered.DATA[2]),
        (b"DATA", layered.DATA[3]),
    ]
    written = build(HEADER, b"parameters", layered.PAYLOADS, by_hand.DIGEST, by_hand.DICOM)
    assert written == layered.stream(parts)


@settings(max_examples=60)
@given(st.data(), st.sampled_from([*range(1, 10), 31, 32]), st.integers(1, 2), st.integers(1, 5))
def test_round_trip(data: st.DataObject, layers: int, frames: int, rows: int) -> None:
    header = replace(HEADER, layers=layers, frames=frames, rows=rows)
    count = header.payload_count
    size = st.sampled_from([0, 1, 127, 128, 30_000, 70_000])
    sizes = data.draw(st.lists(size, min_size=count, max_size=count))
    payloads = [bytes([number % 256]) * size for number, size in enumerate(sizes)]
    written = build(header, b"", payloads, by_hand.DIGEST)
    container = parse(written)
    assert container.header == read_header(written) == header
    assert list(container.payloads) == payloads
    assert inspect(written).layers_intact == layers


def test_payloads_are_in_the_order_layer_frame_row_column() -> None:
    assert (HEADER.tile_count, HEADER.payload_count) == (8, 24)
    assert [HEADER.payload_index(*place) for place in layered.PLACES] == list(range(24))
    payloads = parse(STREAM).payloads
    assert payloads[HEADER.payload_index(1, 0, 1, 0)] == b"1.0.1.0 1.0.1.0 "


@pytest.mark.parametrize("axis", range(4))
@pytest.mark.parametrize("beyond", [-1, 1])
def test_there_is_no_payload_beyond_the_grid(axis: int, beyond: int) -> None:
    place = [2, 1, 1, 1] if beyond > 0 else [0, 0, 0, 0]
    HEADER.payload_index(*place)
    place[axis] += beyond
    layer, frame, row, column = place
    message = f"no payload at layer {layer}, frame {frame}, row {row}, column {column}; there are"
    with pytest.raises(OptionError, match=message):
        HEADER.payload_index(*place)


@pytest.mark.parametrize("layers", [0, 33])
def test_the_header_refuses(layers: int) -> None:
    with pytest.raises(OptionError, match=f"layers is {layers}; allowed are 1 to 32"):
        replace(HEADER, layers=layers)


@pytest.mark.parametrize("layers", range(1, 33))
def test_version_and_layers_in_the_bytes_of_head(layers: int) -> None:
    packed = pack_header(replace(HEADER, layers=layers))
    assert packed[:2] == bytes([1, (layers > 1) + (layers > 8)])
    assert packed[5:8] == bytes([layers - 1, 0, 0])


def test_layers_do_not_hang_on_the_minor_version() -> None:
    for minor in (0, 1, 2, 9):
        head = by_hand.head(minor=minor, layers=2, frames=2, rows=3)
        assert parse(layered.stream_with(b"HEAD", head)).header == HEADER


def test_a_stream_of_32_layers_made_by_hand_from_the_spec() -> None:
    payloads = [bytes([number]) * (number % 3) for number in range(32)]
    parts = [
        (b"HEAD", by_hand.head(minor=2, layers=31, rows=2, columns=2)),
        (b"PARM", b""),
        (b"INDX", bytes([32, *[1] * 32, *map(len, payloads)])),
        *((b"DATA", payload) for payload in payloads),
        (b"HASH", by_hand.hash_payload()),
        (b"DONE", b""),
    ]
    header = replace(HEADER, layers=32, frames=1, rows=2, columns=2)
    assert build(header, b"", payloads, by_hand.DIGEST) == by_hand.stream(parts)
    container = parse(by_hand.stream(parts))
    assert (container.header, list(container.payloads)) == (header, payloads)


def test_a_claim_of_many_payloads_takes_no_memory() -> None:
    """2^20 tiles of 32 layers: refused before an array of their number is made."""
    head = by_hand.head(minor=2, layers=31, rows=2**11, columns=2**11)
    data = layered.stream_with(b"HEAD", head)
    tracemalloc.start()
    try:
        with pytest.raises(LimitError, match="claims 32 layers of 1048576 tiles = 33554432 pay"):
            parse(data)
        with pytest.raises(CorruptError, match="has 29 bytes; 32 layers of 1048576 tiles need"):
            parse(data, Limits(max_tiles=2**40))
        assert tracemalloc.get_traced_memory()[1] < 2**20
    finally:
        tracemalloc.stop()


def test_the_writer_wants_every_payload() -> None:
    message = "8 payloads given; the header's image has 24: 8 tiles, 3 layers"
    with pytest.raises(OptionError, match=message):
        build(HEADER, b"", [b""] * 8, by_hand.DIGEST)


def test_a_data_chunk_is_closed_at_64_kib_and_where_a_layer_ends() -> None:
    header = replace(HEADER, frames=1, rows=2)  # 2 tiles
    sizes = [2**14, 5, 7, 8, 9, 2**14]
    chunks = parse(build(header, b"", [bytes(size) for size in sizes], by_hand.DIGEST)).chunks
    lengths = [chunk.length for chunk in chunks if chunk.type == "DATA"]
    assert lengths == [2**14, 5, 15, 9 + 2**14]


def assert_rejected(data: bytes, error: type[XrayCodecError], message: str) -> None:
    with pytest.raises(error, match=re.escape(message)) as caught:
        parse(data)
    assert type(caught.value) is error
    assert str(caught.value) in inspect(data).problems


@pytest.mark.parametrize("value", [32, 33, 255])
def test_more_layers_than_this_version_knows(value: int) -> None:
    data = layered.stream_with(b"HEAD", by_hand.head(minor=2, layers=value))
    message = f"chunk 'HEAD' at byte 8 has {value + 1} layers; this reader knows 1 to 32"
    assert_rejected(data, UnsupportedFormatError, message)


@pytest.mark.parametrize("reserved", [b"\0\1", b"\1\0"])
def test_what_is_still_reserved_beside_layers(reserved: bytes) -> None:
    head = by_hand.head(minor=1, layers=2, reserved=reserved)
    message = f"has reserved bytes {reserved.hex(' ')}"
    assert_rejected(layered.stream_with(b"HEAD", head), UnsupportedFormatError, message)


@pytest.mark.parametrize(
    ("spread", "chunk"), [((8, 9, 7), 1), ((24,), 0), ((8, 7, 2, 7), 2), ((7, 17), 1)]
)
def test_a_data_chunk_of_two_layers(spread: tuple[int, ...], chunk: int) -> None:
    parts = layered.chunks()
    parts[3] = (b"INDX", bytes([len(spread), *spread, *map(len, layered.PAYLOADS)]))
    everything = b"".join(layered.PAYLOADS)
    starts = [sum(map(len, layered.PAYLOADS[: sum(spread[:n])])) for n in range(len(spread) + 1)]
    pairs = itertools.pairwise(starts)
    parts[4:8] = [(b"DATA", everything[start:stop]) for start, stop in pairs]
    assert_rejected(
        layered.stream(parts),
        CorruptError,
        f"gives DATA chunk {chunk} tiles of several layers; each must have those of one",
    )


@pytest.mark.parametrize(
    ("index", "message"),
    [
        (bytes([1, 8, *[1] * 8]), "has 10 bytes; 3 layers of 8 tiles need 26 to 245"),
        (layered.INDEX[:-1], "has 28 numbers; 4 DATA chunks and 3 layers of 8 tiles need 29"),
        (
            bytes([4, 8, 3, 5, 7]) + layered.INDEX[5:],
            "spreads 23 tiles over DATA; the image has 3 layers of 8 tiles",
        ),
    ],
)
def test_an_index_of_other_layers(index: bytes, message: str) -> None:
    assert_rejected(layered.stream_with(b"INDX", index), CorruptError, message)


def test_the_limit_on_tiles_counts_each_once_a_layer() -> None:
    assert parse(STREAM, Limits(max_tiles=24)).complete
    message = "chunk 'HEAD' at byte 8 claims 3 layers of 8 tiles = 24 payloads; the limit is 23"
    for read in (parse, read_header):
        with pytest.raises(LimitError, match=message):
            read(STREAM, Limits(max_tiles=23))


@pytest.mark.parametrize("length", range(INDX_END, len(STREAM), 3))
def test_a_stream_that_was_cut_off_holds_a_prefix(length: int) -> None:
    cut = STREAM[:length]
    whole = sum(end <= length for end in DATA_ENDS)
    intact = sum(layered.SPREAD[:whole])
    container = parse(cut, allow_truncated=True)
    assert list(container.payloads) == layered.PAYLOADS[:intact]
    assert not container.complete
    message = {
        0: "0 of 3 layers are intact",
        8: "1 of 3 layers are intact",
        11: "1 of 3 layers are intact, and 3 of 8 tiles of the next",
        16: "2 of 3 layers are intact",
        24: "3 of 3 layers are intact",
    }[intact]
    with pytest.raises(TruncatedError, match=f"; {message}$"):
        parse(cut)
    inspection = inspect(cut)
    assert (inspection.layers_intact, inspection.tiles_intact) == (intact // 8, intact // 24 * 8)


@pytest.mark.parametrize(
    ("damaged", "layers", "tiles"), [(0, 0, 0), (1, 1, 5), (2, 1, 3), (3, 2, 0), (4, 3, 8)]
)
def test_inspection_counts_what_damage_leaves(damaged: int, layers: int, tiles: int) -> None:
    data = bytearray(STREAM)
    data[layered.ends()[4 + damaged] - 1] ^= 1
    inspection = inspect(data)
    assert len(inspection.problems) == 1
    assert (inspection.layers_intact, inspection.tiles_intact) == (layers, tiles)


def test_inspection_copes_with_a_second_image_behind_damage() -> None:
    """After a damaged chunk of unknown type anything may follow, another HEAD and INDX too."""
    damaged = bytearray(by_hand.chunk(b"noTE", b""))
    damaged[-1] ^= 1
    rest = len(by_hand.SIGNATURE)
    for first, second in [(STREAM, by_hand.stream()), (by_hand.stream(), STREAM)]:
        for cut in range(rest, len(first)):
            inspect(first[:cut] + bytes(damaged) + second[rest:])
        for chunk in parse(first).chunks:
            spliced = first[: chunk.offset] + bytes(damaged) + second[rest:]
            inspection = inspect(spliced)
            assert inspection.problems
            assert inspection.header == parse(second).header
