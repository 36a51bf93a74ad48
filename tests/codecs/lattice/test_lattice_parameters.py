"""PARM of a lattice stream and the levels it stands for: spec/lattice.md, section 2."""

from __future__ import annotations

import struct
import zlib

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from lattice_building import COEFFICIENTS

from xraycodec.codecs.lattice.levels import map_levels
from xraycodec.codecs.lattice.parameters import Parameters, read_parameters
from xraycodec.errors import CorruptError, UnsupportedFormatError

SETS = tuple(tuple(np.array(values, np.int64) for values in phases) for phases in COEFFICIENTS)
SENT = b"".join(values.astype(np.int8).tobytes() for phases in SETS for values in phases)


def front(flags: int = 0, peak: int = 255, lowest: int = 0, version: int = 1) -> bytes:
    return struct.pack("<BBHi", version, flags, peak, lowest)


def packed(bits: str) -> bytes:
    return zlib.compress(int(bits, 2).to_bytes(len(bits) // 8, "big"))


@settings(max_examples=100)
@given(
    st.integers(-32768, 65535),
    st.lists(st.integers(1, 65535), max_size=40, unique=True),
    st.booleans(),
    st.booleans(),
)
def test_what_is_written_is_read(lowest: int, more: list[int], mapped: bool, own: bool) -> None:
    values = np.array([0, *sorted(more)], np.int32)
    peak = len(values) - 1
    data = Parameters(lowest, peak, values if mapped else None, SETS if own else None).to_bytes()
    found = read_parameters(data)
    assert (found.lowest, found.peak) == (lowest, peak)
    assert (found.values is not None, found.coefficients is not None) == (mapped, own)
    if found.values is not None:
        np.testing.assert_array_equal(found.values, values)
        assert found.values.dtype == np.int32
    for phases, expected in zip(found.coefficients or (), SETS, strict=False):
        for a, b in zip(phases, expected, strict=True):
            np.testing.assert_array_equal(a, b)
    assert len(data) <= 65536


def test_the_largest_map() -> None:
    values = np.arange(0, 65536, 2, dtype=np.int32)
    found = read_parameters(Parameters(0, 32767, values, SETS).to_bytes())
    np.testing.assert_array_equal(found.values, values)


CORRUPT = {
    "too short": (front()[:7], "7 bytes; at least 8"),
    "empty": (b"", "0 bytes; at least 8"),
    "too long": (front() + b"\0", "1 bytes too many"),
    "bytes after coefficients": (front(1) + SENT + b"\0", "1 bytes too many"),
    "few coefficients": (front(1) + SENT[:-1], "155 of 156 coefficients"),
    "another sum": (front(1) + bytes([SENT[0] + 1]) + SENT[1:], "set 0, phase 0 add up to 129"),
    "-128": (
        front(1) + SENT[:-2] + struct.pack("bb", -128, 127 + 1 - 1) + b"",
        "set 2, phase 2 add up to",
    ),
    "no map": (front(2), "no whole zlib stream"),
    "no zlib stream": (front(2, 1) + b"map", "no zlib stream"),
    "a map that is cut off": (front(2, 1) + packed("11000000")[:-1], "no whole zlib stream"),
    "bytes after the map": (front(2, 1) + packed("11000000") + b"\0", "no whole zlib stream"),
    "a map too long": (front(2, 1) + zlib.compress(b"\x80" + bytes(8191) + b"\x80"), "8192 bytes"),
    "a map that bursts": (front(2, 1) + zlib.compress(bytes(1 << 25)), "8192 bytes"),
    "more levels than peak": (front(2, 1) + packed("11100000"), "3 levels in 1 bytes; 2 from 0"),
    "fewer levels than peak": (front(2, 2) + packed("11000000"), "2 levels in 1 bytes; 3 from 0"),
    "a map that begins with 0": (front(2, 1) + packed("01100000"), "2 from 0 belong"),
    "a map that ends with zeros": (front(2, 0) + packed("1000000000000000"), "in 2 bytes"),
    "a map without levels": (front(2, 0) + zlib.compress(b""), "0 levels in 0 bytes"),
}  # fmt: skip


@pytest.mark.parametrize("name", CORRUPT)
def test_rejections(name: str) -> None:
    data, message = CORRUPT[name]
    with pytest.raises(CorruptError, match=message):
        read_parameters(data)


@pytest.mark.parametrize("version", [0, 2, 255])
def test_other_versions(version: int) -> None:
    with pytest.raises(UnsupportedFormatError, match=f"version {version}; known is 1"):
        read_parameters(front(version=version))


@pytest.mark.parametrize("flag", range(2, 8))
def test_other_flags(flag: int) -> None:
    with pytest.raises(UnsupportedFormatError, match="flags 0x"):
        read_parameters(front(1 << flag))


class TestLevels:
    @pytest.mark.parametrize("kind", ["uint8", "int8", "uint16", "int16"])
    @pytest.mark.parametrize("lossless", [True, False])
    def test_they_stand_for_the_pixels(self, kind: str, lossless: bool) -> None:
        ends = np.iinfo(kind)
        pixels = np.array([[[ends.min, ends.max], [3, ends.max - 3]]] * 9, kind)
        mapped = map_levels(pixels, lossless=lossless)
        levels = mapped.to_levels(pixels)
        assert (levels.min(), levels.max()) == (0, mapped.peak)
        assert (mapped.values is not None) == lossless
        np.testing.assert_array_equal(mapped.to_pixels(levels), pixels)

    def test_a_map_needs_gaps(self) -> None:
        pixels = np.arange(200, dtype=np.uint8).reshape(1, 10, 20)
        assert map_levels(pixels, lossless=True).values is None
        pixels[pixels == 100] = 0
        assert map_levels(pixels, lossless=True).values is None
        assert map_levels(pixels // 2 * 2, lossless=True).peak == 99

    def test_a_map_that_costs_more_than_it_can_save_is_left_out(self) -> None:
        pixels = np.random.default_rng(0).integers(0, 65536, (1, 200, 200)).astype(np.uint16)
        assert len(np.unique(pixels)) < 0.5 * 65536
        assert map_levels(pixels, lossless=True).values is None
        assert map_levels(pixels // 64 * 64, lossless=True).peak < 1024
