"""xraycodec: compression of radiographs.

The public surface is what ``__all__`` lists; everything else may change. Names are loaded when
they are first used, so that ``import xraycodec`` is cheap.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

from xraycodec.errors import (
    CorruptError,
    CorruptImageError,
    FormatError,
    ImageError,
    LimitError,
    ModelError,
    NotXrcError,
    OptionError,
    TruncatedError,
    UnsupportedFormatError,
    UnsupportedImageError,
    XrayCodecError,
)

if TYPE_CHECKING:
    from xraycodec.codecs.lattice import Lattice
    from xraycodec.codecs.rnn_conv import RnnConv
    from xraycodec.codecs.stored import Stored
    from xraycodec.codecs.toderici import Toderici
    from xraycodec.codecs.wavelet import Wavelet
    from xraycodec.container import Inspection, Limits, inspect
    from xraycodec.exact.pack import add_model
    from xraycodec.files import read, write
    from xraycodec.image import XRay
    from xraycodec.parts import PartialImage, decompress_part
    from xraycodec.pipeline import PixelDriftWarning, Verification, compress, decompress, verify
    from xraycodec.prefix import PrefixImage, decompress_prefix

__version__ = "0.1.0"

_HOME = {
    "Inspection": "xraycodec.container",
    "Lattice": "xraycodec.codecs.lattice",
    "Limits": "xraycodec.container",
    "PartialImage": "xraycodec.parts",
    "PixelDriftWarning": "xraycodec.pipeline",
    "PrefixImage": "xraycodec.prefix",
    "RnnConv": "xraycodec.codecs.rnn_conv",
    "Stored": "xraycodec.codecs.stored",
    "Toderici": "xraycodec.codecs.toderici",
    "Verification": "xraycodec.pipeline",
    "Wavelet": "xraycodec.codecs.wavelet",
    "XRay": "xraycodec.image",
    "add_model": "xraycodec.exact.pack",
    "compress": "xraycodec.pipeline",
    "decompress": "xraycodec.pipeline",
    "decompress_part": "xraycodec.parts",
    "decompress_prefix": "xraycodec.prefix",
    "inspect": "xraycodec.container",
    "read": "xraycodec.files",
    "verify": "xraycodec.pipeline",
    "write": "xraycodec.files",
}

__all__ = [
    "CorruptError",
    "CorruptImageError",
    "FormatError",
    "ImageError",
    "Inspection",
    "Lattice",
    "LimitError",
    "Limits",
    "ModelError",
    "NotXrcError",
    "OptionError",
    "PartialImage",
    "PixelDriftWarning",
    "PrefixImage",
    "RnnConv",
    "Stored",
    "Toderici",
    "TruncatedError",
    "UnsupportedFormatError",
    "UnsupportedImageError",
    "Verification",
    "Wavelet",
    "XRay",
    "XrayCodecError",
    "__version__",
    "add_model",
    "compress",
    "decompress",
    "decompress_part",
    "decompress_prefix",
    "inspect",
    "read",
    "verify",
    "write",
]


def __getattr__(name: str) -> Any:
    if name not in _HOME:
        raise AttributeError(f"module 'xraycodec' has no attribute {name!r}")
    value = getattr(import_module(_HOME[name]), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return __all__
