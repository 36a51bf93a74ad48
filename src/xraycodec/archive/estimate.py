"""What an archive would save, from a sample."""

from __future__ import annotations

import hashlib
import heapq
import math
import os
from collections.abc import Iterable
from dataclasses import dataclass
from typing import NamedTuple

from xraycodec.archive.records import Compressed, Failure, Found, Item, Outcome, Skipped

_TWO_SIDED_95 = 1.96


@dataclass(frozen=True)
class Sample:
    """Files picked from a request.

    Attributes:
        items: the files, in the order of their rank.
        files, size_bytes: of the whole request.
    """

    items: tuple[Item, ...]
    files: int
    size_bytes: int


class _Ranked(NamedTuple):
    rank: int
    item: Item
    size_bytes: int


def pick(found: Iterable[Found], count: int) -> Sample:
    """Pick the files whose names have the lowest SHA-256: the same ones every time.

    Memory is that of the sample, however many files there are.
    """
    heap: list[_Ranked] = []
    files = size_bytes = 0
    for file in found:
        files += 1
        size_bytes += file.size_bytes or 0
        rank = -int.from_bytes(hashlib.sha256(os.fsencode(file.output)).digest())
        if len(heap) < count or rank > heap[0].rank:
            item = Item(files, file.path, file.output, file.named, 0, None, None, None, None)
            push = heapq.heappush if len(heap) < count else heapq.heapreplace
            push(heap, _Ranked(rank, item, file.size_bytes or 0))
    items = (each.item for each in sorted(heap, reverse=True))
    return Sample(tuple(items), files, size_bytes)


@dataclass(frozen=True)
class Estimate:
    """What was found in a sample, and what follows for all files if they are alike.

    Attributes:
        files, size_bytes: of the request, images or not.
        sampled, images, failed: files of the sample; those that are images and were compressed;
            those that failed.
        image_bytes: of all images, estimated by the share that they have of the sample's bytes.
        output_bytes: of the archive, estimated by the ratio of sizes in the sample.
        margin_bytes: half the width of the 95 % interval of ``output_bytes``; ``None`` for a
            sample of fewer than two images.
        core_seconds: to compress all.
    """

    files: int
    size_bytes: int
    sampled: int
    images: int
    failed: int
    image_bytes: float
    output_bytes: float
    margin_bytes: float | None
    core_seconds: float

    @property
    def saved_bytes(self) -> float:
        return self.image_bytes - self.output_bytes


def estimate(sample: Sample, outcomes: Iterable[Outcome]) -> Estimate:
    """Project a sample's outcomes to all files: a ratio estimator, for a finite population."""
    pairs: list[tuple[int, int]] = []
    other_bytes = sampled = failed = 0
    seconds = 0.0
    for outcome in outcomes:
        sampled += 1
        seconds += outcome.seconds
        match outcome.result:
            case Compressed(size_bytes=size, output_bytes=output):
                pairs.append((size, output))
            case Skipped(_, size):
                other_bytes += size
            case Failure():
                failed += 1
    original = sum(size for size, _ in pairs)
    output = sum(output for _, output in pairs)
    share = original / (original + other_bytes) if original else 0.0
    image_bytes = sample.size_bytes * share
    ratio = output / original if original else 0.0
    return Estimate(
        files=sample.files,
        size_bytes=sample.size_bytes,
        sampled=sampled,
        images=len(pairs),
        failed=failed,
        image_bytes=image_bytes,
        output_bytes=image_bytes * ratio,
        margin_bytes=_margin(pairs, ratio, image_bytes, sample.files),
        core_seconds=seconds * image_bytes / original if original else 0.0,
    )


def _margin(
    pairs: list[tuple[int, int]], ratio: float, image_bytes: float, files: int
) -> float | None:
    count = len(pairs)
    if count < 2:
        return None
    squares = sum((output - ratio * size) ** 2 for size, output in pairs) / (count - 1)
    mean = sum(size for size, _ in pairs) / count
    unseen = max(0.0, 1 - count / files)
    error = math.sqrt(unseen * squares / count) / mean
    return _TWO_SIDED_95 * error * image_bytes
