"""The table of formats, and the four verbs over it."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any, BinaryIO

from xraycodec.errors import (
    CorruptImageError,
    LimitError,
    OptionError,
    UnsupportedImageError,
    XrayCodecError,
)
from xraycodec.files import (
    codestreams,
    dicom,
    dicom_parsing,
    dicom_writer,
    jpegxl,
    npy,
    pgm,
    png,
    tiff,
)
from xraycodec.files.atomic import write_atomically
from xraycodec.files.signatures import sniff
from xraycodec.image import Pixels, XRay, as_xray
from xraycodec.limits import DEFAULT_LIMITS, Limits, memory_as_limit

_HEAD_BYTES = 1 << 22
"""Of a file that is larger, which are looked at before the rest is read."""

_DECODERS: dict[str, Callable[[bytes, Limits], XRay]] = {
    "dicom": dicom.decode,
    "png": png.decode,
    "tiff": tiff.decode,
    "pgm": pgm.decode,
    "npy": npy.decode,
    "jpegxl": jpegxl.decode,
    "jpeg2000": codestreams.decode_jpeg2000,
    "jpegls": codestreams.decode_jpeg,
    "jpeg": codestreams.decode_jpeg,
}

_ENCODERS: dict[str, Callable[[XRay], bytes]] = {
    "dicom": dicom_writer.encode,
    "png": png.encode,
    "tiff": tiff.encode,
    "pgm": pgm.encode,
    "npy": npy.encode,
    "jpegxl": jpegxl.encode,
}

_XRC_SIGNATURE = b"\x89XRC\r\n\x1a\n"  # spec/format.md, section 3

_SUFFIXES = {
    ".dcm": "dicom",
    ".dicom": "dicom",
    ".png": "png",
    ".tif": "tiff",
    ".tiff": "tiff",
    ".pgm": "pgm",
    ".npy": "npy",
    ".jxl": "jpegxl",
}


def decode(data: bytes, name: str = "input", *, limits: Limits | None = None) -> XRay:
    """Decode an image file of any format that :func:`~xraycodec.files.sniff` names.

    Args:
        data: the whole file.
        name: what messages call it.
        limits: sizes to accept, checked before memory is taken; the defaults hold any
            radiograph, tomosynthesis and long fluoroscopy too.

    Returns:
        The radiograph. Gray images stored as RGB or RGBA PNG (equal channels, opaque) count as
        grayscale; samples of 1, 2 and 4 bits keep their values in 8-bit pixels.

    Raises:
        UnsupportedImageError: an unknown format, or colour, floats, more than 16 bits.
        CorruptImageError: the file is damaged or contradicts itself.
        LimitError: a size exceeds ``limits``, or memory does not suffice.
    """
    given: object = data
    if not isinstance(given, bytes | bytearray | memoryview):
        raise UnsupportedImageError(
            f"{name}: the bytes of a file are expected, not an object of type"
            f" {type(given).__name__}; a file must be open with mode 'rb'"
        )
    data = bytes(given)
    try:
        if not data:
            raise CorruptImageError("the file is empty")
        found = sniff(data)
        if found is None:
            if data.startswith(_XRC_SIGNATURE):
                raise UnsupportedImageError(
                    "it is an .xrc file already; `xrc decompress`, or xraycodec.decompress in"
                    " Python, gives its image"
                )
            raise UnsupportedImageError(
                f"no known image format begins with {data[:8].hex(' ')}; allowed are"
                f" {', '.join(_DECODERS)}"
            )
        with memory_as_limit("the image"):
            return _DECODERS[found](data, limits or DEFAULT_LIMITS)
    except XrayCodecError as error:
        raise type(error)(f"{name}: {error}") from error


def check_head(head: bytes, size_bytes: int | None, limits: Limits) -> None:
    """Refuse a DICOM file by its first bytes, as far as these tell, before the rest is read.

    Args:
        head: of a file of any format; a megabyte tells the size of nearly every DICOM file.
        size_bytes: of the whole file, ``None`` if that is not known.
        limits: sizes to accept.

    Raises:
        LimitError: the file will be refused.
    """
    if sniff(head) == "dicom":
        dicom_parsing.check_head(head, size_bytes, limits)


def read(source: str | os.PathLike[str] | BinaryIO, *, limits: Limits | None = None) -> XRay:
    """Read an image file: a path, or a binary stream from its position to its end.

    Raises:
        OSError: the file cannot be read.
        XrayCodecError: as :func:`decode`.
    """
    if isinstance(source, (str, os.PathLike)):
        path = Path(source)
        with path.open("rb") as stream:
            head = stream.read(_HEAD_BYTES)
            size_bytes = os.fstat(stream.fileno()).st_size
            if size_bytes > len(head):
                try:
                    check_head(head, size_bytes, limits or DEFAULT_LIMITS)
                except LimitError as error:
                    raise LimitError(f"{path}: {error}") from error
                stream.seek(0)
                head = stream.read()
        return decode(head, str(path), limits=limits)
    given: Any = source
    if not hasattr(given, "read"):
        raise UnsupportedImageError(
            f"a path or a binary file is expected, not an object of type {type(given).__name__};"
            " io.BytesIO(data) makes a file of bytes"
        )
    name = getattr(source, "name", None)
    return decode(source.read(), name if isinstance(name, str) else "input", limits=limits)


def encode(image: XRay | Pixels, format: str) -> bytes:  # noqa: A002 - the field's word for it
    """Encode a radiograph without loss.

    Args:
        image: a radiograph, or an array as `xraycodec.compress` takes it.
        format: ``dicom``, ``png``, ``tiff``, ``pgm``, ``npy`` or ``jpegxl``.

    Raises:
        OptionError: an unknown format, or one that cannot hold the image.
        UnsupportedImageError: an array of another kind, such as colour.
        CorruptImageError: the image's DICOM data set cannot be parsed.
    """
    if format not in _ENCODERS:
        raise OptionError(
            f"output format {format!r} is not known; allowed are {', '.join(_ENCODERS)}"
        )
    return _ENCODERS[format](as_xray(image))


def format_of_suffix(path: str | os.PathLike[str]) -> str:
    """The format that an output's suffix asks for.

    Raises:
        OptionError: a suffix that stands for no format.
    """
    suffix = Path(path).suffix
    if suffix.lower() not in _SUFFIXES:
        raise OptionError(
            f"{os.fspath(path)}: no output format has the suffix {suffix!r}; allowed are"
            f" {', '.join(_SUFFIXES)}"
        )
    return _SUFFIXES[suffix.lower()]


def write(
    image: XRay | Pixels,
    path: str | os.PathLike[str],
    format: str | None = None,  # noqa: A002 - the field's word for it
    *,
    overwrite: bool = False,
) -> None:
    """Write a radiograph to a file, whole or not at all.

    Args:
        image: a radiograph, or an array as `xraycodec.compress` takes it.
        path: the file; its folder must exist.
        format: as for :func:`encode`; the suffix decides when left out.
        overwrite: whether an existing file may be replaced.

    Raises:
        OptionError: the file exists, or as :func:`encode` and :func:`format_of_suffix`.
        OSError: the file system refuses.
    """
    data = encode(image, format_of_suffix(path) if format is None else format)
    write_atomically(Path(path), data, overwrite=overwrite)
