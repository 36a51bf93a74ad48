"""PARM of a wavelet stream: spec/wavelet.md, section 2."""

from __future__ import annotations

import struct
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from xraycodec.codecs.wavelet.geometry import ORTHONORMAL_LEVELS
from xraycodec.codecs.wavelet.margins import Margins
from xraycodec.codecs.wavelet.parameters import MAX_STEP, Parameters, finest_step
from xraycodec.errors import CorruptError, UnsupportedFormatError


def packed(
    step: int = 256, lowest: int = 0, highest: int = 255, version: int = 1, flags: int = 0
) -> bytes:
    return struct.pack("<BBIii", version, flags, step, lowest, highest)


@st.composite
def parameters(draw: st.DrawFn) -> Parameters:
    lowest = draw(st.integers(-32768, 65535))
    highest = draw(st.integers(lowest, lowest + 65535))
    gains = st.tuples(*8 * [st.integers(0, 255)])
    margins = draw(st.none() | st.builds(Margins, st.integers(-(1 << 31), (1 << 31) - 1), gains))
    step = draw(st.integers(finest_step(lowest, highest), MAX_STEP))
    return Parameters(step, lowest, highest, margins=margins)


@settings(max_examples=80)
@given(parameters())
def test_what_is_written_is_read(written: Parameters) -> None:
    data = written.to_bytes()
    assert len(data) == (26 if written.margins else 14)
    assert Parameters.from_bytes(data) == written


@settings(max_examples=80)
@given(parameters(), st.integers(0, 2**32 - 1))
def test_pixels_come_back_to_within_half_a_level_of_the_fraction(
    given: Parameters, seed: int
) -> None:
    given = replace(given, margins=None)
    rng = np.random.default_rng(seed)
    pixels = rng.integers(given.lowest, given.highest + 1, (3, 4))
    steps = given.to_steps(pixels)
    assert np.abs(steps).max() <= 1 << 19
    # Half of 2^-8 steps, and half a grey level, both by rounding.
    bound = given.step / 256 / 512 + 0.5
    assert np.abs(given.to_pixels(steps) - pixels).max() <= bound


@pytest.mark.parametrize("level", [0, 1, 5, 6, 7, 20])
def test_low_pass_bands_are_brighter(level: int) -> None:
    given = Parameters(512, 0, 4095)
    bright = np.array([[-(700 << 8), 0, 256, 700 << 8]]) << min(level, ORTHONORMAL_LEVELS)
    assert given.to_pixels(bright.astype(np.int32), level).tolist() == [[647, 2047, 2049, 3447]]
    assert given.to_pixels(np.array([[-(1 << 26), 1 << 26]], np.int32), level).tolist() == [
        [0, 4095]
    ]


@pytest.mark.parametrize(
    ("span", "finest"), [(0, 1), (1, 1), (16, 1), (17, 2), (255, 16), (4096, 256), (65535, 4096)]
)
def test_the_finest_step_is_a_4096th_of_the_range(span: int, finest: int) -> None:
    assert finest_step(-7, span - 7) == finest == max(1, -(-span // 16))
    Parameters.from_bytes(packed(finest, -7, span - 7))
    with pytest.raises(CorruptError, match=f"step is {finest - 1}; allowed are {finest} to"):
        Parameters.from_bytes(packed(finest - 1, -7, span - 7))


@pytest.mark.parametrize("size", [0, 1, 13])
def test_too_few_bytes(size: int) -> None:
    with pytest.raises(CorruptError, match=f"{size} bytes; at least 14 belong"):
        Parameters.from_bytes(packed()[:size])


def test_too_many_bytes() -> None:
    with pytest.raises(CorruptError, match="1 bytes too many"):
        Parameters.from_bytes(packed() + b"\0")


@pytest.mark.parametrize("version", [0, 2, 255])
def test_other_versions(version: int) -> None:
    with pytest.raises(UnsupportedFormatError, match=f"version {version}, flags 0x00; known are 1"):
        Parameters.from_bytes(packed(version=version))


@pytest.mark.parametrize("flag", range(4, 8))
def test_other_flags(flag: int) -> None:
    with pytest.raises(UnsupportedFormatError, match="flags 0x"):
        Parameters.from_bytes(packed(flags=1 << flag))


def test_values_in_the_wrong_order() -> None:
    with pytest.raises(CorruptError, match="values from 9 to 8"):
        Parameters.from_bytes(packed(256, 9, 8))


@pytest.mark.parametrize("step", [MAX_STEP + 1, 2**32 - 1])
def test_too_coarse(step: int) -> None:
    with pytest.raises(CorruptError, match=f"step is {step}; allowed are 16 to {MAX_STEP}"):
        Parameters.from_bytes(packed(step))
