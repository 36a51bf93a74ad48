"""What each format keeps of an image, it gives back exactly."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
from files_building import random_pixels, same
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from xraycodec.errors import OptionError
from xraycodec.files import decode, encode
from xraycodec.image import XRay

FORMATS = ("dicom", "png", "tiff", "pgm", "npy", "jpegxl")
SIGNED = ("dicom", "tiff", "npy")
FRAMES = ("dicom", "tiff", "npy", "jpegxl")
INVERTED = ("dicom", "tiff", "png", "pgm")
SHAPES = ((1, 1), (1, 7), (5, 1), (13, 17))


def _holds(kind: str, image: XRay) -> bool:
    return (
        (kind in SIGNED or not image.signed)
        and (kind in FRAMES or len(image.frames) == 1)
        and (kind in INVERTED or image.photometric_interpretation == "MONOCHROME2")
    )


def _kept(kind: str, image: XRay) -> XRay:
    if kind == "npy":
        return dataclasses.replace(image, bits_stored=8 * image.pixels.dtype.itemsize)
    return image


@pytest.mark.parametrize("kind", FORMATS)
@pytest.mark.parametrize("bits_stored", range(8, 17))
@pytest.mark.parametrize("signed", [False, True])
@pytest.mark.parametrize("photometric", ["MONOCHROME1", "MONOCHROME2"])
def test_every_depth_sign_and_photometric_interpretation(kind, bits_stored, signed, photometric):
    for shape in SHAPES:
        image = XRay(random_pixels(shape, bits_stored, signed=signed), bits_stored, photometric)
        if _holds(kind, image):
            assert same(decode(encode(image, kind)), _kept(kind, image)), shape
        else:
            with pytest.raises(OptionError):
                encode(image, kind)


@pytest.mark.parametrize("kind", FORMATS)
@pytest.mark.parametrize("bits_stored", [8, 11, 16])
@pytest.mark.parametrize("signed", [False, True])
@pytest.mark.parametrize("shape", [(2, 1, 5), (3, 5, 7), (4, 9, 6)])
def test_frames(kind, bits_stored, signed, shape):
    image = XRay(random_pixels(shape, bits_stored, signed=signed), bits_stored)
    if _holds(kind, image):
        again = decode(encode(image, kind))
        assert same(again, _kept(kind, image))
        assert again.pixels.ndim == 3
    else:
        with pytest.raises(OptionError):
            encode(image, kind)


@pytest.mark.parametrize("kind", ["dicom", "tiff", "jpegxl"])
@pytest.mark.parametrize("columns", [1, 2, 3, 4])
def test_narrow_frames_are_not_taken_for_colour(kind, columns):
    image = XRay(random_pixels((3, 6, columns), 10), 10)
    assert same(decode(encode(image, kind)), image)


@pytest.mark.parametrize("columns", [1, 2, 3, 4])
def test_npy_refuses_narrow_frames(columns):
    with pytest.raises(OptionError, match="read back as colour"):
        encode(XRay(random_pixels((3, 6, columns), 8), 8), "npy")


@pytest.mark.parametrize("kind", FORMATS)
def test_one_frame_with_a_frame_axis(kind):
    image = XRay(random_pixels((1, 5, 7), 8), 8)
    assert same(decode(encode(image, kind)), image)


@pytest.mark.parametrize("kind", FORMATS)
def test_all_black(kind):
    """No value to guess the depth from."""
    image = XRay(np.zeros((6, 5), np.uint16), 12)
    assert same(decode(encode(image, kind)), _kept(kind, image))


@pytest.mark.parametrize("kind", ["png", "tiff", "dicom"])
def test_few_bits_in_wide_pixels_stay_wide(kind):
    image = XRay(random_pixels((6, 5), 7).astype(np.uint16), 7)
    assert same(decode(encode(image, kind)), image)


@pytest.mark.parametrize("kind", ["pgm", "jpegxl"])
def test_few_bits_in_wide_pixels_become_narrow(kind):
    image = XRay(random_pixels((6, 5), 7).astype(np.uint16), 7)
    again = decode(encode(image, kind))
    assert again.pixels.dtype == np.uint8
    assert again.bits_stored == 7
    assert np.array_equal(again.pixels, image.pixels)


@pytest.mark.parametrize("kind", FORMATS)
def test_pixels_that_are_not_contiguous(kind):
    wide = random_pixels((12, 14), 12)
    image = XRay(wide[::2, ::-2], 12)
    assert same(decode(encode(image, kind)), _kept(kind, image))


@st.composite
def images(draw: st.DrawFn) -> XRay:
    signed = draw(st.booleans())
    bits_stored = draw(st.integers(2 if signed else 1, 16))
    low = -(1 << (bits_stored - 1)) if signed else 0
    width = 16 if bits_stored > 8 else draw(st.sampled_from((8, 16)))
    shape = draw(hnp.array_shapes(min_dims=2, max_dims=3, max_side=6))
    values = st.integers(low, low + (1 << bits_stored) - 1)
    pixels = draw(hnp.arrays(f"{'int' if signed else 'uint'}{width}", shape, elements=values))
    return XRay(pixels, bits_stored, draw(st.sampled_from(("MONOCHROME1", "MONOCHROME2"))))


@given(image=images(), kind=st.sampled_from(("dicom", "tiff")))
@settings(max_examples=60)
def test_dicom_and_tiff_keep_everything(image, kind):
    assert same(decode(encode(image, kind)), image)


@given(image=images(), kind=st.sampled_from(FORMATS))
@settings(max_examples=60)
def test_values_and_depth_come_back_or_the_format_is_refused(image, kind):
    try:
        data = encode(image, kind)
    except OptionError:
        assert kind not in ("dicom", "tiff")
        return
    again = decode(data)
    assert np.array_equal(again.frames, image.frames)
    assert again.signed == image.signed
    assert again.photometric_interpretation == image.photometric_interpretation
    assert kind == "npy" or again.bits_stored == image.bits_stored
