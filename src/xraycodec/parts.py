"""Decoding a part of a file without reading the rest: a smaller image, a region, or both."""

from __future__ import annotations

from dataclasses import dataclass
from typing import BinaryIO

from xraycodec.codecs.base import Part, Progress, check_threads, no_progress
from xraycodec.codecs.registry import codec_by_id
from xraycodec.container import Limits, PartialReader, as_file
from xraycodec.errors import OptionError
from xraycodec.image import XRay
from xraycodec.limits import memory_as_limit
from xraycodec.losses import losses_after

SCALES = (1, 2, 4, 8)
"""One over the size of the images that a file holds; their levels are 0 to 3."""


@dataclass(frozen=True, eq=False)
class PartialImage:
    """A part of an image, and what it took to get it.

    Attributes:
        image: the part. It has no DICOM data set: that of the file would contradict the pixels,
            in their number, their spacing and their position at the least.
        bytes_read: of the file.
        size_bytes: of the whole file.
    """

    image: XRay
    bytes_read: int
    size_bytes: int


def decompress_part(
    source: BinaryIO | bytes | bytearray | memoryview,
    *,
    scale: int = 1,
    region: tuple[int, int, int, int] | None = None,
    limits: Limits | None = None,
    threads: int = 0,
    progress: Progress = no_progress,
) -> PartialImage:
    """Decompress an ``.xrc`` file at a lower resolution, within a region, or both.

    Only the front of the file and the DATA chunks that hold the part are read, so that a file
    that was cut off still gives what lies before the cut, its smaller images first. What is read
    is checked by the CRC-32 of its chunks, but not by the hash of the pixels, which is of the
    whole image: `verify` and `decompress` check that (spec/format.md, section 6.1).

    Args:
        source: a seekable binary file, read from byte 0 whatever its position, or all its bytes.
            Open files with ``buffering=0`` to avoid read-ahead.
        scale: 1, 2, 4 or 8, to get every ``scale``-th row and column of the image, beginning
            with the first. They are picked, not averaged, so that fine patterns may alias.
            wavelet gives smaller images that are averaged instead, of a file with a completion
            those of its lossy base.
        region: row and column of its first pixel, then its number of rows and of columns, all
            counted at the full size; the whole image without. With a scale, the rows and columns
            of the smaller image that lie in it.
        limits: sizes to accept, those of the whole image; the defaults hold any radiograph.
        threads: for the networks, 0 for every core.
        progress: called with tiles done and tiles in all.

    Returns:
        The part of every frame; of lattice, and of wavelet at the full size, equal to the same rows
        and columns of the whole image.

    Raises:
        OptionError: another scale; a region that is not inside the image or holds no pixel at
            the scale; a codec that decodes whole images only, as all but lattice and wavelet.
        FormatError: what was read is damaged, cut off, or of a later version.
        LimitError: a size exceeds ``limits``.
        ModelError: the model pack that it names is not at hand.
        OSError: the file cannot be read, or cannot seek.
    """
    if scale not in SCALES:
        raise OptionError(f"scale {scale}; allowed are {', '.join(map(str, SCALES))}")
    check_threads(threads)
    reader = PartialReader.open(as_file(source), limits or Limits())
    header = reader.header
    row, column, rows, columns = region or (0, 0, header.rows, header.columns)
    part = Part(row, column, rows, columns, SCALES.index(scale))
    codec = codec_by_id(header.codec)
    numbers = codec.payloads_of(header, part)
    payloads = reader.read(numbers)
    decoded = codec.header_of(header, numbers[-1] // header.tile_count + 1)
    # Of a part, the ratio is that of the file, unless it leaves out what bounds the errors.
    layers = header.layers if decoded.max_error == header.max_error else decoded.layers
    used = reader.index.payload_bytes[: layers * header.tile_count]
    with memory_as_limit("decoding"):
        pixels = codec.decode_part(header, reader.parameters, payloads, part, threads, progress)
    image = XRay(
        pixels[0] if header.frames == 1 else pixels,
        header.bits_stored,
        header.photometric_interpretation,
        losses=losses_after(reader.losses, decoded, int(used.sum())),
    )
    return PartialImage(image, reader.bytes_read, reader.size_bytes)
