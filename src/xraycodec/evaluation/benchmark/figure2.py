"""The paper's Fig. 2: a full image cut into segments, coded one by one and put together again."""

from __future__ import annotations

from typing import Any

import numpy as np

from xraycodec.codecs.base import Codec
from xraycodec.container import build, hash_pixels
from xraycodec.evaluation.benchmark.contestants import TODERICI_BITS_RATIO, contestant, our_codec
from xraycodec.evaluation.benchmark.full_images import load_image
from xraycodec.evaluation.benchmark.jobs import Context, Job
from xraycodec.evaluation.metrics import psnr_db, ssim
from xraycodec.evaluation.peers import at_size
from xraycodec.files import encode
from xraycodec.files.atomic import write_atomically
from xraycodec.image import Pixels, XRay

SEGMENT = 256
RATIO = 8
FOLDER = "figure2"
ORIGINAL = "original"
CODECS = ("toderici", "rnn-conv", "jpeg2000")


def measure(context: Context, job: Job) -> dict[str, Any]:
    """Code one image by one codec and keep the picture as PNG.

    OpenJPEG codes the image in one piece, in no more bytes than RNN-Conv's files take together.
    """
    image = load_image(context.data / job.subject, 0)
    if job.codec == ORIGINAL:
        pixels, size_bytes = image.pixels, image.pixels.size
    elif job.codec == "jpeg2000":
        peer = contestant("jpeg2000", context)
        _, limit = in_segments(image, our_codec("rnn-conv", RATIO, SEGMENT))
        found = at_size(peer, image, limit)
        pixels, size_bytes = peer.decode(found.data), found.size_bytes
    else:
        quality = TODERICI_BITS_RATIO // RATIO if job.codec == "toderici" else RATIO
        pixels, size_bytes = in_segments(image, our_codec(job.codec, quality, SEGMENT))
    name = f"{FOLDER}/{job.codec}.png"
    (context.out / FOLDER).mkdir(parents=True, exist_ok=True)
    png = encode(XRay(pixels, image.bits_stored, image.photometric_interpretation), "png")
    write_atomically(context.out / name, png, overwrite=True)
    return {
        "files": [name],
        "size_bytes": size_bytes,
        "psnr_db": psnr_db(image.pixels, pixels, image.peak),
        "ssim": ssim(image.pixels, pixels, image.peak),
    }


def in_segments(image: XRay, codec: Codec) -> tuple[Pixels, int]:
    """Return what the segments decode to, put together, and the bytes of their files."""
    pixels = np.empty_like(image.pixels)
    size_bytes = 0
    rows, columns = image.pixels.shape
    for row in range(0, rows, SEGMENT):
        for column in range(0, columns, SEGMENT):
            place = (slice(row, row + SEGMENT), slice(column, column + SEGMENT))
            segment = XRay(image.pixels[place].copy(), image.bits_stored)
            encoded = codec.encode(segment)
            digest = hash_pixels(encoded.pixels, image.bits_stored)
            size_bytes += len(build(encoded.header, encoded.parameters, encoded.payloads, digest))
            pixels[place] = encoded.pixels[0]
    return pixels, size_bytes
