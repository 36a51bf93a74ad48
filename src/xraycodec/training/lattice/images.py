"""Whole radiographs of a split, decoded once and memory-mapped from then on."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

import numpy as np
import numpy.typing as npt

from xraycodec.evaluation.crops import find_splits, read_grey

Radiograph = npt.NDArray[np.uint8]
"""``(row, column)``."""
Radiographs = npt.NDArray[np.uint8]
"""``(image, row, column)``."""


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
        keep_images(path, (len(files), *read_grey(files[0]).shape), _decoded(files))
    return mapped_images(path)


def _decoded(files: Sequence[Path]) -> Iterator[Radiograph]:
    shape = read_grey(files[0]).shape
    for file in files:
        pixels = read_grey(file)
        if pixels.shape != shape:
            raise ValueError(
                f"{file} has {pixels.shape[0]} x {pixels.shape[1]} pixels; {files[0]} has"
                f" {shape[0]} x {shape[1]}"
            )
        yield pixels


def keep_images(path: Path, shape: tuple[int, ...], images: Iterable[Radiograph]) -> None:
    """Write ``images`` one by one to a NPY file of this shape; only a whole one gets its name."""
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_suffix(f".{os.getpid()}.npy")
    kept = np.lib.format.open_memmap(partial, "w+", np.uint8, shape)
    try:
        for number, image in enumerate(images):
            kept[number] = image
        kept.flush()
        partial.replace(path)
    finally:
        partial.unlink(missing_ok=True)


def mapped_images(path: Path) -> Radiographs:
    """What `keep_images` wrote, memory-mapped."""
    mapped: Radiographs = np.load(path, mmap_mode="r")
    return mapped
