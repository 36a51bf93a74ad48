"""The demonstration: one radiograph through the codec and back, with a picture of both."""

from __future__ import annotations

import time
from dataclasses import dataclass
from pathlib import Path

from xraycodec.codecs.base import Progress, no_progress
from xraycodec.codecs.rnn_conv import RnnConv
from xraycodec.evaluation.metrics import Fidelity, measure
from xraycodec.files import encode, write_atomically
from xraycodec.image import XRay
from xraycodec.pipeline import compress, decompress


@dataclass(frozen=True)
class Outcome:
    """What the demonstration measured, and where it wrote.

    Attributes:
        nominal_ratio: the paper's ratio 256 / beta.
        ratio: bytes of the pixels at their bits stored over bytes of the ``.xrc`` file.
        rate_bpp: bits of the file per pixel.
        files: original, ``.xrc``, decompressed image and picture.
    """

    nominal_ratio: float
    ratio: float
    rate_bpp: float
    size_bytes: int
    fidelity: Fidelity
    compress_seconds: float
    decompress_seconds: float
    files: tuple[Path, ...]


def demonstrate(
    image: XRay, name: str, folder: Path, ratio: float = 8.0, progress: Progress = no_progress
) -> Outcome:
    """Compress and decompress ``image``; write all four files to ``folder``, replacing old ones."""
    from xraycodec.demo.picture import side_by_side

    codec = RnnConv(ratio)
    started = time.perf_counter()
    data = compress(image, codec, progress=progress)
    compressed = time.perf_counter()
    result = decompress(data, progress=progress)
    finished = time.perf_counter()
    fidelity = measure(image, result)
    true_ratio = image.size_bytes / len(data)
    caption = (
        f"{name}   rnn-conv   {true_ratio:.1f}:1 ({8 * len(data) / image.pixels.size:.3f} bpp)   "
        f"PSNR {fidelity.psnr_db:.2f} dB   SSIM {fidelity.ssim:.4f}"
    )
    folder.mkdir(parents=True, exist_ok=True)
    contents = {
        f"{name}.dcm": encode(image, "dicom"),
        f"{name}.dcm.xrc": data,
        f"{name}-decompressed.dcm": encode(result, "dicom"),
        f"{name}-side-by-side.png": side_by_side(image, result, caption),
    }
    for file_name, content in contents.items():
        write_atomically(folder / file_name, content, overwrite=True)
    return Outcome(
        nominal_ratio=256 / codec.beta,
        ratio=true_ratio,
        rate_bpp=8 * len(data) / image.pixels.size,
        size_bytes=len(data),
        fidelity=fidelity,
        compress_seconds=compressed - started,
        decompress_seconds=finished - compressed,
        files=tuple(folder / file_name for file_name in contents),
    )
