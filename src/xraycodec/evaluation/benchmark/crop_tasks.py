"""Tables I and II: the paper's crops through each codec, with the files that come out.

A crop that comes back exactly counts as `EXACT_DB` in means over crops; the pooled PSNR, of the
mean squared error over all crops, needs no such choice.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np

from xraycodec.codecs.base import Codec
from xraycodec.container import build, hash_pixels
from xraycodec.errors import OptionError
from xraycodec.evaluation.benchmark.contestants import (
    TODERICI_BITS_RATIO,
    block_transform,
    contestant,
    our_codec,
)
from xraycodec.evaluation.benchmark.jobs import Context, Job
from xraycodec.evaluation.benchmark.paper import CROPS
from xraycodec.evaluation.benchmark.settings import SEED
from xraycodec.evaluation.crops import Crops, load_crops
from xraycodec.evaluation.klt import reconstruct
from xraycodec.evaluation.metrics import mse, ssim
from xraycodec.evaluation.peers import at_size
from xraycodec.image import Pixels, XRay
from xraycodec.pipeline import decompress

EXACT_DB = 100.0
BEND = 3.0
"""Of the companded codes of the block transform; near the values that RNN-Conv learns."""
DECODED = 2
"""Crops of a job whose file is decoded, to see that it gives the pixels that were measured."""


@dataclass
class Row:
    """What one approach does to each crop of a job.

    Attributes:
        mse: mean squared error of each crop that the approach could serve.
        ssim: of the same.
        file_bytes: whole files; of codes without a file, the bytes of the codes.
        payload_bytes: the same less what a container takes; ``None`` where that is not known.
        missed: crops for which no file was small enough.
    """

    mse: list[float] = field(default_factory=list)
    ssim: list[float] = field(default_factory=list)
    file_bytes: list[float] = field(default_factory=list)
    payload_bytes: list[float] | None = None
    missed: int = 0

    def add(self, crop: Pixels, result: Pixels, file_bytes: float) -> None:
        self.mse.append(mse(crop, result))
        self.ssim.append(round(ssim(crop, result, 255), 6))
        self.file_bytes.append(file_bytes)


@lru_cache(maxsize=2)
def paper_crops(context: Context, side: int) -> Crops:
    """Return all of the paper's test crops of one size, ``(crop, side, side)``."""
    return load_crops(context.data, "test", side, SEED, context.cache, CROPS)


def cut(context: Context, job: Job) -> dict[str, Any]:
    """Cut the crops that later jobs read; ``count`` for training, the paper's 500 for testing."""
    split, _, side = job.subject.partition(" ")
    crops = load_crops(context.data, split, int(side), SEED, context.cache, job.count)
    assert isinstance(crops, np.memmap)
    return {"files": [str(Path(str(crops.filename)).relative_to(context.out))]}


def measure(context: Context, job: Job) -> dict[str, Any]:
    """Measure one approach at one ratio on some crops."""
    crops = paper_crops(context, int(job.subject))[job.first : job.first + job.count]
    ratio = int(job.quality or 0)
    rows = _APPROACHES[job.codec](context, np.asarray(crops), ratio)
    return {"rows": {key: vars(row) for key, row in rows.items()}}


def _klt(context: Context, crops: Crops, ratio: int) -> dict[str, Row]:
    transform = block_transform(context)
    rows = {}
    for key, bend in (("klt", 0.0), ("klt-companded", BEND)):
        row = rows[key] = Row()
        for crop, result in zip(
            crops, reconstruct(transform, crops, 256 // ratio, bend), strict=True
        ):
            row.add(crop, result, crop.size / ratio)
    return rows


def _jpeg2000(context: Context, crops: Crops, ratio: int) -> dict[str, Row]:
    row = Row()
    for crop in crops:
        _add_jpeg2000(context, row, crop, crop.size / ratio)
    return {"jpeg2000": row}


def _add_jpeg2000(context: Context, row: Row, crop: Pixels, size_bytes: float) -> None:
    """Add the best file of OpenJPEG that is no larger than ``size_bytes``."""
    peer = contestant("jpeg2000", context)
    image = XRay(crop.copy(), 8)
    try:
        found = at_size(peer, image, int(size_bytes))
    except OptionError:
        row.missed += 1
        return
    row.add(crop, peer.decode(found.data), found.size_bytes)


def _rnn_conv(context: Context, crops: Crops, ratio: int) -> dict[str, Row]:
    ours, same = coded_alone(our_codec("rnn-conv", ratio, crops.shape[1]), crops), Row()
    for crop, file_bytes in zip(crops, ours.file_bytes, strict=True):
        _add_jpeg2000(context, same, crop, file_bytes)
    return {"rnn-conv": ours, "jpeg2000-same-size": same}


def _toderici(context: Context, crops: Crops, ratio: int) -> dict[str, Row]:
    codec = our_codec("toderici", TODERICI_BITS_RATIO // ratio, crops.shape[1])
    return {"toderici": coded_alone(codec, crops)}


def coded_alone(codec: Codec, crops: Crops) -> Row:
    """Put every crop into a file of its own; decode the first ones.

    Args:
        codec: one of ours, with segments of the crops' size.
        crops: ``(crop, row, column)``.

    Raises:
        ValueError: a file decodes to other pixels than were measured.
    """
    row, payload_bytes = Row(), []
    for number, crop in enumerate(crops):
        image = XRay(np.ascontiguousarray(crop), 8)
        encoded = codec.encode(image)
        digest = hash_pixels(encoded.pixels, image.bits_stored)
        data = build(encoded.header, encoded.parameters, encoded.payloads, digest)
        result = encoded.pixels[0]
        if number < DECODED and not np.array_equal(decompress(data, threads=1).pixels, result):
            raise ValueError(f"{codec}: the file of crop {number} decodes to other pixels")
        row.add(crop, result, len(data))
        payload_bytes.append(float(sum(map(len, encoded.payloads))))
    row.payload_bytes = payload_bytes
    return row


_APPROACHES: dict[str, Callable[[Context, Crops, int], dict[str, Row]]] = {
    "toderici": _toderici,
    "jpeg2000": _jpeg2000,
    "rnn-conv": _rnn_conv,
    "klt": _klt,
}
APPROACHES = tuple(_APPROACHES)
"""Codecs of the tables, in the paper's order, the floor last."""
