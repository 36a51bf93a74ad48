"""Compression from end to end: an image to ``.xrc`` bytes and back."""

from __future__ import annotations

import warnings
from dataclasses import dataclass

import numpy as np

from xraycodec.codecs.base import (
    Codec,
    Progress,
    check_codec,
    check_threads,
    decode_in_groups,
    no_progress,
)
from xraycodec.codecs.registry import codec_by_id, name_of
from xraycodec.container import Container, Limits, PixelDigest, build, hash_pixels, parse
from xraycodec.errors import CorruptError, ImageError
from xraycodec.image import Pixels, XRay, as_xray
from xraycodec.limits import memory_as_limit
from xraycodec.losses import losses_after


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


def compress(
    image: XRay | Pixels,
    codec: Codec | None = None,
    *,
    threads: int | None = None,
    progress: Progress = no_progress,
) -> bytes:
    """Compress an image to the bytes of an ``.xrc`` file.

    Args:
        image: a radiograph, or an array ``(row, column)`` or ``(frame, row, column)`` of 8- or
            16-bit integers whose every bit is stored.
        codec: which codec, with its settings; ``Lattice()`` without, which is lossless.
        threads: for the networks, 0 for every core; without, those of ``codec``.
        progress: called with steps done and steps in all.

    Raises:
        ImageError: the image is of a kind that is not served, such as an array of colour.
        OptionError: the codec cannot do what was asked; a negative number of threads.
        ModelError: its model pack is not at hand.
    """
    xray = as_xray(image)
    if codec is None:
        from xraycodec.codecs.lattice import Lattice

        codec = Lattice()
    codec = check_codec(codec)
    if threads is not None:
        codec = codec.with_threads(threads)
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


def decode_container(container: Container, threads: int, progress: Progress) -> tuple[XRay, bool]:
    """Return the image and whether its pixels have the stored hash.

    Raises:
        CorruptError: they have not, although the codec is exact.
        OptionError: a number of threads below 0.
    """
    check_threads(threads)
    header = container.header
    with memory_as_limit("decoding"):
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
    image, identical = decode_container(container, threads, progress)
    if not identical:
        warnings.warn(drift_message(container), PixelDriftWarning, stacklevel=2)
    return image


def drift_message(container: Container) -> str:
    """Say that decoded pixels differ from the encoder's, and why."""
    return (
        "decoded pixels differ from the encoder's: this codec computes in floating point"
        f" (spec/{name_of(container.header.codec)}.md gives the tolerance)"
    )


def verify(
    data: bytes | memoryview,
    *,
    original: XRay | Pixels | None = None,
    limits: Limits | None = None,
    threads: int = 0,
    progress: Progress = no_progress,
) -> Verification:
    """Decode a file and compare it with the hash of its pixels, and with the original if given.

    Frames are decoded and compared a few at a time, except for rnn-conv, which needs all of them.

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
    check_threads(threads)
    header = container.header
    expected = None if original is None else as_xray(original)
    if expected is not None:
        _check_facts(container, expected)
    digest = PixelDigest(header.bits_stored)
    errors = []
    first = 0
    with memory_as_limit("decoding"):
        codec = codec_by_id(header.codec)
        for pixels in decode_in_groups(codec, container, threads, progress):
            # Holds the values against the bits stored.
            XRay(pixels, header.bits_stored, header.photometric_interpretation)
            digest.update(pixels)
            if expected is not None:
                errors.append(_largest_error(pixels, expected.frames[first:]))
            first += len(pixels)
    identical = digest.digest() == container.pixel_hash
    if header.exact and not identical:
        raise CorruptError("the decoded pixels differ from the hash stored with them")
    largest_error = None
    if errors:
        largest_error = max(errors)
        if header.max_error is not None and largest_error > header.max_error:
            raise CorruptError(
                f"a decoded pixel differs by {largest_error} from the original; the file promises"
                f" {header.max_error} at most"
            )
    _check_restorable(container)
    return Verification(identical, header.exact, header.max_error, largest_error)


def _check_facts(container: Container, original: XRay) -> None:
    """Check that a stream holds all of an image that is no pixel's value.

    Raises:
        CorruptError: it does not.
    """
    header = container.header
    same = {
        "shape": (header.frames, header.rows, header.columns) == original.frames.shape,
        "signed": header.signed == original.signed,
        "bits_stored": header.bits_stored == original.bits_stored,
        "photometric_interpretation": header.photometric_interpretation
        == original.photometric_interpretation,
        "dicom": container.dicom == original.dicom,
        "spare_bits": container.spare_bits == original.spare_bits,
        # Without a data set, how a file held it is not kept.
        "dicom_file": original.dicom is None or container.dicom_file == original.dicom_file,
        "losses": container.losses == original.losses,
    }
    if other := [name for name, equal in same.items() if not equal]:
        raise CorruptError(f"the decoded image is not the original: other {', '.join(other)}")


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


def _largest_error(found: Pixels, expected: Pixels) -> int:
    """Largest difference of any pixel of the first frames.

    A row of each at a time: differences take more memory than the pixels.
    """
    return max(
        int(np.abs(row.astype(np.int32) - other).max())
        for frame, others in zip(found, expected, strict=False)
        for row, other in zip(frame, others, strict=True)
    )
