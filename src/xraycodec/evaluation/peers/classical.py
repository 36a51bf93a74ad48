"""The codecs that are in use: JPEG and its successors, WebP and AVIF.

Each takes gray samples as they are, over the full range, at the settings that give it the best
curve here: irreversible wavelets, optimised Huffman tables, the slow ends of the encoders. A
file is a plain codestream and a depth byte (`peer.depth_byte`).
"""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
import numpy.typing as npt

from xraycodec.errors import OptionError
from xraycodec.evaluation.peers import formats
from xraycodec.evaluation.peers.peer import (
    Peer,
    any_value,
    check_quality,
    check_served,
    depth_byte,
    pixels_from,
    samples_of,
    whole_number,
)
from xraycodec.files.checks import damage_as_corrupt
from xraycodec.image import Pixels, XRay

MOST_THREADS = 32
"""What imagecodecs passes on at most."""

Samples = npt.NDArray[Any]


@dataclass(frozen=True)
class _Format:
    """A codec for single gray images.

    Attributes:
        name, key, qualities, lossless, max_bits, snap, most_grey_levels: as in `Peer`.
        limits: lowest and highest quality.
        encode: takes samples ``(row, column)``, bits stored, a quality or ``None`` for lossless,
            and threads.
        decode: takes a codestream, bits stored and threads.
        max_side: most rows or columns.
    """

    name: str
    key: str
    qualities: tuple[float, ...]
    limits: tuple[float, float]
    max_bits: int
    encode: Callable[[Samples, int, float | None, int], bytes]
    decode: Callable[[bytes, int, int], Samples]
    lossless: bool = True
    max_side: int = 65_535
    snap: Callable[[float], float] = any_value
    most_grey_levels: int | None = None


_JPEG = _Format(
    name="JPEG",
    key="jpeg",
    qualities=(100, 97, 93, 88, 80, 70, 55, 40, 25, 15, 8, 3),
    limits=(1, 100),
    max_bits=12,
    encode=formats.encode_jpeg,
    decode=formats.decode_jpeg,
    lossless=False,
    max_side=65_500,
    snap=whole_number,
)
_JPEG2000 = _Format(
    name="JPEG 2000 (OpenJPEG)",
    key="jpeg2000",
    qualities=(75, 68, 62, 57, 53, 50, 47, 44, 41, 38, 35),
    limits=(10, 120),
    max_bits=16,
    encode=formats.encode_jpeg2000,
    decode=formats.decode_jpeg2000,
)
_HTJ2K = _Format(
    name="HTJ2K (OpenJPH)",
    key="htj2k",
    qualities=(0.002, 0.004, 0.007, 0.012, 0.02, 0.035, 0.06, 0.1, 0.17, 0.3),
    limits=(0.0002, 1),
    max_bits=16,
    encode=formats.encode_htj2k,
    # imagecodecs.htj2k_decode drops its errors and returns junk; OpenJPEG reads HTJ2K, too.
    decode=formats.decode_jpeg2000,
)
_JPEG_LS = _Format(
    name="JPEG-LS (CharLS)",
    key="jpeg-ls",
    qualities=(1, 2, 3, 4, 6, 8, 12, 16, 24, 32, 48, 64, 96),
    limits=(1, formats.JPEG_LS_MOST_NEAR),
    max_bits=16,
    encode=formats.encode_jpeg_ls,
    decode=formats.decode_jpeg_ls,
    snap=whole_number,
    most_grey_levels=formats.JPEG_LS_MOST_NEAR,
)
_WEBP = _Format(
    name="WebP",
    key="webp",
    qualities=(100, 97, 93, 85, 75, 60, 45, 30, 15, 5, 0),
    limits=(0, 100),
    max_bits=8,
    encode=formats.encode_webp,
    decode=formats.decode_webp,
    max_side=16_383,
)


def _jpegxl(effort: int, key: str) -> _Format:
    return _Format(
        name=f"JPEG XL (effort {effort})",
        key=key,
        qualities=(0.1, 0.2, 0.4, 0.8, 1.5, 3, 5, 8, 13, 25),
        limits=(0.01, 25),
        max_bits=16,
        encode=partial(formats.encode_jpegxl, effort=effort),
        decode=formats.decode_jpegxl,
    )


def _avif(speed: int, key: str) -> _Format:
    return _Format(
        name=f"AVIF (speed {speed})",
        key=key,
        qualities=(99, 97, 94, 90, 83, 74, 63, 50, 36, 20, 5),
        limits=(0, formats.AVIF_BEST_LOSSY),
        max_bits=12,
        encode=partial(formats.encode_avif, speed=speed),
        decode=formats.decode_avif,
        snap=whole_number,
    )


def _avif_for_psnr() -> tuple[_Format, ...]:
    if not formats.pillow_writes_avif():
        return ()
    plain = _avif(2, "avif-psnr")
    return (
        _Format(
            name="AVIF (speed 2, tuned for PSNR)",
            key=plain.key,
            qualities=plain.qualities,
            limits=plain.limits,
            max_bits=8,
            encode=partial(formats.encode_avif_for_psnr, speed=2),
            decode=plain.decode,
            snap=plain.snap,
        ),
    )


def classical_peers(threads: int) -> tuple[Peer, ...]:
    """Return one peer for each codec.

    Args:
        threads: of each call, 0 for every core. JPEG, HTJ2K, JPEG-LS and WebP have one.

    Raises:
        OptionError: a negative number of threads.
    """
    found = (_JPEG, _JPEG2000, _HTJ2K, _JPEG_LS, _jpegxl(7, "jpegxl"), _WEBP, _avif(2, "avif"))
    return _as_peers(found, threads)


def classical_variants(threads: int) -> tuple[Peer, ...]:
    """Return the same codecs at other settings: slower, faster, tuned for PSNR."""
    found = (_jpegxl(9, "jpegxl-e9"), _avif(6, "avif-fast"), *_avif_for_psnr())
    return _as_peers(found, threads)


def _as_peers(found: tuple[_Format, ...], threads: int) -> tuple[Peer, ...]:
    if threads < 0:
        raise OptionError(f"{threads} threads; 0 uses every core")
    # Their own choice of "all" is half of the cores for some.
    count = min(MOST_THREADS, threads or os.cpu_count() or 1)
    return tuple(
        Peer(
            name=codec.name,
            key=codec.key,
            qualities=codec.qualities,
            lossless=codec.lossless,
            max_bits=codec.max_bits,
            encode=partial(_encode, codec, count),
            decode=partial(_decode, codec, count),
            snap=codec.snap,
            most_grey_levels=codec.most_grey_levels,
        )
        for codec in found
    )


def _encode(codec: _Format, threads: int, image: XRay, quality: float | None) -> bytes:
    check_served(image, codec.name, codec.max_bits, codec.max_side)
    if quality is not None:
        check_quality(quality, codec.name, codec.limits)
        quality = codec.snap(quality)
    elif not codec.lossless:
        raise OptionError(f"{codec.name} cannot code without loss here; give it a quality")
    samples = samples_of(image)
    return codec.encode(samples, image.bits_stored, quality, threads) + depth_byte(image)


def _decode(codec: _Format, threads: int, data: bytes) -> Pixels:
    def samples(codestream: bytes, bits: int) -> Samples:
        with damage_as_corrupt(codec.name):
            return np.asarray(codec.decode(codestream, bits, threads))

    return pixels_from(data, codec.name, samples)
