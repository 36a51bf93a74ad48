"""fiLE, loSS and spAR: written, read, left out, and refused where they are wrong."""

from __future__ import annotations

import io
import re
import struct
from pathlib import Path

import container_bytes as by_hand
import pytest

from xraycodec.container import Header, Limits, PartialReader, build, inspect, parse
from xraycodec.errors import CorruptError, LimitError, XrayCodecError
from xraycodec.image import DicomFile, Loss, SpareBits

SPEC = (Path(__file__).parents[2] / "spec" / "format.md").read_text(encoding="utf-8")
HEADER = Header(
    signed=True,
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
FILE = DicomFile(b"meta" * 50, bytes(128), "OB", b"\0tail")
LOSSES = (Loss("ISO_10918_1", 10), Loss("XRC_LATTICE", 3.25, 2))
SPARE = SpareBits(0x4000, 0xA000, b"\x12\x34\x50" * 2)
EVERYTHING = {"dicom_file": FILE, "losses": LOSSES, "spare_bits": SPARE}


def write(**extras: object) -> bytes:
    dicom = by_hand.DICOM if "dicom_file" in extras else None
    return build(HEADER, b"", by_hand.TILES, by_hand.DIGEST, dicom, **extras)


@pytest.mark.parametrize("names", [(), *([name] for name in EVERYTHING), tuple(EVERYTHING)])
def test_what_is_written_is_read(names: tuple[str, ...]) -> None:
    data = write(**{name: EVERYTHING[name] for name in names})
    container = parse(data)
    assert container.dicom_file == (FILE if "dicom_file" in names else None)
    assert container.losses == (LOSSES if "losses" in names else ())
    assert container.spare_bits == (SPARE if "spare_bits" in names else None)
    assert data[17] == (3 if names else 0)  # minor version
    assert not inspect(data).problems


def test_streams_without_them_keep_their_bytes() -> None:
    assert write() == build(HEADER, b"", by_hand.TILES, by_hand.DIGEST)
    kinds = [chunk.type for chunk in parse(write()).chunks]
    assert kinds == ["HEAD", "PARM", "INDX", "DATA", "HASH", "DONE"]


def test_order() -> None:
    kinds = [chunk.type for chunk in parse(write(**EVERYTHING)).chunks]
    expected = ["HEAD", "PARM", "META", "fiLE", "loSS", "INDX", "DATA", "spAR", "HASH", "DONE"]
    assert kinds == expected
    assert re.findall(r"^\| `(\w{4})` \|", SPEC, re.MULTILINE)[:10] == expected


def test_a_file_without_a_data_set_is_left_out() -> None:
    data = build(HEADER, b"", by_hand.TILES, by_hand.DIGEST, dicom_file=FILE)
    assert data == write()


@pytest.mark.parametrize("file", [DicomFile(), DicomFile(b"m"), DicomFile(b"", None, "OW", b"xy")])
def test_files_with_less(file: DicomFile) -> None:
    assert parse(write(dicom_file=file)).dicom_file == file


def test_bytes_made_by_hand_from_the_spec() -> None:
    parts = by_hand.chunks()
    parts[0] = (b"HEAD", by_hand.head(minor=3, flags=3))
    body = b"\0\1\2\3" * 32 + b"meta" + b"tail"
    file = struct.pack("<BB2sII", 1, 0, b"OW", 4, len(body)) + body
    losses = struct.pack("<16sII", b"XRC_LATTICE", 3250, 2)
    losses += struct.pack("<16sII", b"ABCDEFGHIJKLMNOP", 1, 0xFFFFFFFF)
    spare = struct.pack("<HHBBH", 0x4000, 0x2000, 0, 0, 0) + b"\x80\0\x10"
    parts[3:3] = [(b"fiLE", file), (b"loSS", losses)]
    parts.insert(-2, (b"spAR", spare))
    container = parse(by_hand.stream(parts))
    assert container.dicom_file == DicomFile(b"meta", b"\0\1\2\3" * 32, "OW", b"tail")
    assert container.losses == (Loss("XRC_LATTICE", 3.25, 2), Loss("ABCDEFGHIJKLMNOP", 0.001))
    assert container.spare_bits == SpareBits(0x4000, 0x2000, b"\x80\0\x10")


def test_limits_come_before_memory() -> None:
    with pytest.raises(LimitError, match="claims 333 bytes of metadata; the limit is 300"):
        parse(write(dicom_file=FILE), Limits(max_metadata_bytes=300))
    # Planes are bounded by the pixels: no body may claim more.
    bomb = struct.pack("<HHBBH", 0, 0xF000, 1, 0, 0) + by_hand.zlib.compress(bytes(2**22))
    parts = [*by_hand.chunks()[:-2], (b"spAR", bomb), *by_hand.chunks()[-2:]]
    with pytest.raises(CorruptError, match="claims 12 bytes of bit planes; it inflates to more"):
        parse(by_hand.stream(parts))


def test_every_damaged_byte_is_noticed() -> None:
    data = write(**EVERYTHING)
    chunks = [chunk for chunk in parse(data).chunks if chunk.type in ("fiLE", "loSS", "spAR")]
    assert len(chunks) == 3
    for chunk in chunks:
        for place in range(chunk.offset, chunk.end):
            damaged = bytearray(data)
            damaged[place] ^= 0x11
            with pytest.raises(XrayCodecError):
                parse(bytes(damaged))


def test_payloads_of_noise_give_typed_errors() -> None:
    """Checksums right: whoever can write a stream can write anything."""
    noise = by_hand.zlib.compress(b"noise")
    for kind in (b"fiLE", b"loSS", b"spAR"):
        for size in range(40):
            for filler in (b"\0", b"\xff", b"OW\1\0"):
                payload = (filler * 40)[: size // 2] + (noise * 8)[: size - size // 2]
                parts = by_hand.chunks()
                parts.insert(-2 if kind == b"spAR" else 3, (kind, payload))
                try:
                    parse(by_hand.stream(parts))
                except XrayCodecError:
                    continue


@pytest.mark.parametrize(
    ("kind", "place", "message"),
    [
        (b"fiLE", 2, "'fiLE'"),  # before META
        (b"fiLE", 4, "'fiLE'"),  # after INDX
        (b"loSS", 4, "'loSS'"),  # after INDX
        (b"loSS", 2, "'META'"),  # before META
        (b"spAR", 3, "'spAR'"),  # before DATA
        (b"spAR", 7, "'spAR'"),  # after HASH
    ],
)
def test_out_of_order(kind: bytes, place: int, message: str) -> None:
    payloads = {
        chunk.type.encode(): chunk.payload(memoryview(write(**EVERYTHING)))
        for chunk in parse(write(**EVERYTHING)).chunks
    }
    parts = by_hand.chunks()
    parts[0] = (b"HEAD", by_hand.head(minor=3, flags=3))
    parts.insert(place, (kind, bytes(payloads[kind])))
    with pytest.raises(CorruptError, match=message):
        parse(by_hand.stream(parts))


def test_a_partial_reader_gets_all_but_the_spare_bits() -> None:
    data = write(**EVERYTHING)
    end = data.index(b"spAR")
    reader = PartialReader.open(io.BytesIO(data[:end]))
    assert reader.dicom_file == FILE
    assert reader.losses == LOSSES
    assert reader.read([5]) == {5: by_hand.TILES[5]}


def test_readers_of_older_versions_skip_them() -> None:
    """By the rule for ancillary types, first letter lower case, third upper case."""
    for kind in ("fiLE", "loSS", "spAR"):
        assert kind[0].islower()
        assert kind[2].isupper()
