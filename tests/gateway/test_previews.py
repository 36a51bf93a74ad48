"""Previews of images whose cells hold more than their bits stored."""

from __future__ import annotations

from io import BytesIO

import numpy as np
import pytest
from gateway_building import pixels, radiograph
from pydicom import dcmread
from pydicom.dataset import Dataset

from xraycodec.dicom.encapsulation import unwrap
from xraycodec.files.dicom_writer import to_file
from xraycodec.gateway.config import Preview
from xraycodec.gateway.progressive import preview

SETTINGS = [Preview("lattice", 64, 15), Preview("rnn-conv", 64, 15)]


def _shown(image: Dataset, settings: Preview) -> Dataset:
    return dcmread(BytesIO(unwrap(preview(to_file(image), settings))))


def _set_cells(image: Dataset, cells: np.ndarray, high_bit: int) -> None:
    image.HighBit = high_bit
    image["PixelData"].value = cells.astype("<u2").tobytes()


@pytest.mark.parametrize("settings", SETTINGS, ids=lambda each: each.codec)
@pytest.mark.parametrize("high_bit", [11, 13])
def test_overlays_move_and_junk_goes(settings: Preview, high_bit: int) -> None:
    image = radiograph(1, 64, 64)
    values = pixels(image).reshape(64, 64)
    overlay = np.random.default_rng(0).integers(0, 2, (64, 64)).astype(np.uint16)
    junk = np.random.default_rng(1).integers(0, 2, (64, 64)).astype(np.uint16)
    for element, vr, value in (
        *((0x10, "US", 64), (0x11, "US", 64), (0x40, "CS", "G"), (0x50, "SS", [1, 1])),
        *((0x100, "US", 16), (0x102, "US", 14)),
    ):
        image.add_new((0x6000, element), vr, value)
    _set_cells(image, values << (high_bit - 11) | overlay << 14 | junk << 15, high_bit)
    shown = _shown(image, settings)
    assert np.array_equal(shown.overlay_array(0x6000), overlay)
    assert shown[0x6000, 0x102].value == 0
    assert shown.HighBit == 11
    assert shown.LossyImageCompression == "01"
    assert pixels(shown).max() < 1 << 12
    error = abs(pixels(shown).astype(int) - values.ravel())
    assert error.mean() < 200
    assert settings.codec == "rnn-conv" or error.max() <= settings.max_error


def test_the_same_preview_with_and_without_junk() -> None:
    """Junk is no part of the picture; the preview's name follows from the image's alone."""
    plain, noisy = radiograph(1, 64, 64), radiograph(1, 64, 64)
    _set_cells(noisy, pixels(noisy) | 0x4000, 11)
    assert _shown(noisy, SETTINGS[0]) == _shown(plain, SETTINGS[0])
