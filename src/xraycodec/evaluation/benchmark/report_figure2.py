"""Fig. 2 of the paper: pictures, differences, and a close look at where segments meet."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import imagecodecs
import numpy as np

from xraycodec.evaluation.benchmark.document import Block, Gallery, Heading, Picture, Table, Text
from xraycodec.evaluation.benchmark.figure2 import ORIGINAL, RATIO, SEGMENT
from xraycodec.files import read
from xraycodec.image import Pixels

GAIN = 8
"""Differences are shown this many times as strong, around mid-grey."""
_SHRINK = 2
_CLOSE = 288
_JPEG_LEVEL = 88
_NAMES = {
    ORIGINAL: "Original",
    "toderici": "Toderici et al., segment by segment",
    "rnn-conv": "RNN-Conv, segment by segment",
    "jpeg2000": "JPEG 2000 (OpenJPEG), in one piece",
}


def figure2_blocks(result: dict[str, Any], out: Path) -> Iterator[Block]:
    """The figure, with as many codecs as could be measured."""
    rows: list[dict[str, Any]] = result.get("figure2") or []
    rows = sorted(rows, key=lambda row: list(_NAMES).index(row["codec"]))
    if not rows or rows[0]["codec"] != ORIGINAL:
        return
    pictures = {row["codec"]: read(out / row["files"][0]).pixels for row in rows}
    original = pictures[ORIGINAL]
    yield Heading(2, "A full image in segments")
    yield Text(
        f"As in Fig. 2 of the paper: {rows[0]['image']} cut into segments of {SEGMENT} x {SEGMENT},"
        f" each coded on its own at ratio {RATIO} and put together again. JPEG 2000 codes the image"
        " in one piece, in no more bytes than RNN-Conv's files take together."
    )
    yield Table(
        ("approach", "bytes of all files", "bits per pixel", "PSNR dB", "SSIM"),
        tuple(
            (
                _NAMES[row["codec"]],
                f"{row['size_bytes']:,}",
                f"{8 * row['size_bytes'] / original.size:.3f}",
                "exact" if row["psnr_db"] is None else f"{row['psnr_db']:.2f}",
                f"{row['ssim']:.4f}",
            )
            for row in rows
            if row["codec"] != ORIGINAL
        ),
    )
    yield Gallery(tuple(_whole(_NAMES[codec], pixels) for codec, pixels in pictures.items()))
    yield Text(f"Differences from the original, {GAIN} times as strong; mid-grey is none.")
    differences = {
        _NAMES[codec]: _difference(original, pixels)
        for codec, pixels in pictures.items()
        if codec != ORIGINAL
    }
    yield Gallery(tuple(_whole(name, pixels) for name, pixels in differences.items()))
    yield Text("Where four segments meet, pixel by pixel.")
    yield Gallery(tuple(_close(_NAMES[codec], pixels) for codec, pixels in pictures.items()))


def _difference(original: Pixels, pixels: Pixels) -> Pixels:
    stretched = 128 + GAIN * (pixels.astype(np.int32) - original)
    return stretched.clip(0, 255).astype(np.uint8)


def _whole(caption: str, pixels: Pixels) -> Picture:
    """The image at half its size, each pixel the mean of 2 x 2."""
    rows, columns = (length // _SHRINK * _SHRINK for length in pixels.shape)
    blocks = pixels[:rows, :columns].reshape(rows // _SHRINK, _SHRINK, -1, _SHRINK)
    small = np.rint(blocks.mean(axis=(1, 3))).astype(np.uint8)
    return Picture(caption, bytes(imagecodecs.jpeg8_encode(small, level=_JPEG_LEVEL)), "jpeg")


def _close(caption: str, pixels: Pixels) -> Picture:
    """The surroundings of the corner of segments that is nearest to the middle, unchanged."""
    tops = (max(0, length // 2 // SEGMENT * SEGMENT - _CLOSE // 2) for length in pixels.shape)
    top, left = tops
    part = np.ascontiguousarray(pixels[top : top + _CLOSE, left : left + _CLOSE])
    return Picture(caption, bytes(imagecodecs.png_encode(part)), "png")
