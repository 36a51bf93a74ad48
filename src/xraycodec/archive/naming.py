"""Names of originals, and of restored files as ``xrc decompress`` gives them."""

from __future__ import annotations

import re
from pathlib import PurePosixPath

from xraycodec.errors import OptionError
from xraycodec.files import format_of_suffix
from xraycodec.image import XRay

XRC_SUFFIX = ".xrc"
SUFFIXES = {
    "dicom": ".dcm",
    "png": ".png",
    "tiff": ".tif",
    "pgm": ".pgm",
    "npy": ".npy",
    "jpegxl": ".jxl",
}
# What a format replaces; the last number of a name that is a DICOM UID is no suffix.
_IMAGE_SUFFIXES = frozenset(
    (
        *SUFFIXES.values(),
        *(".dicom", ".tiff", ".jpg", ".jpeg", ".jls"),
        *(".jp2", ".j2k", ".j2c", ".jph", ".jhc"),
    )
)

_DICOM_UID = re.compile(r"[0-9]+(\.[0-9]+)+")  # PS3.5 9.1; a file's name in many archives
_MACOS_METADATA = "._"  # of the file of which the rest is the name


def is_image_name(path: str) -> bool:
    """Whether a file must be an image by its name: its suffix says so, or it is a DICOM UID."""
    name = PurePosixPath(path)
    return not name.name.startswith(_MACOS_METADATA) and (
        name.suffix.lower() in _IMAGE_SUFFIXES or _DICOM_UID.fullmatch(name.name) is not None
    )


def original_name(output: str) -> str:
    """Name of the original of a file of the archive, below the folder that it was found in."""
    return output.removesuffix(XRC_SUFFIX)


def restored_name(output: str, file_format: str | None) -> str:
    """Name of what is restored from a file of the archive."""
    path = PurePosixPath(original_name(output))
    if file_format is None:
        return str(path)
    stem = path.stem if path.suffix.lower() in _IMAGE_SUFFIXES else path.name
    return str(path.with_name(stem + SUFFIXES[file_format]))


def format_for(name: str, image: XRay) -> str:
    """Format that a name asks for.

    Raises:
        OptionError: none that can be written.
    """
    suffix = PurePosixPath(name).suffix[1:]
    if image.dicom is not None and (not suffix or suffix.isdecimal()):
        return "dicom"
    try:
        return format_of_suffix(name)
    except OptionError as error:
        raise OptionError(f"{error}; or say --format") from error
