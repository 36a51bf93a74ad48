"""Radiographs as the wavelet gets them: without their margins."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from xraycodec.codecs.wavelet.margins import find_margins
from xraycodec.training.lattice.images import (
    Radiograph,
    Radiographs,
    keep_images,
    load_images,
    mapped_images,
)


def load_plain_images(root: Path, split: str, cache: Path) -> Radiographs:
    """Return the 8-bit images of a split without margins, ``(image, row, column)``.

    They are memory-mapped from ``cache``, where they are put the first time.

    Raises:
        ValueError: no images, or images of several sizes.
        ImageError: one is no 8-bit grayscale image.
    """
    images = load_images(root, split, cache)
    assert isinstance(images, np.memmap)
    path = cache / f"plain-{Path(str(images.filename)).name}"
    if not path.exists():
        keep_images(path, images.shape, map(_plain, images))
    return mapped_images(path)


def _plain(image: Radiograph) -> Radiograph:
    frames = np.asarray(image[None])
    margins = find_margins(frames)
    return np.asarray((margins.take_off(frames) if margins else frames)[0], np.uint8)
