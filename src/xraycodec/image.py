"""The radiograph as every codec sees it."""

from __future__ import annotations

import operator
import os
import re
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
MAX_BITS = 16
PREAMBLE_BYTES = 128
MAX_LOSSES = 64
MAX_RATIO = 2**20
MOST_CHANNELS = 4

_METHOD = re.compile(r"[A-Z0-9_]{1,16}", re.ASCII)


def pixel_type(bits_stored: int, *, signed: bool) -> np.dtype[Any]:
    """Return the smallest native integer type that holds ``bits_stored``."""
    return np.dtype(f"{'i' if signed else 'u'}{1 if bits_stored <= 8 else 2}")


def value_range(bits_stored: int, *, signed: bool) -> tuple[int, int]:
    """Return the lowest and the highest value of ``bits_stored`` bits."""
    if signed:
        return -(1 << (bits_stored - 1)), (1 << (bits_stored - 1)) - 1
    return 0, (1 << bits_stored) - 1


@dataclass(frozen=True)
class DicomFile:
    """How a DICOM file held the data set that an image came with.

    Attributes:
        meta: the file meta information, group 0002 without its group length, as explicit VR
            little endian; empty if the file had none.
        preamble: 128 bytes, ``None`` if the file had none.
        pixel_vr: value representation of native Pixel Data, ``None`` if it was encapsulated.
        pixel_tail: bytes of native Pixel Data after the last pixel, padding as a rule.

    Raises:
        UnsupportedImageError: a preamble of another length.
    """

    meta: bytes = b""
    preamble: bytes | None = None
    pixel_vr: Literal["OB", "OW"] | None = None
    pixel_tail: bytes = b""

    def __post_init__(self) -> None:
        if self.preamble is not None and len(self.preamble) != PREAMBLE_BYTES:
            raise UnsupportedImageError(
                f"the preamble has {len(self.preamble)} bytes; it must have {PREAMBLE_BYTES}"
            )


@dataclass(frozen=True)
class SpareBits:
    """Bits of DICOM cells around the bits stored: overlays embedded there, or junk.

    Attributes:
        sign_bits: mask of the bits of a cell that repeat the pixel's sign.
        plane_bits: mask of the bits that ``planes`` gives. All others are zero.
        planes: one bit plane after the other, from the lowest bit on; in each, the bits of all
            pixels, frame by frame and row by row, eight a byte, the first in the highest bit,
            with zeros at the end of the plane up to a whole byte.
    """

    sign_bits: int
    plane_bits: int
    planes: bytes

    def __post_init__(self) -> None:
        if not 0 <= self.sign_bits | self.plane_bits < 1 << 16 or self.sign_bits & self.plane_bits:
            raise UnsupportedImageError(
                f"spare bits 0x{self.sign_bits:x} repeat the sign and 0x{self.plane_bits:x} have"
                " planes; allowed are 16 bits, none of them twice"
            )

    @staticmethod
    def plane_bytes(pixel_count: int) -> int:
        """Size of one plane."""
        return -(-pixel_count // 8)


@dataclass(frozen=True)
class Loss:
    """One step of lossy compression that the pixels went through.

    Attributes:
        method: as Lossy Image Compression Method (0028,2114) has it: a defined term of PS3.3
            C.7.6.1.1.5.1, or one of ours; 1 to 16 upper-case letters, digits and underscores.
        ratio: size of the pixels at their bits stored to their compressed size, which is
            rounded to thousandths.
        max_error: bound on the error of any pixel in grey levels, ``None`` for none.

    Raises:
        UnsupportedImageError: a field outside these bounds.
    """

    method: str
    ratio: float
    max_error: int | None = None

    def __post_init__(self) -> None:
        if not _METHOD.fullmatch(self.method):
            raise UnsupportedImageError(
                f"lossy compression method {self.method!r}; allowed are 1 to 16 upper-case"
                " letters, digits and underscores"
            )
        object.__setattr__(self, "ratio", round(self.ratio * 1000) / 1000)
        if not 0 < self.ratio <= MAX_RATIO:
            raise UnsupportedImageError(
                f"compression ratio {self.ratio}; allowed are 0.001 to {MAX_RATIO}"
            )
        if self.max_error is not None and not 0 <= self.max_error < 1 << 16:
            raise UnsupportedImageError(
                f"maximum error {self.max_error}; allowed are 0 to {(1 << 16) - 1}"
            )


@dataclass(frozen=True, eq=False)
class XRay:
    """One grayscale radiograph, or several frames of equal size.

    ``numpy.asarray`` gives its pixels.

    Attributes:
        pixels: ``(row, column)``, or ``(frame, row, column)`` for several frames, as 8- or
            16-bit integers in native byte order; the type gives the sign. Stored values, before
            any modality or VOI look-up table.
        bits_stored: significant bits of a pixel, 1 to 16; a signed pixel's sign bit counts.
        photometric_interpretation: MONOCHROME2 shows low values dark, MONOCHROME1 bright.
        dicom: the DICOM data set that the image came with, pixel data left out, as explicit
            VR little endian with neither preamble nor file meta information; ``None`` if the
            source was no DICOM file.
        dicom_file: how the DICOM file held it; ``None`` if that is not known.
        spare_bits: bits of the DICOM file's cells around the bits stored; ``None`` where they
            are as PS3.5 8.1.1 would have them: above High Bit the sign of signed pixels, else 0.
        losses: lossy compression that the pixels went through after ``dicom`` was written, the
            first step first. Writing DICOM tells of it as PS3.3 C.7.6.1.1.5 asks.

    Raises:
        UnsupportedImageError: a shape, type or value outside these bounds.
    """

    pixels: Pixels
    bits_stored: int
    photometric_interpretation: PhotometricInterpretation = "MONOCHROME2"
    dicom: bytes | None = None
    dicom_file: DicomFile | None = None
    spare_bits: SpareBits | None = None
    losses: tuple[Loss, ...] = ()

    def __post_init__(self) -> None:
        given: Any = self.pixels
        if not isinstance(given, np.ndarray):
            raise UnsupportedImageError(_not_pixels(given))
        if isinstance(given, np.ma.MaskedArray):
            raise UnsupportedImageError(
                "pixels are a masked array; allowed are arrays without a mask, as"
                " array.filled(value) gives"
            )
        pixels = given.view(np.ndarray)  # memory maps and matrices are arrays, too
        object.__setattr__(self, "pixels", pixels)
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
        try:
            object.__setattr__(self, "bits_stored", operator.index(self.bits_stored))
        except TypeError:
            raise UnsupportedImageError(
                f"bits stored are {self.bits_stored!r}; allowed is an integer"
            ) from None
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
        if self.spare_bits is not None:
            self._check_spare_bits(self.spare_bits)
        if len(self.losses) > MAX_LOSSES:
            raise UnsupportedImageError(
                f"{len(self.losses)} steps of lossy compression; allowed are 0 to {MAX_LOSSES}"
            )

    def __array__(
        self, dtype: npt.DTypeLike | None = None, copy: bool | None = None
    ) -> npt.NDArray[Any]:
        return np.array(self.pixels, dtype, copy=copy)

    def _check_spare_bits(self, spare: SpareBits) -> None:
        if spare.sign_bits and not self.signed:
            raise UnsupportedImageError("spare bits repeat the sign of unsigned pixels")
        count = (spare.sign_bits | spare.plane_bits).bit_count()
        if count > 16 - self.bits_stored:
            raise UnsupportedImageError(
                f"{count} spare bits around {self.bits_stored} bits stored; allowed are up to 16"
                " together"
            )
        expected = spare.plane_bits.bit_count() * spare.plane_bytes(self.pixels.size)
        if len(spare.planes) != expected:
            raise UnsupportedImageError(
                f"planes of spare bits have {len(spare.planes)} bytes; {self.pixels.size} pixels"
                f" need {expected}"
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


def as_xray(image: XRay | Pixels, bits_stored: int | None = None) -> XRay:
    """Take an array ``(row, column)`` or ``(frame, row, column)`` for an image.

    Args:
        image: an array, or an image, which is returned as it is.
        bits_stored: of an array; without, every bit of its type.

    Raises:
        UnsupportedImageError: neither of both; an array whose last axis looks like channels; or
            one that `XRay` refuses.
    """
    given: Any = image
    if isinstance(given, XRay):
        return given
    if not isinstance(given, np.ndarray):
        raise UnsupportedImageError(_not_pixels(given))
    if looks_like_channels(given.shape):
        raise UnsupportedImageError(
            f"the array has shape {given.shape}, whose last axis looks like channels of a colour"
            " image; allowed are (row, column) and (frame, row, column) of one channel, such as"
            " array[..., 0]. XRay(array, bits_stored) takes any last axis for columns"
        )
    return XRay(given, bits_stored or min(MAX_BITS, 8 * given.dtype.itemsize))


def looks_like_channels(shape: tuple[int, ...]) -> bool:
    """Whether the last of three axes or more has the size of channels, not of columns.

    No radiograph has so few columns, but every colour image has such an axis.
    """
    return len(shape) >= 3 and 1 <= shape[-1] <= MOST_CHANNELS


def _not_pixels(found: object) -> str:
    """What to say of something that was given in place of pixels."""
    if isinstance(found, str | os.PathLike):
        return (
            "an image is expected, not the name of a file: pass xraycodec.read(path), or of an .xrc"
            " file what xraycodec.decompress gives"
        )
    if isinstance(found, bytes | bytearray | memoryview):
        return (
            "an image is expected, not the bytes of a file: pass xraycodec.read(io.BytesIO(data)),"
            " or of an .xrc file xraycodec.decompress(data)"
        )
    if hasattr(found, "read"):
        return "an image is expected, not an open file: pass xraycodec.read(file)"
    if hasattr(type(found), "pixel_array"):
        return (
            "an image is expected, not a pydicom data set: pass xraycodec.read(path), which keeps"
            " the data set with the pixels"
        )
    return (
        f"an image is expected, not an object of type {type(found).__name__}; allowed are XRay and"
        " NumPy arrays of 8- or 16-bit integers, which numpy.asarray makes of many objects"
    )
