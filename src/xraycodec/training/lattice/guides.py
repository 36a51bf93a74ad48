"""Guides to train with: lossy bases of radiographs, made once and memory-mapped from then on."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from xraycodec.codecs.wavelet import Wavelet
from xraycodec.exact.pack import named_pack
from xraycodec.image import XRay
from xraycodec.training.lattice.images import Radiographs, keep_images, mapped_images
from xraycodec.training.lattice.samples import Guides

STEPS = (3.0, 20.0)
"""Finest and coarsest quantisation of a base, in grey levels of 8 bits."""


def spread(images: int, count: int) -> list[int]:
    """Places of at most ``count`` images, spread evenly over all."""
    return list(range(0, images, max(1, images // count)))[:count]


def load_guides(images: Radiographs, chosen: Sequence[int], cache: Path, seed: int) -> Guides:
    """Return guides of some images, by the wavelet codec in steps drawn at random.

    Args:
        images: of the split, ``(image, row, column)``.
        chosen: places of those to have guides.
        cache: folder to keep them in.
        seed: of the draws.

    Raises:
        ModelError: the wavelet codec's model pack is not at hand.
    """
    random = np.random.default_rng(seed)
    steps = np.exp(random.uniform(np.log(STEPS[0]), np.log(STEPS[1]), len(chosen)))
    facts = f"{named_pack('wavelet').digest.hex()} {images.shape} {list(chosen)} {seed}"
    path = cache / f"guides-{hashlib.sha256(facts.encode()).hexdigest()[:12]}.npy"
    if not path.exists():
        bases = (
            Wavelet(step=float(step)).encode(XRay(np.array(images[number]), 8)).pixels[0]
            for number, step in zip(chosen, steps, strict=True)
        )
        keep_images(path, (len(chosen), *images.shape[1:]), bases)
    return Guides(np.array(chosen, np.int64), mapped_images(path))
