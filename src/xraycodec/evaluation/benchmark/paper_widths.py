"""Tables I and II by RNN-Conv in the paper's own widths, where its model is at hand.

The pack is not part of the package, and only N = 128 is trained. Coding takes so long that only
the tables of crops have it. This is a module beside `crop_tasks` because the results of every other
codec are valid only as long as the sources that `fingerprints` counts to them, `crop_tasks` among
them, stay as they are.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from xraycodec.codecs.rnn_conv import RnnConv
from xraycodec.container import build, hash_pixels
from xraycodec.errors import XrayCodecError
from xraycodec.evaluation.benchmark.crop_tasks import DECODED, Row, paper_crops
from xraycodec.evaluation.benchmark.jobs import Context, Job
from xraycodec.image import XRay
from xraycodec.pipeline import decompress

KEY = "rnn-conv-paper"
TRAINED = (128,)
"""N of the networks that there are."""


def codec(ratio: float, side: int) -> RnnConv:
    """Return the codec on one thread."""
    return RnnConv(ratio, side, 1, "paper")


def why_not() -> str | None:
    """Try a small image; return why no crop can be measured, ``None`` if they can."""
    image = XRay(np.arange(1024, dtype=np.uint8).reshape(32, 32) // 4, 8)
    try:
        for side in TRAINED:
            codec(256, side).encode(image)
    except (XrayCodecError, ImportError) as error:
        return str(error)
    return None


def measure(context: Context, job: Job) -> dict[str, Any]:
    """Put every crop into a file of its own; the first ones are decoded, as in `crop_tasks`.

    Raises:
        ValueError: a file decodes to other pixels than were measured.
    """
    side = int(job.subject)
    crops = paper_crops(context, side)[job.first : job.first + job.count]
    ours = codec(job.quality or 0, side)
    payload_bytes: list[float] = []
    row = Row(payload_bytes=payload_bytes)
    for number, crop in enumerate(np.asarray(crops), job.first):
        image = XRay(np.ascontiguousarray(crop), 8)
        encoded = ours.encode(image)
        digest = hash_pixels(encoded.pixels, image.bits_stored)
        data = build(encoded.header, encoded.parameters, encoded.payloads, digest)
        result = encoded.pixels[0]
        checked = number < job.first + DECODED
        if checked and not np.array_equal(decompress(data, threads=1).pixels, result):
            raise ValueError(f"{KEY}: the file of crop {number} decodes to other pixels")
        row.add(crop, result, len(data))
        payload_bytes.append(float(sum(map(len, encoded.payloads))))
    return {"rows": {KEY: vars(row)}}
