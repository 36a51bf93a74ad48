"""The paper's data: random N x N crops of NIH ChestX-ray8 from mutually exclusive patients."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from xraycodec.errors import UnsupportedImageError
from xraycodec.files import read

Crops = npt.NDArray[np.uint8]
SPLITS = ("train", "validation", "test")
CROP_COUNTS = {"train": 20_000, "validation": 1_000, "test": 500}
IMAGE_SUFFIXES = {".png", ".jxl"}


@dataclass(frozen=True)
class Splits:
    """Files of each split; no patient is in two of them."""

    train: tuple[Path, ...]
    validation: tuple[Path, ...]
    test: tuple[Path, ...]

    def files(self, split: str) -> tuple[Path, ...]:
        files: tuple[Path, ...] = getattr(self, split)
        return files


def patient_of(path: Path) -> str:
    """Patient number of an NIH file name, ``PATIENT_FOLLOWUP.suffix``."""
    return path.stem.partition("_")[0]


def find_splits(root: Path) -> Splits:
    """Find the images below ``root`` and split them by patient.

    Folders named train, validation and test are taken as they are. Without them (NIH's own
    layout, ``images_001/images/*.png`` and so on) a patient's split follows from the SHA-256 of
    the patient number: 90 % train, 5 % validation, 5 % test.

    Raises:
        ValueError: no image was found, a split is empty, or a patient is in two splits.
    """
    if (root / "nih-cxr8").is_dir():
        root = root / "nih-cxr8"
    found: dict[str, list[Path]] = {split: [] for split in SPLITS}
    for path in sorted(root.rglob("*")):
        if path.suffix.lower() not in IMAGE_SUFFIXES:
            continue
        if (root / "train").is_dir():
            split = path.relative_to(root).parts[0]
        else:
            share = hashlib.sha256(patient_of(path).encode()).digest()[0] / 256
            split = "train" if share < 0.9 else "validation" if share < 0.95 else "test"
        if split in found:
            found[split].append(path)
    owner: dict[str, str] = {}
    for split, files in found.items():
        if not files:
            raise ValueError(f"no {split} images (.png, .jxl) below {root}")
        for path in files:
            if owner.setdefault(patient_of(path), split) != split:
                raise ValueError(
                    f"patient {patient_of(path)} is in both {owner[patient_of(path)]} and {split}"
                )
    return Splits(*(tuple(found[split]) for split in SPLITS))


def cut_crops(
    files: tuple[Path, ...],
    size: int,
    count: int,
    seed: int,
    progress: Callable[[int, int], None] = lambda done, total: None,
) -> Crops:
    """Cut ``count`` crops of ``size`` pixels at uniformly random images and places.

    Returns ``(crop, size, size)``. The list of places is drawn first, so that each image is
    read once and the result depends on ``files``, ``size``, ``count`` and ``seed`` alone.
    """
    rng = np.random.default_rng(seed)
    chosen = rng.integers(len(files), size=count)
    place = rng.random((count, 2))
    crops = np.empty((count, size, size), np.uint8)
    for done, image in enumerate(np.unique(chosen)):
        progress(done, len(files))
        pixels = read_grey(files[image])
        room = np.array(pixels.shape) - size + 1
        if room.min() < 1:
            raise ValueError(f"{files[image]} is smaller than a crop: {pixels.shape}")
        for k in np.flatnonzero(chosen == image):
            y, x = (place[k] * room).astype(int)
            crops[k] = pixels[y : y + size, x : x + size]
    return crops


def read_grey(path: Path) -> Crops:
    """Read one 8-bit image as ``(row, column)``.

    Raises:
        ImageError: it is no 8-bit grayscale image.
    """
    image = read(path)
    if image.pixels.dtype != np.uint8 or image.pixels.ndim != 2:
        raise UnsupportedImageError(f"{path} is not one frame of unsigned 8-bit pixels")
    return image.pixels.astype(np.uint8, copy=False)


def load_crops(
    root: Path,
    split: str,
    size: int,
    seed: int,
    cache: Path,
    count: int | None = None,
) -> Crops:
    """Return the crops of a split, memory-mapped from ``cache`` once they have been cut.

    ``(crop, size, size)``; without ``count`` as many as in the paper.
    """
    count = CROP_COUNTS[split] if count is None else count
    files = find_splits(root).files(split)
    names = "\n".join(str(path.relative_to(root)) for path in files)
    key = hashlib.sha256(f"{names}\n{size} {count} {seed}".encode()).hexdigest()[:12]
    path = cache / f"crops-{split}-{size}-{key}.npy"
    if not path.exists():
        cache.mkdir(parents=True, exist_ok=True)
        crops = cut_crops(files, size, count, seed)
        partial = path.with_suffix(f".{os.getpid()}.npy")
        np.save(partial, crops)
        partial.replace(path)
    mapped: Crops = np.load(path, mmap_mode="r")
    return mapped
