"""This package's codecs: whole ``.xrc`` files, their DICOM data sets left out."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from importlib import import_module
from importlib.util import find_spec

from xraycodec.codecs.base import Codec
from xraycodec.codecs.lattice import PROFILES, Lattice
from xraycodec.codecs.lattice.codec import Profile
from xraycodec.codecs.rnn_conv import RnnConv
from xraycodec.codecs.wavelet import Wavelet
from xraycodec.errors import OptionError
from xraycodec.evaluation.peers.peer import Peer, check_quality, whole_beta, whole_number
from xraycodec.image import MAX_BITS, Pixels, XRay
from xraycodec.pipeline import compress, decompress

SEGMENT = 256
"""The paper's larger N."""
_TODERICI = "xraycodec.codecs.toderici"
_LARGEST_ERROR = 65_535
_MOST_ITERATIONS = 32


def our_peers(threads: int) -> tuple[Peer, ...]:
    """Return lattice, wavelet, rnn-conv and, where the package has it, toderici.

    Args:
        threads: of each call, 0 for every core.

    Raises:
        OptionError: a negative number of threads.
    """
    if threads < 0:
        raise OptionError(f"{threads} threads; 0 uses every core")
    found = [_lattice("lattice", PROFILES[0], threads), _wavelet(threads), _rnn_conv(threads)]
    if find_spec(_TODERICI) is not None:
        found.append(_toderici(threads))
    return tuple(found)


def our_variants(threads: int) -> tuple[Peer, ...]:
    """Return lattice with its other profiles."""
    return tuple(_lattice(f"lattice-{name}", name, threads) for name in PROFILES[1:])


def _lattice(key: str, profile: Profile, threads: int) -> Peer:
    return Peer(
        name=f"lattice ({profile})",
        key=key,
        qualities=(1, 2, 3, 4, 6, 8, 12, 16, 24, 32, 48, 64, 96),
        lossless=True,
        max_bits=MAX_BITS,
        encode=partial(
            _encode, key, (0, _LARGEST_ERROR), partial(_lattice_codec, profile, threads)
        ),
        decode=partial(_decode, threads),
        snap=whole_number,
        most_grey_levels=_LARGEST_ERROR,
    )


def _wavelet(threads: int) -> Peer:
    return Peer(
        name="wavelet",
        key="wavelet",
        qualities=(78, 70, 62, 54, 46, 38, 30, 22, 14, 7, 0),
        lossless=False,
        max_bits=MAX_BITS,
        encode=partial(_encode, "wavelet", (0, 100), partial(_wavelet_codec, threads)),
        decode=partial(_decode, threads),
    )


def _rnn_conv(threads: int) -> Peer:
    return Peer(
        name=f"RNN-Conv (N = {SEGMENT})",
        key="rnn-conv",
        qualities=(2, 3, 4, 6, 8, 12, 16, 24, 32, 64, 128),
        lossless=False,
        max_bits=MAX_BITS,
        encode=partial(_encode, "rnn-conv", (2, 256), partial(_rnn_conv_codec, threads)),
        decode=partial(_decode, threads),
        snap=whole_beta,
    )


def _toderici(threads: int) -> Peer:
    return Peer(
        name="Toderici et al.",
        key="toderici",
        qualities=(16, 12, 9, 7, 5, 4, 3, 2, 1),
        lossless=False,
        max_bits=MAX_BITS,
        encode=partial(
            _encode, "toderici", (1, _MOST_ITERATIONS), partial(_toderici_codec, threads)
        ),
        decode=partial(_decode, threads),
        snap=whole_number,
    )


def _lattice_codec(profile: Profile, threads: int, quality: float | None) -> Codec:
    return Lattice(int(quality or 0), profile, threads=threads)


def _wavelet_codec(threads: int, quality: float | None) -> Codec:
    return Wavelet(quality=_given(quality, "wavelet"), threads=threads)


def _rnn_conv_codec(threads: int, quality: float | None) -> Codec:
    return RnnConv(_given(quality, "rnn-conv"), SEGMENT, threads)


def _toderici_codec(threads: int, quality: float | None) -> Codec:
    iterations = int(_given(quality, "toderici"))
    toderici = import_module(_TODERICI).Toderici
    codec: Codec = toderici(iterations=iterations, tile=SEGMENT, threads=threads)
    return codec


def _given(quality: float | None, name: str) -> float:
    if quality is None:
        raise OptionError(f"{name} cannot code without loss; give it a quality")
    return quality


def _encode(
    name: str,
    limits: tuple[float, float],
    codec: Callable[[float | None], Codec],
    image: XRay,
    quality: float | None,
) -> bytes:
    if quality is not None:
        check_quality(quality, name, limits)
    bare = XRay(image.pixels, image.bits_stored, image.photometric_interpretation)
    return compress(bare, codec(quality))


def _decode(threads: int, data: bytes) -> Pixels:
    return decompress(data, threads=threads).pixels
