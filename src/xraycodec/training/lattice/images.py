"""Whole radiographs of a split, decoded once and memory-mapped from then on."""

from __future__ import annotations

import hashlib
import os
from pathlib import Path

import numpy as np

from xraycodec.evaluation.crops import find_splits, read_grey
from xraycodec.training.lattice.loop import Radiographs


def load_images(root: Path, split: str, cache: Path) -> Radiographs:
    """Return the 8-bit images of a split, ``(image, row, column)``, memory-mapped from ``cache``.

    Raises:
        ValueError: no images, or images of several sizes.
        ImageError: one is no 8-bit grayscale image.
    """
    files = find_splits(root).files(split)
    names = "\n".join(str(path.relative_to(root)) for path in files)
    key = hashlib.sha256(names.encode()).hexdigest()[:12]
    path = cache / f"images-{split}-{key}.npy"
    if not path.exists():
        cache.mkdir(parents=True, exist_ok=True)
        partial = path.with_suffix(f".{os.getpid()}.npy")
        shape = read_grey(files[0]).shape
        images = np.lib.format.open_memmap(partial, "w+", np.uint8, (len(files), *shape))
        try:
            for number, file in enumerate(files):
                pixels = read_grey(file)
                if pixels.shape != shape:
                    raise ValueError(
                        f"{file} has {pixels.shape[0]} x {pixels.shape[1]} pixels; {files[0]} has"
                        f" {shape[0]} x {shape[1]}"
                    )
                images[number] = pixels
            images.flush()
            partial.replace(path)
        finally:
            partial.unlink(missing_ok=True)
    mapped: Radiographs = np.load(path, mmap_mode="r")
    return mapped
