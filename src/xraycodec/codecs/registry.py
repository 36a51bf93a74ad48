"""Codecs by their id in a stream and by the name that people type."""

from __future__ import annotations

from importlib import import_module

from xraycodec.codecs.base import Codec
from xraycodec.errors import OptionError, UnsupportedFormatError

# Modules, not classes: a codec is imported when it is first used.
_CODECS = {
    "LTTC": ("lattice", "xraycodec.codecs.lattice", "Lattice"),
    "RNNC": ("rnn-conv", "xraycodec.codecs.rnn_conv", "RnnConv"),
    "WAVE": ("wavelet", "xraycodec.codecs.wavelet", "Wavelet"),
    "TODE": ("toderici", "xraycodec.codecs.toderici", "Toderici"),
    "RAWZ": ("stored", "xraycodec.codecs.stored", "Stored"),
}

NAMES = tuple(name for name, _, _ in _CODECS.values())


def codec_by_id(codec_id: str) -> type[Codec]:
    """Return the codec that a stream names.

    Raises:
        UnsupportedFormatError: this reader has no such codec.
    """
    if codec_id not in _CODECS:
        raise UnsupportedFormatError(
            f"the stream needs codec {codec_id!r}; this reader has {', '.join(_CODECS)}"
        )
    _, module, name = _CODECS[codec_id]
    codec: type[Codec] = getattr(import_module(module), name)
    return codec


def codec_by_name(name: str) -> type[Codec]:
    """Return the codec that people call ``name``.

    Raises:
        OptionError: there is none.
    """
    for codec_id, (known, _, _) in _CODECS.items():
        if known == name:
            return codec_by_id(codec_id)
    raise OptionError(f"no codec {name!r}; choose from {', '.join(NAMES)}")


def name_of(codec_id: str) -> str:
    """Return the name for an id, or the id itself where it is unknown."""
    return _CODECS[codec_id][0] if codec_id in _CODECS else codec_id
