"""Previews that are the front of their image: a lossy base, and its completion on top.

::

    image ─Front─▶ preview (a stream a frame: the base)
      └───────────────────┐    │
                       Completed ─▶ image, lossless (a stream a frame: base and completion)

Both come from one encoding of the base. What follows the preview is then `remainder`'s matter.
"""

from __future__ import annotations

import io
import warnings
from collections.abc import Iterator
from dataclasses import dataclass, field

from xraycodec.codecs.base import Encoded, Progress, no_progress
from xraycodec.codecs.wavelet import Wavelet
from xraycodec.container import parse, read_length
from xraycodec.errors import OptionError
from xraycodec.files.checks import damage_as_corrupt
from xraycodec.gateway.config import Compression, Preview
from xraycodec.image import XRay
from xraycodec.pipeline import decompress


@dataclass(frozen=True)
class Front(Wavelet):
    """Makes bases as they are below a completion: in layers, however small."""

    def encode(self, image: XRay, progress: Progress = no_progress) -> Encoded:
        return self.encode_base(image, progress)


@dataclass(frozen=True)
class Completed(Wavelet):
    """Puts completions on bases that are there, frame by frame.

    Attributes:
        bases: streams of the frames that will be encoded, in that order.
    """

    bases: Iterator[bytes] = field(default_factory=lambda: iter(()))

    def encode_base(self, image: XRay, progress: Progress) -> Encoded:
        stream = next(self.bases, None)
        if stream is None:
            raise OptionError("the preview has fewer frames than the image")
        container = parse(stream)
        header = container.header
        base = decompress(stream, threads=self.threads)
        kind = (base.frames.shape, base.signed, base.bits_stored, base.photometric_interpretation)
        if header.codec != self.codec_id or kind != (
            *(image.frames.shape, image.signed),
            *(image.bits_stored, image.photometric_interpretation),
        ):
            # Where bits beside the stored ones are in use, the image's pixels are whole cells.
            raise OptionError("the preview is no base of the image")
        payloads = [bytes(payload) for payload in container.payloads]
        return Encoded(header, container.parameters, payloads, base.frames)


def front(settings: Preview) -> Front:
    """The codec of a preview that a completion can be put on."""
    return Front(ratio=settings.ratio, max_error=0, threads=1)


def completed(preview: bytes, compression: Compression) -> Completed:
    """The lossless codec for the image of a preview.

    Args:
        preview: file in the private syntax.
        compression: its profile is that of the completion.

    Raises:
        ImageError: the file cannot be parsed.
    """
    streams = streams_of(preview)
    return Completed(max_error=0, profile=compression.profile, threads=1, bases=iter(streams))


def streams_of(file: bytes) -> list[bytes]:
    """Streams of the frames of a file in the private syntax.

    Raises:
        ImageError, FormatError: it cannot be parsed.
    """
    from pydicom.filereader import dcmread

    from xraycodec.files.dicom_fragments import split_frames

    with warnings.catch_warnings(), damage_as_corrupt("DICOM"):
        warnings.simplefilter("ignore")
        dataset = dcmread(io.BytesIO(file))
        tables = (dataset.get("ExtendedOffsetTable"), dataset.get("ExtendedOffsetTableLengths"))
        fragments = split_frames(
            dataset.PixelData,
            int(dataset.get("NumberOfFrames") or 1),
            tables if all(tables) else None,
        )
    return [fragment[: read_length(fragment)] for fragment in fragments]
