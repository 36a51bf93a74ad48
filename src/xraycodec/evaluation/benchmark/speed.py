"""How fast each codec is: alone on the machine, on one thread and on all of them."""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from functools import partial
from typing import Any, TypeVar

from xraycodec.evaluation.benchmark.contestants import contestant
from xraycodec.evaluation.benchmark.full_images import load_image
from xraycodec.evaluation.benchmark.jobs import Context, Job

T = TypeVar("T")
SLOW_SECONDS = 2.0
"""What takes longer is run once: no noise of the machine matters there."""
LONG_SECONDS = 3.0
"""What takes longer than this counts at once: loading a model is little against it."""


def measure(context: Context, job: Job) -> dict[str, Any]:
    """Measure megapixels per second each way: all pixels over all seconds.

    The fastest of the repeats counts, after a run that does not, unless it is a long one: it loads
    models and compiles.
    """
    images = [load_image(context.data / name, job.side) for name in job.subject.split("|")]
    megapixels = sum(image.pixels.size for image in images) / 1e6
    values: dict[str, Any] = {"threads": os.cpu_count(), "images": len(images)}
    for name, threads in (("one_thread", 1), ("all_threads", 0)):
        peer = contestant(job.codec, context, threads)
        encoding = decoding = 0.0
        size_bytes = 0
        for image in images:
            encode = partial(peer.encode, image, job.quality)
            data, seconds = _timed(encode)
            size_bytes += len(data)
            encoding += _best_seconds(encode, job.repeats, seconds)
            decode = partial(peer.decode, data)
            _, seconds = _timed(decode)
            decoding += _best_seconds(decode, job.repeats, seconds)
        values[name] = {
            "encode_mp_per_s": megapixels / encoding,
            "decode_mp_per_s": megapixels / decoding,
        }
        values["rate_bpp"] = 8 * size_bytes / (1e6 * megapixels)
    return values


def _timed(work: Callable[[], T]) -> tuple[T, float]:
    started = time.perf_counter()
    result = work()
    return result, time.perf_counter() - started


def _best_seconds(work: Callable[[], object], repeats: int, first: float) -> float:
    """Fastest of the repeats; ``first`` is how long the run before them took."""
    if first > LONG_SECONDS:
        return first
    times: list[float] = []
    while len(times) < repeats and (not times or times[0] < SLOW_SECONDS):
        times.append(_timed(work)[1])
    return min(times)
