"""The images of a data folder that a benchmark measures."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from xraycodec.errors import ImageError, OptionError
from xraycodec.evaluation.benchmark import fingerprints
from xraycodec.evaluation.benchmark.settings import Settings
from xraycodec.evaluation.crops import find_splits
from xraycodec.files import read

DEEP = "deep"


@dataclass(frozen=True)
class Images:
    """Files that are measured, as names below the data folder.

    Attributes:
        test: the test split.
        deep: images of 9 bits and more, with their bits stored.
        test_files: fingerprint of the test split.
        train_files: fingerprint of the training split.
    """

    test: tuple[str, ...]
    deep: tuple[tuple[str, int], ...]
    test_files: str
    train_files: str


def find_images(settings: Settings) -> Images:
    """Find the images of the data folder.

    Raises:
        OptionError: there is no such folder, or no images of each split are in it.
    """
    root = settings.data
    if not root.is_dir():
        raise OptionError(f"{root}: no such folder; --data is the one that holds the images")
    try:
        splits = find_splits(root)
    except ValueError as error:
        raise OptionError(f"{root}: {error}") from error
    test = tuple(str(path.relative_to(root)) for path in splits.test)
    train = [str(path.relative_to(root)) for path in splits.train]
    deep = tuple(
        (str(path.relative_to(root)), bits)
        for path in sorted((root / DEEP).glob("*.dcm"))
        if (bits := _bits_of(path, settings.budget.deep_pixels))
    )
    return Images(test, deep, fingerprints.of_files(root, test), fingerprints.of_files(root, train))


def _bits_of(path: Path, most_pixels: int) -> int:
    """Return the bits stored of one unsigned frame that is small enough, else 0."""
    try:
        image = read(path)
    except (ImageError, OSError):
        return 0
    serves = image.pixels.ndim == 2 and image.pixels.size <= most_pixels and not image.signed
    return image.bits_stored if serves else 0
