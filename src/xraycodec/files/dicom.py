"""DICOM files in: PS3.10 files and bare data sets to an XRay.

pydicom parses; this module checks what it finds against what an XRay can be. Nothing that
pydicom warns about or raises gets out: damage is a CorruptImageError.
"""

from __future__ import annotations

import warnings
from typing import TYPE_CHECKING, Any, cast

import numpy as np

from xraycodec.errors import CorruptImageError, UnsupportedImageError
from xraycodec.files import dicom_frames
from xraycodec.files.checks import check_pixels, damage_as_corrupt
from xraycodec.files.dicom_cells import (
    PixelLayout,
    into_stored_values,
    native_cells,
    native_tail,
    spare_bits,
)
from xraycodec.files.dicom_explicit import as_bytes
from xraycodec.files.dicom_fragments import holds_frames
from xraycodec.files.dicom_lossy import is_marked, tell_loss
from xraycodec.files.dicom_parsing import ParsedFile, parse_file
from xraycodec.files.dicom_values import integer_of, set_value, shown_uid, text_of, value_of
from xraycodec.image import DicomFile, PhotometricInterpretation, XRay
from xraycodec.limits import DEFAULT_LIMITS, Limits

if TYPE_CHECKING:
    from pydicom.dataset import Dataset

PIXEL_TAGS = frozenset((0x7FE00001, 0x7FE00002, 0x7FE00003, 0x7FE00010))
"""Pixel Data, and what tells of its encapsulated form (PS3.3 C.7.6.3)."""


def decode(data: bytes, limits: Limits = DEFAULT_LIMITS) -> XRay:
    """Decode a grayscale DICOM object, native or compressed.

    Values are stored values: no modality or VOI look-up table is applied. Bits of a cell that
    are not Bits Stored (embedded overlays, junk) become the image's spare bits. One frame gives
    ``(row, column)``, several ``(frame, row, column)``. Where codestreams say that they lost
    something, and the data set does not, the image's data set says so as well.

    Raises:
        UnsupportedImageError: no pixel data, colour, floats, 1, 32 or 64 bits allocated, an
            unknown transfer syntax.
        CorruptImageError: elements missing or contradictory, pixel data damaged.
        LimitError: a size exceeds ``limits``.
        FormatError, ModelError: frames of the private transfer syntax, as `xraycodec.decompress`.
    """
    with warnings.catch_warnings(), damage_as_corrupt("DICOM"):
        warnings.simplefilter("ignore")
        parsed = parse_file(data, limits)
        dataset = parsed.dataset
        check_kind(dataset)
        layout = layout_of(dataset)
        if integer_of(dataset, "NumberOfFrames", default=1) == 0:
            set_value(dataset, "NumberOfFrames", layout.frames)
        check_pixels(layout.rows, layout.columns, layout.frames, limits, len(data))
        cells = _cells(parsed, layout)
        _tell_loss(parsed, layout)
        photometric = cast(
            "PhotometricInterpretation", text_of(dataset, "PhotometricInterpretation")
        )
        file = _file_of(parsed, layout)
        dicom = _without_pixels(parsed)
        spare = spare_bits(cells, layout)
        pixels = into_stored_values(cells, layout)
        return XRay(
            pixels[0] if layout.frames == 1 else pixels,
            layout.bits_stored,
            photometric,
            dicom=dicom,
            dicom_file=file,
            spare_bits=spare,
        )


def check_kind(dataset: Dataset) -> None:
    """Check that a data set is of a grayscale integer image.

    Raises:
        UnsupportedImageError: it is not.
        CorruptImageError: it does not say, or it or its Pixel Data is empty.
    """
    if "FloatPixelData" in dataset or "DoubleFloatPixelData" in dataset:
        raise UnsupportedImageError("the object holds Float Pixel Data; allowed are integers")
    if "PixelData" not in dataset:
        if not dataset:
            raise CorruptImageError("the data set is empty")
        raise UnsupportedImageError("the object holds no Pixel Data")
    if not dataset["PixelData"].value:
        raise CorruptImageError("Pixel Data is empty")
    samples = integer_of(dataset, "SamplesPerPixel", default=1)
    photometric = text_of(dataset, "PhotometricInterpretation")
    if not photometric:
        raise CorruptImageError("Photometric Interpretation is missing")
    if samples != 1 or photometric not in ("MONOCHROME1", "MONOCHROME2"):
        raise UnsupportedImageError(
            f"Photometric Interpretation is {_shown_term(photometric)}, Samples per Pixel"
            f" {samples}; allowed are MONOCHROME1 and MONOCHROME2 with 1"
        )


def _shown_term(photometric: str) -> str:
    """A photometric interpretation for messages, which quote nothing but defined terms."""
    known = ("MONOCHROME", "PALETTE COLOR", "RGB", "ARGB", "HSV", "CMYK", "YBR_", "XYB")
    return photometric if photometric.startswith(known) else "not a term of PS3.3 C.7.6.3.1.2"


def layout_of(dataset: Dataset) -> PixelLayout:
    """Read the Image Pixel module, sizes but for their being too large.

    Raises:
        UnsupportedImageError: other bits allocated than 8 and 16.
        CorruptImageError: attributes missing or contradictory.
    """
    allocated = integer_of(dataset, "BitsAllocated")
    if allocated not in (8, 16):
        raise UnsupportedImageError(f"Bits Allocated is {allocated}; allowed are 8 and 16")
    stored = integer_of(dataset, "BitsStored")
    if not 1 <= stored <= allocated:
        raise CorruptImageError(f"Bits Stored is {stored}; allowed are 1 to {allocated}")
    high_bit = integer_of(dataset, "HighBit", default=stored - 1)
    if not stored - 1 <= high_bit < allocated:
        raise CorruptImageError(
            f"High Bit is {high_bit}; allowed are {stored - 1} to {allocated - 1} for {stored}"
            f" bits stored in {allocated}"
        )
    representation = integer_of(dataset, "PixelRepresentation", default=0)
    if representation not in (0, 1):
        raise CorruptImageError(f"Pixel Representation is {representation}; allowed are 0 and 1")
    return PixelLayout(
        # 0 is not allowed, but common where there is one frame (PS3.3 C.7.6.6).
        frames=integer_of(dataset, "NumberOfFrames", default=1) or 1,
        rows=integer_of(dataset, "Rows"),
        columns=integer_of(dataset, "Columns"),
        bits_allocated=allocated,
        bits_stored=stored,
        high_bit=high_bit,
        signed=representation == 1,
    )


def _cells(parsed: ParsedFile, layout: PixelLayout) -> np.ndarray[Any, Any]:
    """Cells that nothing else refers to."""
    element = parsed.dataset["PixelData"]
    if not element.value:
        raise CorruptImageError("Pixel Data is empty")
    native = parsed.transfer_syntax in dicom_frames.NATIVE
    if native and element.is_undefined_length:
        raise CorruptImageError(
            f"Pixel Data is encapsulated, which contradicts transfer syntax"
            f" {shown_uid(parsed.transfer_syntax)}"
        )
    if native:
        big_endian = parsed.transfer_syntax in dicom_frames.BIG_ENDIAN_PIXELS
        words = element.VR == "OW"
        cells = native_cells(element.value, layout, big_endian=big_endian, words=words)
        return cells if cells.flags.writeable else cells.copy()
    if not element.is_undefined_length and not holds_frames(element.value):
        raise CorruptImageError(
            f"Pixel Data is native, which contradicts transfer syntax"
            f" {shown_uid(parsed.transfer_syntax)}"
        )
    extended = _extended_offsets(parsed.dataset)
    return dicom_frames.encapsulated_cells(element.value, layout, parsed.transfer_syntax, extended)


def _extended_offsets(dataset: Dataset) -> tuple[bytes, bytes] | None:
    offsets = value_of(dataset, "ExtendedOffsetTable")
    lengths = value_of(dataset, "ExtendedOffsetTableLengths")
    return (offsets, lengths) if offsets and lengths else None


def _tell_loss(parsed: ParsedFile, layout: PixelLayout) -> None:
    """Have the data set say of lossy codestreams what their writer left out."""
    dataset, syntax = parsed.dataset, parsed.transfer_syntax
    if syntax in dicom_frames.NATIVE or is_marked(dataset):
        return
    value, extended = dataset["PixelData"].value, _extended_offsets(dataset)
    if (loss := dicom_frames.loss_of(value, layout, syntax, extended)) is not None:
        tell_loss(dataset, loss)


def _file_of(parsed: ParsedFile, layout: PixelLayout) -> DicomFile:
    """What the file had beside the data set without its pixels."""
    meta = b"" if parsed.meta is None else as_bytes(parsed.meta)
    element = parsed.dataset["PixelData"]
    if parsed.transfer_syntax not in dicom_frames.NATIVE:
        return DicomFile(meta, parsed.preamble)
    words = element.VR == "OW"
    big_endian = parsed.transfer_syntax in dicom_frames.BIG_ENDIAN_PIXELS
    tail = native_tail(element.value, layout, big_endian=big_endian, words=words)
    return DicomFile(meta, parsed.preamble, "OW" if words else "OB", tail)


def _without_pixels(parsed: ParsedFile) -> bytes:
    """The data set without pixel data, as explicit VR little endian."""
    return as_bytes(
        parsed.dataset, leave_out=lambda tag: tag.group in (0x0000, 0x0002) or tag in PIXEL_TAGS
    )
