"""A small world for the benchmark: images, codecs that take no time, jobs that misbehave."""

from __future__ import annotations

import os
import zlib
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from xraycodec.errors import ModelError, OptionError
from xraycodec.evaluation.benchmark.jobs import Context, Job
from xraycodec.evaluation.benchmark.settings import Budget
from xraycodec.files import encode
from xraycodec.image import Pixels, XRay

TINY = Budget(
    crops=4,
    far_crops=2,
    chunk=3,
    klt_crops=2,
    ratios=(2, 8),
    most_iterations=40,
    paper_widths_crops=2,
    images=2,
    qualities=4,
    lossless_images=1,
    side=48,
    deep_pixels=5000,
    timed_images=1,
    timed_repeats=1,
)
CROPS = 6


def radiograph(seed: int, side: int = 272, bits: int = 8) -> XRay:
    """Smooth with a little noise."""
    rng = np.random.default_rng(seed)
    rows, columns = np.mgrid[:side, :side] / side
    peak = (1 << bits) - 1
    smooth = 0.5 + 0.3 * np.sin(5 * rows + seed) * np.cos(4 * columns)
    pixels = peak * smooth + rng.normal(0, peak / 100, (side, side))
    kind = np.uint8 if bits == 8 else np.uint16
    return XRay(np.rint(pixels).clip(0, peak).astype(kind), bits)


def write_data(root: Path) -> Path:
    """Write a data folder with two test images and one deep one."""
    for split, count in (("train", 1), ("validation", 1), ("test", 2)):
        (root / split).mkdir(parents=True)
        for k in range(count):
            number = len(split) * 10 + k
            path = root / split / f"{number:08d}_000.png"
            path.write_bytes(encode(radiograph(number), "png"))
    (root / "deep").mkdir()
    (root / "deep" / "hand.dcm").write_bytes(encode(radiograph(1, 30, 12), "dicom"))
    return root


@dataclass(frozen=True)
class FakePeer:
    """Quantises by a step; the worse, the larger the step."""

    key: str
    name: str
    extra_bytes: int = 0
    max_bits: int = 16
    lossless: bool = True
    qualities: tuple[float, ...] = (2.0, 3.0, 6.0, 10.0, 16.0, 30.0)

    def snap(self, quality: float) -> float:
        return float(round(quality))

    def ladder(self, image: XRay) -> tuple[float, ...]:
        return tuple(step * 2 ** max(0, image.bits_stored - 8) for step in self.qualities)

    def encode(self, image: XRay, quality: float | None) -> bytes:
        step = int(quality or 1)
        levels = (image.pixels.astype(np.int32) + step // 2) // step
        head = np.array([step, *image.pixels.shape, image.pixels.itemsize], "<u2").tobytes()
        return head + zlib.compress(levels.astype("<u2").tobytes(), 9) + bytes(self.extra_bytes)

    def decode(self, data: bytes) -> Pixels:
        step, rows, columns, size = np.frombuffer(data[:8], "<u2").astype(int)
        levels = np.frombuffer(zlib.decompressobj().decompress(data[8:]), "<u2").astype(np.int32)
        pixels: Pixels = (levels * step).clip(0, 256**size - 1).astype(f"u{size}")
        return pixels.reshape(rows, columns)


class BrokenPeer(FakePeer):
    """Fails on full images."""

    def encode(self, image: XRay, quality: float | None) -> bytes:
        if image.pixels.size > 1024:
            raise RuntimeError("no more ink")
        return super().encode(image, quality)


FAKES: dict[str, Any] = {
    "jpeg2000": FakePeer("jpeg2000", "JPEG 2000"),
    "larger": FakePeer("larger", "Larger", extra_bytes=2000, max_bits=8, lossless=False),
    "broken": BrokenPeer("broken", "Broken"),
}


def fake_peer(key: str, threads: int = 1) -> Any:
    if key == "absent":
        raise ModelError("no model pack absent.xrcpack")
    if key not in FAKES:
        raise OptionError(f"no codec {key!r}")
    return FAKES[key]


def misbehave(context: Context, job: Job) -> dict[str, Any]:
    """Do what the subject says; runs in a worker's process."""
    if job.subject == "die":
        os._exit(3)
    return {"key": job.key, "job": {}, "values": {"threads": os.environ.get("OMP_NUM_THREADS")}}
