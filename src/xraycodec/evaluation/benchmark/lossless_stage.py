"""By how much a lossless stage shrinks what the networks put out; the paper says 4, by GZip.

Tensors of RNN-Conv are as the paper has them: one 8-bit code for each channel kept of each 16 x 16
block, channel by channel, ``(channel, P, Q)`` of every crop. Toderici's are bits, eight to a byte,
``(iteration, channel, P, Q)``. General compressors see them crop by crop,
as files are, and all crops in one piece, which is the most that they can make of them.
"""

from __future__ import annotations

import gzip
from collections.abc import Callable, Sequence
from typing import Any

import imagecodecs
import numpy as np
import numpy.typing as npt

from xraycodec.codecs.rnn_conv.codec import (
    ANALYSIS_HALO,
    WINDOW,
    analyse,
    encode_codes,
    grid_of,
)
from xraycodec.codecs.rnn_conv.model import Model, model_for, pack_for_segment
from xraycodec.codecs.rnn_conv.parameters import DIGEST_BYTES, Parameters, intensity_window
from xraycodec.codecs.toderici.codec import CONFIGURATION
from xraycodec.codecs.toderici.coding import History, decode_bits
from xraycodec.codecs.toderici.model import named_model
from xraycodec.evaluation.benchmark.contestants import (
    TODERICI_BITS_RATIO,
    our_codec,
    toderici_iterations,
)
from xraycodec.evaluation.benchmark.crop_tasks import paper_crops
from xraycodec.evaluation.benchmark.jobs import Context, Job
from xraycodec.evaluation.benchmark.settings import FULL
from xraycodec.evaluation.crops import Crops
from xraycodec.image import XRay
from xraycodec.tiling import windows

GZIP_LEVEL = 9
ZSTD_LEVEL = 19
Codes = npt.NDArray[np.int8]


def measure(context: Context, job: Job) -> dict[str, Any]:
    """Measure every ratio on the first ``count`` crops; the network runs once for all of them."""
    crops = paper_crops(context, int(job.subject))[job.first : job.first + job.count]
    return {"rows": _MEASURES[job.codec](np.asarray(crops))}


def _rnn_conv(crops: Crops) -> list[dict[str, Any]]:
    model = model_for(pack_for_segment(crops.shape[1]).digest, 1)
    codes = np.stack([_codes_of(model, XRay(np.ascontiguousarray(crop), 8)) for crop in crops])
    rows = []
    for ratio in FULL.ratios:
        # Channels come in order of importance: a higher ratio keeps the first ones of a lower.
        kept = np.ascontiguousarray(codes[:, : 256 // ratio])
        ours = sum(len(encode_codes(model, part)) for part in kept)
        rows.append({"ratio": ratio, "ours": ours, **_general([part.tobytes() for part in kept])})
    return rows


def _codes_of(model: Model, image: XRay) -> Codes:
    """Codes of every channel, ``(channel, P, Q)``."""
    low, span = intensity_window(image)
    plan = Parameters(model.beta, low, span, False, bytes(DIGEST_BYTES))
    grid = grid_of(*image.pixels.shape)
    codes = np.empty((model.beta, *grid), np.int8)
    for window in windows(*grid, WINDOW, ANALYSIS_HALO):
        # Without feedback, which differs by the channels kept: what the paper's network puts out.
        latents = analyse(model, plan, image.pixels, window, feedback=False)
        codes[:, *window.inner] = model.quantise(latents)
    return codes


def _general(parts: list[bytes]) -> dict[str, int]:
    """Bytes before and after general compressors, part by part and of all parts in one piece."""
    whole = b"".join(parts)
    return {
        "raw": len(whole),
        "gzip_each": sum(len(_gzip(part)) for part in parts),
        "gzip_all": len(_gzip(whole)),
        "zstd_each": sum(len(_zstd(part)) for part in parts),
        "zstd_all": len(_zstd(whole)),
    }


def _gzip(data: bytes) -> bytes:
    return gzip.compress(data, GZIP_LEVEL, mtime=0)


def _zstd(data: bytes) -> bytes:
    return bytes(imagecodecs.zstd_encode(data, level=ZSTD_LEVEL))


def _toderici(crops: Crops) -> list[dict[str, Any]]:
    iterations = toderici_iterations()
    codec = our_codec("toderici", iterations, crops.shape[1])
    grid = grid_of(*crops.shape[1:])
    ours = np.zeros(iterations, np.int64)
    bits = []
    for crop in crops:
        payloads = codec.encode(XRay(crop.copy(), 8)).payloads
        ours += [len(payload) for payload in payloads]
        bits.append(_bits_of(payloads, grid))
    rows = []
    for ratio in FULL.ratios:
        # Iterations build on those before: a higher ratio keeps the first ones of a lower.
        kept = TODERICI_BITS_RATIO // ratio
        if kept <= iterations:
            parts = [np.packbits(layers[:kept]).tobytes() for layers in bits]
            rows.append({"ratio": ratio, "ours": int(ours[:kept].sum()), **_general(parts)})
    return rows


def _bits_of(payloads: Sequence[bytes], grid: tuple[int, int]) -> npt.NDArray[np.uint8]:
    """Bits of one tile, ``(iteration, channel, P, Q)``; no network is needed for them."""
    model = named_model(CONFIGURATION, 1)
    history = History(1, model.bits, grid)
    layers = np.empty((len(payloads), model.bits, *grid), np.uint8)
    for layer, payload in zip(layers, payloads, strict=True):
        decode_bits(model, history, 0, memoryview(payload), layer)
        history.add(layer[None])
    return layers


_MEASURES: dict[str, Callable[[Crops], list[dict[str, Any]]]] = {
    "rnn-conv": _rnn_conv,
    "toderici": _toderici,
}
CODECS = tuple(_MEASURES)
"""Codecs whose output is measured."""
