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
from xraycodec.errors import XrayCodecError
from xraycodec.evaluation.benchmark.crop_tasks import coded_alone, paper_crops
from xraycodec.evaluation.benchmark.jobs import Context, Job
from xraycodec.image import XRay

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
    row = coded_alone(codec(job.quality or 0, side), np.asarray(crops))
    return {"rows": {KEY: vars(row)}}
