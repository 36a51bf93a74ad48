"""Radiographs as the wavelet gets them: without their margins."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np

from xraycodec.codecs.wavelet.margins import find_margins
from xraycodec.training.lattice.images import load_images
from xraycodec.training.wavelet.loop import Radiographs


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
        partial = path.with_suffix(f".{os.getpid()}.npy")
        plain = np.lib.format.open_memmap(partial, "w+", np.uint8, images.shape)
        try:
            for number in range(len(images)):
                frames = np.asarray(images[number : number + 1])
                margins = find_margins(frames)
                plain[number] = margins.take_off(frames)[0] if margins else frames[0]
            plain.flush()
            partial.replace(path)
        finally:
            partial.unlink(missing_ok=True)
    mapped: Radiographs = np.load(path, mmap_mode="r")
    return mapped
