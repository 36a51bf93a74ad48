"""Fidelity metrics of grayscale images: MSE, PSNR, SSIM, largest error.

All of them take integer pixels as stored, ``(row, column)`` or ``(frame, row, column)``, in any
of the types of :class:`xraycodec.image.XRay`, and walk the image in bands of rows: working memory
is a few megabytes, whatever the size of the image.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from xraycodec.image import PIXEL_TYPES, Pixels, XRay

SSIM_RADIUS = 5
"""Reach of the SSIM window to each side of its centre: 11 x 11 pixels."""
SSIM_SIGMA = 1.5
"""Standard deviation of the SSIM window in pixels."""
SSIM_K1 = 0.01
SSIM_K2 = 0.03

Plane = Pixels | npt.NDArray[np.float32]

_BAND_PIXELS = 1 << 15
"""Pixels worked on at a time: a quarter of a megabyte for each intermediate result, which caches
hold; larger bands were slower."""


@dataclass(frozen=True)
class Fidelity:
    """What a codec has done to an image.

    Attributes:
        psnr_db: peak signal-to-noise ratio in decibels; infinite for identical pixels.
        ssim: mean structural similarity, at most 1.
        max_error: largest absolute difference of two pixels, in grey levels.
        mse: mean squared difference, in squared grey levels.
    """

    psnr_db: float
    ssim: float
    max_error: int
    mse: float


def measure(reference: XRay, test: XRay) -> Fidelity:
    """Compare two radiographs of equal shape and pixel format; the peak is the reference's.

    SSIM is not invariant to an offset, so signed pixels are first counted from the lowest
    value that their bits stored allow: the same picture gets the same SSIM either way.

    Raises:
        ValueError: the shapes, signs, bits stored or photometric interpretations differ.
    """
    check_comparable(reference, test)
    error = mse(reference.pixels, test.pixels)
    return Fidelity(
        psnr_db=decibels(error, reference.peak),
        ssim=ssim(from_zero(reference), from_zero(test), reference.peak),
        max_error=max_error(reference.pixels, test.pixels),
        mse=error,
    )


def check_comparable(reference: XRay, test: XRay) -> None:
    """Refuse two radiographs whose pixels do not mean the same.

    Raises:
        ValueError: the shapes, signs, bits stored or photometric interpretations differ.
    """
    ours, theirs = (
        (
            "signed" if image.signed else "unsigned",
            f"{image.bits_stored} bits stored",
            image.photometric_interpretation,
        )
        for image in (reference, test)
    )
    if ours != theirs:
        raise ValueError(f"test image is {', '.join(theirs)}; the reference is {', '.join(ours)}")
    check_pixels(reference.pixels, test.pixels)


def mse(reference: Pixels, test: Pixels) -> float:
    """Mean squared difference over all pixels of all frames, from an exact integer sum.

    Raises:
        ValueError: the shapes differ, are not of two or three axes, or hold no pixel.
        TypeError: a pixel type other than those of ``XRay``.
    """
    total = sum(int(np.vdot(step, step)) for step in _differences(reference, test))
    return total / reference.size


def max_error(reference: Pixels, test: Pixels) -> int:
    """Largest absolute difference of two pixels in grey levels; raises as :func:`mse`."""
    return max(int(np.abs(step).max()) for step in _differences(reference, test))


def psnr_db(reference: Pixels, test: Pixels, peak: float) -> float:
    """Peak signal-to-noise ratio ``10 log10(peak^2 / mse)`` in decibels.

    Infinite for identical pixels. Several frames count as one signal.

    Raises:
        ValueError: as :func:`mse`, or ``peak`` is not a positive number.
        TypeError: as :func:`mse`.
    """
    check_peak(peak)
    return decibels(mse(reference, test), peak)


def ssim(reference: Pixels, test: Pixels, peak: float) -> float:
    """Mean structural similarity of Wang, Bovik, Sheikh and Simoncelli (2004).

    Gaussian window of 11 x 11 pixels and sigma 1.5, K1 = 0.01, K2 = 0.03, population statistics,
    the mean taken over the positions at which the whole window lies inside the image. This is
    ``skimage.metrics.structural_similarity`` with ``gaussian_weights=True, sigma=1.5,
    use_sample_covariance=False, data_range=peak``. Several frames give the mean of their values.

    An image narrower (or lower) than 11 pixels is measured with the window cut to the greatest odd
    width (or height) that fits and weighted anew. On a single pixel nothing is left but the
    luminance term.

    Raises:
        ValueError: as :func:`mse`, or ``peak`` is not a positive number.
        TypeError: as :func:`mse`.
    """
    check_pixels(reference, test)
    check_peak(peak)
    pairs = zip(frames_of(reference), frames_of(test), strict=True)
    values = [_ssim_of_frame(x, y, peak) for x, y in pairs]
    return math.fsum(values) / len(values)


def similarity_maps(
    x: Plane, y: Plane, peak: float
) -> Iterator[tuple[slice, npt.NDArray[np.float64], npt.NDArray[np.float64]]]:
    """The two terms of SSIM at every window of a ``(row, column)`` plane, a band at a time.

    Yields the rows of the map that a band covers, its luminance term, and its contrast and
    structure in one term, both ``(row, column)``; SSIM is their product. Position (0, 0) of the map
    is the window whose centre lies `window_margins` pixels into the plane.
    """
    rows, columns = map(int, x.shape)
    down, across = _ssim_window(rows), _ssim_window(columns)
    c1, c2 = (SSIM_K1 * peak) ** 2, (SSIM_K2 * peak) ** 2
    for top, bottom in bands(rows - len(down) + 1, columns):
        reach = slice(top, bottom + len(down) - 1)
        a, b = x[reach].astype(np.float64), y[reach].astype(np.float64)
        mean_a = _filtered(a, down, across)
        mean_b = _filtered(b, down, across)
        # Only the sum of the two variances is needed, so four filters do in place of five.
        means_squared = mean_a * mean_a + mean_b * mean_b
        means_product = mean_a * mean_b
        variances = _filtered(a * a + b * b, down, across) - means_squared
        covariance = _filtered(a * b, down, across) - means_product
        luminance = (2 * means_product + c1) / (means_squared + c1)
        structure = (2 * covariance + c2) / (variances + c2)
        yield slice(top, bottom), luminance, structure


def window_margins(shape: tuple[int, ...]) -> tuple[int, int]:
    """Rows and columns at each edge of a ``(row, column)`` plane that no SSIM window centres on."""
    rows, columns = shape
    return len(_ssim_window(rows)) // 2, len(_ssim_window(columns)) // 2


def _ssim_of_frame(x: Pixels, y: Pixels, peak: float) -> float:
    total, positions = 0.0, 0
    for _, luminance, structure in similarity_maps(x, y, peak):
        total += float(np.vdot(luminance, structure))
        positions += structure.size
    return total / positions


def _ssim_window(length: int) -> npt.NDArray[np.float64]:
    """Gaussian weights of the SSIM window along an axis of ``length`` pixels; their sum is 1."""
    radius = min(SSIM_RADIUS, (length - 1) // 2)
    weights = np.exp(-0.5 * (np.arange(-radius, radius + 1) / SSIM_SIGMA) ** 2)
    normalised: npt.NDArray[np.float64] = weights / weights.sum()
    return normalised


def _filtered(
    image: npt.NDArray[np.float64],
    down: npt.NDArray[np.float64],
    across: npt.NDArray[np.float64],
) -> npt.NDArray[np.float64]:
    """Correlation of ``(row, column)`` with a separable window, where the whole window fits."""
    rows = image.shape[0] - len(down) + 1
    columns = image.shape[1] - len(across) + 1
    half: npt.NDArray[np.float64] = down[0] * image[:rows]
    for shift in range(1, len(down)):
        half += down[shift] * image[shift : shift + rows]
    whole: npt.NDArray[np.float64] = across[0] * half[:, :columns]
    for shift in range(1, len(across)):
        whole += across[shift] * half[:, shift : shift + columns]
    return whole


def _differences(reference: Pixels, test: Pixels) -> Iterator[npt.NDArray[np.int64]]:
    """``test - reference``, a band of rows at a time, flat; int64 neither wraps nor overflows."""
    check_pixels(reference, test)
    for x, y in zip(frames_of(reference), frames_of(test), strict=True):
        for top, bottom in bands(*x.shape):
            step = np.subtract(y[top:bottom], x[top:bottom], dtype=np.int64)
            yield step.reshape(-1)


def bands(rows: int, columns: int) -> Iterator[tuple[int, int]]:
    """First row and row past the last of each band of a plane that is worked on at a time."""
    height = max(1, _BAND_PIXELS // columns)
    for top in range(0, rows, height):
        yield top, min(rows, top + height)


def frames_of(pixels: Pixels) -> Pixels:
    """The pixels as ``(frame, row, column)``, one frame for a single image."""
    return pixels if pixels.ndim == 3 else pixels[None]


def from_zero(image: XRay) -> Pixels:
    """The pixels less the lowest value that the bits stored allow, as unsigned integers."""
    if not image.signed:
        return image.pixels
    unsigned = np.dtype(f"u{image.pixels.dtype.itemsize}")
    # Two's complement: adding the offset modulo 2^8 or 2^16 is exact.
    offset = unsigned.type(-image.value_range[0])
    shifted: Pixels = image.pixels.view(unsigned) + offset
    return shifted


def decibels(error: float, peak: float) -> float:
    """PSNR of a mean squared error: ``10 log10(peak^2 / error)``, infinite for none."""
    return math.inf if error == 0 else 10 * math.log10(peak**2 / error)


def check_pixels(reference: Pixels, test: Pixels) -> None:
    """Refuse pixels that cannot be compared.

    Raises:
        ValueError: the shapes differ, are not of two or three axes, or hold no pixel.
        TypeError: a pixel type other than those of ``XRay``.
    """
    if reference.shape != test.shape:
        raise ValueError(f"test image has shape {test.shape}; the reference has {reference.shape}")
    if reference.ndim not in (2, 3) or reference.size == 0:
        raise ValueError(
            f"images have shape {reference.shape}; allowed are (row, column) and"
            " (frame, row, column) with one pixel or more"
        )
    for name, pixels in (("reference", reference), ("test", test)):
        if pixels.dtype.name not in PIXEL_TYPES:
            raise TypeError(
                f"{name} pixels are {pixels.dtype.name}; allowed are {', '.join(PIXEL_TYPES)}"
            )


def check_peak(peak: float) -> None:
    """Refuse a peak that is no positive number.

    Raises:
        ValueError: it is not.
    """
    if not (peak > 0 and math.isfinite(peak)):
        raise ValueError(f"peak is {peak}; allowed are positive numbers")
