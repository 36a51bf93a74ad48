"""Fidelity where it matters: the exposed anatomy, at the contrast that a reader sees.

PSNR and SSIM of a whole radiograph flatter every codec: the black around a breast or a hand costs
nothing, and grey levels that no anatomy uses raise the peak. Here the background is left out and
the window is that of the anatomy.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from xraycodec.evaluation.exposure import Mask, exposed, histogram_of, percentiles
from xraycodec.evaluation.metrics import (
    bands,
    check_comparable,
    decibels,
    frames_of,
    from_zero,
    similarity_maps,
    window_margins,
)
from xraycodec.image import Pixels, XRay

WINDOW_PERCENTILES = (0.5, 99.5)
"""Levels of the anatomy at which the window begins and ends."""


@dataclass(frozen=True)
class AnatomyFidelity:
    """What a codec has done to the anatomy of an image.

    Attributes:
        psnr_db: peak signal-to-noise ratio in decibels of the anatomy's pixels after windowing,
            the window's width being the peak; infinite for identical pixels.
        ssim: mean structural similarity after windowing over the SSIM windows whose centre is
            anatomy.
        share: part of the image that is anatomy, above 0, at most 1.
    """

    psnr_db: float
    ssim: float
    share: float


def anatomy_mask(image: XRay) -> Mask:
    """Find the exposed anatomy of a radiograph: True for every pixel that is to count.

    Left out are direct exposure (air), shutters and fill of one level, bright collimation along
    the frame's edges, and markers beside the anatomy; a marker on top of it stays. The rule is
    fixed arithmetic without learned parts, the same on every machine, and keeps what is in doubt:
    a band of air along the skin, collimation that stands askew, air that the anatomy encloses. It
    is made for whole radiographs; in a crop dark tissue at the frame's edge may pass for air.
    A frame in which nothing stands out (all one level, say) counts whole.

    Returns:
        Booleans of the shape of ``image.pixels``.
    """
    frames = frames_of(_displayed(image))
    return np.stack([exposed(frame) for frame in frames]).reshape(image.pixels.shape)


def anatomy_fidelity(reference: XRay, test: XRay) -> AnatomyFidelity:
    """PSNR and SSIM within the windowed anatomy of the reference.

    Mask and window come from the reference alone. The window spans the 0.5th to the 99.5th
    percentile of the reference's anatomy, over all frames; both images are clipped to it and
    counted from its dark end, so that MONOCHROME1 and signed pixels give the values of the same
    picture in MONOCHROME2 and unsigned ones. Where the anatomy has no contrast at all, the window
    is all levels of the bits stored. Several frames count as one signal. Working memory is a byte
    a pixel for the mask, and copies of a frame.

    Raises:
        ValueError: the shapes, signs, bits stored or photometric interpretations differ.
    """
    check_comparable(reference, test)
    ours, theirs = frames_of(_displayed(reference)), frames_of(_displayed(test))
    mask = anatomy_mask(reference).reshape(ours.shape)
    low, high = _window(ours, mask, reference.peak)
    squares, count = 0, 0
    inside, everywhere = _Mean(), _Mean()
    for frame_x, frame_y, anatomy in zip(ours, theirs, mask, strict=True):
        x, y = _windowed(frame_x, low, high), _windowed(frame_y, low, high)
        for top, bottom in bands(*map(int, x.shape)):
            rows = slice(top, bottom)
            step = np.subtract(y[rows], x[rows], dtype=np.int64)[anatomy[rows]]
            squares += int(np.vdot(step, step))
            count += step.size
        down, across = window_margins(x.shape)
        for rows, luminance, structure in similarity_maps(x, y, high - low):
            similarity = luminance * structure
            centres = anatomy[rows.start + down : rows.stop + down]
            everywhere.add(similarity)
            inside.add(similarity[centres[:, across : across + similarity.shape[1]]])
    return AnatomyFidelity(
        psnr_db=decibels(squares / count, high - low),
        # Anatomy thinner than half a window along the frame's edge is no centre of any.
        ssim=inside.value() if inside.count else everywhere.value(),
        share=count / mask.size,
    )


class _Mean:
    """A mean of values that come in pieces."""

    def __init__(self) -> None:
        self.sums: list[float] = []
        self.count = 0

    def add(self, values: npt.NDArray[np.float64]) -> None:
        self.sums.append(float(values.sum()))
        self.count += values.size

    def value(self) -> float:
        return math.fsum(self.sums) / self.count


def _displayed(image: XRay) -> Pixels:
    """The pixels as unsigned levels from 0, the darkest on display, to the peak."""
    levels = from_zero(image)
    if image.photometric_interpretation == "MONOCHROME1":
        inverted: Pixels = levels.dtype.type(image.peak) - levels
        return inverted
    return levels


def _window(frames: Pixels, mask: Mask, peak: int) -> tuple[int, int]:
    """Lowest and highest level of the window; the highest is above the lowest."""
    histogram = np.zeros(peak + 1, np.int64)
    for frame, anatomy in zip(frames, mask, strict=True):
        histogram += histogram_of(frame, peak + 1, anatomy)
    low, high = percentiles(histogram, *WINDOW_PERCENTILES)
    return (low, high) if low < high else (0, peak)


def _windowed(frame: Pixels, low: int, high: int) -> Pixels:
    levels: Pixels = frame.clip(low, high)
    np.subtract(levels, low, out=levels)
    return levels
