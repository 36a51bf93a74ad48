"""What ``make bench`` measures: import time, entropy coder, codec speed, memory.

Every figure is the best of several runs after one warm-up; the machine should be idle. Memory is
the peak resident size of a process that does nothing else.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import imagecodecs
import numpy as np

import entropy as entropy_benchmark
from timing import best_seconds
from xraycodec import RnnConv, Stored, XRay, compress, decompress, read
from xraycodec.codecs.base import Codec
from xraycodec.demo.phantom import chest_phantom
from xraycodec.evaluation.benchmark.environment import describe_environment
from xraycodec.evaluation.metrics import psnr_db
from xraycodec.image import Pixels

LARGE_IMAGE = """
import resource, numpy as np
from xraycodec import RnnConv, XRay, compress, decompress
rows = np.arange(5000, dtype=np.float32)
plane = 30000 + 20000 * np.sin(rows / 400)[:, None] * np.cos(rows / 300)[None]
plane += np.random.default_rng(1).normal(0, 60, plane.shape).astype(np.float32)
image = XRay(plane.astype(np.uint16), 16)
del plane
before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
data = compress(image, RnnConv(8))
decompress(data)
print(before, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss, len(data))
"""


def import_seconds(repeats: int = 5) -> float:
    """Return the time that ``import xraycodec`` adds to a bare interpreter."""

    def run(code: str) -> float:
        command = [sys.executable, "-c", code]
        return best_seconds(lambda: subprocess.run(command, check=True), repeats)

    return run("import xraycodec") - run("pass")


def codec_speed(image: XRay, codec: Codec, repeats: int) -> dict[str, float]:
    """Return megapixels per second each way, and the size."""
    data = compress(image, codec)
    megapixels = image.pixels.size / 1e6
    return {
        "encode_mp_per_s": round(
            megapixels / best_seconds(lambda: compress(image, codec), repeats), 3
        ),
        "decode_mp_per_s": round(megapixels / best_seconds(lambda: decompress(data), repeats), 3),
        "rate_bpp": round(8 * len(data) / image.pixels.size, 4),
    }


def jpeg2000_at_size(pixels: Pixels, size_bytes: int) -> float:
    """Return the PSNR in dB of OpenJPEG's best file of at most ``size_bytes``."""
    low, high, best = 20.0, 80.0, 0.0
    for _ in range(12):
        level = (low + high) / 2
        data = imagecodecs.jpeg2k_encode(pixels, level=level, reversible=False)
        if len(data) > size_bytes:
            high = level
        else:
            low = level
            best = max(best, psnr_db(pixels, imagecodecs.jpeg2k_decode(data), 255))
    return best


def beside_jpeg2000(files: list[Path], codec: RnnConv) -> dict[str, float]:
    """Return mean PSNR of whole images from files of equal size, RNN-Conv's and OpenJPEG's."""
    rows = []
    for path in files:
        image = read(path)
        data = compress(image, codec)
        ours = psnr_db(image.pixels, decompress(data).pixels, 255)
        rows.append((len(data), ours, jpeg2000_at_size(image.pixels, len(data))))
    sizes, ours_db, theirs_db = np.array(rows, float).T
    return {
        "images": len(rows),
        "ratio": round(float(1024 * 1024 / sizes.mean()), 2),
        "rnn_conv_psnr_db": round(float(ours_db.mean()), 2),
        "jpeg2000_psnr_db": round(float(theirs_db.mean()), 2),
    }


def large_image_memory() -> dict[str, float]:
    """Return the peak memory of a 5000 x 5000, 16-bit round trip, in MB."""
    command = [sys.executable, "-c", LARGE_IMAGE]
    found = subprocess.run(command, check=True, capture_output=True, text=True).stdout.split()
    before, peak, size_bytes = (int(value) for value in found)
    return {
        "image_mb": 50.0,
        "before_mb": round(before / 1000, 1),
        "peak_mb": round(peak / 1000, 1),
        "xrc_bytes": size_bytes,
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--json", type=Path)
    parser.add_argument("--repeats", type=int, default=3)
    arguments = parser.parse_args()
    data = Path(os.environ.get("XRAYCODEC_DATA", "../shared/data"))
    images = {"phantom 1024 x 1024, 12 bits": chest_phantom()}
    nih = data / "nih-cxr8" / "test" / "00003276_000.jxl"
    if nih.exists():
        images["nih-cxr8 00003276_000, 8 bits"] = read(nih)
    codecs: dict[str, Codec] = {
        "rnn-conv ratio 8": RnnConv(8),
        "rnn-conv ratio 32": RnnConv(32),
        "stored": Stored(),
    }
    result: dict[str, Any] = describe_environment()
    result["import_seconds"] = round(import_seconds(), 4)
    result["entropy"] = entropy_benchmark.measure()
    result["codecs"] = {
        f"{codec_name}, {image_name}": codec_speed(image, codec, arguments.repeats)
        for image_name, image in images.items()
        for codec_name, codec in codecs.items()
    }
    files = sorted((data / "nih-cxr8" / "test").glob("*.jxl"))[::5]
    if files:
        result["beside_jpeg2000"] = {
            f"nominal ratio {ratio}": beside_jpeg2000(files, RnnConv(ratio)) for ratio in (8, 32)
        }
    result["memory"] = large_image_memory()
    text = json.dumps(result, indent=1)
    print(text)
    if arguments.json:
        arguments.json.parent.mkdir(parents=True, exist_ok=True)
        arguments.json.write_text(text + "\n")


if __name__ == "__main__":
    main()
