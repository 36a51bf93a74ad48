"""Decoding the first layers of a file, whole or cut off, to the whole image in lower quality."""

from __future__ import annotations

from dataclasses import dataclass
from typing import BinaryIO

from xraycodec.codecs.base import Progress, check_threads, no_prefix, no_progress
from xraycodec.codecs.registry import codec_by_id
from xraycodec.container import Limits, PartialReader, as_file
from xraycodec.errors import OptionError, TruncatedError
from xraycodec.image import XRay
from xraycodec.limits import memory_as_limit
from xraycodec.losses import losses_after


@dataclass(frozen=True, eq=False)
class PrefixImage:
    """An image as the first layers of a file give it.

    Attributes:
        image: all of it, with the DICOM data set of the file.
        layers: that it is made from, the first ones; at least 1. Of a wavelet file with a
            completion these are 1 to 4, the base, or all 8: layers 5 to 7 alone add nothing.
        of_layers: that the whole file has.
        bytes_read: of the file.
        size_bytes: of the file, as far as it is there.
    """

    image: XRay
    layers: int
    of_layers: int
    bytes_read: int
    size_bytes: int


def decompress_prefix(
    source: BinaryIO | bytes | bytearray | memoryview,
    *,
    layers: int | None = None,
    limits: Limits | None = None,
    threads: int = 0,
    progress: Progress = no_progress,
) -> PrefixImage:
    """Decompress the first layers of an ``.xrc`` file whose layers refine the image.

    Those of toderici are its iterations, those of wavelet its resolutions from the coarsest on; of
    a wavelet file with a completion, the first 4 are the lossy base and the last 4 complete it.

    Only the layers that are decoded are read, so that a file that was cut off gives the image
    that its whole layers hold. What is read is checked by the CRC-32 of its chunks, but not by
    the hash of the pixels, which is of the image that all layers give: `verify` and `decompress`
    check that, and whether the rest of the file is there (spec/format.md, section 6.1).

    Args:
        source: a seekable binary file, read from byte 0 whatever its position, or all its bytes.
        layers: how many to decode; without, as many as the file holds whole.
        limits: sizes to accept; the defaults hold any radiograph.
        threads: for the networks, 0 for every core.
        progress: called with steps done and steps in all.

    Raises:
        OptionError: the file never had so many layers, or its codec's layers do not refine the
            image.
        TruncatedError: the file was cut off before the layers asked for end; without ``layers``,
            before the first one does.
        FormatError: what was read is damaged or of a later version.
        LimitError: a size exceeds ``limits``.
        ModelError: the model pack that it names is not at hand.
        OSError: the file cannot be read, or cannot seek.
    """
    check_threads(threads)
    reader = PartialReader.open(as_file(source), limits or Limits())
    header = reader.header
    codec = codec_by_id(header.codec)
    if not codec.layers_refine:
        raise no_prefix(header)
    if layers is not None and not 1 <= layers <= header.layers:
        raise OptionError(f"{layers} layers; the file has 1 to {header.layers}")
    payloads = _read_layers(reader, layers)
    with memory_as_limit("decoding"):
        pixels = codec.decode_prefix(header, reader.parameters, payloads, threads, progress)
    decoded = codec.header_of(header, len(payloads) // header.tile_count)
    image = XRay(
        pixels[0] if header.frames == 1 else pixels,
        header.bits_stored,
        header.photometric_interpretation,
        reader.dicom,
        reader.dicom_file,
        losses=losses_after(
            reader.losses, decoded, sum(map(len, payloads[: decoded.layers * header.tile_count]))
        ),
    )
    return PrefixImage(
        image,
        decoded.layers,
        header.layers,
        reader.bytes_read,
        reader.size_bytes,
    )


def _read_layers(reader: PartialReader, layers: int | None) -> list[bytes]:
    """Payloads of the first layers, in coding order; as many whole ones as there are without."""
    header = reader.header
    payloads: list[bytes] = []
    for layer in range(layers or header.layers):
        first = layer * header.tile_count
        try:
            payloads += reader.read(range(first, first + header.tile_count)).values()
        except TruncatedError as cut:
            if layer and layers is None:
                break
            wanted = f", not the {layers} asked for" if layers else ""
            raise TruncatedError(
                f"{cut}; {layer} of {header.layers} layers are whole{wanted}"
            ) from None
    return payloads
