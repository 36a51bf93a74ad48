"""The radiograph as every codec sees it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import numpy.typing as npt

from xraycodec.errors import UnsupportedImageError

PhotometricInterpretation = Literal["MONOCHROME1", "MONOCHROME2"]
Pixels = (
    npt.NDArray[np.uint8] | npt.NDArray[np.int8] | npt.NDArray[np.uint16] | npt.NDArray[np.int16]
)

PIXEL_TYPES = ("uint8", "int8", "uint16", "int16")


def pixel_type(bits_stored: int, *, signed: bool) -> np.dtype[Any]:
    """Return the smallest native integer type that holds ``bits_stored``."""
    return np.dtype(f"{'i' if signed else 'u'}{1 if bits_stored <= 8 else 2}")


def value_range(bits_stored: int, *, signed: bool) -> tuple[int, int]:
    """Return the lowest and the highest value of ``bits_stored`` bits."""
    if signed:
        return -(1 << (bits_stored - 1)), (1 << (bits_stored - 1)) - 1
    return 0, (1 << bits_stored) - 1


@dataclass(frozen=True, eq=False)
class XRay:
    """One grayscale radiograph, or several frames of equal size.

    Attributes:
        pixels: ``(row, column)``, or ``(frame, row, column)`` for several frames, as 8- or
            16-bit integers in native byte order; the type gives the sign. Stored values, before
            any modality or VOI look-up table.
        bits_stored: significant bits of a pixel, 1 to 16; a signed pixel's sign bit counts.
        photometric_interpretation: MONOCHROME2 shows low values dark, MONOCHROME1 bright.
        dicom: the DICOM data set that the image came with, pixel data left out, as explicit
            VR little endian with neither preamble nor file meta information; ``None`` if the
            source was no DICOM file.

    Raises:
        UnsupportedImageError: a shape, type or value outside these bounds.
    """

    pixels: Pixels
    bits_stored: int
    photometric_interpretation: PhotometricInterpretation = "MONOCHROME2"
    dicom: bytes | None = None

    def __post_init__(self) -> None:
        pixels = self.pixels
        if pixels.ndim not in (2, 3):
            raise UnsupportedImageError(
                f"pixels have shape {pixels.shape}; allowed are (row, column) and"
                " (frame, row, column) of one grayscale channel"
            )
        if pixels.dtype.name not in PIXEL_TYPES or not pixels.dtype.isnative:
            raise UnsupportedImageError(
                f"pixels are {pixels.dtype.str} ({pixels.dtype.name}); allowed are"
                f" {', '.join(PIXEL_TYPES)} in native byte order"
            )
        if 0 in pixels.shape:
            raise UnsupportedImageError(f"the image is empty: shape {pixels.shape}")
        if not 1 <= self.bits_stored <= 8 * pixels.dtype.itemsize:
            raise UnsupportedImageError(
                f"{self.bits_stored} bits stored in {pixels.dtype.name} pixels; allowed are 1 to"
                f" {8 * pixels.dtype.itemsize}"
            )
        if self.photometric_interpretation not in ("MONOCHROME1", "MONOCHROME2"):
            raise UnsupportedImageError(
                f"photometric interpretation {self.photometric_interpretation!r}; allowed are"
                " MONOCHROME1 and MONOCHROME2"
            )
        low, high = self.value_range
        if self.bits_stored < 8 * pixels.dtype.itemsize and (
            int(pixels.min()) < low or int(pixels.max()) > high
        ):
            raise UnsupportedImageError(
                f"pixel values {int(pixels.min())} to {int(pixels.max())} do not fit"
                f" {self.bits_stored} bits stored ({low} to {high})"
            )

    @property
    def signed(self) -> bool:
        """Whether pixels are two's complement."""
        return self.pixels.dtype.kind == "i"

    @property
    def value_range(self) -> tuple[int, int]:
        """Lowest and highest value that the bits stored allow."""
        return value_range(self.bits_stored, signed=self.signed)

    @property
    def peak(self) -> int:
        """Distance from the lowest to the highest value of the bits stored: PSNR's peak."""
        return (1 << self.bits_stored) - 1

    @property
    def frames(self) -> Pixels:
        """The pixels as ``(frame, row, column)``, one frame for a single image."""
        return self.pixels if self.pixels.ndim == 3 else self.pixels[None]

    @property
    def size_bytes(self) -> float:
        """Size of the pixels at their bits stored: what compression ratios are against."""
        return self.pixels.size * self.bits_stored / 8
