"""The demonstration: one radiograph through both codecs and back, with a picture of the lossy."""

from __future__ import annotations

import time
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from xraycodec.codecs.base import Codec, Progress, no_progress
from xraycodec.codecs.lattice import Lattice
from xraycodec.codecs.rnn_conv import RnnConv
from xraycodec.errors import CorruptError
from xraycodec.evaluation.metrics import Fidelity, measure
from xraycodec.files import encode, write_atomically
from xraycodec.image import XRay
from xraycodec.pipeline import compress, decompress


@dataclass(frozen=True)
class Trip:
    """One way there and back.

    Attributes:
        ratio: bytes of the pixels at their bits stored over bytes of the ``.xrc`` file.
        rate_bpp: bits of the file per pixel.
    """

    size_bytes: int
    ratio: float
    rate_bpp: float
    compress_seconds: float
    decompress_seconds: float


@dataclass(frozen=True)
class Outcome:
    """What the demonstration measured, and where it wrote.

    Attributes:
        lossless: by lattice.
        lossy: by rnn-conv.
        nominal_ratio: the paper's ratio 256 / beta of the lossy file.
        fidelity: of the lossy image.
        files: original, both ``.xrc`` files, the lossy image and the picture.
    """

    lossless: Trip
    lossy: Trip
    nominal_ratio: float
    fidelity: Fidelity
    files: tuple[Path, ...]


def demonstrate(
    image: XRay, name: str, folder: Path, ratio: float = 8.0, progress: Progress = no_progress
) -> Outcome:
    """Compress and decompress ``image`` without and with loss.

    Five files go to ``folder``, replacing old ones.

    Raises:
        CorruptError: what lattice gives back is not the image.
    """
    from xraycodec.demo.picture import side_by_side

    exact_data, exact_image, lossless = _travel(image, Lattice(), progress)
    if not np.array_equal(exact_image.pixels, image.pixels):
        raise CorruptError("lattice gave back other pixels")
    codec = RnnConv(ratio)
    data, result, lossy = _travel(image, codec, progress)
    fidelity = measure(image, result)
    caption = (
        f"{name}   rnn-conv   {lossy.ratio:.1f}:1 ({lossy.rate_bpp:.3f} bpp)   "
        f"PSNR {fidelity.psnr_db:.2f} dB   SSIM {fidelity.ssim:.4f}"
    )
    folder.mkdir(parents=True, exist_ok=True)
    contents = {
        f"{name}.dcm": encode(image, "dicom"),
        f"{name}.dcm.xrc": exact_data,
        f"{name}-rnn-conv.dcm.xrc": data,
        f"{name}-rnn-conv.dcm": encode(result, "dicom"),
        f"{name}-side-by-side.png": side_by_side(image, result, caption),
    }
    for file_name, content in contents.items():
        write_atomically(folder / file_name, content, overwrite=True)
    files = tuple(folder / file_name for file_name in contents)
    return Outcome(lossless, lossy, 256 / codec.beta, fidelity, files)


def _travel(image: XRay, codec: Codec, progress: Progress) -> tuple[bytes, XRay, Trip]:
    started = time.perf_counter()
    data = compress(image, codec, progress=progress)
    compressed = time.perf_counter()
    result = decompress(data, progress=progress)
    finished = time.perf_counter()
    trip = Trip(
        size_bytes=len(data),
        ratio=image.size_bytes / len(data),
        rate_bpp=8 * len(data) / image.pixels.size,
        compress_seconds=compressed - started,
        decompress_seconds=finished - compressed,
    )
    return data, result, trip
