"""One test for each rule by which spec/format.md has a decoder reject a stream."""

from __future__ import annotations

import re
import struct
import zlib

import container_bytes as by_hand
import pytest

from xraycodec.container import framing, inspect, parse, read_header, read_length
from xraycodec.errors import (
    CorruptError,
    FormatError,
    NotXrcError,
    TruncatedError,
    UnsupportedFormatError,
)

HEAD_AT = 8
PARM_AT = HEAD_AT + 12 + 64
META_AT = PARM_AT + 12 + 10
INDX_AT = META_AT + 12 + 8 + len(by_hand.DICOM)
DATA_AT = INDX_AT + 12 + len(by_hand.INDEX)


def assert_rejected(data: bytes, error: type[FormatError], message: str) -> None:
    with pytest.raises(error, match=re.escape(message)) as caught:
        parse(data)
    assert type(caught.value) is error
    # What parse refuses, inspect lists with the same words.
    assert str(caught.value).split("; no tile")[0] in inspect(data).problems


@pytest.mark.parametrize(
    "data", [b"", b"\x89XRC\r\n\x1a", b"\x89PNG\r\n\x1a\n rest", b"\x89XRC\n\n\x1a\n"]
)
def test_signature(data: bytes) -> None:
    for read in (parse, inspect, read_header, read_length):
        with pytest.raises(NotXrcError, match="begins with 89 58 52 43 0d 0a 1a 0a"):
            read(data)


HEAD_CASES = {
    "major version": (
        by_hand.head(major=2),
        UnsupportedFormatError,
        "has version 2.0; this reader knows version 1",
    ),
    "major version of another size": (b"\2\0" + bytes(90), UnsupportedFormatError, "version 2.0"),
    "major version zero": (by_hand.head(major=0), UnsupportedFormatError, "version 0.0"),
    "empty": (b"", CorruptError, "has 0 bytes; it must have 64"),
    "short": (by_hand.head()[:-1], CorruptError, "has 63 bytes; it must have 64"),
    "long": (by_hand.head() + b"\0", CorruptError, "has 65 bytes; it must have 64"),
    "reserved flag": (by_hand.head(flags=6), UnsupportedFormatError, "has flags 0x06"),
    "bits stored 0": (by_hand.head(bits_stored=0), CorruptError, "bits stored is 0"),
    "bits stored 17": (by_hand.head(bits_stored=17), CorruptError, "bits stored is 17"),
    "photometric interpretation": (
        by_hand.head(photometric=3),
        UnsupportedFormatError,
        "has photometric interpretation 3; this reader knows 1 and 2",
    ),
    "reserved bytes": (
        by_hand.head(reserved=b"\0\1"),
        UnsupportedFormatError,
        "has reserved bytes 00 01",
    ),
    "frames": (by_hand.head(frames=0), CorruptError, "frames is 0; allowed are 1 to 4294967295"),
    "rows": (by_hand.head(rows=0), CorruptError, "rows is 0"),
    "columns": (by_hand.head(columns=0), CorruptError, "columns is 0"),
    "maximum error": (
        by_hand.head(max_error=4096),
        CorruptError,
        "maximum error is 4096; 12 bits stored allow 0 to 4095",
    ),
    "lossless but not exact": (by_hand.head(flags=0), CorruptError, "lossless must be"),
    "codec": (by_hand.head(codec=b"RN\xffC"), CorruptError, "codec is 'RN\u00ffC'"),
}


@pytest.mark.parametrize("case", HEAD_CASES)
def test_head(case: str) -> None:
    payload, error, message = HEAD_CASES[case]
    data = by_hand.stream_with(b"HEAD", payload)
    assert_rejected(data, error, f"chunk 'HEAD' at byte {HEAD_AT}")
    assert_rejected(data, error, message)
    with pytest.raises(error, match=re.escape(message)):
        read_header(data)


def test_parameters_too_long() -> None:
    assert parse(by_hand.stream_with(b"PARM", bytes(65536))).parameters == bytes(65536)
    assert_rejected(
        by_hand.stream_with(b"PARM", bytes(65537)),
        CorruptError,
        f"chunk 'PARM' at byte {PARM_AT} has 65537 bytes; the format allows 65536",
    )


DEFLATED = zlib.compress(by_hand.DICOM)
META_CASES = {
    "short": (bytes(7), CorruptError, "has 7 bytes; it must have 8 or more"),
    "kind": (by_hand.meta(kind=2), UnsupportedFormatError, "has kind 2; this reader knows 1"),
    "compression": (
        by_hand.meta(compression=2),
        UnsupportedFormatError,
        "has compression 2; this reader knows 0 and 1",
    ),
    "reserved": (by_hand.meta(reserved=256), UnsupportedFormatError, "has reserved field 256"),
    "stored, too short": (
        by_hand.meta(body=by_hand.DICOM[:-1]),
        CorruptError,
        "claims 16 bytes of metadata; it holds 15",
    ),
    "stored, too long": (by_hand.meta(body=by_hand.DICOM + b"x"), CorruptError, "it holds 17"),
    "broken zlib stream": (
        by_hand.meta(compression=1, body=b"no zlib stream"),
        CorruptError,
        "holds a broken zlib stream",
    ),
    "wrong adler": (
        by_hand.meta(compression=1, body=DEFLATED[:-1] + b"\0"),
        CorruptError,
        "holds a broken zlib stream",
    ),
    "inflates to less": (
        by_hand.meta(compression=1, body=DEFLATED, size=17),
        CorruptError,
        "claims 17 bytes of metadata; it inflates to 16",
    ),
    "inflates to more": (
        by_hand.meta(compression=1, body=DEFLATED, size=15),
        CorruptError,
        "claims 15 bytes of metadata; it inflates to more than 15",
    ),
    "zlib stream without end": (
        by_hand.meta(compression=1, body=DEFLATED[:-2]),
        CorruptError,
        "holds a zlib stream without its end",
    ),
    "bytes after zlib stream": (
        by_hand.meta(compression=1, body=DEFLATED + b"abc"),
        CorruptError,
        "has 3 bytes after its zlib stream; allowed are none",
    ),
}


@pytest.mark.parametrize("case", META_CASES)
def test_meta(case: str) -> None:
    payload, error, message = META_CASES[case]
    data = by_hand.stream_with(b"META", payload)
    assert_rejected(data, error, f"chunk 'META' at byte {META_AT} ")
    assert_rejected(data, error, message)


INDX_CASES = {
    "too short for its tiles": (bytes([1, 6, 1, 1, 1, 1, 1]), "has 7 bytes; 6 tiles need 8 to 65"),
    "too long for its tiles": (bytes(66), "has 66 bytes; 6 tiles need 8 to 65"),
    "ends inside a number": (by_hand.INDEX[:-1] + b"\x81", "ends inside a number"),
    "nothing but continuation": (b"\x80" * 20, "ends inside a number"),
    "not the shortest form": (
        by_hand.INDEX[:-1] + b"\x81\x00",
        "has a number that is not in its shortest form",
    ),
    "zero in two bytes": (
        by_hand.INDEX[:-1] + b"\x80\x00",
        "has a number that is not in its shortest form",
    ),
    "six bytes": (
        by_hand.INDEX[:-1] + b"\x81\x80\x80\x80\x80\x01",
        "has a number of 6 bytes; allowed are 5",
    ),
    "number too large": (
        by_hand.INDEX[:-1] + b"\x80\x80\x80\x80\x08",
        "has the number 2147483648; the format allows 2147483647",
    ),
    "no DATA chunk": (bytes([0, 3, 0, 5, 4, 9, 1, 1]), "has 8 numbers; 0 DATA chunks"),
    "numbers missing": (
        by_hand.INDEX[:-1],
        "has 8 numbers; 2 DATA chunks and 6 tiles need 9",
    ),
    "numbers to spare": (by_hand.INDEX + b"\0", "has 10 numbers; 2 DATA chunks and 6 tiles"),
    "chunk without tiles": (
        bytes([2, 6, 0, 3, 0, 5, 4, 9, 1]),
        "gives DATA chunk 1 no tile; each must have one",
    ),
    "too few tiles": (
        bytes([2, 4, 1, 3, 0, 5, 4, 9, 1]),
        "spreads 5 tiles over DATA; the image has 6",
    ),
    "too many tiles": (
        bytes([2, 4, 3, 3, 0, 5, 4, 9, 1]),
        "spreads 7 tiles over DATA; the image has 6",
    ),
    "DATA chunk too large": (
        bytes([2, 4, 2, 3, 0, 5, 4, 1]) + b"\xff\xff\xff\xff\x07",
        "gives a DATA chunk 2147483648 bytes; the format allows 2147483647",
    ),
}


@pytest.mark.parametrize("case", INDX_CASES)
def test_indx(case: str) -> None:
    payload, message = INDX_CASES[case]
    data = by_hand.stream_with(b"INDX", payload)
    assert_rejected(data, CorruptError, f"chunk 'INDX' at byte {INDX_AT} {message}")


def test_data_of_another_size_than_the_index_lists() -> None:
    parts = by_hand.chunks()
    parts[4] = (b"DATA", b"thirteen byte")
    assert_rejected(
        by_hand.stream(parts),
        CorruptError,
        f"chunk 'DATA' at byte {DATA_AT} has 13 bytes; 'INDX' lists 12",
    )


def test_more_data_chunks_than_the_index_lists() -> None:
    parts = by_hand.chunks()
    parts.insert(6, (b"DATA", b""))
    assert_rejected(by_hand.stream(parts), CorruptError, "'INDX' lists 2 of them, this is number 3")


def test_fewer_data_chunks_than_the_index_lists() -> None:
    parts = by_hand.chunks()
    del parts[5]
    assert_rejected(by_hand.stream(parts), CorruptError, "follows 1 DATA chunks; 'INDX' lists 2")


HASH_CASES = {
    "size": (by_hand.hash_payload() + b"\0", CorruptError, "has 37 bytes; it must have 36"),
    "algorithm": (
        by_hand.hash_payload(algorithm=2),
        UnsupportedFormatError,
        "has algorithm 2; this reader knows 1",
    ),
    "reserved byte": (by_hand.hash_payload(reserved=1), UnsupportedFormatError, "reserved fields"),
    "reserved number": (
        by_hand.hash_payload(reserved_2=1),
        UnsupportedFormatError,
        "has reserved fields [0, 1]; both must be zero",
    ),
}


@pytest.mark.parametrize("case", HASH_CASES)
def test_hash(case: str) -> None:
    payload, error, message = HASH_CASES[case]
    assert_rejected(by_hand.stream_with(b"HASH", payload), error, message)


def test_done_with_content() -> None:
    assert_rejected(by_hand.stream_with(b"DONE", b"x"), CorruptError, "it must have none")


@pytest.mark.parametrize("tail", [b"\0", by_hand.SIGNATURE, by_hand.chunk(b"noTE", b"")])
def test_bytes_after_done(tail: bytes) -> None:
    assert_rejected(by_hand.stream() + tail, CorruptError, f"{len(tail)} bytes follow chunk 'DONE'")


@pytest.mark.parametrize("raw", [b"DAT1", b"DAT\0", b"DA A", b"DAT\xc4", bytes(4)])
def test_type_that_is_not_letters(raw: bytes) -> None:
    parts = by_hand.chunks()
    parts.insert(1, (raw, b""))
    data = by_hand.stream(parts)
    message = f"the chunk at byte {PARM_AT} has type {raw.hex(' ')}; allowed are four ASCII letters"
    assert_rejected(data, CorruptError, message)
    with pytest.raises(CorruptError, match=message):
        read_length(data)


def test_length_that_no_chunk_may_have() -> None:
    data = by_hand.stream([]) + struct.pack("<4sI", b"HEAD", 2**31)
    message = "chunk 'HEAD' at byte 8 claims 2147483648 bytes; the format allows 2147483647"
    assert_rejected(data, CorruptError, message)


def test_unknown_critical_chunk() -> None:
    parts = by_hand.chunks()
    parts.insert(1, (b"CROP", b""))
    assert_rejected(
        by_hand.stream(parts),
        UnsupportedFormatError,
        f"chunk 'CROP' at byte {PARM_AT} is critical and unknown; this reader knows HEAD, PARM,",
    )


@pytest.mark.parametrize("raw", [b"noxE", b"DAtA", b"HEaD"])
def test_reserved_third_letter(raw: bytes) -> None:
    parts = by_hand.chunks()
    parts.insert(1, (raw, b""))
    assert_rejected(by_hand.stream(parts), UnsupportedFormatError, "lower-case third letter")


@pytest.mark.parametrize("place", range(8))
def test_wrong_checksum(place: int) -> None:
    parts = by_hand.chunks()
    pieces = [by_hand.chunk(*part) for part in parts]
    pieces[place] = pieces[place][:-1] + bytes([pieces[place][-1] ^ 0x80])
    offset = 8 + sum(map(len, pieces[:place]))
    name = parts[place][0].decode()
    data = by_hand.SIGNATURE + b"".join(pieces)
    assert_rejected(data, CorruptError, f"chunk '{name}' at byte {offset} stores CRC-32 0x")


def test_wrong_checksum_of_an_ancillary_chunk() -> None:
    note = bytearray(by_hand.chunk(b"noTE", b"hello"))
    note[9] ^= 1
    data = by_hand.stream()
    assert_rejected(
        data[:PARM_AT] + bytes(note) + data[PARM_AT:],
        CorruptError,
        "chunk 'noTE' at byte 84 stores",
    )


@pytest.mark.parametrize("place", [0, 1, 3, 6])
def test_missing_chunk(place: int) -> None:
    parts = by_hand.chunks()
    del parts[place]
    assert_rejected(by_hand.stream(parts), CorruptError, "; allowed there: ")


def test_no_data_at_all() -> None:
    parts = [part for part in by_hand.chunks() if part[0] != b"DATA"]
    assert_rejected(by_hand.stream(parts), CorruptError, "follows 'INDX'; allowed there: 'DATA'")


@pytest.mark.parametrize("place", [0, 1, 2, 3, 6])
def test_repeated_chunk(place: int) -> None:
    parts = by_hand.chunks()
    parts.insert(place, parts[place])
    assert_rejected(by_hand.stream(parts), CorruptError, "; allowed there: ")


@pytest.mark.parametrize("place", [0, 1, 2, 3, 5])
def test_swapped_chunks(place: int) -> None:
    parts = by_hand.chunks()
    parts[place : place + 2] = parts[place + 1], parts[place]
    message = "follows 1 DATA chunks; 'INDX' lists 2" if place == 5 else "; allowed there: "
    assert_rejected(by_hand.stream(parts), CorruptError, message)


def test_ancillary_chunk_before_head() -> None:
    parts = [(b"noTE", b""), *by_hand.chunks()]
    data = by_hand.stream(parts)
    message = "chunk 'noTE' at byte 8 follows the signature; allowed there: 'HEAD'"
    assert_rejected(data, CorruptError, message)
    with pytest.raises(CorruptError, match=message):
        read_header(data)


def test_too_many_chunks(monkeypatch: pytest.MonkeyPatch) -> None:
    assert framing.MAX_CHUNKS == 2**20
    monkeypatch.setattr(framing, "MAX_CHUNKS", 8)
    data = by_hand.stream()
    assert parse(data).complete
    data = data[:PARM_AT] + by_hand.chunk(b"noTE", b"") + data[PARM_AT:]
    assert_rejected(data, CorruptError, "no 'DONE' among the 8 chunks before byte")


def test_signature_alone() -> None:
    with pytest.raises(TruncatedError, match="no tile is intact"):
        parse(by_hand.SIGNATURE)
