"""The JPEG-LS encoder against CharLS, which decodes what it writes and encodes the same bytes."""

from __future__ import annotations

import imagecodecs
import numpy as np
import pytest

from xraycodec.dicom.jpegls import encode, largest_near

SHAPES = [(1, 1), (1, 9), (9, 1), (2, 3), (23, 70), (1, 300), (300, 1)]


def images(shape: tuple[int, int], bits: int) -> list[np.ndarray]:
    """Noise, a smooth image, long runs that are interrupted, ramps that wrap round."""
    rng = np.random.default_rng(bits)
    top = 2**bits - 1
    made = [
        rng.integers(0, top + 1, shape),
        np.clip(rng.normal(top / 2, 3, shape), 0, top),
        np.where(rng.random(shape) < 0.05, top, 0),
        np.cumsum(rng.integers(-1, 2, shape), axis=-1) % (top + 1),
        np.full(shape, top),
    ]
    return [image.astype(np.uint8 if bits <= 8 else np.uint16) for image in made]


@pytest.mark.parametrize("bits", range(2, 17))
def test_charls_decodes_within_the_bound_and_the_bits(bits: int) -> None:
    bounds = sorted({0, 1, min(7, largest_near(bits)), largest_near(bits)})
    for shape in SHAPES:
        for image in images(shape, bits):
            for near in bounds:
                decoded = imagecodecs.jpegls_decode(encode(image, bits, near)).astype(np.int32)
                assert decoded.shape == shape
                assert abs(decoded - image).max() <= near
                assert decoded.max() < 2**bits


@pytest.mark.parametrize("bits", [8, 16])
@pytest.mark.parametrize("near", [0, 1, 5])
def test_scans_are_those_of_charls(bits: int, near: int) -> None:
    for shape in SHAPES:
        for image in images(shape, bits):
            ours = encode(image, bits, near)
            theirs = bytes(imagecodecs.jpegls_encode(image, level=near))
            scan = theirs.index(b"\xff\xda")
            assert ours[ours.index(b"\xff\xda") :] == theirs[scan:]


def test_frame_header_has_the_precision() -> None:
    data = encode(np.zeros((3, 5), np.uint16), 11)
    assert data[:2] == b"\xff\xd8"
    assert data[2:15].hex() == "fff7000b0b00030005010111" + "00"
