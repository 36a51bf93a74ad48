"""Every error that xraycodec raises on bad input.

::

    XrayCodecError
    ├── ImageError                   an input image cannot be used
    │   ├── UnsupportedImageError    colour, floats, more than 16 bits, an unknown file type
    │   └── CorruptImageError        the file's own structure is broken
    ├── FormatError                  an .xrc file cannot be used
    │   ├── NotXrcError              it does not begin with the .xrc signature
    │   ├── TruncatedError           it ends before its last chunk
    │   ├── CorruptError             a checksum, a hash or a field is wrong
    │   └── UnsupportedFormatError   a version, codec or critical chunk from a later writer
    ├── LimitError                   a size exceeds the reader's limits
    ├── CurveError                   rate-distortion curves that cannot be compared
    │                                (raised by evaluation/bd_rate.py, which defines it)
    ├── ModelError                   a model pack is missing, damaged or does not fit
    └── OptionError                  a request cannot be met: ratio, tile, format of the output
"""

from __future__ import annotations


def missing_package(what_needs: str, package: str, extra: str) -> str:
    """Say that an optional package is not installed, and what installs it.

    The package is named before the extra: pip finds it wherever xraycodec came from.
    """
    return (
        f"{what_needs} the package {package}: pip install {package!r}, or the extra {extra!r} of"
        f" xraycodec (pip install '.[{extra}]' in its sources)"
    )


class XrayCodecError(Exception):
    """Base of every error raised on purpose by this package."""


class ImageError(XrayCodecError):
    """An input image cannot be used."""


class UnsupportedImageError(ImageError):
    """The image is sound, but of a kind that this package does not serve."""


class CorruptImageError(ImageError):
    """The image file's own structure is broken."""


class FormatError(XrayCodecError):
    """An ``.xrc`` file cannot be used."""


class NotXrcError(FormatError):
    """The bytes do not begin with the ``.xrc`` signature."""


class TruncatedError(FormatError):
    """The file ends before its last chunk."""


class CorruptError(FormatError):
    """A checksum, a hash or a field of the file is wrong."""


class UnsupportedFormatError(FormatError):
    """The file needs a version, codec or critical chunk that this reader does not know."""


class LimitError(XrayCodecError):
    """A size exceeds the reader's limits; the caller can raise them."""


class ModelError(XrayCodecError):
    """A model pack is missing, damaged or does not fit the request."""


class OptionError(XrayCodecError):
    """A request cannot be met: a ratio, a tile size, the format of an output."""
