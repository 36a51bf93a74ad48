"""The codec against a decoder in plain Python, and what only that decoder can show."""

from __future__ import annotations

import lattice_reference as reference
import numpy as np
import pytest
from lattice_building import noise, smooth

from xraycodec.codecs.lattice import Lattice
from xraycodec.container import parse
from xraycodec.exact.pack import find_pack
from xraycodec.image import XRay
from xraycodec.pipeline import compress, decompress

pytestmark = pytest.mark.usefixtures("tiny_model")

FEW = XRay(smooth(17, 12, 4).pixels.astype(np.int16) * 37 - 300, 11)
FRAMES = XRay(np.stack([smooth(9, 70).pixels, smooth(9, 70).pixels // 3]), 8)


@pytest.mark.parametrize(
    ("image", "max_error"),
    [
        *((smooth(*shape), 0) for shape in [(1, 1), (1, 2), (2, 1), (1, 9), (9, 1), (2, 3)]),
        (smooth(19, 14), 0),
        (smooth(18, 21, 12), 0),
        (smooth(15, 13, 16, signed=True), 0),
        (smooth(15, 13, 16), 3),
        (smooth(15, 13, 8), 255),
        (smooth(12, 17, 12, signed=True), 40),
        (noise(16, 16, 16), 0),
        (noise(9, 23, 1), 0),
        (FEW, 0),
        (FEW, 1),
        (FRAMES, 0),
        (XRay(np.full((5, 6), 77, np.uint8), 8), 0),
    ],
    ids=lambda value: str(getattr(getattr(value, "pixels", value), "shape", value)),
)
def test_the_specification_decodes_the_same_pixels(image: XRay, max_error: int) -> None:
    data = compress(image, Lattice(max_error=max_error, tile=64, threads=1))
    container = parse(data)
    pixels = reference.decode(container, find_pack(container.header.model))
    np.testing.assert_array_equal(pixels, decompress(data, threads=1).frames)
    assert np.abs(pixels - image.frames).max() <= max_error


def test_coefficients_of_the_image_are_used() -> None:
    image = smooth(200, 200)
    container = parse(compress(image, Lattice(tile=200, threads=1)))
    levels = reference.read_levels(container.parameters)
    assert levels.coefficients is not None
    assert all(sum(c) == 128 for phases in levels.coefficients for c in phases)
