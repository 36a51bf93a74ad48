"""Compression from end to end: an image to ``.xrc`` bytes and back."""

from __future__ import annotations

import warnings
from dataclasses import dataclass

import numpy as np

from xraycodec.codecs.base import Codec, Progress, no_progress
from xraycodec.codecs.registry import codec_by_id
from xraycodec.container import Container, Limits, build, hash_pixels, parse
from xraycodec.errors import CorruptError
from xraycodec.image import Pixels, XRay

MAX_BITS = 16


class PixelDriftWarning(UserWarning):
    """Decoded pixels differ from those of the machine that encoded.

    Only for codecs whose decoder still computes in floating point; the stream itself was proven
    intact by its checksums and the digest of its codes.
    """


@dataclass(frozen=True)
class Verification:
    """What `verify` found in a stream that decodes.

    Attributes:
        identical: the decoded pixels have the hash that the encoder stored.
        exact: the codec promises that on every machine.
        max_error: bound on the error of any pixel that the stream guarantees, or ``None``.
    """

    identical: bool
    exact: bool
    max_error: int | None


def as_xray(image: XRay | Pixels) -> XRay:
    """Take an array for an image whose every bit is stored."""
    if isinstance(image, XRay):
        return image
    return XRay(image, min(MAX_BITS, 8 * np.asarray(image).dtype.itemsize))


def compress(
    image: XRay | Pixels, codec: Codec | None = None, *, progress: Progress = no_progress
) -> bytes:
    """Compress an image to the bytes of an ``.xrc`` file.

    Args:
        image: a radiograph, or an array ``(row, column)`` or ``(frame, row, column)`` of 8- or
            16-bit integers.
        codec: which codec, with its settings; ``RnnConv()`` without.
        progress: called with steps done and steps in all.

    Raises:
        ImageError: the image is of a kind that is not served.
        OptionError: the codec cannot do what was asked.
        ModelError: its model pack is not at hand.
    """
    xray = as_xray(image)
    if codec is None:
        from xraycodec.codecs.rnn_conv import RnnConv

        codec = RnnConv()
    encoded = codec.encode(xray, progress)
    pixel_hash = hash_pixels(encoded.pixels, xray.bits_stored)
    return build(encoded.header, encoded.parameters, encoded.tiles, pixel_hash, xray.dicom)


def _decode(container: Container, threads: int, progress: Progress) -> tuple[XRay, bool]:
    """Return the image and whether its pixels have the stored hash."""
    header = container.header
    pixels = codec_by_id(header.codec).decode(container, threads, progress)
    identical = hash_pixels(pixels, header.bits_stored) == container.pixel_hash
    if header.exact and not identical:
        raise CorruptError("the decoded pixels differ from the hash stored with them")
    if header.frames == 1:
        pixels = pixels[0]
    image = XRay(pixels, header.bits_stored, header.photometric_interpretation, container.dicom)
    return image, identical


def decompress(
    data: bytes | memoryview,
    *,
    limits: Limits | None = None,
    threads: int = 0,
    progress: Progress = no_progress,
) -> XRay:
    """Decompress the bytes of an ``.xrc`` file.

    Args:
        data: the whole file.
        limits: sizes to accept; the defaults hold any radiograph.
        threads: for the networks, 0 for every core.
        progress: called with steps done and steps in all.

    Raises:
        FormatError: the file is damaged, cut off, or of a later version.
        LimitError: a size exceeds ``limits``.
        ModelError: the model pack that it names is not at hand.
    """
    container = parse(data, limits or Limits())
    image, identical = _decode(container, threads, progress)
    if not identical:
        warnings.warn(
            "decoded pixels differ from the encoder's: this codec computes in floating point"
            " (spec/rnn-conv.md gives the tolerance)",
            PixelDriftWarning,
            stacklevel=2,
        )
    return image


def verify(
    data: bytes | memoryview,
    *,
    limits: Limits | None = None,
    threads: int = 0,
    progress: Progress = no_progress,
) -> Verification:
    """Decode a file and compare it with the hash of its pixels.

    Raises:
        FormatError, LimitError, ModelError: as `decompress`.
    """
    container = parse(data, limits or Limits())
    _, identical = _decode(container, threads, progress)
    return Verification(identical, container.header.exact, container.header.max_error)
