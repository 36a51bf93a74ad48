"""Compression from end to end: an image to ``.xrc`` bytes and back."""

from __future__ import annotations

import warnings
from dataclasses import dataclass

import numpy as np

from xraycodec.codecs.base import Codec, Progress, no_progress
from xraycodec.codecs.registry import codec_by_id, name_of
from xraycodec.container import Container, Limits, build, hash_pixels, parse
from xraycodec.errors import CorruptError, ImageError
from xraycodec.image import Loss, Pixels, XRay
from xraycodec.losses import losses_after

MAX_BITS = 16


class PixelDriftWarning(UserWarning):
    """Decoded pixels differ from those of the machine that encoded.

    Only for codecs whose decoder still computes in floating point; the stream itself was proven
    intact by its checksums, that of rnn-conv by the digest of its codes as well.
    """


@dataclass(frozen=True)
class Verification:
    """What `verify` found in a stream that decodes.

    Attributes:
        identical: the decoded pixels have the hash that the encoder stored.
        exact: the codec promises that on every machine.
        max_error: bound on the error of any pixel that the stream guarantees, or ``None``.
        largest_error: largest difference of any pixel from the original, in grey levels;
            ``None`` where no original was given.
    """

    identical: bool
    exact: bool
    max_error: int | None
    largest_error: int | None = None


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
        codec: which codec, with its settings; ``Lattice()`` without, which is lossless.
        progress: called with steps done and steps in all.

    Raises:
        ImageError: the image is of a kind that is not served.
        OptionError: the codec cannot do what was asked.
        ModelError: its model pack is not at hand.
    """
    xray = as_xray(image)
    if codec is None:
        from xraycodec.codecs.lattice import Lattice

        codec = Lattice()
    encoded = codec.encode(xray, progress)
    pixel_hash = hash_pixels(encoded.pixels, xray.bits_stored)
    return build(
        encoded.header,
        encoded.parameters,
        encoded.payloads,
        pixel_hash,
        xray.dicom,
        dicom_file=xray.dicom_file,
        losses=xray.losses,
        spare_bits=xray.spare_bits,
    )


def _decode(container: Container, threads: int, progress: Progress) -> tuple[XRay, bool]:
    """Return the image and whether its pixels have the stored hash."""
    header = container.header
    pixels = codec_by_id(header.codec).decode(container, threads, progress)
    identical = hash_pixels(pixels, header.bits_stored) == container.pixel_hash
    if header.exact and not identical:
        raise CorruptError("the decoded pixels differ from the hash stored with them")
    if header.frames == 1:
        pixels = pixels[0]
    image = XRay(
        pixels,
        header.bits_stored,
        header.photometric_interpretation,
        container.dicom,
        container.dicom_file,
        container.spare_bits,
        losses_after(container.losses, header, sum(map(len, container.payloads))),
    )
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
        FormatError: the file is damaged, cut off, or of a later version. Of one that was cut off,
            `decompress_prefix` and `decompress_part` may give what it still holds.
        LimitError: a size exceeds ``limits``.
        ModelError: the model pack that it names is not at hand.
    """
    container = parse(data, limits or Limits())
    image, identical = _decode(container, threads, progress)
    if not identical:
        warnings.warn(
            "decoded pixels differ from the encoder's: this codec computes in floating point"
            f" (spec/{name_of(container.header.codec)}.md gives the tolerance)",
            PixelDriftWarning,
            stacklevel=2,
        )
    return image


def verify(
    data: bytes | memoryview,
    *,
    original: XRay | Pixels | None = None,
    limits: Limits | None = None,
    threads: int = 0,
    progress: Progress = no_progress,
) -> Verification:
    """Decode a file and compare it with the hash of its pixels, and with the original if given.

    Args:
        data: the whole file.
        original: what was compressed; the file must then keep its promise to it.
        limits: sizes to accept; the defaults hold any radiograph.
        threads: for the networks, 0 for every core.
        progress: called with steps done and steps in all.

    Raises:
        FormatError, LimitError, ModelError: as `decompress`.
        CorruptError: the file holds something else than ``original``: another shape, sign, bits
            stored, photometric interpretation, data set, file meta information or spare bits,
            other losses before, or a pixel that differs by more than the file's ``max_error``; or
            no DICOM file can be written of its data set.
    """
    container = parse(data, limits or Limits())
    image, identical = _decode(container, threads, progress)
    header = container.header
    largest_error = None
    if original is not None:
        largest_error = _largest_error(image, container.losses, as_xray(original))
        if header.max_error is not None and largest_error > header.max_error:
            raise CorruptError(
                f"a decoded pixel differs by {largest_error} from the original; the file promises"
                f" {header.max_error} at most"
            )
    _check_restorable(container)
    return Verification(identical, header.exact, header.max_error, largest_error)


def _check_restorable(container: Container) -> None:
    """Check that the DICOM file which a stream comes from can be written again.

    Raises:
        CorruptError: it cannot.
    """
    if container.dicom is None:
        return
    from xraycodec.files.dicom_writer import check_restorable

    losses = losses_after(container.losses, container.header, sum(map(len, container.payloads)))
    try:
        check_restorable(container.dicom, container.dicom_file, losses)
    except ImageError as error:
        raise CorruptError(f"no DICOM file can be written of the data set: {error}") from error


def _largest_error(image: XRay, earlier_losses: tuple[Loss, ...], original: XRay) -> int:
    """Largest difference of any pixel, once all that is no pixel's value is found equal."""
    same_shape = image.frames.shape == original.frames.shape
    facts = ["signed", "bits_stored", "photometric_interpretation", "dicom", "spare_bits"]
    if original.dicom is not None:  # without a data set, how a file held it is not kept
        facts.append("dicom_file")
    other = [name for name in facts if getattr(image, name) != getattr(original, name)]
    if earlier_losses != original.losses:
        other.append("losses")
    if not same_shape or other:
        names = ", ".join([*(() if same_shape else ("shape",)), *other])
        raise CorruptError(f"the decoded image is not the original: other {names}")
    # A row of each at a time: differences take more memory than the pixels.
    return max(
        int(np.abs(found.astype(np.int32) - expected).max())
        for frames in zip(image.frames, original.frames, strict=True)
        for found, expected in zip(*frames, strict=True)
    )
