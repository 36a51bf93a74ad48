"""Full images through each codec: real files against every metric, and losslessly."""

from __future__ import annotations

from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np

from xraycodec.evaluation.benchmark.contestants import contestant
from xraycodec.evaluation.benchmark.jobs import Context, Job
from xraycodec.evaluation.full import measure_all
from xraycodec.files import read
from xraycodec.image import XRay


def measure(context: Context, job: Job) -> dict[str, Any]:
    """Measure one codec at one setting on one image."""
    peer = contestant(job.codec, context)
    image = load_image(context.data / job.subject, job.side)
    data = peer.encode(image, job.quality)
    decoded = XRay(peer.decode(data), image.bits_stored, image.photometric_interpretation)
    return {
        **_size(data, image),
        "metrics": {key: float(value) for key, value in measure_all(image, decoded).items()},
    }


def measure_lossless(context: Context, job: Job) -> dict[str, Any]:
    """Measure the lossless mode of a codec on one image; the file is decoded and compared."""
    peer = contestant(job.codec, context)
    image = load_image(context.data / job.subject, job.side)
    data = peer.encode(image, None)
    if not np.array_equal(peer.decode(data), image.pixels):
        raise ValueError(f"{peer.name} does not give back the pixels of {job.subject}")
    return _size(data, image)


@lru_cache(maxsize=2)
def load_image(path: Path, side: int) -> XRay:
    """Read an image, or the middle ``side`` x ``side`` pixels of it."""
    image = read(path)
    if not side:
        return image
    rows, columns = (max(0, (length - side) // 2) for length in image.pixels.shape)
    middle = image.pixels[rows : rows + side, columns : columns + side].copy()
    return XRay(middle, image.bits_stored, image.photometric_interpretation)


def _size(data: bytes, image: XRay) -> dict[str, Any]:
    return {
        "size_bytes": len(data),
        "pixels": image.pixels.size,
        "rate_bpp": 8 * len(data) / image.pixels.size,
        "ratio": image.size_bytes / len(data),
    }
