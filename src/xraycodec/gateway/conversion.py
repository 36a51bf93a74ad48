"""Everything that the gateway asks of ``xraycodec.dicom``: instances into other syntaxes.

This runs in the processes of the pool; its imports wait until then.
"""

from __future__ import annotations

import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from xraycodec.errors import CorruptError, OptionError, XrayCodecError
from xraycodec.gateway.config import (
    AS_RECEIVED,
    LAYERED,
    PRIVATE,
    REMAINDER,
    Compression,
    Preview,
)
from xraycodec.gateway.records import Part, Rendition

if TYPE_CHECKING:
    from xraycodec.codecs.base import Codec

TRANSFER_SYNTAXES = {
    "implicit": "1.2.840.10008.1.2",
    "explicit": "1.2.840.10008.1.2.1",
    "rle": "1.2.840.10008.1.2.5",
    "jpeg-ls": "1.2.840.10008.1.2.4.80",
    "jpeg2000": "1.2.840.10008.1.2.4.90",
    "jpegxl": "1.2.840.10008.1.2.4.110",
    "htj2k": "1.2.840.10008.1.2.4.201",
}


@dataclass(frozen=True)
class Job:
    """One delivery to prepare.

    Attributes:
        source: the instance as received.
        target: where to write what will be sent.
        received: what was received.
        previews: SOP class and instance UID of what a withdrawal names.
        base: the preview that was delivered, where the image may follow as its remainder.
    """

    part: Part
    source: Path
    target: Path
    received: Rendition
    syntax: str
    compression: Compression
    preview: Preview | None = None
    previews: tuple[tuple[str, str], ...] = ()
    base: Path | None = None


@dataclass(frozen=True)
class Prepared:
    """A delivery that is ready.

    Attributes:
        passed_through: the class of the error for which the instance goes as it was received.
        seconds: that it took.
    """

    rendition: Rendition
    passed_through: str | None
    seconds: float


def private_syntax() -> str:
    """UID of the private transfer syntax."""
    from xraycodec.dicom.encapsulation import XRC_UID

    return XRC_UID


def is_ready(syntax: str, transfer_syntax: str) -> bool:
    """Whether an instance goes in a syntax as it is."""
    if syntax == AS_RECEIVED:
        return True
    private = syntax in (PRIVATE, REMAINDER, LAYERED)
    wanted = private_syntax() if private else TRANSFER_SYNTAXES[syntax]
    return transfer_syntax == wanted


def prepare(job: Job) -> Prepared:
    """Write what a delivery needs; the file is whole and on the disk when this returns.

    An image that cannot be had in the syntax asked for, because it is in colour, a report or
    damaged, goes as it was received; one in the private syntax goes as Explicit VR Little Endian.

    Raises:
        XrayCodecError: a preview or withdrawal cannot be made, or a private image not unwrapped.
        OSError: the disk is full or broken.
    """
    start = time.monotonic()
    data = job.source.read_bytes()
    try:
        made = _convert(job, data)
    except XrayCodecError as error:
        if job.part is not Part.IMAGE:
            raise
        name = type(error).__name__
        if job.received.transfer_syntax != private_syntax():
            return Prepared(job.received, name, time.monotonic() - start)
        rendition = _write(job.target, to_standard(data, "explicit"))
        return Prepared(rendition, name, time.monotonic() - start)
    rendition = _write(job.target, made)
    return Prepared(rendition, None, time.monotonic() - start)


def _convert(job: Job, data: bytes) -> bytes:
    from xraycodec.gateway import progressive

    if job.part is Part.PREVIEW:
        assert job.preview is not None
        return progressive.preview(data, job.preview)
    if job.part is Part.WITHDRAWAL:
        return progressive.withdrawal(data, job.previews)
    if job.syntax in (REMAINDER, LAYERED):
        return _above_preview(job, data)
    if job.syntax == PRIVATE:
        return to_private(data, _lossless_codec(job.compression))
    return to_standard(data, job.syntax)


def _above_preview(job: Job, data: bytes) -> bytes:
    """An image on top of its preview, as a remainder or whole; without one, as any other."""
    from xraycodec.gateway import layered, remainder

    if job.base is None:
        return to_private(data, _lossless_codec(job.compression))
    preview = job.base.read_bytes()
    try:
        whole = to_private(data, layered.completed(preview, job.compression))
    except OptionError:
        # No base of this image: of cells with overlays, or made when another codec was set.
        return to_private(data, _lossless_codec(job.compression))
    if job.syntax == LAYERED:
        return whole
    return remainder.make(whole, preview, private_syntax())


def to_private(data: bytes, codec: Codec) -> bytes:
    """Wrap a DICOM file; the result is unwrapped and compared before it is given back.

    Raises:
        ImageError, LimitError: it cannot be read, or is no grayscale image.
        CorruptError: the wrapped file is not the same.
    """
    from xraycodec.dicom.encapsulation import unwrap, wrap

    wrapped = wrap(data, codec)
    _check_same(data, unwrap(wrapped))
    return wrapped


def to_standard(data: bytes, syntax: str) -> bytes:
    """Give a DICOM file in a standard, lossless transfer syntax.

    Raises:
        ImageError, LimitError, FormatError: it cannot be read, or is no grayscale image.
    """
    from xraycodec.dicom.encapsulation import is_wrapped, unwrap

    if is_wrapped(data):
        data = unwrap(data)
        if syntax == "explicit":
            return data
    from xraycodec.dicom.transcode import read, transcode

    return transcode(read(data), syntax, threads=1).data


def _lossless_codec(compression: Compression) -> Codec:
    if compression.codec == "stored":
        from xraycodec.codecs.stored import Stored

        return Stored()
    from xraycodec.codecs.lattice import Lattice

    # The pool has a process for every core.
    return Lattice(profile=compression.profile, threads=1)


def _check_same(original: bytes, result: bytes) -> None:
    """Compare two DICOM files: pixels, data sets, bits beside the stored ones."""
    import numpy as np

    from xraycodec.files.dicom import decode

    expected, found = decode(original), decode(result)
    # The file meta information names the syntax and the writer, which are others.
    other = [
        name
        for name in ("bits_stored", "photometric_interpretation", "dicom", "spare_bits")
        if getattr(expected, name) != getattr(found, name)
    ]
    if other or not np.array_equal(expected.pixels, found.pixels):
        names = ", ".join(other or ["pixels"])
        raise CorruptError(f"the wrapped image is not the original: other {names}")


def _write(path: Path, data: bytes) -> Rendition:
    from io import BytesIO

    from pydicom.filereader import dcmread

    from xraycodec.files.atomic import write_atomically

    write_atomically(path, data, overwrite=True, mode=0o600)
    meta: Any = dcmread(BytesIO(data), stop_before_pixels=True, specific_tags=[]).file_meta
    return Rendition(
        uid=str(meta.MediaStorageSOPInstanceUID),
        sop_class=str(meta.MediaStorageSOPClassUID),
        transfer_syntax=str(meta.TransferSyntaxUID),
        size_bytes=len(data),
        own_file=True,
    )
