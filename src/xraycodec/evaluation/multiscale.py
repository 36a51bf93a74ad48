"""Multi-scale structural similarity (MS-SSIM)."""

from __future__ import annotations

import math

import numpy as np
import numpy.typing as npt

from xraycodec.evaluation.metrics import (
    SSIM_RADIUS,
    Plane,
    bands,
    check_peak,
    check_pixels,
    frames_of,
    similarity_maps,
)
from xraycodec.image import Pixels

MS_SSIM_WEIGHTS = (0.0448, 0.2856, 0.3001, 0.2363, 0.1333)
"""Exponents of the scales, finest first: Wang, Simoncelli and Bovik (2003), section 3.2."""


def ms_ssim(reference: Pixels, test: Pixels, peak: float) -> float:
    """Multi-scale SSIM of Wang, Simoncelli and Bovik (2003), equation 7.

    Five scales, each the one before averaged over 2 x 2 pixels (an odd last row or column is
    repeated); the mean contrast and structure of the first four, the mean SSIM of the fifth, each
    to the power of its `MS_SSIM_WEIGHTS`, and the product of these (means before powers, as the
    authors' own program does it). The window and the constants
    are those of :func:`xraycodec.evaluation.ssim`. A negative mean counts as 0, because a real
    power of it is undefined.

    A scale is left out where the window no longer fits into it: five need 161 pixels along both
    axes, four 81, three 41, two 21. The weights of the fewer scales are then divided by their sum,
    so that one scale alone is SSIM itself; values of different numbers of scales do not compare.
    Several frames give the mean of their values. Working memory is four bytes a quarter of a frame
    for each of the two images, and a third of that again.

    Args:
        reference: the original, ``(row, column)`` or ``(frame, row, column)``, as stored.
        test: what became of it, of the same shape.
        peak: distance from the lowest to the highest value, in grey levels.

    Raises:
        ValueError: the shapes differ or are not images, or ``peak`` is not a positive number.
        TypeError: a pixel type other than those of ``XRay``.
    """
    return ssim_and_ms_ssim(reference, test, peak)[1]


def ssim_and_ms_ssim(reference: Pixels, test: Pixels, peak: float) -> tuple[float, float]:
    """Both measures in the time of the longer one; arguments and errors as :func:`ms_ssim`.

    The first is exactly that of :func:`xraycodec.evaluation.ssim`.
    """
    check_pixels(reference, test)
    check_peak(peak)
    pairs = zip(frames_of(reference), frames_of(test), strict=True)
    values = [_both_of_frame(x, y, peak) for x, y in pairs]
    single, multiple = (math.fsum(kind) / len(values) for kind in zip(*values, strict=True))
    return single, multiple


def scale_weights(rows: int, columns: int) -> tuple[float, ...]:
    """Exponents of the scales that an image of this size has, finest first."""
    side, count = min(rows, columns), 1
    while count < len(MS_SSIM_WEIGHTS) and (side := -(-side // 2)) > 2 * SSIM_RADIUS:
        count += 1
    if count == len(MS_SSIM_WEIGHTS):
        # As published, though their sum is 1.0001: so do the other implementations.
        return MS_SSIM_WEIGHTS
    used = MS_SSIM_WEIGHTS[:count]
    return tuple(weight / math.fsum(used) for weight in used)


def _both_of_frame(reference: Pixels, test: Pixels, peak: float) -> tuple[float, float]:
    weights = scale_weights(*map(int, reference.shape))
    x: Plane = reference
    y: Plane = test
    scales = [_means(x, y, peak)]
    while len(scales) < len(weights):
        x, y = _halved(x), _halved(y)
        scales.append(_means(x, y, peak))
    means = [structure for _, structure in scales[:-1]] + [scales[-1][0]]
    powers = (math.pow(max(0.0, mean), weight) for mean, weight in zip(means, weights, strict=True))
    return scales[0][0], math.prod(powers)


def _means(x: Plane, y: Plane, peak: float) -> tuple[float, float]:
    """Mean SSIM of a plane, and the mean of its contrast and structure."""
    similarities, structures, positions = 0.0, 0.0, 0
    for _, luminance, structure in similarity_maps(x, y, peak):
        similarities += float(np.vdot(luminance, structure))
        structures += float(structure.sum())
        positions += structure.size
    return similarities / positions, structures / positions


def _halved(plane: Plane) -> npt.NDArray[np.float32]:
    """Average a plane over 2 x 2 pixels.

    float32 holds every average exactly: four halvings add 8 bits to the 16 of a pixel.
    """
    rows, columns = (-(-length // 2) for length in plane.shape)
    halved = np.empty((rows, columns), np.float32)
    for top, bottom in bands(rows, columns):
        block = plane[2 * top : 2 * bottom]
        odd = [(0, length % 2) for length in block.shape]
        block = np.pad(block, odd, mode="edge").astype(np.float32)
        across = block[:, ::2] + block[:, 1::2]
        halved[top:bottom] = (across[::2] + across[1::2]) / 4
    return halved
