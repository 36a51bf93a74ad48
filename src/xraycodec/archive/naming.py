"""Names of originals, and of restored files as ``xrc decompress`` gives them."""

from __future__ import annotations

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


def is_image_name(path: str, *, blank: bool) -> bool:
    """Whether a name promises an image.

    DICOM files often have no suffix: IM0001, I10, or a UID. Of a file without content, a name with
    a digit and without suffix counts as one; README and LOCK do not. Hidden files, such as the
    ._chest.dcm that macOS puts beside chest.dcm, are none.

    Args:
        path: whose last part is the name.
        blank: the file has no content.
    """
    name = PurePosixPath(path)
    suffix = name.suffix.lower()
    if name.name.startswith("."):
        return False
    plain = not suffix or suffix[1:].isdigit()
    return suffix in _IMAGE_SUFFIXES or (blank and plain and any(map(str.isdigit, name.name)))


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
