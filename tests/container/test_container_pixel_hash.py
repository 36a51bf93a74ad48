"""The digest of pixels, against serialisations written out by hand."""

from __future__ import annotations

import hashlib
import tracemalloc

import numpy as np
import pytest

from xraycodec.container import hash_pixels
from xraycodec.errors import OptionError


@pytest.mark.parametrize(
    ("pixels", "bits_stored", "serialised"),
    [
        (np.array([[1, 2], [3, 255]], np.uint8), 8, b"\x01\x02\x03\xff"),
        (np.array([[1, 2], [3, 255]], np.uint16), 8, b"\x01\x02\x03\xff"),
        (np.array([[-1, 127], [0, -128]], np.int16), 8, b"\xff\x7f\x00\x80"),
        (np.array([[-1, 127], [0, -128]], np.int8), 8, b"\xff\x7f\x00\x80"),
        (np.array([[1, 0]], np.uint8), 1, b"\x01\x00"),
        (np.array([[1, 0x0ABC]], np.uint16), 12, b"\x01\x00\xbc\x0a"),
        (np.array([[-2, 0x7FFF]], np.int16), 16, b"\xfe\xff\xff\x7f"),
        (np.array([[-2, 3]], np.int8), 9, b"\xfe\xff\x03\x00"),
        (np.array([[1, 0x0ABC]], ">u2"), 12, b"\x01\x00\xbc\x0a"),
    ],
)
def test_serialisation(
    pixels: np.ndarray[tuple[int, int], np.dtype[np.integer]], bits_stored: int, serialised: bytes
) -> None:
    expected = hashlib.sha256(serialised).digest()
    assert hash_pixels(pixels, bits_stored) == expected
    assert hash_pixels(pixels[None], bits_stored) == expected


def test_frames_follow_one_another_row_by_row() -> None:
    pixels = np.arange(24, dtype=np.uint8).reshape(2, 3, 4)
    assert hash_pixels(pixels, 8) == hashlib.sha256(bytes(range(24))).digest()


def test_layout_in_memory_does_not_matter() -> None:
    pixels = np.arange(2 * 30 * 50, dtype=np.uint16).reshape(2, 30, 50)
    scattered = np.asfortranarray(pixels)
    padded = np.zeros((2, 60, 100), np.uint16)
    padded[:, ::2, ::2] = pixels
    assert hash_pixels(scattered, 12) == hash_pixels(pixels, 12)
    assert hash_pixels(padded[:, ::2, ::2], 12) == hash_pixels(pixels, 12)


@pytest.mark.parametrize("shape", [(1, 2**21), (2**21, 1), (1500, 1400)])
def test_bands_join_without_seams(shape: tuple[int, int]) -> None:
    pixels = np.arange(shape[0] * shape[1], dtype=np.uint32).astype(np.uint16).reshape(shape)
    assert hash_pixels(pixels, 16) == hashlib.sha256(pixels.astype("<u2").tobytes()).digest()


def test_memory_is_bounded_by_bands() -> None:
    pixels = np.zeros((3, 2048, 2048), np.uint8)
    tracemalloc.start()
    hash_pixels(pixels, 12)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < 2**21  # a frame in 16 bits would take 2**23


@pytest.mark.parametrize(
    ("pixels", "bits_stored", "message"),
    [
        (np.zeros((2, 2), np.float32), 8, "type float32"),
        (np.zeros(4, np.uint8), 8, r"shape \(4,\)"),
        (np.zeros((1, 2, 2, 3), np.uint8), 8, r"shape \(1, 2, 2, 3\)"),
        (np.zeros((2, 2), np.uint16), 17, "bits stored is 17"),
        (np.zeros((2, 2), np.uint16), 0, "bits stored is 0"),
        (np.array([[0, 256]], np.uint16), 8, "pixel values 0 to 256 do not fit 8 bits stored"),
        (np.array([[0, -129]], np.int16), 8, "pixel values -129 to 0 do not fit 8 bits stored"),
    ],
)
def test_refused(pixels: np.ndarray, bits_stored: int, message: str) -> None:
    with pytest.raises(OptionError, match=message):
        hash_pixels(pixels, bits_stored)
