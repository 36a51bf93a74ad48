"""What is written is read back; what the spec's bytes say is what is read."""

from __future__ import annotations

import container_bytes as by_hand
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from xraycodec.container import (
    NO_MODEL,
    Header,
    build,
    inspect,
    parse,
    read_header,
    read_length,
)
from xraycodec.errors import OptionError

HEADER = Header(
    signed=False,
    exact=True,
    bits_stored=12,
    photometric_interpretation="MONOCHROME2",
    frames=1,
    rows=5,
    columns=4,
    tile=2,
    max_error=0,
    codec="TEST",
    model=bytes(range(32)),
)
CHUNK_TARGET = 2**14


@st.composite
def headers(draw: st.DrawFn) -> Header:
    bits_stored = draw(st.integers(1, 16))
    exact = draw(st.booleans())
    bound = st.integers(0 if exact else 1, 2**bits_stored - 1)
    return Header(
        signed=draw(st.booleans()),
        exact=exact,
        bits_stored=bits_stored,
        photometric_interpretation=draw(st.sampled_from(["MONOCHROME1", "MONOCHROME2"])),
        frames=draw(st.integers(1, 3)),
        rows=draw(st.integers(1, 40)),
        columns=draw(st.integers(1, 40)),
        tile=draw(st.sampled_from([0, 8, 16, 64, 2**32 - 1])),
        max_error=draw(st.none() | bound),
        codec=draw(st.text("RNCAWZaz09", min_size=4, max_size=4)),
        model=draw(st.binary(min_size=32, max_size=32)),
    )


@settings(max_examples=60)
@given(st.data())
def test_round_trip(data: st.DataObject) -> None:
    header = data.draw(headers())
    sizes = data.draw(
        st.lists(
            st.sampled_from([0, 1, 127, 128, 300, 20_000, 70_000]),
            min_size=header.tile_count,
            max_size=header.tile_count,
        )
    )
    tiles = [bytes([number % 251]) * size for number, size in enumerate(sizes)]
    parameters = data.draw(st.binary(max_size=50))
    dicom = data.draw(st.none() | st.binary(max_size=50) | st.just(b"repeated " * 1000))

    written = build(header, parameters, tiles, by_hand.DIGEST, dicom)
    container = parse(written)

    assert container.complete
    assert (container.header, container.parameters, container.dicom) == (header, parameters, dicom)
    assert list(container.payloads) == tiles
    assert container.pixel_hash == by_hand.DIGEST
    assert read_header(written[:84]) == header
    assert read_length(written + b"\0") == len(written)
    assert inspect(written).problems == ()


def test_a_stream_made_by_hand_from_the_spec_is_read() -> None:
    container = parse(by_hand.stream())
    assert container.header == HEADER
    assert container.parameters == b"parameters"
    assert container.dicom == by_hand.DICOM
    assert tuple(container.payloads) == by_hand.TILES
    assert container.pixel_hash == by_hand.DIGEST
    assert [chunk.type.encode() for chunk in container.chunks] == [t for t, _ in by_hand.chunks()]


def test_the_writer_gives_the_bytes_that_the_spec_says() -> None:
    data = by_hand.TILES
    one_chunk = by_hand.chunks()
    one_chunk[3:6] = [(b"INDX", bytes([1, 6, 3, 0, 5, 4, 9, 1])), (b"DATA", b"".join(data))]
    assert build(HEADER, b"parameters", data, by_hand.DIGEST, by_hand.DICOM) == by_hand.stream(
        one_chunk
    )


def test_deflated_metadata_made_by_hand_is_read() -> None:
    import zlib

    deflated = by_hand.meta(compression=1, body=zlib.compress(by_hand.DICOM))
    assert parse(by_hand.stream_with(b"META", deflated)).dicom == by_hand.DICOM


def test_metadata_is_optional_and_an_empty_data_set_is_not_none() -> None:
    without = [part for part in by_hand.chunks() if part[0] != b"META"]
    assert parse(by_hand.stream(without)).dicom is None
    assert parse(build(HEADER, b"", by_hand.TILES, by_hand.DIGEST, b"")).dicom == b""


@pytest.mark.parametrize("size", [32767, 32768, 65535, 65536, 1_000_001])
def test_metadata_of_sizes_near_zlibs_buffers(size: int) -> None:
    dicom = bytes(size)
    written = build(HEADER, b"", by_hand.TILES, by_hand.DIGEST, dicom)
    assert len(written) < 10_000
    assert parse(written).dicom == dicom


def test_tiles_are_views_of_the_parsed_bytes() -> None:
    written = bytearray(by_hand.stream())
    tiles = parse(written).payloads
    start = written.index(b"three")
    written[start : start + 5] = b"THREE"
    assert tiles[2] == b"THREE"
    assert tiles[2].readonly


def test_tiles_behave_like_a_sequence() -> None:
    tiles = parse(by_hand.stream()).payloads
    assert len(tiles) == 6
    assert tiles[-1] == b"6"
    assert list(tiles[1:3]) == [b"", b"three"]
    with pytest.raises(IndexError):
        tiles[6]


def test_a_data_chunk_is_closed_once_it_holds_64_kib() -> None:
    sizes = [CHUNK_TARGET - 1, 1, 10, CHUNK_TARGET, 5, 5]
    tiles = [bytes(size) for size in sizes]
    chunks = parse(build(HEADER, b"", tiles, by_hand.DIGEST)).chunks
    assert [chunk.length for chunk in chunks if chunk.type == "DATA"] == [
        CHUNK_TARGET,
        CHUNK_TARGET + 10,
        10,
    ]


def test_unknown_ancillary_chunks_are_skipped_and_listed() -> None:
    parts = by_hand.chunks()
    for place in range(len(parts) - 1, 0, -1):
        parts.insert(place, (b"noTE", b"hello"))
    container = parse(by_hand.stream(parts))
    assert tuple(container.payloads) == by_hand.TILES
    assert sum(chunk.type == "noTE" for chunk in container.chunks) == 7


def test_a_later_minor_version_is_read() -> None:
    assert parse(by_hand.stream_with(b"HEAD", by_hand.head(minor=9))).header == HEADER


def test_a_bound_that_is_not_promised_is_none() -> None:
    head = by_hand.head(max_error=0xFFFFFFFF, flags=1)
    header = parse(by_hand.stream_with(b"HEAD", head)).header
    assert (header.max_error, header.exact, header.signed) == (None, False, True)


def test_a_stream_in_a_longer_buffer_is_split_off() -> None:
    written = by_hand.stream()
    fragment = memoryview(written + b"\0")
    length = read_length(fragment)
    assert length == len(written)
    assert parse(fragment[:length]).complete


def test_views_of_wider_items_are_counted_in_bytes() -> None:
    import array

    tiles = [memoryview(array.array("H", [1, 2]))] * 6
    assert parse(build(HEADER, b"", tiles, by_hand.DIGEST)).payloads[5].nbytes == 4


def test_tile_grid() -> None:
    assert (HEADER.tiles_down, HEADER.tiles_across, HEADER.tile_count) == (3, 2, 6)
    assert HEADER.pixel_count == 20
    assert HEADER.tile_shape(0, 0) == (2, 2)
    assert HEADER.tile_shape(2, 1) == (1, 2)
    for row, column in [(3, 0), (0, 2), (-1, 0)]:
        with pytest.raises(OptionError, match=f"no tile at row {row}, column {column}"):
            HEADER.tile_shape(row, column)


@given(headers())
def test_tiles_cover_the_frame(header: Header) -> None:
    heights = [header.tile_shape(row, 0)[0] for row in range(header.tiles_down)]
    widths = [header.tile_shape(0, column)[1] for column in range(header.tiles_across)]
    assert (sum(heights), sum(widths)) == (header.rows, header.columns)
    assert min(heights + widths) >= 1


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (
            {"parameters": bytes(65537)},
            "codec parameters have 65537 bytes; the format allows 65536",
        ),
        (
            {"payloads": [b""] * 5},
            "5 payloads given; the header's image has 6: 6 tiles, 1 layers",
        ),
        ({"pixel_hash": bytes(20)}, "pixel hash has 20 bytes; a SHA-256 has 32"),
    ],
)
def test_the_writer_refuses(arguments: dict[str, object], message: str) -> None:
    sound = {"parameters": b"", "payloads": by_hand.TILES, "pixel_hash": by_hand.DIGEST}
    with pytest.raises(OptionError, match=message):
        build(HEADER, **(sound | arguments))


def test_the_writer_keeps_to_the_sizes_of_the_format(monkeypatch: pytest.MonkeyPatch) -> None:
    from xraycodec.container import framing, index, writer

    monkeypatch.setattr(index, "MAX_CHUNK_BYTES", 100)
    monkeypatch.setattr(framing, "MAX_CHUNK_BYTES", 100)
    tiles = [bytes(60), bytes(30), bytes(20), bytes(90), b"", b""]
    chunks = parse(build(HEADER, b"", tiles, by_hand.DIGEST)).chunks
    assert [chunk.length for chunk in chunks if chunk.type == "DATA"] == [90, 20, 90]
    with pytest.raises(OptionError, match="chunk 'DATA' would hold 101 bytes"):
        build(HEADER, b"", [bytes(101), *tiles[1:]], by_hand.DIGEST)
    monkeypatch.setattr(writer, "MAX_CHUNKS", 8)
    with pytest.raises(OptionError, match="the tiles fill 3 DATA chunks; the format allows 2"):
        build(HEADER, b"", tiles, by_hand.DIGEST)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"bits_stored": 17}, "bits stored is 17; allowed are 1 to 16"),
        ({"frames": 0}, "frames is 0"),
        ({"rows": 2**32}, "rows is 4294967296"),
        ({"columns": 0}, "columns is 0"),
        ({"tile": -1}, "tile is -1"),
        ({"photometric_interpretation": "RGB"}, "photometric interpretation is 'RGB'"),
        ({"max_error": 4096}, "maximum error is 4096; 12 bits stored allow 0 to 4095"),
        ({"exact": False}, "lossless must be"),
        ({"codec": "RNN"}, "codec is 'RNN'"),
        ({"codec": "RNN-"}, "codec is 'RNN-'"),
        ({"codec": "RNN\u00e9"}, "codec is 'RNN\u00e9'"),
        ({"model": b""}, "model has 0 bytes"),
    ],
)
def test_the_header_refuses(changes: dict[str, object], message: str) -> None:
    from dataclasses import replace

    with pytest.raises(OptionError, match=message):
        replace(HEADER, **changes)


def test_no_model_is_zeros() -> None:
    assert bytes(32) == NO_MODEL
