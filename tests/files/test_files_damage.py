"""Damaged files end in one of the package's errors or in an image, never in anything else."""

from __future__ import annotations

import contextlib
import random

import imagecodecs
import pytest
from files_building import (
    DEFLATED,
    EXPLICIT_BIG,
    IMPLICIT_LITTLE,
    RLE,
    compressed_dicom,
    encode_frame,
    native_dicom,
    random_pixels,
)

from xraycodec.errors import ImageError, LimitError, XrayCodecError
from xraycodec.files import decode, encode
from xraycodec.image import XRay
from xraycodec.limits import Limits

_JPEG = "1.2.840.10008.1.2.4."
_PIXELS = random_pixels((13, 17), 12)
_FRAMES = random_pixels((2, 9, 7), 12)


def _compressed(family: str, transfer_syntax: str) -> bytes:
    frames = [encode_frame(family, frame, 12) for frame in _FRAMES]
    return compressed_dicom(frames, _FRAMES, 12, transfer_syntax)


SAMPLES = {
    **{name: encode(XRay(_PIXELS, 12), name) for name in ("dicom", "png", "tiff", "pgm", "npy")},
    "jpegxl": encode(XRay(_PIXELS, 12), "jpegxl"),
    "jpegxl-frames": encode(XRay(_FRAMES, 12), "jpegxl"),
    "tiff-pages": encode(XRay(_FRAMES, 12), "tiff"),
    "tiff-tiles": imagecodecs.tiff_encode(_PIXELS, tile=(16, 16), compression="deflate"),
    "pgm-plain": b"P2 3 2 99 1 22 3 44 5 66",
    "jpeg": imagecodecs.jpeg8_encode((_PIXELS >> 4).astype("u1")),
    **{name: encode_frame(name, _PIXELS, 12) for name in ("jpegls", "jpeg2000", "htj2k")},
    "jp2": imagecodecs.jpeg2k_encode(_PIXELS, level=0, codecformat="jp2"),
    "dicom-deflated": native_dicom(_PIXELS, 12, DEFLATED),
    "dicom-big-endian": native_dicom(_PIXELS, 12, EXPLICIT_BIG),
    "dicom-implicit": native_dicom(_PIXELS, 12, IMPLICIT_LITTLE),
    "dicom-rle": _compressed("rle", RLE),
    "dicom-jpeg": _compressed("jpeg", _JPEG + "70"),
    "dicom-jpegls": _compressed("jpegls", _JPEG + "80"),
    "dicom-jpeg2000": _compressed("jpeg2000", _JPEG + "90"),
    "dicom-htj2k": _compressed("htj2k", _JPEG + "201"),
    "dicom-jpegxl": _compressed("jpegxl", _JPEG + "110"),
}


@pytest.mark.parametrize("name", SAMPLES)
def test_cut_files(name):
    """No cut gives an image, except of what follows the last pixel."""
    data = SAMPLES[name]
    whole = decode(data)
    step = max(1, len(data) // 60)
    for length in (*range(0, len(data) - 1, step), len(data) - 1):
        try:
            image = decode(data[:length])
        except XrayCodecError:
            continue
        assert image.pixels.shape == whole.pixels.shape
        assert name == "pgm-plain" or (image.pixels == whole.pixels).all(), length


@pytest.mark.parametrize("name", SAMPLES)
def test_changed_bytes(name):
    data = SAMPLES[name]
    source = random.Random(name)
    for _ in range(60):
        damaged = bytearray(data)
        for _ in range(source.choice((1, 1, 2, 5))):
            damaged[source.randrange(min(len(data), source.choice((120, 1 << 20))))] = (
                source.randrange(256)
            )
        with contextlib.suppress(ImageError, LimitError):
            decode(bytes(damaged), limits=Limits(max_pixels=1 << 20))
