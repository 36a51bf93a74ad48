"""The tables of spec/format.md and the code say the same."""

from __future__ import annotations

import hashlib
import re
from pathlib import Path

import container_bytes as by_hand
import pytest

from xraycodec.container import SIGNATURE, Header, Limits, build, framing, parse

SPEC = (Path(__file__).parents[2] / "spec" / "format.md").read_text(encoding="utf-8")


def section(title: str) -> str:
    start = SPEC.index(f"\n{title}")
    return SPEC[start : SPEC.index("\n#", start + 1)]


def table_fields(title: str) -> dict[str, tuple[int, int]]:
    """Name to offset and size of the fields in the first byte table of a section."""
    rows = re.findall(r"^\| (\d+) \| (\d+) \| ([^|]+?) \|", section(title), re.MULTILINE)
    return {name: (int(offset), int(size)) for offset, size, name in rows}


HEAD = table_fields("### 5.1 `HEAD`")


def test_the_fields_of_head_are_adjacent_and_fill_it() -> None:
    end = 0
    for offset, size in HEAD.values():
        assert offset == end
        end += size
    assert end == 64
    assert "| `HEAD` | exactly 1 | 64 bytes |" in SPEC


def test_head_packed_from_the_spec_is_read_as_meant() -> None:
    values = {
        "major version": 1,
        "minor version": 1,
        "flags": 0b01,
        "bits stored": 10,
        "photometric interpretation": 1,
        "layers": 3 - 1,
        "reserved": 0,
        "frames": 2,
        "rows": 0x0102,
        "columns": 0x0304,
        "tile": 0x0200,
        "maximum error": 1023,
        "codec": int.from_bytes(b"RNNC", "little"),
        "model": int.from_bytes(bytes(range(1, 33)), "little"),
    }
    assert values.keys() == HEAD.keys()
    payload = bytearray(64)
    for name, value in values.items():
        offset, size = HEAD[name]
        payload[offset : offset + size] = value.to_bytes(size, "little")
    expected = Header(
        signed=True,
        exact=False,
        bits_stored=10,
        photometric_interpretation="MONOCHROME1",
        frames=2,
        rows=0x0102,
        columns=0x0304,
        tile=0x0200,
        max_error=1023,
        codec="RNNC",
        model=bytes(range(1, 33)),
        layers=3,
    )
    written = build(expected, b"", [b""] * 12, bytes(32))
    assert written[16:80] == payload
    assert parse(written).header == expected


def test_the_other_byte_tables() -> None:
    assert table_fields("### 5.3 `META`") == {
        "kind": (0, 1),
        "compression": (1, 1),
        "reserved": (2, 2),
        "size": (4, 4),
    }
    assert table_fields("### 5.6 `HASH`")["digest"] == (4, 32)
    assert table_fields("### 5.8 `fiLE`") == {
        "flags": (0, 1),
        "compression": (1, 1),
        "value representation": (2, 2),
        "meta": (4, 4),
        "size": (8, 4),
    }
    assert table_fields("### 5.9 `loSS`") == {
        "method": (0, 16),
        "ratio": (16, 4),
        "maximum error": (20, 4),
    }
    assert table_fields("### 5.10 `spAR`") == {
        "sign bits": (0, 2),
        "plane bits": (2, 2),
        "compression": (4, 1),
        "reserved": (6, 2),
    }


def test_the_order_of_chunks_is_the_one_tested() -> None:
    rows = re.findall(r"^\| `(\w{4})` \|", section("### 4.1 Order"), re.MULTILINE)
    critical = [row for row in rows if row[0].isupper()]
    assert critical == list(dict.fromkeys(t.decode() for t, _ in by_hand.chunks()))


def test_signature() -> None:
    assert SIGNATURE == by_hand.SIGNATURE
    assert f"`{SIGNATURE.hex(' ').upper()}`" in SPEC


@pytest.mark.parametrize(
    ("limit", "row"),
    [
        ("max_frame_pixels", "| pixels of a frame | 2^28 |"),
        ("max_pixels", "| pixels | 2^32 |"),
        ("free_pixels", "| pixels of any file | 2^25 |"),
        ("max_expansion", "| pixels for each byte | 2^10 |"),
        ("max_elements", "| elements | 2^18 |"),
        ("max_depth", "| sequences in each other | 32 |"),
        ("max_chunks", "| chunks | 2^12 |"),
        ("max_metadata_bytes", "| metadata | 2^28 bytes |"),
        ("max_chunk_bytes", "| chunk | 2^31 - 1 bytes |"),
        ("max_tiles", "| tiles | 2^24 |"),
    ],
)
def test_default_limits(limit: str, row: str) -> None:
    assert row in SPEC
    power = row.split("|")[2].replace("bytes", "").replace("^", "**")
    assert getattr(Limits(), limit) == eval(power)


def test_fixed_sizes() -> None:
    assert framing.MAX_CHUNKS == 2**20
    assert framing.MAX_CHUNK_BYTES == 2**31 - 1
    assert framing.MAX_PARAMETER_BYTES == 65536
    assert "at most 2^20 chunks" in SPEC


def test_the_bytes_of_a_small_stream_never_change() -> None:
    """The stream made by hand from the spec, pinned: old bytes must decode for ever."""
    digest = hashlib.sha256(by_hand.stream()).hexdigest()
    assert digest == "8972d20cf76738161da9dd7caa043798d210e2dc637ad49348119bdabbcc5a70"
