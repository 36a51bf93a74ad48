"""The codecs as the benchmark reaches them: by key, for a number of threads, made once."""

from __future__ import annotations

from functools import lru_cache

import numpy as np

from xraycodec.codecs.base import Codec
from xraycodec.errors import XrayCodecError
from xraycodec.evaluation.benchmark.jobs import Context
from xraycodec.evaluation.benchmark.settings import SEED
from xraycodec.evaluation.crops import load_crops
from xraycodec.evaluation.klt import BlockTransform, learn_klt
from xraycodec.evaluation.peers import Peer, klt_peer, peer, peers
from xraycodec.image import XRay

TODERICI_BITS_RATIO = 64
"""Ratio of one iteration of toderici: 32 bits for 16 x 16 pixels of 8 bits."""
KLT = "klt"
VARIANTS = ("avif-psnr",)
"""Variants of peers that are measured too: tables of PSNR owe AVIF its tuning for PSNR."""
KLT_BLOCK = 16
KLT_CROP = 128


def known_codecs() -> tuple[str, ...]:
    """Every codec that there is, whether its model is at hand or not."""
    return (*(found.key for found in peers()), *VARIANTS, KLT)


@lru_cache(maxsize=32)
def contestant(key: str, context: Context, threads: int = 1) -> Peer:
    """Return a codec of full images.

    Raises:
        OptionError: there is none of this name.
    """
    if key == KLT:
        return klt_peer(_training_crops(context))
    return peer(key, threads=threads)


def name_of(key: str, context: Context) -> str:
    """Return what a codec is called in tables."""
    return "KLT (16 x 16 blocks)" if key == KLT else contestant(key, context).name


@lru_cache(maxsize=1)
def block_transform(context: Context) -> BlockTransform:
    """Return the block transform of the training crops."""
    return learn_klt(_training_crops(context), KLT_BLOCK)


def our_codec(key: str, quality: float, tile: int) -> Codec:
    """Return a codec of ours on one thread, ``quality`` being its ratio or its iterations."""
    if key == "rnn-conv":
        from xraycodec.codecs.rnn_conv import RnnConv

        return RnnConv(float(quality), tile, 1)
    from xraycodec.codecs.toderici import Toderici

    return Toderici(int(quality), tile, 1)


def toderici_iterations() -> int:
    """Return the most iterations that the model of toderici has.

    Raises:
        ModelError: it is not at hand.
    """
    from xraycodec.codecs.toderici.codec import CONFIGURATION
    from xraycodec.codecs.toderici.model import named_model

    return named_model(CONFIGURATION, 1).iterations


def why_not(key: str, context: Context) -> str | None:
    """Try a codec on a small image; return why it cannot be measured, ``None`` if it can."""
    if key == KLT:
        return None
    try:
        found = contestant(key, context)
        image = XRay(np.arange(1024, dtype=np.uint8).reshape(32, 32) // 4, 8)
        found.decode(found.encode(image, found.qualities[-1]))
    except (XrayCodecError, ImportError) as error:
        return str(error)
    return None


def _training_crops(context: Context) -> np.ndarray[tuple[int, ...], np.dtype[np.uint8]]:
    return np.asarray(
        load_crops(context.data, "train", KLT_CROP, SEED, context.cache, context.klt_crops)
    )
